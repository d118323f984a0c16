"""The sampling rate that a column of times states, and where samples are missing in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_WINDOW = 64  # rows on each side that tell a jump of the axis from one stamp that is late
_CLEAN = 0.45  # of a step: stamps that stray less place every single sample
MOST_JUMPS = 100_000


@dataclass(frozen=True, slots=True)
class Jump:
    """A step that is longer or shorter than one sample."""

    row: int
    """The row behind it."""
    at_s: float
    """The time of the row before it,"""
    step_s: float
    """and how much later this one is."""


@dataclass(slots=True)
class TimeAxis:
    """Fits a rate to times that arrive in pieces. Jumps are no part of the fit."""

    period_s: float
    """Seconds per row, as the first rows say."""
    stray_s: float
    """How far single steps are from it."""
    resolution_s: float
    """The smallest step that the file writes."""
    jumps: list[Jump] = field(default_factory=list)
    first_s: float = 0.0
    _carry: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    _rows: int = 0
    _judged: int = 0
    last_s: float = 0.0
    _first: tuple[int, float] = (0, 0.0)
    _last: tuple[int, float] = (0, 0.0)

    @classmethod
    def of(cls, times: NDArray[np.float64], resolution_s: float) -> TimeAxis | None:
        """An axis by the first times; None where they do not rise."""
        changes = np.flatnonzero(np.diff(times) != 0)
        if not len(changes):
            return None
        marks = np.concatenate([[0], changes + 1])
        if len(marks) > 3:
            marks = marks[1:]  # the first stamp may stand for only the rest of a packet
        each = np.diff(times[marks]) / np.diff(marks)
        middle = float(np.median(each))
        if not middle > 0:
            return None
        near = np.abs(each - middle) <= 0.75 * middle
        counts = np.diff(marks)
        if not near.any():
            return None
        period = float(np.sum(each[near] * counts[near]) / np.sum(counts[near]))
        steps = np.diff(times)
        if np.mean(steps == 0) > 0.2:  # one stamp for several samples
            steps = steps[steps != 0]
        stray = float(np.quantile(np.abs(steps - period), 0.95))
        return cls(period, stray, resolution_s)

    @property
    def is_clean(self) -> bool:
        """Single samples can be told by their stamps."""
        return self.stray_s < _CLEAN * self.period_s

    def feed(self, times: NDArray[np.float64], *, final: bool = False) -> None:
        """Take the next times, in seconds."""
        if self._rows == 0 and len(times):
            self.first_s = float(times[0])
            self._first = (0, self.first_s)
        base = self._rows - len(self._carry)
        self._rows += len(times)
        window = np.concatenate([self._carry, times])
        if len(window):
            self.last_s = float(window[-1])
        changes = np.flatnonzero(np.diff(window) != 0) + 1
        if len(changes):
            if not self._last[0]:
                self._first = (base + int(changes[0]), float(window[changes[0]]))
            self._last = (base + int(changes[-1]), float(window[changes[-1]]))
        end = len(window) if final else max(0, len(window) - _WINDOW)
        excess = np.diff(window) - self.period_s
        limit = 0.5 * self.period_s
        if not self.is_clean:
            limit = max(limit, 1.5 * self.stray_s)
        # The float's own resolution counts too: 0.5 of a step is a sample that is there or not.
        found = np.flatnonzero(~(np.abs(excess) < limit)) + 1
        found = found[(found + base >= max(1, self._judged)) & (found < end)]
        if self.is_clean:
            found = _without_pairs(found, excess, limit)
        elif len(found):
            found = np.array([i for i in found if self._persists(window, int(i), limit)], np.int64)
        self.jumps += [
            Jump(base + int(i), float(window[i - 1]), float(window[i] - window[i - 1]))
            for i in found[: MOST_JUMPS + 1]
        ]
        self._judged = base + end
        self._carry = window[-2 * _WINDOW :]

    def _persists(self, window: NDArray[np.float64], at: int, limit: float) -> bool:
        lo, hi = max(0, at - _WINDOW), min(len(window), at + _WINDOW)
        residual = window[lo:hi] - self.period_s * np.arange(hi - lo)
        shift = float(np.median(residual[at - lo :]) - np.median(residual[: at - lo]))
        return abs(shift) >= 0.75 * limit

    def rate(self, nominal: float | None) -> float:
        """Hz: what the stamps say; `nominal`, or a whole number, where the stamps cannot tell it apart."""
        # The first and the last stamp may stand for any part of a packet: only a change is a time.
        (first, begin), (last, end) = self._first, self._last
        if self.is_clean:
            first, begin, last, end = 0, self.first_s, self._rows - 1, self.last_s
        inside = [jump for jump in self.jumps if first < jump.row <= last]
        steps = last - first - len(inside)
        span = end - begin - sum(jump.step_s for jump in inside)
        if steps < 1 or not span > 0:
            return 0.0
        slack = self.resolution_s * (1.001 + 2 * len(self.jumps)) + 4e-16 * abs(self.last_s)
        if not self.is_clean:
            slack += 2 * self.stray_s
        fitted = steps / span
        for hz in (nominal, float(round(fitted)), round(2 * fitted) / 2, round(10 * fitted) / 10):
            if hz and abs(steps / hz - span) <= slack:
                return hz
        return fitted


def _without_pairs(
    found: NDArray[np.int64], excess: NDArray[np.float64], limit: float
) -> NDArray[np.int64]:
    """Without a stamp that is late or early alone: two jumps that follow and cancel each other."""
    kept: list[int] = []
    for i in found.tolist():
        if kept and kept[-1] == i - 1 and abs(excess[i - 1] + excess[i - 2]) < limit:
            kept.pop()
        else:
            kept.append(i)
    return np.array(kept, np.int64)


def fill(times: NDArray[np.float64], axis: TimeAxis) -> None:
    """Give rows without a time one, in place: evenly between those around them."""
    lacking = np.isnan(times)
    if not lacking.any():
        return
    rows = np.arange(len(times))
    known = rows[~lacking]
    if not len(known):
        times[:] = axis.last_s + axis.period_s * (rows + 1)
        return
    filled = np.interp(rows, known, times[known])
    filled += axis.period_s * (np.minimum(rows - known[0], 0) + np.maximum(rows - known[-1], 0))
    times[lacking] = filled[lacking]
