"""A device, or a server before its serial port, that takes TCP connections: asyncio's streams."""

from __future__ import annotations

import asyncio
import contextlib
import time

from firmware_bridge.errors import BridgeError, TransportError, TransportLost
from firmware_bridge.transports.base import Received
from firmware_bridge.transports.bounded import bounded
from firmware_bridge.transports.network import READ_BYTES, explained, written

CONNECT_S = 5.0  # a Wi-Fi board that is there answers within one
WRITE_S = 2.0  # commands are a few bytes; a peer that takes none for so long is stuck


class TcpTransport:
    """A `Transport` to `port` of `host`, a name or an address."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect. Raises NotFoundError (no such host, refused, no answer within 5 s) or TransportError."""
        await self.close()
        try:
            self._reader, self._writer = await bounded(
                asyncio.open_connection(self.host, self.port), CONNECT_S
            )
        except (OSError, asyncio.TimeoutError) as error:
            raise explained(self._name, error) from error

    async def read(self) -> Received:
        """Wait for bytes and take all that is there. Raises TransportLost when the peer has closed."""
        reader = self._reader
        if reader is None:
            raise TransportError(f"{self._name} is not open: open it first")
        try:
            data = await reader.read(READ_BYTES)
        except OSError as error:
            raise self._lost() from error
        if not data:
            raise self._lost()
        return Received(data, time.monotonic_ns())

    async def write(self, data: bytes) -> None:
        """Send all of `data`. Raises TransportLost, or TransportError after 2 s without progress."""
        writer = self._writer
        if writer is None:
            raise TransportError(f"{self._name} is not open: open it first")
        try:
            writer.write(data)
            await bounded(writer.drain(), WRITE_S)
        except asyncio.TimeoutError as error:
            raise TransportError(
                f"{self._name} takes no bytes: the device does not read"
            ) from error
        except OSError as error:
            raise self._lost() from error

    async def close(self) -> None:
        """Close the connection."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await bounded(writer.wait_closed(), WRITE_S)

    @property
    def _name(self) -> str:
        return f"tcp:{written(self.host, self.port)}"

    def _lost(self) -> BridgeError:
        return TransportLost(f"{self._name} has gone: the device closed the connection, or is off")
