"""Sources end to end: simulator, replay and pseudo-terminals; watchdogs, capture and reconnect."""

from __future__ import annotations

import asyncio
import os
import re
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.devices.device import Device
from firmware_bridge.devices.registry import DEVICES
from firmware_bridge.devices.wearable import IDENTIFY
from firmware_bridge.errors import (
    CaptureError,
    PeerError,
    StallError,
    TransportError,
    TransportLost,
)
from firmware_bridge.events import Battery, Corrupt, Event, Gap, Samples, StreamInfo
from firmware_bridge.links import Link
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.pty_wearable import PtyWearable
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info
from firmware_bridge.source import Source, Timed, open_source
from firmware_bridge.transports.base import Received
from firmware_bridge.transports.memory import MemoryTransport
from firmware_bridge.transports.replay import CaptureWriter
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder
from firmware_bridge.wire.spec import LEADS

pytestmark = pytest.mark.realtime

BOUND_S = 10.0
ROWS = [LEADS.index(name) for name in ("II", "V1", "V5")]
INFO = stream_info(250.0, session=3)


def take(source: Source, n_samples: int | None = None) -> list[Timed]:
    """What `source` says until it has said `n_samples`, or to its end."""

    async def run() -> list[Timed]:
        taken: list[Timed] = []
        n = 0
        async with source:
            async for timed in source:
                taken.append(timed)
                if isinstance(timed.event, Samples):
                    n += timed.event.counts.shape[1]
                if n_samples is not None and n >= n_samples:
                    break
        return taken

    return asyncio.run(asyncio.wait_for(run(), BOUND_S))


def events(taken: list[Timed]) -> list[Event]:
    return [timed.event for timed in taken]


def millivolts(taken: list[Timed]) -> np.ndarray:
    counts = [e.counts for e in events(taken) if isinstance(e, Samples)]
    return np.concatenate(counts, axis=1) * 50e-6


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    """Master and port name of a pseudo-terminal without a device."""
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)
    yield master, name
    os.close(master)


def memory_source(transport: MemoryTransport, **bounds: float) -> Source:
    link = Link(transport, WireDecoder(), "wire", hello=IDENTIFY)
    return Source(link, name="memory:", **bounds)


def test_the_simulator_is_a_source() -> None:
    taken = take(open_source("sim:?hr=90&rate=500&seed=4&baseline=0&muscle=0"), 100)
    said = events(taken)
    assert isinstance(said[0], StreamInfo) and said[0].sampling_hz == 500
    assert {type(e) for e in said} == {StreamInfo, Battery, Samples}
    truth = EcgSimulator(500, 90, seed=4).read(100)[ROWS]
    np.testing.assert_allclose(millivolts(taken)[:, :100], truth, atol=26e-6)
    arrivals = [timed.arrival_ns for timed in taken]
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] - arrivals[0] >= 60e6  # real time: 100 samples take 200 ms, the first 40


def test_a_serial_port_is_a_source_and_its_capture_replays_the_same(tmp_path: Path) -> None:
    capture = tmp_path / "session.capture"
    device = PtyWearable(VirtualWearable(EcgSimulator(), INFO, frames_hz=50), wait_for_host=True)
    with device:
        live = take(open_source(f"serial:{device.port}", capture=capture), 100)
    assert events(live)[0] == INFO
    truth = EcgSimulator().read(100)[ROWS]
    np.testing.assert_allclose(millivolts(live)[:, :100], truth, atol=26e-6)
    replayed = take(open_source(f"replay:{capture}?speed=inf"))
    assert [type(e) for e in events(replayed)] == [type(e) for e in events(live)]
    np.testing.assert_array_equal(millivolts(replayed), millivolts(live))
    assert [b.arrival_ns - a.arrival_ns for a, b in zip(live, replayed, strict=True)] == [
        replayed[0].arrival_ns - live[0].arrival_ns
    ] * len(live)


def test_csv_is_understood_live_and_from_a_capture_that_names_it(tmp_path: Path) -> None:
    capture = tmp_path / "csv.capture"
    wearable = VirtualWearable(EcgSimulator(500.0), frames_hz=100, format="csv")
    with PtyWearable(wearable) as device:
        spec = f"serial:{device.port}?device=csv&rate=500&baud=9600"
        live = take(open_source(spec, capture=capture), 50)
    replayed = take(open_source(f"replay:{capture}?speed=inf"))
    for said in (events(live), events(replayed)):
        info = next(e for e in said if isinstance(e, StreamInfo))
        assert (info.sampling_hz, info.leads) == (500.0, ("II", "V1", "V5"))
    np.testing.assert_array_equal(millivolts(replayed), millivolts(live))


