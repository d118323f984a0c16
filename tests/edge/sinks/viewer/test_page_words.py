"""What the page says of the signal: what is wrong, what is expected, and its scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edge.expected import card_of
from edge.files.recording import Metadata
from edge.quality import Quality
from edge.sinks.base import LiveStatus
from edge.sinks.viewer.sink import ViewSink
from tests.edge.cards import carded
from tests.edge.sinks.viewer.in_browser import HZ, IN_BROWSER, WAIT_MS, level, shown

pytest.importorskip("uvicorn", reason="the view needs '.[view]'")
pytest.importorskip("playwright.sync_api", reason="the page's tests need '.[test]'")
pytestmark = IN_BROWSER


def test_what_is_expected_and_what_is_wrong(chromium: Any) -> None:
    known = Metadata(card=card_of(carded()), calibration="patient calibration 01, 10 s")
    status = LiveStatus(in_outage=True, reconnects=2, samples_lost=7, gaps=1)
    page = chromium.new_page()
    page.set_default_timeout(WAIT_MS)
    with ViewSink(HZ, known, lambda: status, port=0) as sink:
        sink.write(level(0.0, 1000))
        page.goto(sink.address)
        page.wait_for_selector("text=fair")
        text = page.inner_text("body")
        for said in (
            "LINK LOST, waiting for the device",
            "link lost",
            "lost 7, gaps 1",
            "fitted to the patient: patient calibration 01",
            "II, V1, V5: expects r ",
            ": fair",
        ):
            assert said in text, said
        assert "SIMULATED" not in text
    page.close()


NAMED = """async ([bits, missing, moves, first]) => {
  const { drawCell } = await import("/traces.js"), { History, MISSING } = await import("/stream.js");
  const h = new History(1, 10), n = 100, b = new ArrayBuffer(16 + n * 5), d = new DataView(b);
  const said = [], boxes = [], kept = { fillText: said, fillRect: boxes };
  d.setUint8(0, 1); d.setUint8(1, 1); d.setUint16(2, n, true);
  for (let i = 40; i < 80; i++) {
    d.setUint8(16 + n * 4 + i, bits);
    if (missing) d.setInt16(16 + 2 * i, MISSING, true);
  }
  h.take(b);
  const g = new Proxy({ canvas: { height: 500 }, getTransform: () => ({ a: 1 }),
    measureText: (t) => ({ width: 6 * t.length }) }, {
    get: (o, name) => o[name] ?? ((...a) => { kept[name]?.push(a); }),
    set: () => true });
  const cell = { lead: 0, x: 0, top: 0, width: 1000, height: 200, zero: 100 };
  drawCell(g, h, cell, [[first, n, 0]], { mm: 5, gain: 10, colours: {}, perSample: 10, moves });
  return [said.map(([text, x]) => moves ? x : text), boxes.map(([x, , w]) => [x, w])]; }"""


@pytest.fixture(scope="module")
def drawing(chromium: Any) -> Iterator[Any]:
    """A page whose modules a test calls; it shows nothing itself."""
    with ViewSink(HZ, Metadata(), port=0) as sink:
        page = chromium.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(sink.address)
        yield page
        page.close()


@pytest.mark.parametrize(
    ("bits", "missing", "name"),
    [
        (Quality.GAP, True, "GAP"),
        (Quality.LEAD_OFF, True, "LEAD OFF"),
        (Quality.LEAD_OFF, False, "a lead is off"),
        (Quality.SETTLING, False, "settling"),
        (Quality.CLIPPED, False, "clipped"),
        (Quality.NOISY, False, "noise"),
        (Quality.INTERPOLATED, False, "filled in"),
        (Quality.MISPLACED, False, "leads exchanged?"),
        (Quality.MISPLACED | Quality.NOISY, False, "noise"),
        (Quality.OK, False, None),
    ],
)
def test_trouble_is_shaded_and_named(
    drawing: Any, bits: int, missing: bool, name: str | None
) -> None:
    said, boxes = drawing.evaluate(NAMED, [int(bits), missing, False, 0])
    assert said == ([] if name is None else [name])
    assert boxes == ([] if name is None else [[400, 400]])


def test_names_move_with_a_sheet_that_scrolls(drawing: Any) -> None:
    """Samples 40 to 79, of 10 pixels each, named where they begin, then each half of a cell, 50 samples."""
    found = []
    for first in (30, 45, 59):
        (named, _), begun = (
            drawing.evaluate(NAMED, [int(Quality.NOISY), False, True, first]),
            10 * first,
        )
        found.append([x + begun for x in named])
    assert found == [[402], [402], [402]]
    assert drawing.evaluate(NAMED, [int(Quality.NOISY), False, False, 59])[0] == ["noise"]


DARK = """([from, to, top]) => { // the darkest of each column at the height of the pulse's top
  const c = document.getElementById("paper"), d = devicePixelRatio, wide = (to - from) * d;
  const p = c.getContext("2d").getImageData(from * d, (top - 2) * d, wide, 4 * d).data;
  return [...Array(wide).keys()].map((x) => Math.min(...[0, 1, 2, 3].map((y) => p[4 * (y * wide + x)]))); }"""


def test_the_pulse_is_1_mv_and_200_ms_at_every_speed_and_gain(page: Any, sink: ViewSink) -> None:
    sink.write(level(0.0, 1000))
    shown(page, 1000)
    for speed in ("12.5", "25", "50"):
        for gain in ("5", "10", "20"):
            page.select_option("#speed", speed)
            page.select_option("#gain", gain)
            stats = page.evaluate("leadlift.stats()")
            cell = next(c for c in stats["cells"] if c["row"] == 1 and c["left"])
            top = round(cell["zero"] - float(gain) * stats["mm"])
            darkest = np.array(page.evaluate(DARK, [0, round(cell["x"]), top]))
            wide = np.ptp(np.flatnonzero(darkest < 100))
            assert wide == pytest.approx(0.2 * float(speed) * stats["mm"], abs=3), (speed, gain)
