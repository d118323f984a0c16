"""The page in a real browser: amplitudes in pixels, freeze, calipers, layouts, themes, reconnect."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from edge.files.recording import Metadata
from edge.leads import LEADS
from edge.quality import Quality
from edge.sinks.viewer.sink import ViewSink
from tests.edge.sinks.viewer.in_browser import HZ, IN_BROWSER, WAIT_MS, level, levels, shown, until

pytest.importorskip("uvicorn", reason="the view needs '.[view]'")
pytest.importorskip("playwright.sync_api", reason="the page's tests need '.[test]'")
pytestmark = IN_BROWSER
RAISED_MV = 0.4  # stays in its row at every gain


@pytest.mark.parametrize(("key", "gain"), [("", 10), ("+", 20), ("-", 5)])
def test_a_millivolt_has_the_height_that_the_paper_says(
    page: Any, sink: ViewSink, key: str, gain: int
) -> None:
    sink.write(level(0.0, 3000))
    for one in "s" + key:  # scroll: no column is empty
        page.keyboard.press(one)
    flat = levels(page, 3000)
    sink.write(level(RAISED_MV, 3000, 3000))
    raised = levels(page, 6000)
    millivolt = gain * page.evaluate("leadlift.stats().mm")
    for name, (height, inked) in raised.items():
        assert abs(height - flat[name][0] - RAISED_MV * millivolt) <= 1.0, name
        band = 0.1 * millivolt
        assert inked <= 4 if name in ("II", "V1", "V5") else abs(inked - band) <= 3, name


def test_what_it_says(page: Any, sink: ViewSink) -> None:
    sink.write(level(0.0, 1000, V1=Quality.LEAD_OFF))
    page.wait_for_selector("text=LEAD OFF V1")
    text = page.inner_text("body")
    for said in (
        "SIMULATED SIGNAL",
        "research use only, not a medical device",
        "latency 3.2 / 7.8 ms",
        "a wearable",
        "lost 0, gaps 0",
        "no patient calibration",
        "battery 81 %",
        "3 blocks late",
        "engine c",
        "link up",
        "recording out.edf",
        "samples arrive at 240 Hz",
        "-- bpm",
    ):
        assert said in text
    assert page.title() == "leadlift"


def test_freeze_scrolls_back_and_calipers_measure(page: Any, sink: ViewSink) -> None:
    sink.write(level(0.0, 5000))
    mm = shown(page, 5000)["mm"]
    page.keyboard.press("Space")
    frozen = page.evaluate("leadlift.stats().frozen")
    sink.write(level(1.0, 5000, 5000))
    until(page, "leadlift.stats().end === 10000")
    assert page.evaluate("leadlift.stats().frozen") == frozen
    page.keyboard.press("End")
    assert page.evaluate("leadlift.stats().frozen") == 10000
    page.keyboard.press("Home")
    assert page.evaluate("leadlift.stats().frozen") < 4000
    x, y = 300, 400
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20 * mm, y + 5 * mm)
    page.mouse.up()
    assert page.inner_text("#reading").split("  ") == ["800 ms", "0.50 mV", "75 bpm"]
    page.keyboard.press("Shift+ArrowRight")
    until(page, "document.getElementById('reading').textContent.slice(0, 6) > '800 ms'")
    page.keyboard.press("Escape")
    page.wait_for_selector("#reading", state="hidden")
    page.keyboard.press("Escape")
    assert page.evaluate("leadlift.stats().frozen") is None


def test_it_scrolls_back_over_five_minutes_and_forgets_what_is_older(
    page: Any, sink: ViewSink
) -> None:
    page.wait_for_selector("text=lost 0")  # connected: blocks from before are the last 20 s
    n, minutes_5 = 80_000, 75_000
    for first in range(0, n, 4000):
        sink.write(level(0.0 if first < 40_000 else RAISED_MV, 4000, first))
        until(page, f"leadlift.stats().end === {first + 4000}")
    page.keyboard.press("Space")
    page.keyboard.press("Home")
    stats = page.evaluate("leadlift.stats()")
    assert stats["oldest"] == n - minutes_5
    assert n - minutes_5 < stats["frozen"] < n - minutes_5 + 12 * HZ
    assert 285 < float(page.inner_text("#ago").removesuffix(" s ago")) < 300


def test_layouts_speeds_and_motion_by_key_and_by_control(page: Any, sink: ViewSink) -> None:
    sink.write(level(0.0, 1000))
    rows = {"3x4": 13, "6x2": 12, "12x1": 12}
    for layout in ("6x2", "12x1", "3x4"):
        page.keyboard.press("l")
        stats = shown(page, 1000)
        assert stats["view"]["layout"] == page.input_value("#layout") == layout
        assert len(stats["cells"]) == rows[layout]
        assert {cell["name"] for cell in stats["cells"]} == set(LEADS)
    page.select_option("#speed", "50")
    page.select_option("#gain", "5")
    page.select_option("#motion", "scroll")
    found = page.evaluate("leadlift.stats().view")
    assert (found["speed"], found["gain"], found["motion"]) == (50, 5, "scroll")
    page.focus("#ink")
    page.keyboard.press("[")
    assert page.evaluate("leadlift.stats().view.speed") == 25


def test_every_control_can_be_reached_by_the_keyboard(page: Any) -> None:
    reached = set()
    for _ in range(15):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {
        "freeze",
        "layout",
        "speed",
        "gain",
        "motion",
        "calipers",
        "snapshot",
        "theme",
    } <= reached
    assert {"help", "when", "ink"} <= reached
    page.focus("#ink")
    page.keyboard.press("?")
    assert page.is_visible("#keys")


def test_light_and_dark(page: Any, sink: ViewSink) -> None:
    paper = "getComputedStyle(document.documentElement).getPropertyValue('--paper')"
    light = page.evaluate(paper)
    page.keyboard.press("t")
    assert page.evaluate(paper) != light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_phone_shows_twelve_rows_without_a_scroll_bar_across(
    chromium: Any, sink: ViewSink
) -> None:
    sink.write(level(0.0, 1000))
    context = chromium.new_context(
        viewport={"width": 390, "height": 844},
        is_mobile=True,
        has_touch=True,
        device_scale_factor=2,
    )
    phone = context.new_page()
    phone.set_default_timeout(WAIT_MS)
    phone.goto(sink.address)
    stats = shown(phone, 1000)
    assert stats["view"]["layout"] == "12x1"
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_a_snapshot_is_a_picture(page: Any, sink: ViewSink) -> None:
    sink.write(level(0.0, 1000))
    shown(page, 1000)
    with page.expect_download() as download:
        page.keyboard.press("p")
    assert download.value.suggested_filename.endswith(".png")
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_it_comes_back_when_the_server_does(chromium: Any) -> None:
    page = chromium.new_page()
    page.set_default_timeout(WAIT_MS)
    with ViewSink(HZ, Metadata(), port=0) as first:
        first.write(level(0.0, 5000))
        page.goto(first.address)
        shown(page, 5000)
    page.wait_for_selector("text=trying again")
    with ViewSink(HZ, Metadata(), port=urlsplit(first.address).port) as second:
        second.write(level(0.0, 1000))
        until(page, "leadlift.stats().end === 1000")  # another run: it begins anew
        page.wait_for_selector("#mark", state="hidden")  # and records no markers
        page.wait_for_selector("text=trying again", state="hidden")
    page.close()


HISTORY = """async () => {
  const { History, MISSING, Q } = await import("/stream.js");
  const h = new History(2, 10); // 3000 samples
  const message = (first, values, leads = 2, version = 1) => {
    const n = values.length, b = new ArrayBuffer(16 + leads * n * 5), d = new DataView(b);
    d.setUint8(0, version); d.setUint8(1, leads); d.setUint16(2, n, true); d.setFloat64(8, first, true);
    for (let k = 0; k < leads; k++) values.forEach((v, i) => d.setInt16(16 + 2 * (k * n + i), v + k, true));
    return b; };
  const at = (i) => [h.ecg[0][i % h.size], h.ecg[1][i % h.size], h.quality[0][i % h.size]], out = {};
  out.bad = [new ArrayBuffer(0), new ArrayBuffer(15), message(0, [1], 3), message(0, [1], 2, 9),
    message(0, [1]).slice(0, -1)].map((b) => h.take(b));
  h.take(message(100, [1, 2, 3])); out.first = [h.start, h.end, h.oldest, at(101)];
  h.take(message(105, [7])); out.gap = [h.end, at(103), at(104), at(105)];
  h.take(message(103, [5, 6])); out.filled = [h.end, at(103), at(104), at(105)];
  h.take(message(4e9, [9])); out.far = [h.end, h.oldest, at(4e9), at(4e9 - 1)];
  out.constants = [MISSING, Q.GAP];
  return out; }"""


def test_the_history_of_the_page(page: Any) -> None:
    found = page.evaluate(HISTORY)
    missing, gap = found["constants"]
    assert found["bad"] == [False] * 5
    assert found["first"] == [100, 103, 100, [2, 3, 0]]
    assert found["gap"] == [106, [missing, missing, gap], [missing, missing, gap], [7, 8, 0]]
    assert found["filled"] == [106, [5, 6, 0], [6, 7, 0], [7, 8, 0]]
    assert found["far"] == [4_000_000_001, 3_999_997_001, [9, 10, 0], [missing, missing, gap]]
