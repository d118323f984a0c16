"""A picture as lines of styled text: panes of traces, labels, calibration mark, state. Pure layout."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from edge.expected import POOR
from edge.leads import Provenance
from edge.quality import Quality, describe
from edge.sinks.picture import Picture
from edge.sinks.status_items import Item, Line, Span, flow, items
from edge.sinks.traces import (
    BRAILLE,
    Glyphs,
    marker_columns,
    per_dot,
    pulse,
    scale_mv,
    sweep,
    trace,
)
from edge.sinks.view import HELP, KEYS, MARKER_HELP, MARKER_KEYS, SPANS_S, View, default_span_s

RHYTHM_LEAD = "II"
_LEAST_HEIGHT = 8  # rows of a screen below which there are no traces
_LEAST_PANE = 16  # characters: 32 columns of dots in Braille, about one beat
_LEAST_ROWS = 3  # a label and two rows of traces
_GUTTER = 4  # for the calibration mark, left of each row of panes
_GUTTER_FROM_WIDTH = 60
_ADDRESS_FROM_HEIGHT = 16
_MARKER: Span = ("|", "bold blue")
_WIDEN = "widen the terminal"

# Letter and colour of a lead: nobody may take a reconstructed lead for a measured one.
MARKS: dict[Provenance, Span] = {
    Provenance.RECONSTRUCTED: ("r", "yellow"),
    Provenance.MEASURED: ("m", "green"),
    Provenance.DERIVED: ("d", "cyan"),
    Provenance.DERIVED_FROM_RECONSTRUCTED: ("d*", "magenta"),
    Provenance.DERIVED_FROM_RECONSTRUCTED_II: ("d*", "magenta"),
    Provenance.DERIVED_FROM_RECONSTRUCTED_LIMB: ("d*", "magenta"),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the leads share a screen."""

    name: str
    columns: int
    rhythm: bool
    """Below the panes, one lead runs over the whole width."""
    n_leads: int = 12
    rows: int = 0
    """Rows of characters of each pane, its label included."""

    @property
    def n_rows(self) -> int:
        """Rows of panes, the rhythm strip not counted."""
        return -(-self.n_leads // self.columns)

    def within(self, width: int, rows: int) -> Layout | None:
        """This layout, fitted to what there is; None if there is too little."""
        each = rows // (self.n_rows + self.rhythm)
        wide = (width - self.columns + 1) // self.columns
        if each < _LEAST_ROWS or wide < _LEAST_PANE:
            return None
        return Layout(self.name, self.columns, self.rhythm, self.n_leads, each)


_TWELVE = {
    layout.name: layout
    for layout in (
        Layout("6x2", 2, True),
        Layout("3x4", 4, True),
        Layout("4x3", 3, False),
        Layout("12x1", 1, False),
    )
}
_TALL_ROWS = 35  # six rows of panes and a rhythm strip, each with four rows of traces


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, and the scales that it was drawn with."""

    lines: list[Line]
    height_mv: float
    """Height of a trace, top to bottom."""
    span_s: float
    """Seconds across the screen."""


def frame(
    picture: Picture,
    width: int,
    height: int,
    view: View | None = None,
    glyphs: Glyphs = BRAILLE,
    keys: bool = False,
) -> Frame:
    """At most `height` lines of at most `width` characters. `keys`: somebody can press them."""
    view = view or View()
    facts = items(picture, frozen=view.frozen is not None)
    if height < _LEAST_HEIGHT:  # words alone
        last = flow([_left_out(len(picture.leads))], width, 1) if picture.leads else []
        head = flow(facts, width, max(1, height - len(last)))
        return Frame([*head, *last][: max(0, height)], 1.0, SPANS_S[0])
    head = flow(facts, width, 1 if height < 12 else 2)
    foot = _foot(picture, view, width, height, keys=keys)
    body = height - len(head) - len(foot) - 1  # the legend
    traces = view.frozen or picture
    span_s = view.span_s or default_span_s(width * glyphs.across)
    if view.help:
        shown_help = MARKER_HELP if view.marks else HELP
        lines = [[(f"{key:>8}  {what}"[:width], "")] for key, what in shown_help]
        return Frame([*head, *lines[: max(0, body)]][:height], view.gain_mv or 1.0, span_s)
    gutter = _GUTTER if width >= _GUTTER_FROM_WIDTH else 0
    layout, shown = _arranged(traces, view.layout, width - gutter, body)
    panes = _Panes(traces, layout, width, gutter, span_s, view.gain_mv, glyphs)
    lines = [line for row in range(layout.n_rows) for line in panes.row(shown, row)]
    if layout.rhythm:
        lines += panes.rhythm(body - len(lines))
    notes: list[Item] = []
    if hidden := len(traces.leads) - len(shown):
        notes.append(_left_out(hidden))
    elif view.layout not in ("auto", layout.name):
        notes.append(Item(f"{view.layout} does not fit: {_WIDEN}", "bold yellow"))
    legend = flow([*notes, *_legend(traces, panes)], width, 1)
    return Frame([*head, *lines, *legend, *foot][:height], panes.height_mv, span_s)


def _foot(picture: Picture, view: View, width: int, height: int, *, keys: bool) -> list[Line]:
    """Where a browser looks on, and the keys; a marker that is being typed, and why it is not recorded."""
    foot: list[Line] = []
    address = f"view {picture.status.address}"
    if picture.status.address and height >= _ADDRESS_FROM_HEIGHT and len(address) <= width:
        foot.append([(address, "bold")])
    if view.note is not None:
        foot.append([(view.note.prompt[:width], "bold black on cyan")])
    elif view.said:
        foot.append([(view.said[:width], "bold red")])
    elif keys:
        foot.append([((MARKER_KEYS if view.marks else KEYS)[:width], "dim")])
    return foot


def _left_out(n_leads: int) -> Item:
    return Item(f"+{n_leads} leads: {_WIDEN}", "bold yellow", f"+{n_leads} leads")


def _arranged(picture: Picture, wish: str, width: int, rows: int) -> tuple[Layout, tuple[int, ...]]:
    """The layout for the leads of a picture, and the leads that it has room for."""
    n_leads = len(picture.leads)
    everything = tuple(range(n_leads))
    if n_leads == 12:
        tall = ("6x2", "3x4", "4x3") if rows >= _TALL_ROWS else ("3x4", "4x3", "12x1")
        choices = [_TWELVE[name] for name in (wish, *tall) if name in _TWELVE]
    else:
        choices = [Layout("auto", columns, False, n_leads) for columns in (1, 2) if n_leads]
    for layout in choices:
        if fitted := layout.within(width, rows):
            return fitted, everything
    columns = min(max(1, (width + 1) // (_LEAST_PANE + 1)), max(1, n_leads))
    n = min(n_leads, columns * (rows // _LEAST_ROWS)) if width >= _LEAST_PANE else 0
    if n <= 0:
        return Layout("", 1, False, 0), ()
    layout = Layout("", columns, False, n)
    sources = picture.provenance or ()
    measured = [i for i, source in enumerate(sources) if source is Provenance.MEASURED]
    first = [
        *measured,
        *(i for i in everything if i not in measured),
    ]  # an estimate is left out first
    shown = tuple(sorted(first[:n]))
    return Layout("", columns, False, n, rows // layout.n_rows), shown


class _Panes:
    """The traces of one frame, row by row."""

    def __init__(
        self,
        picture: Picture,
        layout: Layout,
        width: int,
        gutter: int,
        span_s: float,
        gain_mv: float | None,
        glyphs: Glyphs,
    ) -> None:
        self.picture, self.layout, self.gutter, self.glyphs = picture, layout, gutter, glyphs
        self.strip = max(1, width - gutter)
        self.pane = max(1, (self.strip - layout.columns + 1) // layout.columns)
        self.per_dot = per_dot(picture, width * glyphs.across, span_s)
        self.swept = sweep(picture, self.pane * glyphs.across, self.per_dot)
        self.height_mv = gain_mv or scale_mv(self.swept)
        found = picture.expected
        poor = () if found is None else found.leads_that_are(POOR)
        self.poor = {row for row, lead in enumerate(picture.leads) if lead in poor}
        self.pulse_mv = 1.0 if self.height_mv >= 1.0 else 0.5

    def row(self, shown: tuple[int, ...], row: int) -> list[Line]:
        """The lines of one row of panes: leads run down the columns, as on paper."""
        n_rows = self.layout.n_rows
        leads = [shown[i] for i in range(row, len(shown), n_rows)]
        panes = [self._pane(lead, self.swept, self.pane, self.layout.rows) for lead in leads]
        return self._with_mark(panes, self.layout.rows)

    def rhythm(self, rows: int) -> list[Line]:
        """The rhythm strip, at the scales of the panes."""
        name = RHYTHM_LEAD if RHYTHM_LEAD in self.picture.leads else self.picture.leads[0]
        lead = self.picture.leads.index(name)
        swept = sweep(self.picture, self.strip * self.glyphs.across, self.per_dot)
        return self._with_mark([self._pane(lead, swept, self.strip, rows)], rows)

    def _height_mv(self, rows: int) -> float:
        """Height of a trace of `rows` rows, its label not counted, at the gain of the panes."""
        down = self.glyphs.down
        return self.height_mv * (rows * down - 1) / ((self.layout.rows - 1) * down - 1)

    def _pane(self, lead: int, swept: NDArray[np.float32], width: int, rows: int) -> list[Line]:
        height_mv = self._height_mv(rows - 1)
        drawn = trace(swept[0, lead], swept[1, lead], rows - 1, height_mv, self.glyphs)
        style = _mark(self.picture, lead)[1]
        seconds = self.picture.sampling_hz / self.per_dot / self.glyphs.across  # in characters
        marks = [round(i * seconds) for i in range(1, int(width / seconds) + 1)]
        label = _label(self.picture, lead, width, self.glyphs, lead in self.poor)
        behind = dict.fromkeys(marks, (self.glyphs.grid, "dim"))
        columns = marker_columns(self.picture, width * self.glyphs.across, self.per_dot)
        behind |= dict.fromkeys((at // self.glyphs.across for at in columns), _MARKER)
        return [label, *(self._on_grid(text, style, behind) for text in drawn)]

    def _on_grid(self, text: str, style: str, behind: dict[int, Span]) -> Line:
        """A row of a trace, with what stands behind it where nothing is drawn."""
        free = sorted(at for at in behind if at < len(text) and text[at] == " ")
        line: Line = []
        for before, at in pairwise([-1, *free, len(text)]):
            line.append((text[before + 1 : at], style))
            if at < len(text):
                line.append(behind[at])
        return line

    def _with_mark(self, panes: list[list[Line]], rows: int) -> list[Line]:
        """Panes side by side, one space between them, and the calibration mark left of them."""
        lines = [_beside([pane[i] for pane in panes]) for i in range(rows)]
        if not self.gutter:
            return lines
        height_mv = self._height_mv(rows - 1)
        mark = pulse(self.pulse_mv, rows - 1, height_mv, self.gutter - 1, self.glyphs)
        texts = [" " * (self.gutter - 1), *mark]
        return [[(f"{text} ", "dim"), *line] for text, line in zip(texts, lines, strict=True)]


def _mark(picture: Picture, lead: int) -> Span:
    return ("", "dim") if picture.provenance is None else MARKS[picture.provenance[lead]]


def _label(picture: Picture, lead: int, width: int, glyphs: Glyphs, poor: bool) -> Line:
    """Name and provenance, then what is wrong, then how good and how sure an estimate is, as far as there is
    room."""
    letter, style = _mark(picture, lead)
    estimate = picture.provenance is not None and picture.provenance[lead].is_estimate
    name = f"{picture.leads[lead]} {letter}"[:width]
    line: Line = [(name, f"bold {style}" + (" reverse" if estimate else ""))]
    left = width - len(name)
    texts: list[Span] = []
    if trouble := picture.trouble(lead) & ~Quality.OK:
        texts.append((f" {describe(trouble).lower().replace('_', ' ')}", "red"))
    sigma_mv = picture.recent_sigma_mv(lead)
    if estimate and poor:
        texts.append((f" {POOR}", "bold red"))
    if estimate and isfinite(sigma_mv):
        sigma = f" {glyphs.plus_minus}{sigma_mv:.2f}"
        taken = sum(len(text) for text, _ in texts)
        texts.append((f"{sigma} mV" if taken + len(sigma) + 3 <= left else sigma, style))
    for text, colour in texts:
        if len(text) <= left or colour == "red":
            line.append((text[:left], colour))
            left -= len(text[:left])
    return [*line, (" " * left, "")]


def _beside(parts: list[Line]) -> Line:
    line: Line = []
    for i, part in enumerate(parts):
        line += [(" ", ""), *part] if i else part
    return line


def _legend(picture: Picture, panes: _Panes) -> list[Item]:
    present = set(picture.provenance or ())
    facts = [
        Item(f"{letter} {source}", style, f"{letter} {_SHORT[source]}")
        for source, (letter, style) in MARKS.items()
        if source in present
    ]
    if panes.layout.n_leads == 0:
        return facts
    dots, mark = panes.glyphs.grid, f"mark {panes.pulse_mv:g} mV"
    facts += [Item(mark, "dim")] if panes.gutter else [Item(f"{panes.height_mv:g} mV high", "dim")]
    facts.append(Item(f"{dots} 1 s", "dim"))
    if picture.markers:
        facts.append(Item(f"{_MARKER[0]} marker", _MARKER[1]))
    plus_minus = panes.glyphs.plus_minus
    if any(source.is_estimate for source in present):
        facts.append(Item(f"{plus_minus} standard deviation", "dim", f"{plus_minus} sigma"))
    return facts


_SHORT = {
    Provenance.RECONSTRUCTED: "reconstr.",
    Provenance.MEASURED: "measured",
    Provenance.DERIVED: "derived",
    Provenance.DERIVED_FROM_RECONSTRUCTED: "derived from r",
    Provenance.DERIVED_FROM_RECONSTRUCTED_II: "derived from r",
    Provenance.DERIVED_FROM_RECONSTRUCTED_LIMB: "derived from r",
}