def test_a_damaged_capture_plays_up_to_the_damage(tmp_path: Path) -> None:
    capture = tmp_path / "cut.capture"
    live = take(open_source("sim:", capture=capture), 40)
    capture.write_bytes(capture.read_bytes()[:-1])
    said: list[Event] = []

    async def run() -> None:
        async with open_source(f"replay:{capture}?speed=inf") as source:
            async for timed in source:
                said.append(timed.event)  # noqa: PERF401 - the stream ends in an error

    with pytest.raises(CaptureError, match="cut short"):
        asyncio.run(asyncio.wait_for(run(), BOUND_S))
    n_live = sum(isinstance(e, Samples) for e in events(live))
    assert n_live - 2 <= sum(isinstance(e, Samples) for e in said) < n_live


def test_a_capture_without_a_valid_frame_is_told_at_its_end(tmp_path: Path) -> None:
    capture = tmp_path / "csv.capture"
    with PtyWearable(VirtualWearable(EcgSimulator(), format="csv")) as device:
        take(open_source(f"serial:{device.port}?device=csv", capture=capture), 10)
    with pytest.raises(PeerError, match=r"received [\d,]+ bytes but no valid frame; check device="):
        take(open_source(f"replay:{capture}?speed=inf&device=wire"))


def test_lines_of_unknown_columns_are_told_with_what_to_do_at_their_end(tmp_path: Path) -> None:
    capture = tmp_path / "two.capture"
    with CaptureWriter(capture, {"device": "csv", "options": {}}) as writer:
        for i in range(10):
            writer.write(Received(b"0.1,0.2\n" * 25, time.monotonic_ns() + i * 10**8))
    with pytest.raises(PeerError, match=r"2 columns and 3 expected: name the columns in a header"):
        take(open_source(f"replay:{capture}?speed=inf"))


def test_silence_is_a_stall(pty: tuple[int, str]) -> None:
    with pytest.raises(StallError, match=r"silent for 0\.05 s"):
        take(open_source(f"serial:{pty[1]}", stall_s=0.05))
    assert os.read(pty[0], 100) == IDENTIFY  # it was asked


def test_a_device_that_falls_silent_or_mad_later_is_a_stall() -> None:
    encoder = WireEncoder(INFO)

    async def run(then: bytes) -> None:
        transport = MemoryTransport()
        async with memory_source(transport, stall_s=0.05) as source:
            transport.feed(encoder.stream_info())
            assert (await anext(source)).event == INFO
            while True:
                transport.feed(then)
                assert isinstance((await anext(source)).event, Corrupt)

    with pytest.raises(StallError, match="silent"):
        asyncio.run(asyncio.wait_for(run(b""), BOUND_S))


@pytest.mark.parametrize("known", [False, True])
def test_bytes_without_frames_are_told(known: bool) -> None:
    async def run() -> None:
        transport = MemoryTransport()
        async with memory_source(transport, stall_s=0.1, peer_s=0.05) as source:
            if known:
                transport.feed(WireEncoder(INFO).stream_info())
                await anext(source)
            babbling = asyncio.ensure_future(babble(transport))
            try:
                async for timed in source:
                    assert isinstance(timed.event, Corrupt)
            finally:
                babbling.cancel()

    async def babble(transport: MemoryTransport) -> None:
        while True:
            transport.feed(b"U\xaa\x00" * 10)
            await asyncio.sleep(0.005)

    error, told = (StallError, "bytes but no valid frame for") if known else (PeerError, "baud=")
    with pytest.raises(error, match=told):
        asyncio.run(asyncio.wait_for(run(), BOUND_S))


def test_a_slow_consumer_is_not_a_silent_device() -> None:
    encoder = WireEncoder(INFO)
    whole = encoder.stream_info()

    async def run() -> None:
        transport = MemoryTransport()
        async with memory_source(transport, stall_s=0.05, peer_s=0.05) as source:
            transport.feed(whole)
            await anext(source)
            await asyncio.sleep(0.1)  # the consumer thinks for twice the bound
            transport.feed(whole[:5])
            asyncio.get_running_loop().call_later(0.005, transport.feed, whole[5:])
            await anext(source)  # half a frame first: no frame yet, and no stall either

    asyncio.run(asyncio.wait_for(run(), BOUND_S))


@pytest.mark.parametrize("steps", range(10))
def test_a_source_that_is_cancelled_as_bytes_arrive_ends(steps: int) -> None:
    async def run() -> None:
        transport = MemoryTransport()
        n_events = 0

        async def consume() -> None:
            nonlocal n_events
            async with memory_source(transport) as source:
                async for _ in source:
                    n_events += 1

        task = asyncio.ensure_future(consume())
        transport.feed(WireEncoder(INFO).stream_info())
        while not n_events:
            await asyncio.sleep(0)
        for _ in range(20):  # until it waits again
            await asyncio.sleep(0)
        transport.feed(WireEncoder(INFO).stream_info())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=BOUND_S)
        assert task.cancelled()

    asyncio.run(asyncio.wait_for(run(), 2 * BOUND_S))


