"""`leadlift reconstruct IN_DIR OUT_DIR --ray`: every record once, whatever becomes of a worker."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands.archive.on_ray import on_ray
from edge.files.records import open_record
from tests.edge.commands.conftest import Spawn
from tests.edge.commands.test_archive import (
    HZ,
    contents,
    ecg,
    reconstruct,
    save,
    summary,
    tree,
    until,
)

pytestmark = pytest.mark.realtime


def has_ray() -> None:
    pytest.importorskip("ray", reason="no ray here: pip install '.[fleet]'")


def killer(folder: Path, task: str) -> tuple[str, int]:
    """`once` ends its worker the first time, `always` each time."""
    mark = folder / task
    if task == "always" or (task == "once" and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task, os.getpid()


def test_each_task_is_done_once_and_a_killer_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    has_ray()
    tasks = [*"abc", "once", *"de", "always", *"fg"]
    made = list(on_ray(partial(killer, tmp_path), tasks, 2, None))
    assert Counter(task for task, _ in made) == Counter(tasks)
    assert {task for task, result in made if result is None} == {"always"}
    assert all(result is None or result[0] == task for task, result in made)
    assert all(result is None or result[1] != os.getpid() for _, result in made)
    assert capsys.readouterr().out == "", "stdout is for results, also when a worker dies"


def test_without_ray_a_line_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    save(tmp_path / "in" / "a.npz", ecg())
    assert main(["reconstruct", str(tmp_path / "in"), str(tmp_path / "out"), "--ray"]) == 1
    assert "'.[fleet]'" in capsys.readouterr().err


def test_a_file_is_not_for_ray(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "a.npz", ecg())
    assert main(["reconstruct", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--ray"]) == 2
    assert "--ray is for a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "rc", "why"),
    [
        (["--address", "nowhere:6379"], 2, "give --ray, too"),
        (["--ray", "--address", "127.0.0.1:9"], 1, "Ray does not answer at 127.0.0.1:9"),
    ],
)
def test_a_cluster_that_is_not_there_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], rc: int, why: str
) -> None:
    if rc == 1:
        pytest.importorskip("ray", reason="no Ray here: '.[fleet]'")
    save(tmp_path / "in" / "a.npz", ecg())
    assert main(["reconstruct", *given, str(tmp_path / "in"), str(tmp_path / "out")]) == rc
    assert why in capsys.readouterr().err


def check(folder: Path, n: int, seconds: float, tmp_path: Path) -> None:
    """Each is there, once, and as by itself."""
    names = {f"{i // 50}/{i:03d}.npz" for i in range(n)}
    assert set(tree(tmp_path / "out")) == names
    for name in sorted(names)[:: max(1, n // 20)]:
        assert reconstruct(folder / name, tmp_path / "alone.npz") == 0
        assert contents(tmp_path / "alone.npz") == contents(tmp_path / "out" / name)
        with open_record(tmp_path / "out" / name) as record:
            assert record.n_samples == round(seconds * HZ)


def archive(folder: Path, n: int, seconds: float) -> None:
    for i in range(n):
        save(folder / f"{i // 50}" / f"{i:03d}.npz", ecg(seconds, seed=i % 7))


@pytest.mark.slow
def test_a_folder_is_made_once_and_bad_files_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    has_ray()
    archive(tmp_path / "in", 6, 4.0)
    (tmp_path / "in" / "bad.edf").write_bytes(b"0       nonsense")
    found = summary(capsys, tmp_path / "in", tmp_path / "out", "--jobs", "2", "--ray")
    assert (found["records"], found["done"], found["left"]) == (7, 6, 0)
    assert ["bad.edf" in one["source"] for one in found["bad"]] == [True]  # type: ignore[attr-defined]
    check(tmp_path / "in", 6, 4.0, tmp_path)
    again = summary(capsys, tmp_path / "in", tmp_path / "out", "--jobs", "2", "--ray")
    assert (again["done"], again["left"]) == (0, 6)


def workers(pid: int) -> list[int]:
    """Those of Ray below a process that have a record to reconstruct."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        try:
            todo += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
            name = Path(f"/proc/{one}/cmdline").read_bytes()
        except OSError:
            continue
        found += [one] if name.startswith(b"ray::done") else []
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_300_records_are_made_once_with_a_worker_killed(tmp_path: Path, leadlift: Spawn) -> None:
    has_ray()
    n, source, out = 300, tmp_path / "in", tmp_path / "out"
    archive(source, n, 10.0)
    run = leadlift("reconstruct", str(source), str(out), "--jobs", "2", "--ray", "--json")
    until(lambda: len([*out.glob("*/*.npz")]) > n // 10)
    until(lambda: workers(run.pid))
    os.kill(workers(run.pid)[0], signal.SIGKILL)
    shown, told = run.communicate(timeout=400)
    assert run.returncode == 0, told
    found = json.loads(shown)
    assert (found["records"], found["done"], found["left"], found["bad"]) == (n, n, 0, [])
    check(source, n, 10.0, tmp_path)
