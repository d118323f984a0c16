"""A sheet that moves draws what has come alone, and is as if all of it were drawn anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge.files.recording import Metadata
from edge.leads import LEADS
from edge.marker import Marker
from edge.quality import Quality
from edge.sinks.viewer.sink import ViewSink
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.sinks.blocks import block
from tests.edge.sinks.viewer.in_browser import HZ, IN_BROWSER, WAIT_MS, until

pytest.importorskip("uvicorn", reason="the view needs '.[view]'")
pytest.importorskip("playwright.sync_api", reason="the page's tests need '.[test]'")
pytestmark = IN_BROWSER
BEFORE, LIVE, PIECE = 2000, 1000, 50  # samples; the columns of 3x4 and the rows of 12x1 begin anew

KEEP = """(name) => { const c = document.getElementById("ink");
  (globalThis.kept ??= {})[name] = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; }"""
DIFFERENCE = """() => { // pixels that look different beyond how an edge is smoothed, and those with ink
  let n = 0, inked = 0; const { a, b } = kept;
  for (let i = 0; i < a.length; i += 4) {
    inked += b[i + 3] > 8;
    const opaque = [a[i + 3] / 255, b[i + 3] / 255];
    const seen = [0, 1, 2].map((k) => Math.abs(a[i + k] * opaque[0] - b[i + k] * opaque[1]));
    n += Math.max(...seen, Math.abs(a[i + 3] - b[i + 3])) > 32;
  }
  return [n, inked]; }"""


def signal() -> Any:
    """All of what is sent, as one block: with noise, a lead that is off, a gap that was filled."""
    ecg = EcgSimulator(HZ, 70).read(BEFORE + LIVE)
    made = block(ecg, 0)
    for lead, first, last, bit in (
        ("V2", 2100, 2400, Quality.NOISY),
        ("V1", 2300, 2350, Quality.LEAD_OFF),
        ("aVL", 1000, 1100, Quality.SETTLING),
    ):
        made.quality[LEADS.index(lead), first:last] = bit
    made.ecg_mv[LEADS.index("V1"), 2300:2350] = np.nan
    return made


def piece(whole: Any, first: int, n: int) -> Any:
    part = slice(first, first + n)
    marks = (Marker("stands up", 2220),) if first <= 2220 < first + n else ()
    return replace(
        whole,
        ecg_mv=whole.ecg_mv[:, part].copy(),
        sigma_mv=whole.sigma_mv[:, part].copy(),
        quality=whole.quality[:, part].copy(),
        first_sample=first,
        markers=marks,
    )


@contextmanager
def opened(chromium: Any, sharp: float = 1) -> Iterator[tuple[Any, ViewSink]]:
    """A page whose time goes on when the test says so, on a screen of `sharp` pixels to one of CSS."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, device_scale_factor=sharp
    )
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.clock.install(time=0)
    with ViewSink(HZ, Metadata(), port=0) as sink:
        page.goto(sink.address)
        page.clock.pause_at(3_600_000)
        yield page, sink
        context.close()


def feed(page: Any, sink: ViewSink, whole: Any, first: int, last: int) -> None:
    """Send what lies between two samples in pieces, each drawn before the next."""
    for at in range(first, last, PIECE):
        sink.write(piece(whole, at, PIECE))
        until(page, f"leadlift.stats().end === {at + PIECE}")
        page.clock.run_for(1000 * PIECE / HZ)


def compare(page: Any) -> None:
    """What is on the sheet with what a drawing of all of it gives."""
    page.evaluate(KEEP, "a")
    for _ in range(2):  # dark and light again
        page.keyboard.press("t")
    page.evaluate(KEEP, "b")
    different, inked = page.evaluate(DIFFERENCE)
    assert inked > 10_000
    assert different <= inked / 2000


@pytest.mark.parametrize(
    ("motion", "layout", "sharp"),
    [
        *(("sweep", layout, 1) for layout in ("3x4", "12x1")),
        *(("scroll", layout, sharp) for layout, sharp in (("3x4", 1.5), ("12x1", 1))),
    ],
)
def test_drawing_what_has_come_leaves_what_a_whole_drawing_does(
    chromium: Any, motion: str, layout: str, sharp: float
) -> None:
    whole = signal()
    with opened(chromium, sharp) as (page, sink):
        page.select_option("#layout", layout)
        page.select_option("#motion", motion)
        sink.write(piece(whole, 0, BEFORE))
        until(page, f"leadlift.stats().end === {BEFORE}")
        page.clock.run_for(1000 * PIECE / HZ)
        feed(page, sink, whole, BEFORE, BEFORE + LIVE)
        page.clock.run_for(1000)
        stats = page.evaluate("leadlift.stats()")
        assert stats["head"] == BEFORE + LIVE
        assert stats["swipes"] > 0.7 * stats["frames"] > 50, stats
        compare(page)


def test_a_sheet_that_scrolls_is_whole_after_all_that_happens_to_it(chromium: Any) -> None:
    """Another size, paper, pause and theme; a browser that was away; and on again each time."""
    whole = signal()
    happens = (
        lambda page: page.set_viewport_size({"width": 1111, "height": 700}),
        lambda page: page.select_option("#speed", "50"),
        lambda page: page.keyboard.press("t"),
        lambda page: [page.keyboard.press("f") for _ in range(2)],
        lambda page: page.keyboard.press("-"),
    )
    with opened(chromium) as (page, sink):
        page.select_option("#motion", "scroll")
        sink.write(piece(whole, 0, BEFORE))
        page.clock.run_for(1000)
        for i, happen in enumerate(happens):
            feed(page, sink, whole, BEFORE + 100 * i, BEFORE + 100 * (i + 1))
            happen(page)
        feed(page, sink, whole, BEFORE + 500, BEFORE + 600)
        compare(page)
        sink.write(piece(whole, BEFORE + 600, 300))  # and it was away
        until(page, f"leadlift.stats().end === {BEFORE + 900}")
        page.clock.run_for(200)
        feed(page, sink, whole, BEFORE + 900, BEFORE + LIVE)
        compare(page)


TOUCHED = """async () => {
  const { History } = await import("/stream.js"), h = new History(1, 250), found = [h.touched];
  for (const first of [1700, 1710, 1690]) {
    const b = new ArrayBuffer(16 + 10 * 5), d = new DataView(b);
    d.setUint8(0, 1); d.setUint8(1, 1); d.setUint16(2, 10, true); d.setFloat64(8, first, true);
    h.take(b); found.push(h.touched);
    if (first === 1710) h.touched = Infinity; // as the page does that has drawn it
  }
  return found.map((at) => at === Infinity ? null : at); }"""


def test_the_history_says_from_where_on_it_has_changed(chromium: Any) -> None:
    """What comes late makes the page draw the whole sheet."""
    with opened(chromium) as (page, _):
        assert page.evaluate(TOUCHED) == [None, 1700, 1700, 1690]
