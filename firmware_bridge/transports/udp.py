"""A device that sends UDP datagrams to this machine: one sender at a time, none of them believed unseen.

The first sender after an opening is the device; what others send is dropped and counted. It may restart under
another port of its own: then it falls silent, and the source opens anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from firmware_bridge.errors import TransportError
from firmware_bridge.transports.base import Received
from firmware_bridge.transports.network import explained, written

LOOPBACK = "127.0.0.1"  # who wants to be reached by a board says so
CAPACITY_BYTES = 65536  # 25 s of three int24 leads at 250 Hz: a reader this late has stopped
PENDING_BYTES = 1024  # of commands from before the device is known


class UdpTransport(asyncio.DatagramProtocol):
    """A `Transport` that listens at `port` of the address `host` of this machine."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.sender: tuple[Any, ...] | None = None
        """Address of the device, once it has sent."""
        self.notifications_dropped = 0
        """Datagrams of the device that nobody took in time."""
        self.strangers_dropped = 0
        """Datagrams of others."""
        self._heard: deque[Received] = deque()
        self._n_bytes = 0
        self._pending = b""
        self._endpoint: asyncio.DatagramTransport | None = None
        self._news = asyncio.Event()

    async def open(self) -> None:
        """Listen. Raises TransportError (in use), AccessError, or NotFoundError (no address of ours)."""
        await self.close()
        self._news = asyncio.Event()
        try:
            endpoint, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: self, local_addr=(self.host, self.port)
            )
        except OSError as error:
            raise explained(self._name, error) from error
        self._endpoint = endpoint

    async def read(self) -> Received:
        """The next datagram."""
        while not self._heard:
            if self._endpoint is None:
                raise TransportError(f"{self._name} is not open: open it first")
            self._news.clear()
            await self._news.wait()
        received = self._heard.popleft()
        self._n_bytes -= len(received.data)
        return received

    async def write(self, data: bytes) -> None:
        """Send to the device; until it is known, at most 1,024 bytes wait for it."""
        if self._endpoint is None:
            raise TransportError(f"{self._name} is not open: open it first")
        if self.sender is None:
            self._pending = (self._pending + data)[-PENDING_BYTES:]
        else:
            self._endpoint.sendto(data, self.sender)

    async def close(self) -> None:
        """Stop listening, and forget who the device was."""
        endpoint, self._endpoint = self._endpoint, None
        self.sender, self._pending = None, b""
        self._heard.clear()
        self._n_bytes = 0
        if endpoint is not None:
            endpoint.abort()
            self._news.set()
            await asyncio.sleep(0)  # asyncio closes the socket in its next step

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Take a datagram; when the reader has stopped, the oldest give way."""
        if self._endpoint is None or not data:
            return
        if self.sender is None:
            self.sender = addr
            if self._pending:
                self._endpoint.sendto(self._pending, addr)
                self._pending = b""
        if addr != self.sender:
            self.strangers_dropped += 1
            return
        self._heard.append(Received(data, time.monotonic_ns()))
        self._n_bytes += len(data)
        while self._n_bytes > CAPACITY_BYTES:
            self._n_bytes -= len(self._heard.popleft().data)
            self.notifications_dropped += 1
        self._news.set()

    def error_received(self, exc: Exception) -> None:
        """An answer could not be delivered; the device may still send."""

    @property
    def _name(self) -> str:
        return f"udp:{written(self.host, self.port)}"
