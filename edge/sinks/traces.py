"""Traces as characters: the last seconds of each lead, as a monitor sweeps them, in what a terminal can show.

One character is several dots: 2 x 4 in Braille, 1 x 2 in half blocks, 1 x 3 in ASCII. A column of dots
holds the least and the greatest of its samples, so no QRS falls between two columns, and belongs to fixed
sample indices, so nothing flickers from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.sinks.picture import Picture

_ERASE_COLUMNS = 4  # dots left empty ahead of the newest sample: where the sweep is
SCALES_MV = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0)
"""Heights of a trace, top to bottom, that are chosen from; one for all leads, so that they compare."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters that traces are made of."""

    across: int
    """Columns of dots in a character."""
    down: int
    """Rows of dots in a character."""
    dots: str
    """A character for each set of dots, bit `row * across + column` for each; the first is a space."""
    grid: str
    """Where a second begins."""
    plus_minus: str

    def encodes_in(self, encoding: str) -> bool:
        """Whether a stream of this encoding can take all of them."""
        try:
            (self.dots + self.grid + self.plus_minus).encode(encoding)
        except (UnicodeError, LookupError):
            return False
        return True


def _braille() -> str:
    """Unicode's Braille patterns, in the order of `Glyphs.dots`; blank is a space, which all fonts have."""
    unicode_bits = (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)  # by row, then column
    codes = [
        sum(bit for i, bit in enumerate(unicode_bits) if dots >> i & 1) for dots in range(1 << 8)
    ]
    return " " + "".join(chr(0x2800 + code) for code in codes[1:])


BRAILLE = Glyphs(2, 4, _braille(), "\u00b7", "\u00b1")
BLOCKS = Glyphs(1, 2, " \u2580\u2584\u2588", "\u00b7", "\u00b1")
ASCII = Glyphs(1, 3, " '-|.|||", ":", "+-")


def glyphs_for(encoding: str | None) -> Glyphs:
    """The finest characters that a stream of this encoding takes; None is text that is not encoded."""
    fits = (glyphs for glyphs in (BRAILLE, BLOCKS) if glyphs.encodes_in(encoding or "utf-8"))
    return next(fits, ASCII)


def per_dot(picture: Picture, width: int, seconds: float) -> float:
    """Samples in each of `width` columns of dots that show `seconds`: 1 or more."""
    return max(1.0, seconds * picture.sampling_hz / width)


def sweep(picture: Picture, width: int, samples_per_dot: float) -> NDArray[np.float32]:
    """Least and greatest value of every column of dots, (2, n_leads, width) mV, NaN where nothing is drawn.

    The sweep writes from left to right and begins again at the left; the newest sample is just left
    of the empty columns.
    """
    n_leads, n = picture.ecg_mv.shape
    out = np.full((2, n_leads, width), np.nan, np.float32)
    start = picture.end - n
    newest = int(
        picture.end / samples_per_dot
    )  # this column is still incomplete: it is not drawn yet
    first = max(newest - width + _ERASE_COLUMNS, int(np.ceil(start / samples_per_dot)), 0)
    if newest <= first or n_leads == 0:
        return out
    dots = np.arange(first, newest)
    edges = np.ceil(np.arange(first, newest + 1) * samples_per_dot).astype(np.int64) - start
    samples = picture.ecg_mv[:, : edges[-1]]
    low = np.minimum.reduceat(samples, edges[:-1], axis=1)
    high = np.maximum.reduceat(samples, edges[:-1], axis=1)
    # Join each column with the one before it, so that a steep QRS is one stroke.
    joined_low, joined_high = low.copy(), high.copy()
    joined_low[:, 1:] = np.fmin(low[:, 1:], high[:, :-1])
    joined_high[:, 1:] = np.fmax(high[:, 1:], low[:, :-1])
    missing = np.isnan(low)
    joined_low[missing] = joined_high[missing] = np.nan
    out[0][:, dots % width] = joined_low
    out[1][:, dots % width] = joined_high
    return out


def marker_columns(picture: Picture, width: int, samples_per_dot: float) -> list[int]:
    """The columns of dots of the markers that `sweep` has samples for."""
    newest = int(picture.end / samples_per_dot)
    dots = (int(position / samples_per_dot) for position, _ in picture.markers)
    return [dot % width for dot in dots if newest - width + _ERASE_COLUMNS <= dot < newest]


def scale_mv(swept: NDArray[np.float32]) -> float:
    """The least of SCALES_MV that holds the traces of `sweep`, each around its own middle."""
    span = swept[1] - swept[0]
    seen = np.isfinite(span).any(axis=1)
    if not seen.any():
        return SCALES_MV[0]
    tallest = float(np.max(np.nanmax(swept[1][seen], axis=1) - np.nanmin(swept[0][seen], axis=1)))
    return next((scale for scale in SCALES_MV if scale >= tallest), SCALES_MV[-1])


def trace(
    low_mv: NDArray[np.float32],
    high_mv: NDArray[np.float32],
    rows: int,
    height_mv: float,
    glyphs: Glyphs = BRAILLE,
) -> list[str]:
    """One lead, (width,) least and greatest values in mV by column of dots, as `rows` strings.

    The middle of the lead's range lies in the middle; `height_mv` is top to bottom.
    """
    width = len(low_mv)
    seen = np.isfinite(low_mv)
    n_dots = glyphs.down * rows
    top = np.full(width, n_dots)
    bottom = np.full(width, -1)
    if seen.any():
        middle = (float(low_mv[seen].min()) + float(high_mv[seen].max())) / 2
        step = height_mv / (n_dots - 1)
        for edge, values in ((top, high_mv), (bottom, low_mv)):
            dots = np.rint((n_dots - 1) / 2 - (values[seen] - middle) / step)
            edge[seen] = np.clip(dots, 0, n_dots - 1)
    y = np.arange(n_dots)[:, None]
    return _characters((y >= top) & (y <= bottom), glyphs)


def pulse(mv: float, rows: int, height_mv: float, columns: int, glyphs: Glyphs) -> list[str]:
    """The calibration mark: a rectangle of `mv` on a baseline, in `rows` strings of `columns` characters."""
    width = columns * glyphs.across
    low, high = np.zeros(width, np.float32), np.zeros(width, np.float32)
    first, last = width // 4, width - 1 - width // 4
    high[first : last + 1] = mv
    low[first + 1 : last] = mv
    return trace(low, high, rows, height_mv, glyphs)


def _characters(dots: NDArray[np.bool_], glyphs: Glyphs) -> list[str]:
    """(down * rows, across * columns) dots as one string for each row of characters."""
    rows, columns = dots.shape[0] // glyphs.down, dots.shape[1] // glyphs.across
    cells = dots.reshape(rows, glyphs.down, columns, glyphs.across)
    bits = 1 << np.arange(glyphs.down * glyphs.across).reshape(glyphs.down, 1, glyphs.across)
    codes = (cells * bits).sum(axis=(1, 3))
    table = np.array([ord(character) for character in glyphs.dots], "<u4")
    return [row.tobytes().decode("utf-32-le") for row in table[codes]]
