"""When a source gives its device up, in virtual time: not for a sleep of the host's own."""

from __future__ import annotations

import asyncio
import time

import pytest

from firmware_bridge.errors import PeerError, StallError
from firmware_bridge.events import Corrupt, StreamInfo
from firmware_bridge.links import Link
from firmware_bridge.simulators.wearable import stream_info
from firmware_bridge.source import Source
from firmware_bridge.transports.base import Received
from firmware_bridge.watchdog import AWAKE_S, LATE_S, Watchdog
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder
from tests.firmware_bridge import virtual_time

INFO = stream_info(250.0, session=3)
FRAME = WireEncoder(INFO).stream_info()
STALL_S = 5.0


class Slow:
    """A transport whose bytes take some steps of the event loop to reach their reader, as BLE's do."""

    def __init__(self, steps: int) -> None:
        self.there = b""
        self._steps = steps

    async def open(self) -> None:
        pass

    async def read(self) -> Received:
        while not self.there:
            await asyncio.sleep(0.01)
        for _ in range(self._steps):
            await asyncio.sleep(0)
        data, self.there = self.there, b""
        return Received(data, time.monotonic_ns())

    async def write(self, data: bytes) -> None:
        pass

    async def close(self) -> None:
        pass


def source(transport: Slow) -> Source:
    return Source(
        Link(transport, WireDecoder(), "wire"), name="slow:", stall_s=STALL_S, peer_s=STALL_S
    )


@pytest.mark.parametrize("steps", [0, 1, 5, 50])
@pytest.mark.parametrize("asleep_s", [6.0, 3600.0])
def test_a_host_that_slept_finds_what_waited_before_it_calls_a_device_silent(
    steps: int, asleep_s: float
) -> None:
    async def run() -> None:
        transport = Slow(steps)
        encoder = WireEncoder(INFO)
        loop = asyncio.get_running_loop()

        def wake(data: bytes) -> None:
            virtual_time.sleep_of_the_host(asleep_s)
            transport.there = data

        async with source(transport) as stream:
            transport.there = encoder.stream_info()
            assert isinstance((await anext(stream)).event, StreamInfo)
            loop.call_later(1.0, wake, encoder.stream_info())
            assert isinstance((await anext(stream)).event, StreamInfo)
            # Half a frame after the sleep is no reason to give up either: the rest follows.
            frame = encoder.stream_info()
            loop.call_later(1.0, wake, frame[:7])
            loop.call_later(asleep_s + 2.0, setattr, transport, "there", frame[7:])
            assert isinstance((await anext(stream)).event, StreamInfo)

    virtual_time.run(run())


def test_a_device_that_is_silent_after_the_sleep_is_told_soon() -> None:
    async def run() -> float:
        transport = Slow(0)
        async with source(transport) as stream:
            transport.there = FRAME
            await anext(stream)
            clock = asyncio.get_running_loop().time
            asyncio.get_running_loop().call_later(1.0, virtual_time.sleep_of_the_host, 60.0)
            began_s = clock()
            with pytest.raises(StallError, match="silent for 5 s"):
                await anext(stream)
            return clock() - began_s

    assert virtual_time.run(run()) == pytest.approx(61.0 + AWAKE_S, abs=0.1)


def test_a_silent_device_and_a_host_that_is_awake_is_a_stall_in_time() -> None:
    async def run() -> float:
        transport = Slow(0)
        async with source(transport) as stream:
            clock = asyncio.get_running_loop().time
            began_s = clock()
            with pytest.raises(StallError, match="silent"):
                await anext(stream)
            return clock() - began_s

    assert virtual_time.run(run()) == pytest.approx(STALL_S, abs=0.05)


def test_babble_is_given_up_after_its_time_and_the_sleep_is_not_counted() -> None:
    watchdog = Watchdog("x:", "wire", stall_s=5.0, peer_s=3.0)
    watchdog.waited(2.0)
    watchdog.heard(10)  # the first bytes: what was waited before does not count
    watchdog.waited(2.9)
    watchdog.waited(5.0 + LATE_S + 1.0)
    watchdog.doubts(Corrupt("noise", 10).reason)
    watchdog.waited(0.2)
    with pytest.raises(PeerError, match=r"received 10 bytes but no valid frame \(noise\)"):
        watchdog.doubts(None)
