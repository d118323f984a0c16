"""`leadlift reconstruct IN_DIR OUT_DIR`: every record once, whatever ends, is in the way or is damaged."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.commands.archive.inputs import find_records
from edge.commands.archive.pool import in_processes
from edge.commands.archive.record import MADE, WORK
from edge.files.records import open_record
from edge.leads import INPUT_LEADS, LEADS, lead_indices
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.commands.conftest import Spawn

HZ = 250.0


def ecg(seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    return EcgSimulator(HZ, seed=seed).read(round(seconds * HZ))


def save(path: Path, ecg_mv: np.ndarray, leads: tuple[str, ...] = LEADS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, ecg_mv=ecg_mv, leads=leads, sampling_hz=HZ)
    return path


def reconstruct(*arguments: str | Path) -> int:
    return main(["reconstruct", *map(str, arguments)])


def summary(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, object]:
    capsys.readouterr()
    reconstruct(*arguments, "--json")
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def tree(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def contents(path: Path) -> object:
    """All of a file but the times at which a zip archive was packed."""
    if path.suffix != ".npz":
        return path.read_bytes()
    with np.load(path) as file:
        return {name: (file[name].dtype.str, file[name].tobytes()) for name in file.files}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """One record in each format that needs no extra, one of other leads, and three in one file."""
    folder = tmp_path / "in"
    plain = save(folder / "ward" / "plain.npz", ecg())
    for name in ("a.edf", "ward/b.csv", "ward/c.hea"):
        assert reconstruct(plain, folder / name) == 0
    save(folder / "limb.npz", ecg(seed=3)[:2], LEADS[:2])
    save(folder / "many.npz", np.stack([ecg(seed=seed) for seed in (4, 5, 6)]))
    return folder


def test_every_record_is_made_once_and_as_by_itself(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    found = summary(capsys, archive, out, "--jobs", "2")
    assert (found["outcome"], found["records"], found["done"]) == ("done", 8, 8)
    assert (found["seconds"], found["bad"], found["passed_over"]) == (16.0, [], [])
    made = tree(out)
    assert set(made) == {
        *("a.edf", "limb.npz", "ward/plain.npz", "ward/b.csv"),
        *("ward/c.hea", "ward/c.dat", "ward/c_sigma.dat"),
        *(f"many/00000{i}.npz" for i in range(3)),
    }
    (alone / "ward").mkdir(parents=True)
    (alone / "many").mkdir()
    for task in find_records(archive, out).tasks:
        assert reconstruct(task.source, alone / task.output) == 0
    assert set(tree(alone)) == set(made)
    for name in made:
        assert contents(alone / name) == contents(out / name), name

    found = summary(capsys, archive, out, "--jobs", "2")
    assert (found["done"], found["left"]) == (0, 8)
    assert tree(out) == made
    assert reconstruct(archive, out, "--jobs", "1", "--overwrite") == 0
    assert all(tree(out)[name] > made[name] for name in made)


@pytest.mark.parametrize("option", [["--leads", "I,II"], ["--lowpass", "40"], ["--mains", "60"]])
def test_what_was_made_otherwise_or_is_not_whole_is_made_again(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b"):
        save(source / f"{name}.npz", ecg(6.0))
    arguments = (source, out, "--jobs", "1", "--format", "edf")
    assert summary(capsys, *arguments)["done"] == 2
    whole = contents(out / "a.edf")
    with (out / "a.edf").open("r+b") as file:  # as a disk that fails leaves it
        file.truncate((out / "a.edf").stat().st_size // 2)
    found = summary(capsys, *arguments)
    assert (found["done"], found["left"]) == (1, 1)
    assert contents(out / "a.edf") == whole
    assert summary(capsys, *arguments, *option)["done"] == 2
    assert summary(capsys, *arguments, *option)["left"] == 2
    assert contents(out / "a.edf") != whole


def test_bad_files_are_listed_and_the_others_are_made(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    save(archive / "flat.npz", np.zeros((3, 5000)), INPUT_LEADS)
    (archive / "broken.edf").write_bytes(b"0       " + bytes(300))
    (archive / "empty.npz").touch()
    (archive / "packed.edf.gz").write_bytes(gzip.compress((archive / "a.edf").read_bytes()))
    (archive / "README.txt").write_text("Records of a ward, in mV; see the protocol.\n")
    (archive / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    (archive / ".hidden.edf").touch()
    foreign = out / "ward" / "c.dat"  # one of the files of a record
    foreign.parent.mkdir(parents=True)
    foreign.write_text("of somebody else")
    assert reconstruct(archive, out, "--jobs", "2") == 1
    shown = capsys.readouterr()
    assert f"{out}: 7 of 12 records (14.0 s) in 12 leads, 5 bad" in shown.out
    lines = shown.err.splitlines()
    errors = [line for line in lines if line.startswith("leadlift: error: ")]
    for name, reason in {
        "flat.npz": "missing or flat throughout",
        "broken.edf": "EDF",
        "empty.npz": "damaged",
        "packed.edf.gz": "unpack it first",
        "c.hea": f"{foreign} exists and is no reconstruction",
    }.items():
        assert [name in line and reason in line for line in errors].count(True) == 1, name
    assert len(errors) == 5
    assert [line for line in lines if "no recording" in line and "README.txt" in line]
    assert [line for line in lines if "no recording" in line and "photo.jpg" in line]
    assert foreign.read_text() == "of somebody else"
    assert not (out / "ward" / "c.hea").exists()
    assert not (out / WORK).exists()
    found = summary(capsys, archive, out)
    assert (found["outcome"], found["left"], found["done"]) == ("failed", 7, 0)
    assert {Path(one["source"]).name for one in found["bad"]} == {  # type: ignore[attr-defined]
        *("flat.npz", "broken.edf", "empty.npz", "packed.edf.gz", "c.hea")
    }


def test_two_records_of_one_name_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    save(source / "x.npz", ecg())
    save(source / "X.other.npz", ecg()).rename(source / "X.npz")
    save(source / "y.npz", ecg())
    assert reconstruct(source, out, "--jobs", "1") == 1
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    assert "x.npz" in line and "X.npz" in line and "rename one" in line
    assert "1 of 3 records" in shown.out
    assert set(tree(out)) == {"y.npz"}


def test_a_warning_that_many_records_give_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / "in" / f"{name}.npz", ecg()[:2], LEADS[:2])
    assert reconstruct(tmp_path / "in", tmp_path / "out", "--jobs", "1") == 0
    told = capsys.readouterr().err.splitlines()
    assert sum("has no V1, V5" in line for line in told) == 1
    assert any("of other records: --json lists them" in line for line in told)
    found = summary(capsys, tmp_path / "in", tmp_path / "out", "--overwrite")
    assert len(found["warnings"]) == 3  # type: ignore[arg-type]


def test_outputs_within_the_inputs_are_no_inputs(tmp_path: Path) -> None:
    save(tmp_path / "a.npz", ecg())
    for _ in range(2):
        assert reconstruct(tmp_path, tmp_path / "out", "--jobs", "1") == 0
    assert set(tree(tmp_path)) == {"a.npz", "out/a.npz"}


def test_wrong_usage_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = save(tmp_path / "in" / "a.npz", ecg()), tmp_path / "in"
    for arguments, says in (
        ((folder, folder), "a folder of its own"),
        ((folder, tmp_path), "a folder of its own"),
        ((folder, file), "a folder for the outputs"),
        ((file, tmp_path / "b.npz", "--jobs", "2"), "--jobs is for a folder"),
        ((folder, tmp_path / "out", "--engine", "abacus"), "abacus"),
    ):
        assert reconstruct(*arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert says in line
    (tmp_path / "none").mkdir()
    assert reconstruct(tmp_path / "none", tmp_path / "out") == 1
    assert "holds no recording" in capsys.readouterr().err


def test_one_run_at_a_time_writes_to_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fcntl = pytest.importorskip("fcntl", reason="locks of files are POSIX")
    save(tmp_path / "in" / "a.npz", ecg())
    work = tmp_path / "out" / WORK
    work.mkdir(parents=True)
    with (work / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert reconstruct(tmp_path / "in", tmp_path / "out") == 1
    assert "another leadlift is writing" in capsys.readouterr().err
    assert reconstruct(tmp_path / "in", tmp_path / "out", "--jobs", "1") == 0


@pytest.mark.parametrize("moved", range(4))
def test_a_worker_that_dies_between_two_names_leaves_a_record_that_is_completed(
    moved: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import hashlib

    out, names = tmp_path / "out", ("a.dat", "a_sigma.dat", "a.hea")
    save(tmp_path / "in" / "a.npz", ecg())
    arguments = (tmp_path / "in", out, "--format", "hea", "--jobs", "1")
    assert reconstruct(*arguments) == 0
    whole = {name: contents(out / name) for name in names}
    ready = out / WORK / f"{hashlib.sha256(b'a.hea').hexdigest()[:24]}.new"
    ready.mkdir(parents=True)
    for name in names[moved:]:
        shutil.move(out / name, ready / name)
    if moved < 3:
        (out / names[moved]).touch()  # the name was taken, and no more
    found = summary(capsys, *arguments)
    assert (found["done"], found["left"], found["bad"]) == (0, 1, [])
    assert {name: contents(out / name) for name in names} == whole
    assert set(tree(out)) == set(names)


# What a process does when one is killed: functions that workers import from here.


def _work(folder: Path, task: str) -> tuple[str, int]:
    """`once` kills its first worker, `always` each; the time that a task was finished is noted."""
    if task == "always" or (task == "once" and not (folder / "killed").exists()):
        (folder / "killed").touch()
        time.sleep(0.05)  # so that another one runs beside it
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return task, os.getpid()


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_a_killed_worker_did_is_done_again_and_a_killer_is_known(
    jobs: int, tmp_path: Path
) -> None:
    tasks = [*"abcd", "once", *"efgh", "always", *"ijkl"]
    made = list(in_processes(partial(_work, tmp_path), tasks, jobs))
    assert Counter(task for task, _ in made) == Counter(tasks)
    assert {task for task, result in made if result is None} == {"always"}
    assert all(result is None or result[0] == task for task, result in made)
    assert all(result is None or result[1] != os.getpid() for _, result in made)


class _CannotBeTaken:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[int, ...]]:
        return os._exit, (1,)


def test_a_task_that_kills_whoever_takes_it_is_no_endless_loop() -> None:
    made = in_processes(partial(_work, Path()), [_CannotBeTaken()], 1)  # type: ignore[list-item]
    assert [result for _, result in made] == [None]


def children(pid: int) -> list[int]:
    """Workers of a process; not the tracker of its resources."""
    text = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(child) for child in text.read_text().split()] if text.exists() else []
    return [c for c in found if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_process_and_another_one_goes_on(
    number: signal.Signals, tmp_path: Path, leadlift: Spawn, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    save(source / "a.npz", ecg())
    for name in ("b", "c", "d"):  # each takes longer than the test waits
        save(
            source / f"{name}.npz", np.tile(ecg(60.0)[lead_indices(INPUT_LEADS)], 120), INPUT_LEADS
        )
    run = leadlift("reconstruct", str(source), str(out), "--jobs", "2")
    until(lambda: (out / "a.npz").exists())
    until(lambda: not [*(out / WORK).glob(f"*{MADE}")])  # the run has heard of it, and counts it
    workers = children(run.pid)
    assert len(workers) == 2
    run.send_signal(number)
    shown, told = run.communicate(timeout=20)
    until(lambda: not any(map(is_alive, workers)))
    assert run.returncode == (1 if number == signal.SIGINT else -number)
    if number == signal.SIGINT:
        assert "1 of 4 records" in shown
        assert told.splitlines()[-1] == "leadlift: interrupted"
        assert "Traceback" not in told
    assert set(tree(out)) - {f"{WORK}/lock"} >= {"a.npz"}
    assert not any((out / f"{name}.npz").exists() for name in "bcd")
    for name in "bcd":
        save(source / f"{name}.npz", ecg())
    found = summary(capsys, source, out, "--jobs", "2")
    assert (found["done"], found["left"]) == (3, 1)
    assert set(tree(out)) == {f"{name}.npz" for name in "abcd"}


def _killed_run(n: int, seconds: float, tmp_path: Path, leadlift: Spawn) -> None:
    """`n` records with a worker killed midway: each is there, once, and as by itself."""
    source, out = tmp_path / "in", tmp_path / "out"
    for i in range(n):
        save(source / f"{i // 50}" / f"{i:03d}.npz", ecg(seconds, seed=i % 7))
    run = leadlift("reconstruct", str(source), str(out), "--jobs", "2", "--json")
    until(lambda: len([*out.glob("*/*.npz")]) > n // 10)
    victim = children(run.pid)[0]
    os.kill(victim, signal.SIGKILL)
    shown, told = run.communicate(timeout=300)
    assert run.returncode == 0, told
    found = json.loads(shown)
    assert (found["records"], found["done"], found["left"], found["bad"]) == (n, n, 0, [])
    names = {f"{i // 50}/{i:03d}.npz" for i in range(n)}
    assert set(tree(out)) == names
    for name in sorted(names)[:: max(1, n // 20)]:
        assert reconstruct(source / name, tmp_path / "alone.npz") == 0
        assert contents(tmp_path / "alone.npz") == contents(out / name)
        with open_record(out / name) as record:
            assert record.n_samples == round(seconds * HZ)


@on_linux
def test_records_are_made_once_with_a_worker_killed(tmp_path: Path, leadlift: Spawn) -> None:
    _killed_run(20, 10.0, tmp_path, leadlift)


@on_linux
@pytest.mark.slow
def test_300_records_are_made_once_with_a_worker_killed(tmp_path: Path, leadlift: Spawn) -> None:
    _killed_run(300, 10.0, tmp_path, leadlift)
