"""The virtual wearable on a real pseudo-terminal, read with pyserial, in a thread and as a process."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial

from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Battery, Event, Gap, Restarted, Samples, StreamInfo
from firmware_bridge.simulators.__main__ import main
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.pty_wearable import PtyWearable
from firmware_bridge.simulators.recording import Recording
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.spec import LEADS, FrameType

pytestmark = pytest.mark.realtime

BOUND_S = 10.0
IDENTIFY = encode_frame(Command(FrameType.IDENTIFY))
ROWS = [LEADS.index(name) for name in ("II", "V1", "V5")]


def events_until(port: serial.Serial, decoder: WireDecoder, n_samples: int) -> list[Event]:
    """Events up to sample `n_samples`, read as they come."""
    events: list[Event] = []
    deadline_s = time.monotonic() + BOUND_S
    while time.monotonic() < deadline_s:
        events += decoder.receive_data(port.read(max(1, port.in_waiting)))
        last = next((e for e in reversed(events) if isinstance(e, Samples)), None)
        if last is not None and last.first_sample + last.counts.shape[1] >= n_samples:
            return events
    raise AssertionError(f"no sample {n_samples} within {BOUND_S} s: {events}")


@pytest.fixture
def fast() -> Iterator[PtyWearable]:
    """50 frames of 5 samples a second, so that tests take tenths of a second."""
    device = PtyWearable(VirtualWearable(EcgSimulator(250.0), frames_hz=50), wait_for_host=True)
    with device:
        yield device


def test_a_host_that_speaks_gets_every_sample_and_its_write_time(fast: PtyWearable) -> None:
    start_ns = time.monotonic_ns()
    with serial.Serial(fast.port, timeout=BOUND_S) as port:
        port.write(IDENTIFY)
        events = events_until(port, WireDecoder(), 120)
        fast.close()  # a frame is noted after its write, which the host may be faster than
    counts = np.concatenate([e.counts for e in events if isinstance(e, Samples)], axis=1)
    truth = EcgSimulator(250.0).read(counts.shape[1])[ROWS]
    np.testing.assert_allclose(counts * 50e-6, truth, atol=26e-6)
    assert events[0] == events[1]  # the answer to identify, and the first frame's own stream info
    assert isinstance(events[0], StreamInfo)
    assert {type(e) for e in events} == {StreamInfo, Battery, Samples}
    first_samples, written_ns = zip(*list(fast.write_times)[:20], strict=True)
    firsts = [event.first_sample for event in events if isinstance(event, Samples)]
    assert list(first_samples) == firsts[:20]
    assert all(np.diff(written_ns) > 0)
    # Paced by the clock: the twentieth frame cannot be sent before its samples were taken.
    assert written_ns[-1] - start_ns >= firsts[20] / 250 * 1e9
    assert fast.frames_dropped == fast.frames_unheard == 0


def test_answers_between_frames_keep_the_sequence(fast: PtyWearable) -> None:
    with serial.Serial(fast.port, timeout=BOUND_S) as port:
        decoder, events = WireDecoder(), list[Event]()
        for n_samples in range(5, 100, 5):  # asks after each frame, while the next is on its way
            port.write(IDENTIFY)
            events += events_until(port, decoder, n_samples)
    assert {type(e) for e in events} == {StreamInfo, Battery, Samples}
    assert sum(isinstance(e, StreamInfo) for e in events) > 10
    assert decoder.lost_frames == 0


def test_stop_and_start_are_obeyed_and_only_samples_are_counted_as_sent(fast: PtyWearable) -> None:
    with serial.Serial(fast.port, timeout=BOUND_S) as port:
        decoder = WireDecoder()
        port.write(IDENTIFY)
        events_until(port, decoder, 10)
        port.write(encode_frame(Command(FrameType.STOP)))
        events = list[Event]()
        while sum(isinstance(e, StreamInfo) for e in events) < 3:  # the answer, then one a second
            events += decoder.receive_data(port.read(1))
        stopped = next(i for i, e in enumerate(events) if isinstance(e, StreamInfo))
        assert {type(e) for e in events[stopped:]} == {StreamInfo}
        sent = fast.frames_sent
        port.write(encode_frame(Command(FrameType.START)))
        events = events_until(port, decoder, 50)
    fast.close()  # a frame is counted after its write, which the host may be faster than
    assert isinstance(events[0], Restarted)
    samples = [e for e in events if isinstance(e, Samples)]
    assert samples[0].first_sample == 0
    assert fast.frames_sent >= sent + len(samples)
    rows = list(fast.write_times)
    assert [first for first, _ in rows[sent:]][: len(samples)] == [e.first_sample for e in samples]


def test_a_host_that_says_nothing_is_served_after_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firmware_bridge.simulators.pty_wearable.HOST_GRACE_S", 0.05)
    device = PtyWearable(VirtualWearable(EcgSimulator(), frames_hz=50), wait_for_host=True)
    with device, serial.Serial(device.port, timeout=BOUND_S) as port:
        events = events_until(port, WireDecoder(), 5)
    assert any(isinstance(e, Samples) and e.first_sample == 0 for e in events)


def test_unheard_frames_are_counted_and_not_kept_for_a_late_host() -> None:
    with PtyWearable(VirtualWearable(EcgSimulator(), frames_hz=50)) as device:
        deadline_s = time.monotonic() + BOUND_S
        while device.frames_unheard < 3:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        with serial.Serial(device.port, timeout=BOUND_S) as port:
            events = events_until(port, WireDecoder(), 30)
    first = next(e for e in events if isinstance(e, Samples))
    assert first.first_sample >= 15
    assert not any(isinstance(e, Gap) for e in events)


def test_a_host_that_does_not_read_costs_whole_frames_which_are_counted() -> None:
    # 20 samples of 8 leads 1,000 times a second for 0.6 s: 300 kB, far beyond what a pty holds.
    ecg_mv = np.zeros((8, 20 * 600), np.float32)
    leads = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    info = stream_info(20_000.0, leads)
    device = PtyWearable(
        VirtualWearable(Recording(ecg_mv, 20_000.0, leads), info, frames_hz=1000),
        wait_for_host=True,
    )
    with device, serial.Serial(device.port, timeout=0.2) as port:
        port.write(IDENTIFY)
        assert device.join(BOUND_S)  # the recording has run out, and nobody has read
        assert device.frames_dropped > 0
        assert device.frames_sent + device.frames_dropped >= 599  # one may be half written
        decoder = WireDecoder()
        events: list[Event] = []
        while data := port.read(4096):
            events += decoder.receive_data(data)
    samples = [e for e in events if isinstance(e, Samples)]
    assert {type(e) for e in events} == {StreamInfo, Battery, Samples}
    assert len(samples) == device.frames_sent
    assert samples[0].first_sample == 0


def test_a_host_that_reads_again_sees_the_gap() -> None:
    leads = ("II", "V1", "V5")
    wearable = VirtualWearable(
        Recording(np.zeros((3, 100), np.float32), 10_000.0, leads, loop=True),
        stream_info(10_000.0, leads),
        frames_hz=400,
    )
    device = PtyWearable(wearable, wait_for_host=True)
    with device, serial.Serial(device.port, timeout=BOUND_S) as port:
        port.write(IDENTIFY)
        deadline_s = time.monotonic() + BOUND_S
        while device.frames_dropped < 10:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        decoder = WireDecoder()
        events: list[Event] = []
        while not any(isinstance(e, Gap) for e in events):
            assert time.monotonic() < deadline_s
            events += decoder.receive_data(port.read(max(1, port.in_waiting)))
    gap = next(e for e in events if isinstance(e, Gap))
    assert gap.n_frames >= 10
    assert {type(e) for e in events} == {StreamInfo, Battery, Samples, Gap}


def test_closing_unplugs_the_port_and_twice_is_fine(fast: PtyWearable) -> None:
    with serial.Serial(fast.port, timeout=BOUND_S) as port:
        port.write(IDENTIFY)
        events_until(port, WireDecoder(), 5)
        fast.close()
        with pytest.raises((serial.SerialException, OSError)):
            while True:
                port.read(4096)
    fast.close()
    fast.stop()


def spawn(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "firmware_bridge.simulators", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def child(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A wearable process and the name of its port."""
    with spawn(*arguments) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], BOUND_S)[0]
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_ten_seconds_of_frames_reach_a_host_through_a_process_without_loss(tmp_path: Path) -> None:
    # 5,000 samples, sent in 2.5 s: the same bytes as 10 s at 500 Hz.
    ecg_mv = EcgSimulator(500.0).read(5000)[ROWS]
    record, log = tmp_path / "record.npz", tmp_path / "times.csv"
    np.savez(record, ecg_mv=ecg_mv, sampling_hz=2000.0, leads=np.array(["II", "V1", "V5"]))
    arguments = ["--record", str(record), "--frames-hz", "100", "--wait", "--write-times", str(log)]
    decoder, events = WireDecoder(), list[Event]()
    with child(*arguments) as (process, name), serial.Serial(name, timeout=BOUND_S) as port:
        port.write(IDENTIFY)
        events = events_until(port, decoder, 5000)
        assert process.wait(BOUND_S) == 0
        assert process.stderr is not None
        summary = process.stderr.read()
    counts = np.concatenate([e.counts for e in events if isinstance(e, Samples)], axis=1)
    np.testing.assert_allclose(counts * 50e-6, ecg_mv, atol=26e-6)
    assert {type(e) for e in events} == {StreamInfo, Battery, Samples}
    rows = [tuple(map(int, line.split(","))) for line in log.read_text().splitlines()]
    firsts = [event.first_sample for event in events if isinstance(event, Samples)]
    assert [row[0] for row in rows] == firsts
    assert summary.startswith(f"{len(firsts)} frames sent, 0 dropped")
    assert all(np.diff([row[1] for row in rows]) > 0)


