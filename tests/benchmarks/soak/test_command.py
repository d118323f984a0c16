"""Memory over a run, and a soak of two seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.soak.command import TARGETS, memory_growth
from edge.live.memory import Memory

pytestmark = pytest.mark.realtime


def test_growth_is_the_slope_after_the_start() -> None:
    samples = [(0.0, Memory(10.0, 90.0))]
    samples += [(float(t), Memory(50 + t / 3600, 60)) for t in range(100, 400)]
    found = memory_growth(samples)
    assert found["growth_mb_per_hour"] == pytest.approx(1.0)
    assert (found["first_mb"], found["peak_mb"]) == (10.0, 90.0)


def test_less_than_a_minute_tells_no_growth() -> None:
    samples = [(float(t), Memory(50 + t, 60)) for t in range(60)]
    assert memory_growth(samples)["growth_mb_per_hour"] is None


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "soak.json"
    assert main(["soak", "--seconds", "1.5", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["results"]["live"]["samples_lost"] == 0
    known = {row["name"] for row in report["targets"]}
    assert known == {target.name for target in TARGETS}
    assert "| samples_lost " in capsys.readouterr().out
