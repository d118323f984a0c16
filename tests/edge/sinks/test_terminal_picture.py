"""The picture of the terminal in the README is what its program draws now."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_it_is_small_says_that_it_is_simulated_and_asks_no_other_host() -> None:
    svg = (ROOT / "docs" / "terminal.svg").read_text(encoding="utf-8")
    assert len(svg) < 150_000
    text = svg.replace("&#160;", " ")
    for part in ("SIMULATED", "REC recording.edf", "V2 r", "II m", "research use only"):
        assert part in text
    assert "@font-face" not in svg and "url(http" not in svg and "<script" not in svg


def test_its_program_draws_it() -> None:
    svg = runpy.run_path(str(ROOT / "docs" / "draw_terminal.py"))["draw"]().replace("&#160;", " ")
    assert "SIMULATED" in svg and "V2 r" in svg and "\u2847" in svg
