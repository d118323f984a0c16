"""The demo firmware on an emulated Cortex-M3, its UART a real serial port of this machine."""

from __future__ import annotations

import asyncio
import json
import re
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import serial

from edge.cli import main
from firmware_bridge.events import Corrupt, Event, Gap, Restarted, Samples, StreamInfo
from firmware_bridge.firmware.generate import SOURCES
from firmware_bridge.source import Source, Timed, open_source
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.spec import FrameType
from tests.firmware_bridge.c_library import make, need

pytestmark = pytest.mark.realtime

BOUND_S = 30.0  # for what takes seconds, on a machine that is busy


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("make", "arm-none-eabi-gcc", "qemu-system-arm")
    out = tmp_path_factory.mktemp("demo")
    make("demo", out)
    return out / "demo.elf"


class Board:
    """The running board: its port, and the wire to its reset pin."""

    def __init__(self, port: str, monitor: Path) -> None:
        self.port = port
        self._monitor = monitor

    def reset(self) -> None:
        with socket.socket(socket.AF_UNIX) as qmp:
            qmp.settimeout(BOUND_S)
            qmp.connect(str(self._monitor))
            answers = qmp.makefile()
            answers.readline()
            for command in ("qmp_capabilities", "system_reset"):
                qmp.sendall(json.dumps({"execute": command}).encode())
                while "return" not in json.loads(answers.readline()):
                    pass


@pytest.fixture
def board(image: Path, tmp_path: Path) -> Iterator[Board]:
    monitor = tmp_path / "qmp"
    command = ["qemu-system-arm", "-M", "mps2-an385", "-display", "none", "-kernel", str(image)]
    command += ["-serial", "pty", "-qmp", f"unix:{monitor},server=on,wait=off"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], BOUND_S)[0], "QEMU does not start"
            found = re.search(r"/dev/pts/\d+", process.stdout.readline())
            assert found is not None
            yield Board(found.group(), monitor)
        finally:
            process.kill()


async def listen(source: Source, until: Callable[[list[Event]], bool]) -> list[Timed]:
    """What the source says until `until`."""
    timed: list[Timed] = []
    events: list[Event] = []
    async for said in source:
        timed.append(said)
        events.append(said.event)
        if until(events):
            return timed
    raise AssertionError("the stream ended")


def collect(port: str, until: Callable[[list[Event]], bool]) -> list[Timed]:
    """What a source at `port` says from its opening until `until`."""

    async def run() -> list[Timed]:
        async with open_source(f"serial:{port}") as source:
            return await listen(source, until)

    return asyncio.run(asyncio.wait_for(run(), BOUND_S))


def samples_of(events: list[Event]) -> list[Samples]:
    return [event for event in events if isinstance(event, Samples)]


def infos_of(events: list[Event]) -> list[StreamInfo]:
    return [event for event in events if isinstance(event, StreamInfo)]


def n_samples(events: list[Event]) -> int:
    return sum(event.counts.shape[1] for event in samples_of(events))


def table() -> np.ndarray:
    """The demo's heartbeat in its own counts, (3, 500), from the C source."""
    text = (SOURCES / "demo" / "ecg_table.h").read_text()
    rows = re.findall(r"\{(-?\d+), (-?\d+), (-?\d+)\}", text)
    return np.array(rows, np.int32).T * 20


def assert_every_sample_is_told(events: list[Event]) -> None:
    """Samples and gaps follow on each other without a hole, and the samples are the table's."""
    place = None
    for event in events:
        if isinstance(event, Samples | Gap):
            assert place in (None, event.first_sample)
            n = event.counts.shape[1] if isinstance(event, Samples) else event.n_samples
            place = event.first_sample + n
        if isinstance(event, Samples):
            rows = 2 * (event.first_sample + np.arange(event.counts.shape[1])) % 500
            np.testing.assert_array_equal(event.counts, table()[:, rows])


def test_a_heartbeat_arrives_whole_and_at_its_rate(board: Board) -> None:
    timed = collect(board.port, lambda events: n_samples(events) >= 625)
    events = [said.event for said in timed]
    assert {type(event) for event in events} == {StreamInfo, Samples}
    assert_every_sample_is_told(events)
    frames = [said for said in timed if isinstance(said.event, Samples)]
    ticks_us = np.diff([said.event.tick_us for said in frames])
    lengths = [said.event.counts.shape[1] for said in frames]
    np.testing.assert_array_equal(ticks_us, 4_000 * np.array(lengths[:-1]))
    assert set(lengths) == set(range(7, 14))
    # QEMU's clock follows that of this machine; a frame is late, at worst, by what holds QEMU up.
    arrived_s = (frames[-1].arrival_ns - frames[0].arrival_ns) / 1e9
    assert arrived_s == pytest.approx(ticks_us.sum() / 1e6, abs=1.0)
    infos = infos_of(events)
    assert len(infos) >= 3 and len(set(infos)) == 1
    assert infos[0].leads == ("II", "V1", "V5") and infos[0].sampling_hz == 250.0


