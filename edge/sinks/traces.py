"""Traces as Braille characters: the last seconds of each lead, as a monitor sweeps them.

One character is 2 x 4 dots. A column of dots holds the least and the greatest of its samples, so no QRS
falls between two columns, and belongs to fixed sample indices, so nothing flickers from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.leads import LEADS

SECONDS = 6.0  # kept for drawing: what the widest terminal shows
_ERASE_COLUMNS = 4  # dots left empty ahead of the newest sample: where the sweep is
_BRAILLE = 0x2800
# Bit of each dot in a character, [row][column].
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint32)
SCALES_MV = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0)
"""Heights of a trace, top to bottom, that are chosen from; one for all leads, so that they compare."""


@dataclass(slots=True)
class TraceRing:
    """The last seconds of twelve leads by absolute sample index; gaps are NaN."""

    sampling_hz: float
    end: int = 0
    """Index just after the newest sample."""
    ecg_mv: NDArray[np.float32] = field(init=False)
    """(12, n) float32 mV, sample i in column i modulo n."""

    def __post_init__(self) -> None:
        n = max(1, round(SECONDS * self.sampling_hz))
        self.ecg_mv = np.full((len(LEADS), n), np.nan, np.float32)

    def copy(self) -> TraceRing:
        """A ring of its own with the same samples."""
        ring = TraceRing(self.sampling_hz, self.end)
        ring.ecg_mv[:] = self.ecg_mv
        return ring

    def append(self, ecg_mv: NDArray[np.float32], missing: int = 0) -> None:
        """Append (12, m) mV after `missing` lost samples."""
        n = self.ecg_mv.shape[1]
        if missing:
            self.ecg_mv[:, np.arange(self.end, self.end + min(missing, n)) % n] = np.nan
            self.end += missing
        part = ecg_mv[:, -n:]
        self.end += ecg_mv.shape[1]
        self.ecg_mv[:, np.arange(self.end - part.shape[1], self.end) % n] = part


def sweep(ring: TraceRing, columns: int, seconds: float) -> NDArray[np.float32]:
    """Least and greatest value of every dot column, (2, 12, 2 * columns) mV, NaN where nothing is drawn.

    The sweep writes from left to right and begins again at the left; the newest sample is just left
    of the empty columns.
    """
    width = 2 * columns
    per_dot = max(1, min(round(seconds * ring.sampling_hz), ring.ecg_mv.shape[1]) // width)
    newest = ring.end // per_dot  # this dot column is still incomplete: it is not drawn yet
    first = max(0, newest - min(width, ring.ecg_mv.shape[1] // per_dot) + _ERASE_COLUMNS)
    dots = np.arange(first, newest)
    out = np.full((2, len(LEADS), width), np.nan, np.float32)
    if len(dots) == 0:
        return out
    samples = ring.ecg_mv[:, np.arange(first * per_dot, newest * per_dot) % ring.ecg_mv.shape[1]]
    grouped = samples.reshape(len(LEADS), len(dots), per_dot)
    out[0][:, dots % width] = grouped.min(axis=2)
    out[1][:, dots % width] = grouped.max(axis=2)
    # Join each column with the one before it, so that a steep QRS is one stroke.
    joined = dots[1:] % width
    before = dots[:-1] % width
    low, high = out[0].copy(), out[1].copy()
    out[0][:, joined] = np.fmin(low[:, joined], high[:, before])
    out[1][:, joined] = np.fmax(high[:, joined], low[:, before])
    out[:, np.isnan(low) | np.isnan(high)] = np.nan
    return out


def scale_mv(swept: NDArray[np.float32]) -> float:
    """The least of SCALES_MV that holds the traces of `sweep`, each around its own middle."""
    span = swept[1] - swept[0]
    seen = np.isfinite(span).any(axis=1)
    if not seen.any():
        return SCALES_MV[0]
    tallest = float(np.max(np.nanmax(swept[1][seen], axis=1) - np.nanmin(swept[0][seen], axis=1)))
    return next((scale for scale in SCALES_MV if scale >= tallest), SCALES_MV[-1])


def braille(
    low_mv: NDArray[np.float32], high_mv: NDArray[np.float32], rows: int, height_mv: float
) -> list[str]:
    """One lead, (2 * columns,) least and greatest values in mV, as `rows` strings of Braille.

    The middle of the lead's range lies in the middle; `height_mv` is top to bottom.
    """
    width = len(low_mv)
    seen = np.isfinite(low_mv)
    if not seen.any():
        return [chr(_BRAILLE) * (width // 2)] * rows
    n_dots = 4 * rows
    middle = (float(low_mv[seen].min()) + float(high_mv[seen].max())) / 2
    step = height_mv / (n_dots - 1)
    top = np.full(width, n_dots)
    bottom = np.full(width, -1)
    top[seen] = np.clip(np.rint((n_dots - 1) / 2 - (high_mv[seen] - middle) / step), 0, n_dots - 1)
    bottom[seen] = np.clip(
        np.rint((n_dots - 1) / 2 - (low_mv[seen] - middle) / step), 0, n_dots - 1
    )
    y = np.arange(n_dots)[:, None]
    dots = (y >= top) & (y <= bottom)
    cells = dots.reshape(rows, 4, width // 2, 2) * _DOTS[None, :, None, :]
    codes = _BRAILLE + cells.sum(axis=(1, 3), dtype=np.uint32)
    return [row.astype("<u4").tobytes().decode("utf-32-le") for row in codes]
