"""Scales, ticks and frames of plots drawn as SVG text; colours are classes of the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 28, 14, 46
N_COLOURS = 10


@dataclass(frozen=True)
class Scale:
    """From values to pixels."""

    low: float
    high: float
    first: float
    last: float
    """Pixels of `low` and `high`."""
    log: bool = False

    def at(self, value: float) -> float:
        """Where it lies, in pixels; what lies beyond is put on the edge."""
        low, high, value = (
            math.log10(v) if self.log else v for v in (self.low, self.high, max(value, self.low))
        )
        share = min(1.0, (value - low) / (high - low))
        return round(self.first + share * (self.last - self.first), 1)


def log_scale(values: Sequence[float], first: float, last: float) -> Scale:
    """Of whole halves of a decade around positive values."""
    low = 10 ** (math.floor(2 * math.log10(min(values))) / 2)
    high = 10 ** (math.ceil(2 * math.log10(max(values)) + 1e-9) / 2)
    return Scale(low, high if high > low else 10 * low, first, last, log=True)


def decades(scale: Scale) -> list[float]:
    """1, 2 and 5 of each decade, or the decades alone where there are many."""
    first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [m * 10.0**d for d in range(first, last + 1) for m in steps]
    return [tick for tick in ticks if scale.low * 0.999 <= tick <= scale.high * 1.001]


def microseconds(value: float) -> str:
    """500 ns, 20 µs, 2 ms, 1 s."""
    for unit, factor in (("s", 1e6), ("ms", 1e3), ("µs", 1.0)):
        if value >= factor * 0.999:
            return f"{value / factor:.4g} {unit}"
    return f"{value * 1e3:.4g} ns"


def frame(
    x: Scale,
    y: Scale,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    x_label: str,
    y_label: str,
) -> list[str]:
    """Grid, ticks and the names of both axes."""
    parts = []
    for value, text in x_ticks:
        at = x.at(value)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{y.last}" y2="{y.first}"/>')
        parts.append(f'<text class="tick middle" x="{at}" y="{y.first + 16}">{escape(text)}</text>')
    for value, text in y_ticks:
        at = y.at(value)
        parts.append(f'<line class="grid" x1="{x.first}" x2="{x.last}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text class="tick end" x="{x.first - 6}" y="{at + 4}">{escape(text)}</text>')
    middle = (x.first + x.last) / 2
    parts.append(
        f'<text class="axis middle" x="{middle}" y="{y.first + 38}">{escape(x_label)}</text>'
    )
    across = (y.first + y.last) / 2
    turned = f'transform="translate(14 {across}) rotate(-90)"'
    parts.append(f'<text class="axis middle" {turned}>{escape(y_label)}</text>')
    return parts


def svg(parts: Sequence[str], title: str, height: int = HEIGHT) -> str:
    """The drawing; `title` is read out in its place."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )


def legend(names: Sequence[str]) -> str:
    """The colour of each name, in order."""
    items = "".join(
        f'<li><i class="c{i % N_COLOURS}"></i>{escape(name)}</li>' for i, name in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>'


def path(points: Sequence[tuple[float, float]], x: Scale, y: Scale, colour: int, name: str) -> str:
    """A line through the points."""
    coordinates = " ".join(f"{x.at(a)},{y.at(b)}" for a, b in points)
    return (
        f'<polyline class="line k{colour % N_COLOURS}" points="{coordinates}">'
        f"<title>{escape(name)}</title></polyline>"
    )


def dot(a: float, b: float, x: Scale, y: Scale, colour: int, text: str) -> str:
    """A point that says what it is."""
    return (
        f'<circle class="c{colour % N_COLOURS}" cx="{x.at(a)}" cy="{y.at(b)}" r="5">'
        f"<title>{escape(text)}</title></circle>"
    )
