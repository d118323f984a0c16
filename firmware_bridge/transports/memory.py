"""An in-process byte pipe: what `sim:` and tests put in place of a wire."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

from firmware_bridge.errors import TransportError, TransportLost
from firmware_bridge.transports.base import Received

CAPACITY_BYTES = 65536  # 25 s of three int24 leads at 250 Hz: a reader this late has stopped


class MemoryTransport:
    """A `Transport` whose device side is `feed`, `end` and `lose`, callable from any thread.

    `on_write` gets what the host writes, in the host's thread.
    """

    def __init__(
        self,
        on_write: Callable[[bytes], None] | None = None,
        capacity_bytes: int = CAPACITY_BYTES,
    ) -> None:
        self._on_write = on_write
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._ended = False
        self._lost: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> bool:
        """Device side: put bytes on the wire. False if it is full and took nothing."""
        with self._lock:
            if len(self._buffer) + len(data) > self._capacity_bytes:
                return False
            self._buffer += data
        self._wake()
        return True

    def end(self) -> None:
        """Device side: the stream ends after what is on the wire."""
        self._ended = True
        self._wake()

    def lose(self, reason: str) -> None:
        """Device side: the link breaks now; `read` raises TransportLost after what is on the wire."""
        self._lost = reason
        self._wake()

    async def open(self) -> None:
        """Start listening; what was fed before is kept."""
        self._loop = asyncio.get_running_loop()

    async def read(self) -> Received:
        """All bytes on the wire; empty data after `end`. Raises TransportLost after `lose`."""
        while True:
            if self._loop is None:
                raise TransportError("the memory transport is not open: open it before reading")
            with self._lock:
                if self._buffer:
                    data = bytes(self._buffer)
                    self._buffer.clear()
                    return Received(data, time.monotonic_ns())
                # Made under the lock, so that a feed from another thread cannot fall in between.
                self._waiter = self._loop.create_future()
            if self._lost is not None:
                raise TransportLost(self._lost)
            if self._ended:
                return Received(b"", time.monotonic_ns())
            await self._waiter

    async def write(self, data: bytes) -> None:
        """Hand `data` to the device side."""
        if self._lost is not None:
            raise TransportLost(self._lost)
        if self._on_write is not None:
            self._on_write(data)

    async def close(self) -> None:
        """Stop listening; the wire is emptied."""
        self._loop = None
        with self._lock:
            self._buffer.clear()

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):  # closed between the check and the call
                loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
