"""How somebody wants to see a picture: gain, speed, layout, freeze; and the keys for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.sinks.note import HINT, Note
from edge.sinks.picture import Picture
from edge.sinks.traces import SCALES_MV

SPANS_S = (2.5, 5.0, 7.5, 10.0, 15.0, 20.0)
"""Seconds across the whole screen; 10 s is 25 mm/s on a page."""
LAYOUTS = ("auto", "3x4", "6x2", "12x1")
QUIT_KEYS = frozenset("qQ")

KEYS = "q quit  + - gain  [ ] speed  space freeze  l layout  ? help"
HELP = (
    ("q", "quit: end the run; what is recorded is finished"),
    ("+  -", "gain: larger, smaller traces"),
    ("a", "gain: as large as fits, the default"),
    ("[  ]", "speed: more, fewer seconds across the screen"),
    ("space f", "freeze the traces; the line above goes on"),
    ("l", "layout: 3x4, 6x2, 12x1, or what suits the screen"),
    ("?", "this help; any key leaves it"),
)
MARKER_KEYS = f"{KEYS}  {HINT}"
MARKER_HELP = (
    *HELP,
    ("m", "marker of this moment: type a text, Enter records it, Esc does not"),
    ("1 .. 9", "marker with this digit as its text"),
)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The wishes of whoever looks at one screen."""

    gain_mv: float | None = None
    """Height of a trace; None for what holds the tallest."""
    span_s: float | None = None
    """Seconds across the screen; None for what suits its width."""
    layout: str = "auto"
    frozen: Picture | None = None
    """The traces that are shown instead of the live ones."""
    help: bool = False
    marks: bool = False
    """Whether markers are recorded."""
    note: Note | None = None
    """A marker that is being typed."""
    said: str = ""
    """Why the last marker is not recorded."""

    def press(self, key: str, picture: Picture, shown_mv: float, shown_s: float) -> View:
        """The view after a key; `shown_mv` and `shown_s` are what the last frame was drawn with."""
        if self.note is not None:
            return replace(self, note=self.note.press(key))
        if self.help:
            return replace(self, help=False)
        if key in "+=":
            return replace(self, gain_mv=_next(SCALES_MV, shown_mv, -1))
        if key in "-_":
            return replace(self, gain_mv=_next(SCALES_MV, shown_mv, 1))
        if key == "a":
            return replace(self, gain_mv=None)
        if key == "]":
            return replace(self, span_s=_next(SPANS_S, shown_s, -1))
        if key == "[":
            return replace(self, span_s=_next(SPANS_S, shown_s, 1))
        if key in " f":
            return replace(self, frozen=picture if self.frozen is None else None)
        if key == "l":
            following = (LAYOUTS.index(self.layout) + 1) % len(LAYOUTS)
            return replace(self, layout=LAYOUTS[following])
        if key in "?h":
            return replace(self, help=True)
        return self


def _next(steps: tuple[float, ...], now: float, by: int) -> float:
    """The step `by` places from the one nearest to `now`; the last one stays."""
    nearest = min(range(len(steps)), key=lambda i: abs(steps[i] - now))
    return steps[min(max(nearest + by, 0), len(steps) - 1)]


def default_span_s(dots_across: int) -> float:
    """The longest span of at least 16 dots a second, at which a P wave can be told, up to 10 s."""
    fitting = [span for span in SPANS_S if span <= 10.0 and dots_across / span >= 16]
    return fitting[-1] if fitting else SPANS_S[0]