def test_an_unplugged_port_is_lost() -> None:
    async def run() -> None:
        device = PtyWearable(VirtualWearable(EcgSimulator(), frames_hz=50), wait_for_host=True)
        with device:
            async with open_source(f"serial:{device.port}") as source:
                async for timed in source:
                    if isinstance(timed.event, Samples):
                        device.close()

    with pytest.raises(TransportLost, match="has gone"):
        asyncio.run(asyncio.wait_for(run(), BOUND_S))


def test_a_port_that_comes_back_is_reconnected_and_the_gap_seen(tmp_path: Path) -> None:
    wearable = VirtualWearable(EcgSimulator(), frames_hz=50)
    name = tmp_path / "ttyDEVICE"  # as udev links a stable name to whichever port the device got

    lines: list[str] = []

    async def run() -> list[Event]:
        said: list[Event] = []
        first = PtyWearable(wearable, wait_for_host=True)
        name.symlink_to(first.port)
        with first:
            async with open_source(f"serial:{name}", reconnect_s=5, say=lines.append) as source:
                async for timed in source:
                    said.append(timed.event)
                    if isinstance(timed.event, Samples):
                        break
                first.close()
                for _ in range(10):  # frames of the time without a cable
                    wearable.next_frame()
                with PtyWearable(wearable, wait_for_host=True) as second:
                    name.unlink()
                    name.symlink_to(second.port)
                    async for timed in source:
                        said.append(timed.event)
                        if isinstance(timed.event, Gap):
                            break
                    assert source.reconnects == 1
        return said

    said = asyncio.run(asyncio.wait_for(run(), BOUND_S))
    gap = said[-1]
    assert isinstance(gap, Gap) and gap.n_samples >= 50
    assert re.fullmatch(r".*has gone: .*; waiting for it, 5 s at most", lines[0])
    assert lines[1:] == [f"serial:{name} is back"]


@pytest.mark.parametrize(
    ("spec", "reconnect_s"),
    [
        ("serial:/dev/ttyACM0", 60.0),
        ("serial:COM3", 60.0),
        ("serial:/dev/ttyS0", 60.0),
        ("serial:/dev/pts/3", 0.0),  # by then it may be somebody's shell
        ("serial:/dev/ttys003", 0.0),  # the same on macOS
        ("serial:/dev/pts/3?reconnect=7", 7.0),
        ("serial:/dev/ttyACM0?reconnect=0", 0.0),
        ("ble:", 300.0),
        ("sim:", 0.0),
    ],
)
def test_how_long_a_link_may_be_gone(spec: str, reconnect_s: float) -> None:
    assert open_source(spec).link.reconnect_s == reconnect_s


class Talker:
    """A decoder with a host's part; its samples say what it was told since the link was opened."""

    def __init__(self) -> None:
        self.openings = 0
        self.since = b""

    def opened(self) -> None:
        self.openings += 1
        self.since = b""

    def silent(self, seconds: float) -> None:
        pass

    def data_to_send(self) -> bytes:
        return b""

    def receive_data(self, data: bytes) -> list[Event]:
        self.since += data
        return [Gap(self.openings, n_samples=len(self.since), n_frames=0)]


def test_a_replay_opens_the_link_anew_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = tmp_path / "talker.capture"
    talker = Device("talker", "a talker", lambda options: Talker())
    monkeypatch.setitem(DEVICES, "talker", talker)

    async def live() -> list[Event]:
        transport = MemoryTransport()
        said: list[Event] = []
        link = Link(transport, Talker(), "talker")
        async with Source(link, name="memory:", capture=capture, reconnect_s=5) as source:
            transport.feed(b"begun and not")
            said.append((await anext(source)).event)
            transport.lose("the cable")
            asyncio.get_running_loop().call_later(0.01, setattr, transport, "_lost", None)
            asyncio.get_running_loop().call_later(0.2, transport.feed, b"ended")
            said.append((await anext(source)).event)
            assert source.reconnects >= 1
        return said

    said = asyncio.run(asyncio.wait_for(live(), BOUND_S))
    assert said[0] == Gap(1, 13, 0) and isinstance(said[1], Gap) and said[1].n_samples == 5
    assert events(take(open_source(f"replay:{capture}?speed=inf"))) == said


def test_a_port_that_stays_away_is_lost_within_the_bound() -> None:
    async def run() -> None:
        device = PtyWearable(VirtualWearable(EcgSimulator(), frames_hz=50), wait_for_host=True)
        with device:
            async with open_source(f"serial:{device.port}", reconnect_s=0.3) as source:
                await anext(source)
                device.close()
                async for _ in source:
                    pass

    with pytest.raises(TransportLost, match="has gone"):
        asyncio.run(asyncio.wait_for(run(), BOUND_S))


def test_a_port_that_does_not_open_leaves_nothing_open(tmp_path: Path) -> None:
    capture = tmp_path / "a.capture"
    with pytest.raises(TransportError, match="no serial port"):
        take(open_source("serial:/dev/ttyNOWHERE7", capture=capture))
    assert not capture.exists()


def open_events(capture: Path) -> Iterator[Event]:
    yield from events(take(open_source(f"replay:{capture}?speed=inf")))
