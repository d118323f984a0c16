"""Draws a page in millimetres on A4: 25 mm/s and 10 mm/mV, three rows of four leads and a rhythm strip.

Inks are of the palette of Okabe and Ito, which the colour-blind tell apart. In black and white a
reconstructed lead is grey, has its band, and says what it is; a true lead is dashed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from edge.leads import LEADS
from edge.sheet.excerpt import Excerpt, State, Trace, spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE_S = 10.0
"""What a page shows: 250 mm of 297."""
MM_PER_S, MM_PER_MV = 25.0, 10.0
WIDTH, HEIGHT = 297.0, 210.0
DPI = 200
COLUMNS = tuple(LEADS[i : i + 3] for i in range(0, 12, 3))
COLUMN_S = PAGE_S / len(COLUMNS)
LEFT = 30.0
"""Where the traces begin; the calibration pulse stands before it."""
PAPER = (15.0, 25.0, 285.0, 175.0)
"""Left, bottom, right, top of the grid."""
ROWS = (155.0, 120.0, 85.0, 45.0)
"""Where 0 mV of each row lies; the last one is the rhythm strip."""
HALF_ROW = 16.0

_INKS = {
    "": ("black", 0.8),
    "measured": ("black", 0.8),
    "derived": ("#00614a", 0.8),
}
_ESTIMATE = ("#0072B2", 0.6)
_TRUE = ("#D55E00", 0.6)
_DASHED = "--"
_MARKER: dict[str, Any] = {"color": "#5b2a86", "linewidth": 0.6, "linestyle": "-."}
_MARKER_LETTERS = 40
_HATCHES = {  # but of MISPLACED: it covers whole pages
    State.WITHOUT_A_LEAD: "--",
    State.SETTLING: "\\\\\\",
    State.CLIPPED: "|||",
    State.NOISY: "...",
    State.NO_SIGNAL: "///",
    State.GAP: "xxx",
}
_FINE, _COARSE = "#f7d5d5", "#ecaaaa"
_SMALL, _NORMAL, _LARGE = 6.0, 7.5, 11.0  # points


@dataclass(frozen=True, slots=True)
class Heading:
    """The words of a page."""

    title: str
    lines: Sequence[str]
    """Below the title: device, time, model."""
    notices: Sequence[str]
    """What nobody may miss: research use, simulated."""
    footer: str


def page(
    figure: Figure, heading: Heading, shown: Excerpt, true: Excerpt | None, rhythm: str
) -> None:
    """Draw one page on an empty `figure`; `true` overlays the leads that it has."""
    axes: Axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(0, HEIGHT)
    axes.axis("off")
    _draw_grid(axes)
    width_s = min(COLUMN_S, shown.seconds)
    for i, leads in enumerate(COLUMNS):
        first_s = i * max(0.0, shown.seconds - COLUMN_S) / (len(COLUMNS) - 1)
        left = LEFT + i * COLUMN_S * MM_PER_S
        _text(axes, left + 1, PAPER[3] - 3, f"{shown.first_s + first_s:.2f} s", size=_SMALL - 1)
        for lead, base in zip(leads, ROWS[:-1], strict=True):
            _draw_lead(axes, lead, (left, base), (first_s, width_s), shown, true)
            if i:
                axes.plot([left, left], [base - 4, base + 4], color="black", linewidth=0.5)
    _draw_lead(axes, rhythm, (LEFT, ROWS[-1]), (0.0, shown.seconds), shown, true)
    _draw_markers(axes, shown)
    for base in ROWS:
        _draw_pulse(axes, base)
    misplaced = any((trace.state == State.MISPLACED).any() for trace in shown.traces.values())
    _write(axes, heading, ("Leads seem exchanged or inverted.",) if misplaced else ())
    _draw_legend(axes, shown, true)


def save(
    target: IO[bytes],
    form: str,
    heading: Heading,
    pages: Iterable[tuple[Excerpt, Excerpt | None]],
    rhythm: str,
) -> int:
    """Write pages as `pdf`, or the first as `png` or `svg`; their number.

    Raises ImportError without matplotlib.
    """
    import matplotlib
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a marker's text may have any
        matplotlib.rcdefaults()  # whatever the user has set
        matplotlib.rcParams["hatch.linewidth"] = 0.3
        size = (WIDTH / 25.4, HEIGHT / 25.4)
        if form == "pdf":
            about = {"Title": heading.title, "Creator": "leadlift", "CreationDate": None}
            with PdfPages(target, metadata=about) as pdf:
                for shown, true in pages:
                    figure = Figure(size)
                    page(figure, heading, shown, true, rhythm)
                    pdf.savefig(figure)
                return int(pdf.get_pagecount())
        figure = Figure(size)
        page(figure, heading, *next(iter(pages)), rhythm)
        about = {"Title": heading.title} | ({"Date": None} if form == "svg" else {})
        figure.savefig(target, format=form, dpi=DPI, metadata=about)
        return 1


def _draw_grid(axes: Axes) -> None:
    """Lines each millimetre, and stronger ones each fifth."""
    left, bottom, right, top = PAPER
    for step, color, width in ((1.0, _FINE, 0.25), (5.0, _COARSE, 0.5)):
        x, y = np.arange(left, right + 0.1, step), np.arange(bottom, top + 0.1, step)
        axes.vlines(x, bottom, top, color=color, linewidth=width, zorder=0)
        axes.hlines(y, left, right, color=color, linewidth=width, zorder=0)


def _draw_pulse(axes: Axes, base: float) -> None:
    """1 mV for 0.2 s."""
    x = np.array([17.0, 19.5, 19.5, 24.5, 24.5, 27.0])
    y = base + MM_PER_MV * np.array([0, 0, 1, 1, 0, 0])
    axes.plot(x, y, color="black", linewidth=0.8, solid_joinstyle="miter")


def _draw_markers(axes: Axes, shown: Excerpt) -> None:
    """A line across the rows at each marker, and its text below the rhythm strip."""
    column_s = max(0.0, shown.seconds - COLUMN_S) / (len(COLUMNS) - 1)
    taken = [-1.0, -1.0, -1.0]  # how far the texts of each line of texts reach
    for at_s, text in shown.markers:
        for i in range(len(COLUMNS)):
            if 0 <= at_s - i * column_s < min(COLUMN_S, shown.seconds):
                x = LEFT + (i * COLUMN_S + at_s - i * column_s) * MM_PER_S
                axes.plot([x, x], [ROWS[2] - HALF_ROW, PAPER[3] - 5], **_MARKER)
        x = LEFT + at_s * MM_PER_S
        axes.plot([x, x], [PAPER[1] + 1, ROWS[-1] + HALF_ROW], **_MARKER)
        shown_text = text if len(text) <= _MARKER_LETTERS else f"{text[: _MARKER_LETTERS - 3]}..."
        line = next((i for i, end in enumerate(taken) if end < x), None)
        if line is not None:
            taken[line] = x + 2 + _width_mm(shown_text)
            where = x + 0.8, PAPER[1] + 7 - 2.6 * line
            _text(axes, *where, shown_text, size=_SMALL, box=True, color=_MARKER["color"])


def _draw_lead(
    axes: Axes,
    lead: str,
    at: tuple[float, float],
    span_s: tuple[float, float],
    shown: Excerpt,
    true: Excerpt | None,
) -> None:
    """One lead at (left, 0 mV), for (first second, seconds) of an excerpt."""
    left, base = at
    trace = shown.traces.get(lead)
    _text(axes, left + 1, base + 12, lead, size=9, box=True, weight="bold", zorder=1.5)
    said = "not in the file" if trace is None else trace.provenance
    if said:
        _text(axes, left + 1, base + 9, said, size=_SMALL - 0.5, box=True, zorder=1.5)
    if trace is None:
        return
    x, part = _placed(shown, left, span_s)
    y = base + MM_PER_MV * trace.ecg_mv[part]
    _shade(axes, trace, x, part, base)
    color, width = _ink(trace)
    if trace.sigma_mv is not None and trace.is_estimate:
        band = MM_PER_MV * trace.sigma_mv[part]
        _clip(axes, axes.fill_between(x, y - band, y + band, color=color, alpha=0.22, linewidth=0))
    _clip(axes, *axes.plot(x, y, color=color, linewidth=width, solid_joinstyle="round"))
    if true is not None and lead in true.traces and trace.is_estimate:
        x, there = _placed(true, left, span_s)
        true_mv = true.traces[lead].ecg_mv[there]
        moved = base + MM_PER_MV * (true_mv + _between(trace.ecg_mv[part], true_mv))
        color, width = _TRUE
        _clip(axes, *axes.plot(x, moved, _DASHED, color=color, linewidth=width))


def _placed(shown: Excerpt, left: float, span_s: tuple[float, float]) -> tuple[Any, slice]:
    """Where the samples of a span lie in mm, and which they are."""
    first = round(span_s[0] * shown.sampling_hz)
    part = slice(first, min(shown.n_samples, first + round(span_s[1] * shown.sampling_hz)))
    n = max(0, part.stop - first)
    return left + MM_PER_S * np.arange(n) / shown.sampling_hz, part


def _between(made_mv: Any, true_mv: Any) -> float:
    """What brings the median of the true lead to that of the made one; the filters took its own."""
    if not (np.isfinite(made_mv).any() and np.isfinite(true_mv).any()):
        return 0.0
    return float(np.nanmedian(made_mv) - np.nanmedian(true_mv))


def _shade(axes: Axes, trace: Trace, x: Any, part: slice, base: float) -> None:
    step = x[1] - x[0] if len(x) > 1 else 0.0
    for first, last, state in spans(trace.state[part]):
        left, right = x[first], x[last - 1] + step
        _box(axes, left, base - HALF_ROW + 2, right - left, 2 * HALF_ROW - 8, state)
        if right - left >= _width_mm(str(state)):
            at = (left + right) / 2, base - 13
            _text(axes, *at, str(state), size=_SMALL, box=True, ha="center")


def _box(axes: Axes, left: float, bottom: float, width: float, height: float, state: State) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (left, bottom),
            width,
            height,
            facecolor="#f4ee9a" if state is State.MISPLACED else "#e4e4e4",
            edgecolor="#8a8a8a",
            hatch=_HATCHES.get(state),
            linewidth=0,
            alpha=0.7,
            zorder=1,
        )
    )


def _clip(axes: Axes, *artists: Any) -> None:
    """Whatever a trace does, it stays on the paper."""
    from matplotlib.patches import Rectangle

    left, bottom, right, top = PAPER
    for artist in artists:
        artist.set_clip_path(
            Rectangle((left, bottom), right - left, top - bottom, transform=axes.transData)
        )


def _ink(trace: Trace) -> tuple[str, float]:
    return _ESTIMATE if trace.is_estimate else _INKS.get(trace.provenance, _INKS[""])


def _width_mm(text: str) -> float:
    """About the width of a text in the small size."""
    return 1.15 * len(text)


def _text(
    axes: Axes, x: float, y: float, text: str, *, size: float, box: bool = False, **how: Any
) -> None:
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.6, "pad": 0.6} if box else None
    # A $ in a file's name is no formula.
    axes.text(x, y, text, fontsize=size, bbox=paper, parse_math=False, **how)


def _write(axes: Axes, heading: Heading, more: Sequence[str]) -> None:
    left, _, right, top = PAPER
    _text(axes, left, top + 23, heading.title, size=_LARGE, weight="bold", va="center")
    for i, line in enumerate(heading.lines):
        _text(axes, left, top + 17 - 4.2 * i, line, size=_NORMAL, va="center")
    for i, line in enumerate((*heading.notices, *more)):
        how: dict[str, Any] = {"weight": "bold", "ha": "right", "va": "center"}
        _text(axes, right, top + 23 - 5 * i, line, size=_NORMAL + 1, **how)
    _text(axes, left, PAPER[1] - 17, heading.footer, size=_SMALL, va="center")


def _draw_legend(axes: Axes, shown: Excerpt, true: Excerpt | None) -> None:
    """A sample of each ink and each hatch that is on the page."""
    x, y = PAPER[0], PAPER[1] - 6
    inks: dict[str, tuple[str, float]] = {}
    for trace in shown.traces.values():
        name = "reconstructed" if trace.is_estimate else trace.provenance or "as recorded"
        if trace.is_estimate and trace.sigma_mv is not None:
            name += ", band: one standard deviation"
        inks.setdefault(name, _ink(trace))
    if true is not None:
        inks["true lead, moved to the same median"] = _TRUE
    _text(axes, x, y, "25 mm/s  10 mm/mV", size=_NORMAL, weight="bold", va="center")
    x += 34
    for name, (color, width) in inks.items():
        if "band" in name:
            axes.fill_between([x, x + 8], y - 1.2, y + 1.2, color=color, alpha=0.22, linewidth=0)
        style = _DASHED if (color, width) == _TRUE else "-"
        axes.plot([x, x + 8], [y, y], style, color=color, linewidth=width)
        _text(axes, x + 9, y, name, size=_SMALL, va="center")
        x += 14 + _width_mm(name)
    there = {state for trace in shown.traces.values() for _, _, state in spans(trace.state)}
    x, y = PAPER[0], y - 5
    for state in sorted(there):
        _box(axes, x, y - 1.5, 8, 3, state)
        _text(axes, x + 9, y, str(state), size=_SMALL, va="center")
        x += 14 + _width_mm(str(state))
