"""The page in a real browser: amplitudes in pixels, freeze, calipers, layouts, themes, reconnect."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.errors import SinkError
from edge.files.recording import Metadata
from edge.leads import LEADS
from edge.marker import Marker
from edge.quality import Quality
from edge.sinks.base import LiveStatus
from edge.sinks.viewer.sink import ViewSink
from tests.edge.sinks.blocks import block

pytest.importorskip("uvicorn", reason="the view needs leadlift[view]")
playwright = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="the page's tests need Chromium"),
]
HZ, WAIT_MS = 250.0, 30_000
RAISED_MV = 0.4  # stays in its row at every gain
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
STATUS = LiveStatus(latency_p50_ms=3.2, latency_p99_ms=7.8, device="a wearable", simulated=True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield browser
        browser.close()


@pytest.fixture
def sink() -> Iterator[ViewSink]:
    with ViewSink(HZ, Metadata(), lambda: STATUS, port=0) as opened:
        yield opened


@pytest.fixture
def page(chromium: Any, sink: ViewSink) -> Iterator[Any]:
    """The page of `sink`; what it complains of, and asks of others, fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    opened, wrong = context.new_page(), []
    ours = urlsplit(sink.address).netloc
    opened.set_default_timeout(WAIT_MS)
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request",
        lambda r: (
            None if r.url.startswith((f"http://{ours}/", "blob:", "data:")) else wrong.append(r.url)
        ),
    )
    opened.goto(sink.address)
    opened.wrong = wrong
    yield opened
    context.close()
    assert not wrong


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

    `of` is the end of what must be drawn. Lines that come and go above the sheet change its height.
    """
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


@pytest.fixture
def noted(sink: ViewSink, page: Any) -> list[tuple[str, int | None]]:
    """Markers that the page has set, as a run would record them."""
    found: list[tuple[str, int | None]] = []

    def mark(text: str, *, at_ns: int | None = None, sample: int | None = None) -> None:
        if text == "too late":
            raise SinkError("the recording has ended: the marker is not in it")
        found.append((text, sample))

    sink._mark = mark
    return found


def test_a_key_marks_what_is_shown_at_that_moment(
    page: Any, sink: ViewSink, noted: list[tuple[str, int | None]]
) -> None:
    sink.write(level(0.0, 1000, 5000))
    page.wait_for_selector("#mark")
    shown(page, 1000)
    page.focus("#ink")
    page.keyboard.press("m")
    page.wait_for_selector("#note")
    sink.write(level(0.0, 1000, 6000))
    shown(page, 2000)
    page.keyboard.type('stands up "\u00fc" m 1 q')
    page.keyboard.press("Enter")
    page.wait_for_selector("text=marker recorded: stands up")
    ((text, sample),) = noted
    assert text == 'stands up "\u00fc" m 1 q'
    assert sample is not None and 5900 <= sample < 6000  # what had come when m was pressed
    page.keyboard.press("7")
    page.wait_for_selector("text=marker recorded: 7")
    assert noted[-1][0] == "7" and noted[-1][1] > 6900  # type: ignore[operator]
    page.keyboard.press("m")
    page.keyboard.type("given up")
    page.keyboard.press("Escape")
    page.click("#mark")
    page.fill("#note", "too late")
    page.click("#record")
    page.wait_for_selector("text=marker not recorded, the recording has ended")
    assert len(noted) == 2


def test_frozen_a_marker_stands_at_the_left_edge_of_the_calipers(
    page: Any, sink: ViewSink, noted: list[tuple[str, int | None]]
) -> None:
    sink.write(level(0.0, 5000))
    page.wait_for_selector("#mark")
    stats = shown(page, 5000)
    page.keyboard.press("Space")
    frozen = page.evaluate("leadlift.stats().frozen")
    page.focus("#ink")
    page.keyboard.press("2")
    page.wait_for_selector("text=marker recorded: 2")
    assert noted == [("2", int(frozen))]
    cell = next(c for c in stats["cells"] if c["name"] == "V2")
    x, y = page.evaluate("(() => { const r = ink.getBoundingClientRect(); return [r.x, r.y]; })()")
    page.mouse.move(x + cell["x"] + 100, y + cell["zero"])
    page.mouse.down()
    page.mouse.move(x + cell["x"] + 150, y + cell["zero"] + 20)
    page.mouse.up()
    page.keyboard.press("3")
    page.wait_for_selector("text=marker recorded: 3")
    per_sample = stats["mm"] * 25 / HZ
    at = frozen - cell["width"] // per_sample + 100 / per_sample
    assert noted[-1][1] == pytest.approx(at, abs=2)


def test_a_marker_is_a_line_in_each_cell_live_frozen_and_in_the_snapshot(
    page: Any, sink: ViewSink
) -> None:
    sink.write(replace(level(0.0, 3000), markers=(Marker("stands up", 2900),)))
    page.keyboard.press("s")  # scroll
    stats = shown(page, 3000)
    until(page, "leadlift.stats().markers.length === 1")
    per_sample = stats["mm"] * 25 / HZ
    for key in ("", " "):
        if key:
            page.keyboard.press("Space")
            page.wait_for_timeout(100)
        end = page.evaluate("Math.floor(leadlift.stats().frozen ?? leadlift.stats().head)")
        for cell in stats["cells"]:
            across = int(cell["width"] // per_sample)
            x = cell["x"] + (2900 - (end - across)) * per_sample
            rows = [round(cell["top"]) + 2, round(cell["top"] + cell["height"]) - 2]
            inked = max(page.evaluate(INKED, [round(x) + d, *rows])[1] for d in (-1, 0, 1))
            assert inked > 0.4 * (rows[1] - rows[0]), (cell["name"], key)
    sink.write(level(0.0, 3000, 3000))  # older than the screen: still there to scroll back to
    page.keyboard.press("End")
    page.keyboard.press("Home")
    assert page.evaluate("leadlift.stats().markers") == [[2900, "stands up"]]


def printed(page: Any, folder: Path) -> list[NDArray[np.uint8]]:
    """The pages that the browser prints, as pictures of 10 pixels a millimetre."""
    pdf, pictures = folder / "out.pdf", folder / "page-%d.ppm"
    page.pdf(path=str(pdf), prefer_css_page_size=True, print_background=True)
    draw = [
        "gs",
        "-q",
        "-dNOPAUSE",
        "-dBATCH",
        "-sDEVICE=ppmraw",
        "-r254",
        f"-sOutputFile={pictures}",
    ]
    subprocess.run([*draw, str(pdf)], check=True, timeout=120)
    return [picture(path) for path in sorted(folder.glob("page-*.ppm"))]


def picture(path: Path) -> NDArray[np.uint8]:
    """A raw PPM as (rows, columns, 3)."""
    head, size, _, pixels = path.read_bytes().split(b"\n", 3)
    assert head == b"P6"
    columns, rows = map(int, size.split())
    return np.frombuffer(pixels, np.uint8).reshape(rows, columns, 3)


@pytest.mark.skipif(shutil.which("gs") is None, reason="needs gs to see what was printed")
def test_the_printed_page_is_one_and_true_to_scale(
    page: Any, sink: ViewSink, tmp_path: Path
) -> None:
    """A beat of 1 mV each second: 10 mm high, 25 mm apart."""
    mv = np.zeros((12, 3000), np.float32)
    mv[:, ::250] = 1.0
    wave = replace(block(mv), sigma_mv=np.zeros((12, 3000), np.float32))
    sink.write(replace(wave, markers=(Marker("stands up", 2100),)))
    page.emulate_media(color_scheme="dark")  # the paper is white all the same
    shown(page, 3000)
    (seen,) = printed(page, tmp_path)
    assert seen.shape[1] > seen.shape[0]
    assert seen[5, 5].tolist() == [255, 255, 255]
    ink = (seen.max(axis=2) < 110) & (
        np.ptp(seen.astype(int), axis=2) < 30
    )  # black: II is measured
    # The rhythm strip is the last row of the paper.
    rows = np.flatnonzero(ink[:, 400:2500].mean(axis=1) > 0.5)
    zero = int(rows[-1])
    strip = ink[zero - 130 : zero - 20, 270:2600]
    beats = np.flatnonzero(strip[40:70].mean(axis=0) > 0.5)
    places = [group.mean() for group in np.split(beats, np.flatnonzero(np.diff(beats) > 50) + 1)]
    assert len(places) >= 8
    assert np.diff(places) == pytest.approx(250, abs=3)
    tops = [
        int(np.flatnonzero(strip[:, round(x) - 3 : round(x) + 4].any(axis=1))[0]) for x in places
    ]
    assert [130 - top for top in tops] == pytest.approx([100] * len(tops), abs=6)


def test_it_comes_back_when_the_server_does(chromium: Any) -> None:
    page = chromium.new_page()
    with ViewSink(HZ, Metadata(), port=0) as first:
        first.write(level(0.0, 5000))
        page.goto(first.address)
        shown(page, 5000)
    page.wait_for_selector("text=trying again")
    with ViewSink(HZ, Metadata(), port=urlsplit(first.address).port) as second:
        second.write(level(0.0, 1000))
        until(page, "leadlift.stats().end === 1000")  # another run: it begins anew
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