@pytest.mark.parametrize("how", ["stdin", "SIGTERM", "SIGINT", "seconds"])
def test_a_process_ends_cleanly(how: str) -> None:
    with child(*(["--seconds", "0.1"] if how == "seconds" else [])) as (process, name):
        assert Path(name).exists()
        if how == "stdin":
            assert process.stdin is not None
            process.stdin.close()
        elif how != "seconds":
            process.send_signal(getattr(signal, how))
        assert process.wait(BOUND_S) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_times_that_were_written_stay_without_overwrite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "times.csv"
    log.write_text("old")
    arguments = ["--seconds", "0.05", "--write-times", str(log)]
    assert main(arguments) == 1
    assert capsys.readouterr().err == (
        f"error: cannot write the times {log}: it exists; give another name, {{time}} in the name for a "
        "new one each time, or --overwrite\n"
    )
    assert log.read_text() == "old"
    assert main([*arguments, "--overwrite"]) == 0
    assert log.read_text() == ""
    assert main(["--seconds", "0.05", "--write-times", str(tmp_path / "no" / "times.csv")]) == 1
    assert "make the folder" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf"])
def test_a_duration_that_is_none_is_refused(seconds: str) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--seconds", seconds])
    assert refused.value.code == 2


def test_a_process_told_nonsense_says_so_in_one_line(tmp_path: Path) -> None:
    with spawn("--record", str(tmp_path / "none.npz")) as process:
        _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 1
    assert errors.startswith("error: no recording") and errors.count("\n") == 1
    with pytest.raises(SourceSpecError):
        VirtualWearable(EcgSimulator(), frames_hz=5000)
    for ppm in (float("nan"), 1e9):
        with pytest.raises(SourceSpecError, match="ppm: use -100000 to 100000"):
            VirtualWearable(EcgSimulator(), clock_ppm=ppm)


def test_the_port_is_raw_before_any_host_sets_it(fast: PtyWearable) -> None:
    slave = os.open(fast.port, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(slave, IDENTIFY)  # would be echoed, and its zero bytes eaten, by a cooked terminal
        decoder, events = WireDecoder(), list[Event]()
        while not any(isinstance(e, Samples) for e in events):
            assert select.select([slave], [], [], BOUND_S)[0]
            events += decoder.receive_data(os.read(slave, 4096))
    finally:
        os.close(slave)
    assert {type(e) for e in events} == {StreamInfo, Battery, Samples}
