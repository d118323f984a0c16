"""Markers on the page: set by keys, drawn, scrolled back to and printed; and the printed page's scale."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.marker import Marker
from edge.sinks.viewer.sink import ViewSink
from tests.edge.sinks.blocks import block
from tests.edge.sinks.viewer.in_browser import HZ, IN_BROWSER, INKED, level, shown, until

pytest.importorskip("uvicorn", reason="the view needs '.[view]'")
pytest.importorskip("playwright.sync_api", reason="the page's tests need '.[test]'")
pytestmark = IN_BROWSER


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
    assert noted == [("2", int(frozen) - 1)]
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
    head, _, size, _, pixels = path.read_bytes().split(b"\n", 4)  # the second line is a comment
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
