"""What the tests of the page share: a signal, waiting, and reading the page's ink in pixels."""

from __future__ import annotations

from time import monotonic
from typing import Any

import numpy as np
import pytest

from benchmarks.chromium import executable
from edge.leads import LEADS
from tests.edge.sinks.blocks import block

IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(
        executable() is None, reason="the page's tests need a Chromium: apt install chromium"
    ),
]
HZ, WAIT_MS = 250.0, 60_000  # a machine may stop for a while


def level(mv: float, n: int, first: int = 0, **bits: int) -> Any:
    """All leads at `mv`; sigma .05 mV; quality bits of some leads."""
    made = block(np.full((12, n), mv, np.float32), first)
    made.sigma_mv[[LEADS.index(lead) for lead in ("II", "V1", "V5")]] = 0
    for lead, bit in bits.items():
        made.quality[LEADS.index(lead)] = bit
    return made


def until(page: Any, expression: str) -> None:
    """Wait; Playwright's own way evaluates a text in the page, which the page's policy forbids."""
    ends = monotonic() + WAIT_MS / 1000
    while not page.evaluate(expression):
        assert monotonic() < ends, (expression, page.evaluate("leadlift.stats()"))
        page.wait_for_timeout(30)


def shown(page: Any, end: int) -> dict[str, Any]:
    """How the page stands once it has drawn what it was sent."""
    until(page, f"leadlift.stats().head > {end - 0.2 * HZ}")
    page.wait_for_timeout(100)
    found: dict[str, Any] = page.evaluate("leadlift.stats()")
    return found


INKED = """([x, top, bottom]) => {
  const c = document.getElementById("ink"), d = devicePixelRatio;
  const pixels = c.getContext("2d").getImageData(x * d, top * d, 1, (bottom - top) * d).data;
  const above = (least) => [...Array(pixels.length / 4).keys()].filter((i) => pixels[4 * i + 3] > least);
  const trace = above(120);
  return [trace.length ? top + (trace[0] + trace.at(-1) + 1) / 2 / d : null, above(20).length / d]; }"""


def levels(page: Any, of: int) -> dict[str, tuple[float, float]]:
    """By cell, in pixels: how high above zero its trace is in one column, and how much of that is inked.

    `of` is the end of what must be drawn. Lines that come and go above the sheet change its height. The ink
    tells where a lead comes from, which the page may hear after the samples.
    """
    until(page, "leadlift.stats().sources.length > 0")
    cells = shown(page, of)["cells"]
    found = {}
    for cell in cells:
        bottom = cell["top"] + cell["height"]
        column = [round(cell["x"] + 40), round(cell["top"]), round(bottom)]
        middle, n = page.evaluate(INKED, column)
        if middle is None or page.evaluate("leadlift.stats().cells") != cells:
            return levels(page, of)
        found[cell["name"]] = (cell["zero"] - middle, n)
    return found
