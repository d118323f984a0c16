"""The sheet is true to scale, in pixels and in points, and says what it must."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="a sheet is drawn by matplotlib: install '.[test]'")
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from edge.leads import LEADS, Provenance, provenance
from edge.sheet.drawing import COLUMN_S, DPI, HEIGHT, LEFT, PAPER, ROWS, Heading, page, save
from edge.sheet.excerpt import Excerpt, State, Trace

HZ = 250.0
HEADING = Heading("A title", ["a line", "cost: $5 and $6"], ["Research use only."], "a footer")


def made(n_samples: int = 2500, **waves: NDArray[np.float32]) -> Excerpt:
    """Twelve flat leads from II, V1, V5, but for `waves`."""
    flat, clean = np.zeros(n_samples, np.float32), np.zeros(n_samples, np.uint8)
    traces = {
        lead: Trace(str(source), waves.get(lead, flat), np.full_like(flat, 0.1), clean)
        for lead, source in zip(LEADS, provenance(), strict=True)
    }
    return Excerpt(HZ, 0.0, n_samples, traces)


def drawn(shown: Excerpt, true: Excerpt | None = None) -> Figure:
    figure = Figure((1, 1))
    page(figure, HEADING, shown, true, "II")
    return figure


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def image(shown: Excerpt) -> NDArray[np.float32]:
    """The page as luminance, the bottom row first."""
    target = BytesIO()
    assert save(target, "png", HEADING, [(shown, None)], "II") == 1
    target.seek(0)
    return np.asarray(imread(target)[::-1, :, :3].mean(2), np.float32)


def extent_mm(
    ink: NDArray[np.bool_], left: float, bottom: float, right: float, top: float
) -> list[float]:
    """Left, bottom, right, top of the ink in a part of the page."""
    per_mm = DPI / 25.4
    a, b, c, d = (round(mm * per_mm) for mm in (left, bottom, right, top))
    y, x = np.nonzero(ink[b:d, a:c])
    edges = x.min() + a, y.min() + b, x.max() + a + 1, y.max() + b + 1
    return [edge / per_mm for edge in edges]


def test_a_millivolt_is_10_mm_and_a_second_25_on_the_paper() -> None:
    wave = np.zeros(2500, np.float32)
    wave[500:750] = 1.5  # from 2 s to 3 s
    pixels = image(made(II=wave))
    assert pixels.shape == pytest.approx((HEIGHT * DPI / 25.4, 297 * DPI / 25.4), abs=1)
    ink = pixels < 0.25
    base = ROWS[-1]
    assert extent_mm(ink, 16, base - 5, 28, base + 15) == pytest.approx(
        [17, base, 27, base + 10], abs=0.3
    )
    up = extent_mm(ink, LEFT + 40, base + 5, LEFT + 90, base + 19)
    assert up == pytest.approx([LEFT + 50, base + 5, LEFT + 75, base + 15], abs=0.3)


def test_a_reconstructed_lead_is_paler_than_a_measured_one_without_colour() -> None:
    pixels = image(made())
    per_mm = DPI / 25.4
    levels = []
    for row, column in ((1, 0), (1, 2)):  # II is measured, V2 reconstructed
        x = slice(
            *(round((LEFT + column * 62.5 + offset) * per_mm) for offset in (5, 55)),
        )
        y = round(ROWS[row] * per_mm)
        levels.append(float(pixels[y - 4 : y + 4, x].min(0).mean()))
    assert levels[0] < 0.2 < 0.3 < levels[1]


def test_the_words_of_a_page() -> None:
    shown = made()
    said = words(drawn(shown))
    for lead in LEADS:
        assert said.count(lead) == (2 if lead == "II" else 1)
    assert said.count(str(Provenance.RECONSTRUCTED)) == 5
    assert said.count(str(Provenance.DERIVED_FROM_RECONSTRUCTED)) == 4
    assert {HEADING.title, *HEADING.lines, *HEADING.notices, HEADING.footer} <= set(said)
    assert "25 mm/s  10 mm/mV" in said
    assert "reconstructed, band: one standard deviation" in said
    assert not {str(state) for state in State} & set(said)


def test_trouble_is_shaded_and_named() -> None:
    state = np.zeros(2500, np.uint8)
    state[100:400] = State.NOISY
    state[600:602] = State.CLIPPED  # too short for its name
    shown = made()
    trouble = Trace("measured", shown.traces["II"].ecg_mv, None, state)
    shown = Excerpt(HZ, 0.0, 2500, {**shown.traces, "II": trouble})
    figure = drawn(shown)
    assert words(figure).count("noisy") == 3  # its cell, the strip, the legend
    assert words(figure).count("clipped") == 1
    boxes = [(p.get_x(), p.get_width()) for p in figure.axes[0].patches if p.get_hatch() == "..."]
    assert (LEFT + 10.0, pytest.approx(30.0)) in boxes


def test_leads_that_seem_exchanged_are_shaded_named_and_said_above() -> None:
    state = np.zeros(2500, np.uint8)
    state[1000:] = State.MISPLACED
    shown = made()
    traces = {lead: replace(trace, state=state) for lead, trace in shown.traces.items()}
    figure = drawn(replace(shown, traces=traces))
    said, legend, notice = words(figure), 1, "Leads seem exchanged or inverted."
    # Of the columns, the last two hold it from their begin on, the second from its middle on.
    assert said.count("leads exchanged?") == 3 * 3 + 1 + legend
    assert notice in said and notice not in words(drawn(shown))
    darker = image(shown) - image(replace(shown, traces=traces)) > 0.02  # without colour, too
    assert 0.1 < darker.mean() < 0.5


def test_a_marker_is_a_line_across_the_rows_with_its_text() -> None:
    plain, marked = made(), replace(made(), markers=((3.0, "stands up 😀"), (3.1, "x" * 90)))
    figure = drawn(marked)
    assert "stands up 😀" in words(figure)
    assert "x" * 37 + "..." in words(figure)
    dark = image(marked) < image(plain) - 0.2
    per_mm = DPI / 25.4
    # At 3 s: in the rhythm strip, and in the second column, which begins with 2.5 s.
    at = slice(round((LEFT + 74.6) * per_mm), round((LEFT + 75.4) * per_mm))
    for bottom, top in ((ROWS[3] - 5, ROWS[3] + 12), (ROWS[1] - 10, ROWS[1] + 10)):
        rows = dark[round(bottom * per_mm) : round(top * per_mm), at].any(axis=1)
        assert rows.mean() > 0.5


def test_the_true_lead_lies_on_the_one_that_was_made_of_it() -> None:
    wave = np.sin(np.arange(2500) / 20).astype(np.float32)
    shown, true = made(V2=wave), made(V2=wave + 7)
    dashed = [x for x in drawn(shown, true).axes[0].lines if x.get_linestyle() == "--"]
    assert len(dashed) == 9 + 1  # the leads that are estimates, and the legend
    first, last = round(2 * COLUMN_S * HZ), round(3 * COLUMN_S * HZ)
    expected = ROWS[1] + 10 * wave[first:last]
    y = [np.asarray(line.get_ydata()) for line in dashed]
    assert any(len(one) == len(expected) and np.allclose(one, expected, atol=1e-3) for one in y)


def test_a_short_part_fills_every_column() -> None:
    at = [text for text in words(drawn(made(1000))) if text.endswith(" s")]
    assert at == ["0.00 s", "0.50 s", "1.00 s", "1.50 s"]
    at = [text for text in words(drawn(made(300))) if text.endswith(" s")]
    assert at == ["0.00 s"] * 4


def test_a_lead_that_is_not_there_is_said() -> None:
    shown = made()
    few = Excerpt(HZ, 0.0, 2500, {lead: shown.traces[lead] for lead in ("II", "V2")})
    assert words(drawn(few)).count("not in the file") == 10


def test_nothing_leaves_the_paper() -> None:
    wave = np.zeros(2500, np.float32)
    wave[50:60] = 30.0
    pixels = image(made(I=wave, II=-wave))
    ink = pixels < 0.25
    x = round((LEFT + 5.2) * DPI / 25.4)
    above, below = round((PAPER[3] + 1) * DPI / 25.4), round((PAPER[1] - 1) * DPI / 25.4)
    assert not ink[above : above + 20, x - 3 : x + 3].any()
    assert not ink[below - 10 : below, x - 3 : x + 3].any()


def test_a_pdf_is_a4_across_with_a_page_for_each_part() -> None:
    target = BytesIO()
    assert save(target, "pdf", HEADING, ((made(), None) for _ in range(3)), "II") == 3
    boxes = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", target.getvalue())
    assert len(boxes) == 3
    points = [float(one) * 25.4 / 72 for one in boxes[0]]
    assert points == pytest.approx([297.0, 210.0], abs=0.01)


def test_an_svg_is_a4() -> None:
    one = BytesIO()
    save(one, "svg", HEADING, [(made(), None)], "II")
    head = one.getvalue()[:1000].decode()
    found = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', head) or re.search(
        r'height="([\d.]+)pt".*?width="([\d.]+)pt"', head, re.S
    )
    assert found is not None
    sizes = sorted(float(x) * 25.4 / 72 for x in found.groups())
    assert sizes == pytest.approx([210.0, 297.0], abs=0.01)
    assert b"<dc:date>" not in one.getvalue()
