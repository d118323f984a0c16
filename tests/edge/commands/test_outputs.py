"""What a command would write is compared with what it reads, and with what exists, before anything opens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.commands.outputs import check_outputs
from edge.errors import InputError, SinkError
from edge.files.recording import Metadata
from edge.files.records import open_record, split_pick
from edge.sinks import open_sink
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.commands.conftest import Spawn
from tests.edge.commands.under import python_after, python_of_files_up_to
from tests.edge.sinks.blocks import block, ecg

pytestmark = pytest.mark.realtime


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a user has: recordings of three and of twelve leads, a capture, a calibration."""
    monkeypatch.chdir(tmp_path)
    simulator = EcgSimulator(250.0)
    twelve = simulator.read(1500)
    rows = [simulator.leads.index(lead) for lead in ("II", "V1", "V5")]
    for name, x, leads in (
        ("three.npz", twelve[rows], ["II", "V1", "V5"]),
        ("p #2.npz", twelve[rows], ["II", "V1", "V5"]),
        ("twelve.npz", twelve, list(simulator.leads)),
    ):
        np.savez(name, ecg_mv=x.astype(np.float32), leads=np.array(leads), sampling_hz=250.0)
    Path("old.edf").write_bytes(b"a recording")
    Path("old.csv").write_bytes(b"a recording")
    Path("old.llcap").write_bytes(b"a capture")
    Path("patient.json").write_text("{}")
    Path("link.csv").symlink_to("old.csv")
    Path("dangling.csv").symlink_to("nowhere.csv")
    os.link("old.csv", "hard.csv")
    Path("left.npz.part").mkdir()
    Path("folder.edf").mkdir()
    return tmp_path