def test_leadlift_run_loses_nothing(board: Board, tmp_path: Path) -> None:
    out, report = tmp_path / "out.npz", tmp_path / "report.json"
    arguments = ["run", "--source", f"serial:{board.port}", "--sink", f"file:{out}"]
    assert main([*arguments, "--seconds", "4", "--report", str(report)]) == 0
    said = json.loads(report.read_text())
    assert said["samples_in"] >= 990
    assert said["samples_lost"] == said["gaps"] == said["corrupt"] == 0
    assert said["device_hz"] == 250.0
    with np.load(out) as written:
        assert written["ecg_mv"].shape[0] == 12


def test_a_host_that_attaches_in_mid_frame_gets_all_from_the_next_one_on(board: Board) -> None:
    with serial.Serial(board.port, timeout=BOUND_S) as port:
        port.read(1500)  # the device is in full swing when this host leaves
    timed = collect(board.port, lambda events: n_samples(events) >= 250)
    events = [said.event for said in timed]
    bad = [i for i, event in enumerate(events) if isinstance(event, Corrupt)]
    assert bad in ([], [0]), "more is damaged than the frame that was cut"
    assert samples_of(events)[0].first_sample > 0
    assert not any(isinstance(event, Gap) for event in events)
    assert_every_sample_is_told(events)


def test_a_host_that_comes_late_gets_what_is_measured_now(board: Board) -> None:
    time.sleep(1.0)  # as many samples as pass before a person has typed the port's name
    timed = collect(board.port, lambda events: n_samples(events) >= 250)
    events = [said.event for said in timed]
    # It may come in the middle of a frame.
    assert {type(event) for event in events[1:]} | {StreamInfo} == {StreamInfo, Samples}
    assert samples_of(events)[0].first_sample > 0
    assert_every_sample_is_told(events)


def test_commands_are_obeyed_and_answered(board: Board) -> None:
    async def ask(
        source: Source, kind: FrameType, rate: int = 0, *, n_infos: int = 1, then: int = 0
    ) -> list[Event]:
        """What follows a command, until `n_infos` stream infos and `then` samples have come."""
        await source.link.transport.write(encode_frame(Command(kind, rate)))

        def until(events: list[Event]) -> bool:
            return len(infos_of(events)) >= n_infos and n_samples(events) >= then

        return [said.event for said in await listen(source, until)]

    async def dialogue() -> None:
        async with open_source(f"serial:{board.port}") as source:
            await listen(source, lambda events: n_samples(events) >= 50)

            # The infos of every second may come first, and samples that were under way with them.
            await ask(source, FrameType.STOP, n_infos=3)
            silent = await ask(source, FrameType.IDENTIFY, n_infos=3)
            silent += await ask(source, FrameType.STOP)
            assert {type(event) for event in silent} == {StreamInfo}
            session = infos_of(silent)[0].session

            restarted, info, *started = await ask(source, FrameType.START, then=50)
            assert restarted == Restarted(session + 1)
            assert info == replace(infos_of(silent)[0], session=session + 1)
            assert samples_of(started)[0].first_sample == 0

            for kind, rate in (
                (FrameType.START, 0),
                (FrameType.IDENTIFY, 0),
                (FrameType.SET_RATE, 250_000),
                (FrameType.SET_RATE, 333_000),  # which it does not have
            ):
                more = await ask(source, kind, rate, then=50)
                assert {type(event) for event in more} == {StreamInfo, Samples}
                assert set(infos_of(more)) == {info}
                started += more
            assert_every_sample_is_told(started)

            faster = await ask(source, FrameType.SET_RATE, 500_000, then=1000)
            at = faster.index(Restarted(session + 2))
            changed = replace(info, session=session + 2, sampling_hz=500.0, config_id=2)
            assert set(infos_of(faster[at:])) == {changed}
            frames = samples_of(faster[at:])
            assert frames[0].first_sample == 0
            assert {frame.config_id for frame in frames} == {2}
            # The queue drops whole frames while a busy host does not read; the tick keeps its pace.
            ticks_us = np.diff([frame.tick_us for frame in frames])
            firsts = np.diff([frame.first_sample for frame in frames])
            np.testing.assert_array_equal(ticks_us, firsts * 2_000)
            lengths = [frame.counts.shape[1] for frame in frames]
            assert (firsts == lengths[:-1]).any()

    asyncio.run(asyncio.wait_for(dialogue(), BOUND_S))


def test_a_reset_in_mid_stream_is_told_and_the_stream_goes_on(board: Board) -> None:
    async def run() -> list[Timed]:
        async with open_source(f"serial:{board.port}") as source:
            before = await listen(source, lambda events: n_samples(events) >= 100)
            board.reset()
            again = await listen(source, lambda events: isinstance(events[-1], Restarted))
            after = await listen(source, lambda events: n_samples(events) >= 100)
            return [*before, *again, *after]

    events = [said.event for said in asyncio.run(asyncio.wait_for(run(), BOUND_S))]
    (at,) = [i for i, event in enumerate(events) if isinstance(event, Restarted)]
    before, after = events[:at], events[at:]
    assert isinstance(after[1], StreamInfo)
    assert samples_of(after)[0].first_sample == 0
    assert samples_of(after)[0].session != samples_of(before)[0].session
    damaged = [i for i, event in enumerate(events) if isinstance(event, Corrupt)]
    assert damaged in ([], [at - 1]), "more is damaged than the frame that the reset cut"
    for part in (before, after):
        assert_every_sample_is_told(part)
