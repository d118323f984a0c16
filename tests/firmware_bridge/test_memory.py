"""The in-process byte pipe: all bytes in order, wake-ups from other threads, end and loss."""

from __future__ import annotations

import asyncio
import threading

import pytest

from firmware_bridge.errors import TransportError, TransportLost
from firmware_bridge.transports.memory import CAPACITY_BYTES, MemoryTransport

BOUND_S = 10.0


def test_bytes_from_another_thread_arrive_whole_and_in_order() -> None:
    pieces = [bytes([i % 256]) * (i % 40) for i in range(2000)]

    async def host(transport: MemoryTransport) -> bytes:
        await transport.open()
        threading.Thread(target=device, args=(transport,)).start()
        received = b""
        while data := (await transport.read()).data:
            received += data
        return received

    def device(transport: MemoryTransport) -> None:
        for piece in pieces:
            assert transport.feed(piece)
        transport.end()

    assert asyncio.run(asyncio.wait_for(host(MemoryTransport()), BOUND_S)) == b"".join(pieces)


def test_a_full_pipe_takes_nothing_more() -> None:
    transport = MemoryTransport()
    assert transport.feed(bytes(CAPACITY_BYTES))
    assert not transport.feed(b"x")


def test_loss_comes_after_what_was_on_the_wire() -> None:
    written: list[bytes] = []

    async def host() -> None:
        transport = MemoryTransport(on_write=written.append)
        with pytest.raises(TransportError, match="open it"):
            await transport.read()
        await transport.open()
        await transport.write(b"hello")
        transport.feed(b"last words")
        transport.lose("cut")
        assert (await transport.read()).data == b"last words"
        with pytest.raises(TransportLost, match="cut"):
            await transport.read()
        with pytest.raises(TransportLost, match="cut"):
            await transport.write(b"anyone?")

    asyncio.run(asyncio.wait_for(host(), BOUND_S))
    assert written == [b"hello"]


def test_a_cancelled_read_loses_nothing() -> None:
    async def host() -> None:
        transport = MemoryTransport()
        await transport.open()
        reading = asyncio.ensure_future(transport.read())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        transport.feed(b"later")
        assert (await transport.read()).data == b"later"

    asyncio.run(asyncio.wait_for(host(), BOUND_S))
