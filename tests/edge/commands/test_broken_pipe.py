"""Whoever reads our output may stop at any time: `| head` ends a program, and is nothing to complain of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import main
from edge.files.records import open_record

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")
LEADLIFT = ["-m", "edge.cli"]


def said_into_nothing(*command: str, cwd: Path, **more: object) -> str:
    """What a program says on stderr whose stdout nobody reads; it fails, as others do."""
    reading, writing = os.pipe()
    os.close(reading)
    python_path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *command],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=os.environ | python_path,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        **more,  # type: ignore[call-overload]
    )
    os.close(writing)
    assert done.returncode == 1, done.stderr
    assert isinstance(done.stderr, str)
    return done.stderr


@pytest.mark.parametrize(
    "command",
    [
        [*LEADLIFT, "leads"],
        [*LEADLIFT, "doctor", "--json"],
        ["-m", "benchmarks", "latency", "--parts", "push", "--quick", "-q"],
    ],
    ids=["leads", "doctor", "benchmarks"],
)
def test_it_ends_without_a_word(command: list[str], tmp_path: Path) -> None:
    if "benchmarks" in command:
        pytest.importorskip("scipy", reason="benchmarks need '.[test]'")
    assert said_into_nothing(*command, cwd=tmp_path) == ""


def test_a_run_records_all_the_same(tmp_path: Path) -> None:
    command = [*LEADLIFT, "run", "--source", "sim:", "--sink", "file:o.edf", "--seconds", "1"]
    assert said_into_nothing(*command, cwd=tmp_path) == ""
    with open_record(tmp_path / "o.edf") as record:
        assert record.n_samples >= 240


def test_a_monitor_captures_all_the_same(tmp_path: Path) -> None:
    command = [*LEADLIFT, "monitor", "sim:", "--capture", "o.llcap", "--seconds", "2.5"]
    assert said_into_nothing(*command, cwd=tmp_path) == ""
    replay = f"replay:{tmp_path}/o.llcap?speed=inf"
    assert main(["run", "--source", replay, "--sink", f"file:{tmp_path}/o.edf"]) == 0
    with open_record(tmp_path / "o.edf") as record:
        assert record.n_samples >= 500


def test_a_recording_into_a_program_that_ended_ends_without_a_word(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "o.csv")
    reader = subprocess.Popen(
        ["head", "-n", "1", str(tmp_path / "o.csv")], stdout=subprocess.DEVNULL
    )
    command = [*LEADLIFT, "run", "--source", "sim:", "--sink", "file:o.csv", "--seconds", "60"]
    assert said_into_nothing(*command, cwd=tmp_path) == ""
    assert reader.wait(10) == 0