def content(folder: Path) -> dict[str, bytes | None]:
    return {
        path.name: path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


RUN = ["run", "--source", "sim:", "--sink"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*RUN, "file:old.edf"], "old.edf: it exists"),
        ([*RUN, "file:link.csv"], "link.csv: it exists"),
        ([*RUN, "file:dangling.csv"], "dangling.csv: it exists"),
        ([*RUN, "file:left.npz"], "left.npz.part holds a recording that was interrupted"),
        ([*RUN, "file:left.npz", "--overwrite"], "holds a recording that was interrupted"),
        ([*RUN, "file:folder.edf", "--overwrite"], "Is a directory"),
        ([*RUN, "file:no/a.edf"], "make the folder"),
        ([*RUN, "file:new.csv", "--report", "old.csv"], "report old.csv: it exists"),
        ([*RUN, "file:new.csv", "--report", "new.csv"], "are one file"),
        ([*RUN, "file:new.csv", "file:./new.csv"], "are one file"),
        ([*RUN, "file:new.csv", "file:NEW.csv"], "are one file"),
        ([*RUN, "file:a.npz", "--report", "a.npz.part"], "are one file"),
        ([*RUN, "file:old.csv", "file:link.csv", "--overwrite"], "are one file"),
        ([*RUN, "file:old.csv", "file:hard.csv", "--overwrite"], "are one file"),
        (
            [
                *RUN,
                "file:a.csv",
                "--patient",
                "patient.json",
                "--report",
                "patient.json",
                "--overwrite",
            ],
            "is the calibration",
        ),
        (
            [
                "run",
                "--source",
                "replay:old.llcap",
                "--sink",
                "file:a.csv",
                "--report",
                "./old.llcap",
                "--overwrite",
            ],
            "is the source",
        ),
        (["run", "--source", "serial:/dev/nowhere", "--sink", "file:old.edf"], "it exists"),
        (
            ["run", "--source", "serial:/dev/nowhere", "--sink", "file:old.edf", "--overwrite"],
            "no serial port",
        ),
        (
            ["run", "--source", "serial:/dev/nowhere", "--sink", "file:new.edf", "file:new.npz"],
            "no serial port",
        ),
        (["demo", "--headless", "--output", "old.edf"], "it exists"),
        (["monitor", "sim:", "--capture", "old.llcap"], "capture old.llcap: it exists"),
        (["monitor", "replay:old.llcap", "--capture", "old.llcap", "--overwrite"], "is the source"),
        (["monitor", "serial:/dev/nowhere", "--capture", "new.llcap"], "no serial port"),
        (
            ["monitor", "serial:/dev/nowhere", "--capture", "old.llcap", "--overwrite"],
            "no serial port",
        ),
        (["reconstruct", "three.npz", "three.npz", "--overwrite"], "is the input"),
        (["reconstruct", "p #2.npz", "p #2.npz", "--overwrite"], "is the input"),
        (["reconstruct", "three.npz", "old.csv"], "it exists"),
        (["reconstruct", "three.npz", "a" * 300 + ".csv"], "File name too long"),
        (["reconstruct", "a" * 300 + ".npz", "new.csv"], "File name too long"),
        (["repair", "a" * 300 + ".npz"], "File name too long"),
        (["calibrate", "twelve.npz", "-o", "a" * 300], "File name too long"),
        (["reconstruct", "three.npz", "patient.json.csv", "--patient", "nowhere.json"], ""),
        (["calibrate", "twelve.npz", "-o", "twelve.npz", "--overwrite"], "is the reference"),
        (["calibrate", "twelve.npz", "-o", "patient.json"], "calibration patient.json: it exists"),
        (["build-engine", "--report", "old.csv"], "report old.csv: it exists"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_there_is_untouched_and_nothing_is_left_behind(
    arguments: list[str], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(here)
    assert main(arguments) in (1, 2)
    (line,) = (
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("leadlift: error: ")
    )
    assert says in line
    assert content(here) == before


def test_overwrite_replaces_and_time_makes_a_new_name(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["reconstruct", "three.npz"]
    assert main([*out, "link.csv", "--overwrite"]) == 0
    assert Path("link.csv").is_symlink()
    assert b"leadlift 12-lead ECG" in Path("old.csv").read_bytes()
    assert Path("hard.csv").read_bytes() == b"a recording"  # another name of the old file
    assert main([*out, "a {time}.csv"]) == 0
    (made,) = here.glob("a 2*T*.csv")
    assert str(made.name) in capsys.readouterr().out
    assert not list(here.glob("*.csv.part"))


def test_a_failed_run_replaces_nothing(here: Path) -> None:
    command = [
        *python_of_files_up_to(4096),
        "-m",
        "edge.cli",
        "reconstruct",
        "three.npz",
        "old.csv",
        "--overwrite",
    ]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 1
    assert child.stderr.startswith("leadlift: error: cannot write old.csv")
    assert Path("old.csv").read_bytes() == b"a recording"


def test_a_full_disk_of_one_output_does_not_end_the_other(here: Path) -> None:
    """The EDF meets the largest file size that is allowed long after the smaller CSV would."""
    limited = python_of_files_up_to(60_000)
    command = [*limited, "-m", "edge.cli", *RUN, "file:a.csv", "file:b.edf"]
    child = subprocess.run(
        [*command, "--seconds", "3", "--report", "r.json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 1
    (line,) = child.stderr.splitlines()
    assert line.startswith("leadlift: warning: cannot write a.csv")
    report = json.loads(Path("r.json").read_text())
    assert list(report["sink_failures"]) == ["file:a.csv"]
    assert report["outcome"] == "done"
    with open_record("b.edf") as record:
        assert record.n_samples >= 500


def started(child: subprocess.Popen[str], path: Path) -> None:
    """Until something is in the file."""
    for _ in range(1200):
        if path.exists() and path.stat().st_size:
            return
        assert child.poll() is None
        time.sleep(0.05)
    raise AssertionError(f"nothing is written to {path}")


def test_a_second_start_touches_nothing_of_the_first(here: Path, leadlift: Spawn) -> None:
    first = leadlift(*RUN, "file:a.csv", "file:a.npz")
    started(first, here / "a.csv")
    for file in ("a.csv", "a.npz"):
        for extra in ([], ["--overwrite"]):
            second = leadlift(*RUN, f"file:{file}", *extra, "--seconds", "1")
            _, said = second.communicate(timeout=60)
            assert second.returncode == 1
            assert said.count("\n") == 1
            assert f"{file}: it is being recorded now" in said
    repair = leadlift("repair", "a.npz.part")
    assert "is being recorded now" in repair.communicate(timeout=60)[1]
    first.send_signal(signal.SIGTERM)
    assert (first.communicate(timeout=60), first.returncode)[1] == 0
    with open_record("a.csv") as csv, open_record("a.npz") as npz:
        assert csv.n_samples == npz.n_samples > 0


def test_what_a_killed_run_left_is_kept(here: Path, leadlift: Spawn) -> None:
    first = leadlift(*RUN, "file:a.csv", "file:old.csv", "--overwrite")
    started(first, here / "old.csv.part")
    first.kill()
    first.communicate()
    assert Path("old.csv").read_bytes() == b"a recording"
    part = Path("old.csv.part").read_bytes()
    assert main([*RUN, "file:old.csv", "--overwrite", "--seconds", "1"]) == 1
    assert Path("old.csv.part").read_bytes() == part


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_from_the_start_stays_ignored(
    number: signal.Signals, here: Path
) -> None:
    deaf = python_after(f"signal.signal({int(number)}, signal.SIG_IGN)")
    command = [*deaf, "-m", "edge.cli", *RUN, "file:a.csv"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        started(child, here / "a.csv")
        child.send_signal(number)
        size = (here / "a.csv").stat().st_size
        for _ in range(400):
            if (here / "a.csv").stat().st_size > size + 50_000:
                break
            time.sleep(0.05)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        assert (child.communicate(timeout=60), child.returncode)[1] == 0
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("after_s", [0.05, 0.2, 0.4, 0.8])
def test_ctrl_c_while_modules_load_is_one_line(after_s: float, here: Path) -> None:
    """The interpreter's own start is not ours: the entry says when it is there."""
    script = "import sys, edge.cli; print('up', flush=True); sys.exit(edge.cli.main(sys.argv[1:]))"
    hears = python_after("signal.signal(signal.SIGINT, signal.SIG_DFL)")
    child = subprocess.Popen(
        [*hears, "-c", script, *RUN, "file:a.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(after_s)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
        assert child.returncode in (0, 1)
        assert said in ("", "leadlift: interrupted\n")
    finally:
        child.kill()
        child.communicate()


def test_a_replayed_simulation_says_so_and_keeps_its_time(here: Path) -> None:
    assert main(["monitor", "sim:", "--capture", "s.llcap", "--seconds", "1.5"]) == 0
    header = json.loads(Path("s.llcap").read_bytes().splitlines()[1])
    assert header["simulated"] is True
    stamps = []
    for speed in ("1", "inf", "7"):
        name = f"r{speed}.npz"
        assert (
            main(["run", "--source", f"replay:s.llcap?speed={speed}", "--sink", f"file:{name}"])
            == 0
        )
        with np.load(name) as arrays:
            assert bool(arrays["simulated"])
            assert str(arrays["device"]) == "virtual wearable"
            assert str(arrays["source"]).startswith("replay:")
            stamps.append(np.datetime64(str(arrays["started_at"])[:-6]))
            assert str(arrays["started_at"])[-6] in "+-"
    assert max(stamps) - min(stamps) < np.timedelta64(100, "ms")


def test_api_users_get_the_same_refusal_and_metadata(here: Path) -> None:
    with pytest.raises(SinkError, match="it exists"):
        open_sink("file:old.edf", 250.0)
    asked = []

    def metadata() -> Metadata:
        asked.append(1)
        return Metadata(device="Band 3")

    with open_sink("file:new.csv", 250.0, metadata=metadata) as sink:
        assert asked == []
        assert not Path("new.csv").exists()
        sink.write(block(ecg(250)))
        sink.write(block(ecg(250), 250))
    assert asked == [1]
    assert "# device: Band 3" in Path("new.csv").read_text()


def test_files_are_compared_as_files(here: Path) -> None:
    check_outputs([("the report", None), ("the capture", "")], {"the input": None}, overwrite=False)
    with pytest.raises(InputError, match="is the input"):
        check_outputs([("it", "hard.csv")], {"the input": "link.csv"}, overwrite=True)


@pytest.mark.parametrize(
    ("path", "file", "pick"),
    [
        ("a.npz#17", "a.npz", "17"),
        ("a.NPZ#x", "a.NPZ", "x"),
        ("p #2.npz#3", "p #2.npz", "3"),
        ("p #2.npz", "p #2.npz", ""),
        ("visit.npz#2/a.edf", "visit.npz#2/a.edf", ""),
        ("s #1.csv", "s #1.csv", ""),
    ],
)
def test_a_path_is_cut_only_where_a_pick_follows(path: str, file: str, pick: str) -> None:
    assert split_pick(path) == (Path(file), pick)


@pytest.mark.parametrize("command", [["doctor"], ["monitor", "sim:", "--seconds", "1"]])
def test_a_full_disk_under_stdout_is_one_line(here: Path, command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        child = subprocess.run(
            [sys.executable, "-m", "edge.cli", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert child.returncode == 1
    assert child.stderr.startswith("leadlift: error: cannot write the output: No space")
    assert len(child.stderr.splitlines()) == 1


def test_streams_that_are_closed_at_the_start_harm_nothing(here: Path) -> None:
    command = f"{sys.executable} -m edge.cli monitor sim: --seconds 1 --capture a.llcap"
    child = subprocess.run(["sh", "-c", f"exec {command} <&- >&- 2>&-"], timeout=60, check=False)
    assert child.returncode == 0
    assert Path("a.llcap").read_bytes().startswith(b"leadlift capture 1\n")
