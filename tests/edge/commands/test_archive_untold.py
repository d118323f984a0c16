"""`leadlift reconstruct IN_DIR OUT_DIR`: a worker dies between the names of a record and its report."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edge.commands.archive.inputs import Task, find_records
from edge.commands.archive.on_ray import on_ray
from edge.commands.archive.pool import in_processes
from edge.commands.archive.record import WORK, Outcome, Settings, reconstruct_task, told
from edge.files.record import ReadOptions
from edge.leads import LEADS
from tests.edge.commands.test_archive import ecg, save


def dies_untold(settings: Settings, task: Task) -> Outcome:
    """The first record has its name, and its worker is killed before anybody hears of it."""
    outcome = reconstruct_task(settings, task)
    killed = settings.folder / "killed"
    if not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome


@pytest.mark.parametrize(
    ("ray", "overwrite"),
    [(False, False), (False, True), pytest.param(True, False, marks=pytest.mark.slow)],
)
def test_what_a_worker_made_and_could_not_report_is_done(
    ray: bool, overwrite: bool, tmp_path: Path
) -> None:
    if ray:
        pytest.importorskip("ray", reason="no ray here: pip install '.[fleet]'")
    for name in ("a", "b", "c"):
        save(tmp_path / "in" / f"{name}.npz", ecg()[:2], LEADS[:2])
    out = tmp_path / "out"
    out.mkdir()
    tasks = find_records(tmp_path / "in", out).tasks
    model = argparse.Namespace(model=None, engine="auto", mains="50", lowpass=None)
    today = Settings(out, ReadOptions(), model, None, overwrite, "today")
    work = partial(dies_untold, today)
    made: Iterable[tuple[Task, Outcome | None]] = (
        on_ray(work, tasks, 1, None) if ray else in_processes(work, tasks, 1)
    )
    reports = list(made)
    assert (out / "killed").exists()
    assert sorted(task.source for task, _ in reports) == [task.source for task in tasks]
    for task, outcome in reports:
        assert outcome is not None and outcome.state == "done", outcome
        assert any("V1, V5" in text for text in outcome.warnings), "what it warned of is told, too"
        assert (out / task.output).exists()
    kept = replace(today, overwrite=False)
    another_day = replace(kept, run="another day")
    assert [reconstruct_task(another_day, task).state for task in tasks] == ["left"] * 3
    for task in tasks:
        told(today, task)
    assert [reconstruct_task(kept, task).state for task in tasks] == ["left"] * 3
    assert list((out / WORK).iterdir()) == []
