"""The page's benchmark: what it makes of times, and one short run."""

from __future__ import annotations

import argparse
import os

import pytest

from benchmarks import view, view_ward
from benchmarks.chromium import executable
from benchmarks.errors import BenchmarkError


def test_frames_a_second_and_the_share_of_a_core_that_draws() -> None:
    at = [1000.0 + 20 * i for i in range(101)]
    found = view.summary({"at": at, "draw": [2.0] * 100})
    assert found["frames_hz"] == pytest.approx(50)
    assert found["interval_ms"]["p50"] == pytest.approx(20)
    assert (found["frames_drawn"], found["draw_ms"]["p50"]) == (100, 2.0)
    assert found["draw_share_of_a_core"] == pytest.approx(0.1)


@pytest.mark.parametrize("draw", [[], [1.0]])
def test_a_page_that_draws_nothing_is_no_figure(draw: list[float]) -> None:
    with pytest.raises(BenchmarkError, match="draws nothing"):
        view.summary({"at": [1.0], "draw": draw})


def test_processor_time_grows_with_work() -> None:
    before = view.cpu_seconds(os.getpid())
    while view.cpu_seconds(os.getpid()) < before + 0.05:
        sum(range(100_000))
    assert view.cpu_seconds(1 << 30) == 0


@pytest.mark.browser
@pytest.mark.skipif(executable() is None, reason="needs a Chromium: apt install chromium")
def test_a_short_run_gives_every_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("playwright.sync_api", reason="needs '.[test]'")
    pytest.importorskip("uvicorn", reason="the view needs '.[view]'")
    monkeypatch.setattr(view, "FILL_S", 0.5)
    result = view.measure(argparse.Namespace(seconds=1.0, patients=1))
    (table,) = result.tables
    assert [row[0] for row in table.rows] == list(view.SHEETS)
    for target in result.targets:
        assert target.judge(result.results)["measured"] is not None or "p50" in target.figure
    for name in view.SHEETS:
        assert result.results[name]["browser_cpu_ms"] > 0


@pytest.mark.browser
@pytest.mark.skipif(executable() is None, reason="needs a Chromium: apt install chromium")
def test_a_short_run_of_a_ward_gives_every_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("playwright.sync_api", reason="needs '.[test]'")
    pytest.importorskip("uvicorn", reason="the view needs '.[view]'")
    monkeypatch.setattr(view_ward, "FILL_S", 1.0)
    result = view.measure(argparse.Namespace(seconds=1.0, patients=4))
    for target in result.targets:
        assert target.judge(result.results)["measured"] is not None
    assert result.results["page"]["frames_drawn"] > 0
    assert result.results["browser_share_of_a_core"] > 0
