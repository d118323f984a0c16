"""`leadlift run` and `leadlift demo` end to end: real ports, real model, and how they end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from edge.cli import main
from edge.leads import LEADS
from edge.offline import reconstruct
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.pty_wearable import PtyWearable
from firmware_bridge.simulators.recording import Recording
from firmware_bridge.simulators.wearable import VirtualWearable
from tests.edge.commands.conftest import Spawn
from tests.edge.commands.under import python_of_files_up_to

pytestmark = pytest.mark.realtime

PINNED = {
    "samples_in",
    "samples_out",
    "samples_lost",
    "gaps",
    "reconnects",
    "engine",
    "engine_skipped",
    "engine_details",
    "bundle_sha256",
    "seconds",
    "latency_us",
    "deadline_misses",
    "outputs",
}
PROGRAM = [sys.executable, "-m", "edge.cli"]


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("leadlift: error: ")
    return lines[0]


def recorded(path: Path) -> tuple[int, np.ndarray]:
    """Whole seconds in an EDF file, and its lead II in mV."""
    with pyedflib.EdfReader(str(path)) as reader:
        assert reader.getSignalLabels()[:12] == [f"ECG {lead}" for lead in LEADS]
        return int(reader.getFileDuration()), reader.readSignal(1)


def wearable(rate_hz: float = 250.0, **options: float) -> PtyWearable:
    return PtyWearable(VirtualWearable(EcgSimulator(rate_hz), **options), wait_for_host=True)


def unplug(device: PtyWearable, after_frames: int, how: Callable[[], None]) -> threading.Thread:
    """Calls `how` once a host has been sent so many frames, however long it takes to open the port."""

    def wait() -> None:
        for _ in range(4000):  # 20 s: a run that failed never opens it
            if device.frames_sent >= after_frames:
                how()
                break
            time.sleep(0.005)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_demo_runs_the_real_path_and_says_that_it_is_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--headless", "--seconds", "2", "--report", "report.json"]) == 0
    said = capsys.readouterr().out
    assert "simulated" in said
    assert "/dev/" in said
    report = json.loads(Path("report.json").read_text())
    assert set(report) >= PINNED
    assert report["samples_in"] >= 480
    assert report["samples_lost"] == report["gaps"] == 0
    assert 496 < report["samples_out"] <= 500  # two seconds, in whole hops
    assert {"p50", "p99", "stages"} <= set(report["latency_us"])
    assert len(report["bundle_sha256"]) == 64
    assert report["peak_memory_mb"] > 0
    (output,) = Path().glob("leadlift-demo-*.edf")
    assert report["outputs"] == [f"file:{output}"]
    assert recorded(output)[0] >= 2


def test_a_device_at_another_rate_is_converted(tmp_path: Path) -> None:
    out, report = tmp_path / "out.edf", tmp_path / "report.json"
    with wearable(500.0) as device:
        arguments = ["run", "--source", f"serial:{device.port}", "--sink", f"file:{out}"]
        assert main([*arguments, "--seconds", "2", "--report", str(report)]) == 0
    counts = json.loads(report.read_text())
    assert counts["device_hz"] == 500.0
    assert counts["samples_lost"] == 0
    assert counts["samples_in"] >= 1000
    assert 488 < counts["samples_out"] <= 500  # converter and hop hold back


def test_a_port_that_vanishes_ends_in_one_line_and_a_readable_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "out.edf", tmp_path / "report.json"
    with wearable() as device:
        unplugged = unplug(device, 36, device.close)
        arguments = ["run", "--source", f"serial:{device.port}", "--sink", f"file:{out}"]
        assert main([*arguments, "--report", str(report)]) == 1
        unplugged.join()
    assert "has gone" in failure(capsys)
    counts = json.loads(report.read_text())
    assert "has gone" in counts["outcome"]
    duration_s, lead_ii = recorded(out)
    assert duration_s == -(-counts["samples_out"] // 250)
    assert lead_ii[: counts["samples_out"]].std() > 0.01


def test_a_port_that_is_plugged_in_again_is_waited_for_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "out.npz", tmp_path / "report.json"
    name = tmp_path / "ttyDEVICE"  # as udev links a stable name to whichever port the device got
    board = VirtualWearable(EcgSimulator())
    first, second = (PtyWearable(board, wait_for_host=True) for _ in range(2))
    name.symlink_to(first.port)

    def replug() -> None:
        first.close()
        for _ in range(10):  # frames of the time without a cable
            board.next_frame()
        name.unlink()
        name.symlink_to(second.port)
        second.start()

    first.start()
    unplugged = unplug(first, 24, replug)
    try:
        arguments = ["run", "--source", f"serial:{name}", "--sink", f"file:{out}"]
        assert main([*arguments, "--seconds", "4", "--report", str(report)]) == 0
    finally:
        unplugged.join()
        first.close()
        second.close()
    counts = json.loads(report.read_text())
    assert (counts["outcome"], counts["gaps"], counts["reconnects"]) == ("done", 1, 1)
    assert counts["samples_lost"] >= 10 * 7  # each frame has 7 samples at least
    said = capsys.readouterr()
    assert "1 gaps, 1 reconnects" in said.out
    lost, back = said.err.splitlines()
    assert re.fullmatch(r"leadlift: .* has gone: .*; waiting for it, 60 s at most", lost)
    assert back == f"leadlift: serial:{name} is back"


def test_a_port_that_stays_away_ends_in_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    with wearable() as device:
        unplugged = unplug(device, 12, device.close)
        source = f"serial:{device.port}?reconnect=0.3"
        assert main(["run", "--source", source, "--sink", f"file:{out}"]) == 1
        unplugged.join()
    lost, error = capsys.readouterr().err.splitlines()
    assert lost.endswith("waiting for it, 0.3 s at most")
    assert re.match(r"leadlift: error: .* has gone: .*; not back within 0\.3 s \(", error)


def test_garbage_bytes_end_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    master, slave = os.openpty()
    done = threading.Event()

    def babble() -> None:
        noise = np.random.default_rng(1)
        while not done.wait(0.01):
            os.write(master, noise.bytes(64))

    thread = threading.Thread(target=babble)
    thread.start()
    try:
        port = os.ttyname(slave)
        out = tmp_path / "out.edf"
        assert main(["run", "--source", f"serial:{port}", "--sink", f"file:{out}"]) == 1
    finally:
        done.set()
        thread.join()
        os.close(master)
        os.close(slave)
    assert re.search(r"no valid frame \(.+\); check device=.* and baud=", failure(capsys))


@pytest.mark.parametrize(
    "command", [["run", "--source", "sim:"], ["demo", "--headless"]], ids=["run", "demo"]
)
def test_a_run_too_short_for_a_sample_says_that_nothing_was_recorded(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    name = ["--output", "o.edf"] if command[0] == "demo" else ["--sink", "file:o.edf"]
    assert main([*command, *name, "--seconds", ".001", "--report", "r.json"]) == 1
    out, err = capsys.readouterr()
    assert "outputs    none" in out and not Path("o.edf").exists()
    said = "nothing was reconstructed or recorded: 0.001 s are less than the decoder takes at once"
    assert said in err
    assert json.loads(Path("r.json").read_text())["outcome"].startswith(said)


def test_an_unknown_port_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.edf"
    assert main(["run", "--source", "serial:/dev/nowhere", "--sink", f"file:{out}"]) == 1
    assert "no serial port /dev/nowhere" in failure(capsys)


@pytest.mark.parametrize(
    ("source", "sinks", "says"),
    [
        ("cable:x", ["terminal:"], "start it with one of"),
        ("sim:?colour=red", ["terminal:"], "unknown option 'colour'"),
        ("sim:", ["file:out.docx"], "cannot tell the format"),
        ("sim:", ["printer:"], "unknown sink"),
        ("sim:", ["file:out.csv", "file:out.csv"], "given twice"),
    ],
)
def test_a_source_or_sink_that_cannot_be_understood_is_wrong_usage(
    source: str,
    sinks: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--source", source, "--sink", *sinks]) == 2
    assert says in failure(capsys)


def test_a_report_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "no" / "report.json"
    arguments = ["run", "--source", "sim:", "--sink", f"file:{tmp_path}/out.csv"]
    assert main([*arguments, "--seconds", "0.1", "--report", str(nowhere)]) == 1
    assert "cannot write the report" in failure(capsys)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_cleanly(
    number: signal.Signals, tmp_path: Path, leadlift: Spawn
) -> None:
    out, report = tmp_path / "out.edf", tmp_path / "report.json"
    child = leadlift("run", "--source", "sim:", "--sink", f"file:{out}", "--report", str(report))
    _wait_for_bytes(out, child)
    child.send_signal(number)
    said, complaints = child.communicate(timeout=30)
    assert (child.returncode, complaints) == (0, "")
    assert "samples" in said
    counts = json.loads(report.read_text())
    assert counts["outcome"] == "done"
    assert recorded(out)[0] == -(-counts["samples_out"] // 250)


def _wait_for_bytes(path: Path, child: subprocess.Popen[str]) -> None:
    """Until the first second is in the file."""
    for _ in range(600):
        if path.exists() and path.stat().st_size > 256 * 27:
            return
        assert child.poll() is None
        time.sleep(0.05)
    raise AssertionError(f"nothing is written to {path}")


def test_a_full_disk_ends_in_one_line_and_a_readable_file(tmp_path: Path) -> None:
    out = tmp_path / "out.edf"
    limit = 256 * 27 + 3 * 6500  # the header and less than two seconds
    command = [*python_of_files_up_to(limit), "-m", "edge.cli", "run", "--source", "sim:"]
    child = subprocess.run(
        [*command, "--sink", f"file:{out}", "--engine", "onnxruntime"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 1
    (line,) = child.stderr.splitlines()
    assert line.startswith(f"leadlift: error: cannot write {out}")
    assert recorded(out)[0] >= 1


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    arguments = ["run", "--source", "serial:/dev/nowhere", "--sink", f"file:{tmp_path}/out.csv"]
    child = subprocess.run(
        [*PROGRAM, *arguments, "--debug"], capture_output=True, text=True, timeout=60, check=False
    )
    assert child.returncode == 1
    assert "Traceback" in child.stderr
    assert "no serial port /dev/nowhere" in child.stderr


def test_what_is_played_into_a_port_is_what_the_file_holds(tmp_path: Path) -> None:
    """Serial bytes in, twelve leads out: the same numbers as from the whole record at once."""
    leads = ("II", "V1", "V5")
    simulator = EcgSimulator(250.0, seed=3)
    ecg_mv = simulator.read(1000)[[simulator.leads.index(lead) for lead in leads]]
    out = tmp_path / "out.npz"
    wearable = VirtualWearable(Recording(ecg_mv, 250.0, leads))
    with PtyWearable(wearable, wait_for_host=True) as device:
        arguments = ["run", "--source", f"serial:{device.port}", "--sink", f"file:{out}"]
        assert main([*arguments, "--seconds", "2"]) == 0
    with np.load(out) as arrays:
        made, first = arrays["ecg_mv"], int(arrays["first_sample"])
    assert first == 0
    assert 450 <= made.shape[1] <= 1000
    converted = np.rint(ecg_mv.astype(np.float64) / 50e-6) * 50e-6  # the device's steps of 50 nV
    offline = reconstruct(converted, 250.0, leads)
    np.testing.assert_allclose(made, offline[:, : made.shape[1]], atol=2e-5)
