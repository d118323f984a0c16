"""Where samples stopped for a while, by the time stamp that each of them has: how many are missing.

A stamp can be late (it was set when a program got round to it) and hardly early. So a sample is late by as
much as its stamp lies beyond the line that the earliest stamps of the last seconds make, one period of the
nominal rate per sample; the slope of that line is the error of the rate. Samples are missing where the
stamps jump ahead of the line and stay there. Stamps that only waited come back to it: what comes after a
jump is therefore held back for a moment, until that shows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SLICE_S = 0.5  # of stamps: its earliest is one point of the line
_SLICES = 20  # the last ten seconds
_LEAST_SLICES = 5  # below them a slope would be jitter
_STEEPEST = 0.02  # of a line: no rate is further off
_JUDGED_S = 0.1  # of stamps after a jump, at least, before it is judged
_LONGEST_S = 2.0  # and at most
_EARLY_S = 0.05  # so much before the line, and more than is tolerated behind it: the line was wrong
_QUANTILE = 0.9  # of the slices' latest stamps: one stall of the sender is no jitter


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Samples in a row, and how many are missing before them."""

    missing: int
    rows: NDArray[np.generic]
    """(n_samples, n_channels)."""
    first_s: float
    """Stamp of the first one, without its jitter."""
    last_s: float
    """And of the last."""


class SampleTimes:
    """Takes rows of samples with their stamps and gives them back placed."""

    def __init__(self, sampling_hz: float) -> None:
        self._period_s = 1.0 / sampling_hz
        self._start_s: float | None = None  # of the line without slope
        self._n = 0  # samples placed, and missing, since then
        self._points: deque[tuple[float, float, float]] = deque(maxlen=_SLICES)
        """(stamp, earliest, latest) of a slice, by the line without slope, in seconds."""
        self._stamps: NDArray[np.float64] = np.empty(0)
        self._rows: list[NDArray[np.generic]] = []  # of them, held back since a jump
        self._looked_s = 0.0  # stamps held back, when last looked at
        self._excess_s = 0.0  # and how late all of them were

    @property
    def held(self) -> int:
        """Samples held back."""
        return len(self._stamps)

    def place(self, stamps_s: NDArray[np.float64], rows: NDArray[np.generic]) -> list[Placed]:
        """(n,) stamps and (n, n_channels) rows, n >= 1; what is known by now, in order."""
        if self._start_s is None:
            self._start_s = float(stamps_s[0])
        placed = []
        if not self.held:
            late_s = self._late_s(stamps_s)
            jumps = np.flatnonzero(late_s > self._tolerated_s())
            upto = int(jumps[0]) if len(jumps) else len(stamps_s)
            if upto:
                placed.append(self._placed(stamps_s[:upto], rows[:upto]))
                stamps_s, rows = stamps_s[upto:], rows[upto:]
            if not len(stamps_s):
                return placed
            self._looked_s = 0.0
        self._stamps = np.concatenate([self._stamps, stamps_s])
        self._rows.append(rows)
        return placed + self._judged(at_end=False)

    def ended(self) -> list[Placed]:
        """No more will come: what is held back."""
        return self._judged(at_end=True) if self.held else []

    def _judged(self, at_end: bool) -> list[Placed]:
        """What is held back, once it is known how many are missing before it."""
        lasting_s = float(self._stamps[-1] - self._stamps[0])
        excess_s = float(self._late_s(self._stamps).min())
        if not at_end and lasting_s < _LONGEST_S and excess_s > self._tolerated_s():
            due_s = max(_JUDGED_S, self._jitter_s())
            # One piece alone was late as a whole, or it was not: the next one shows it.
            if len(self._rows) < 2 or lasting_s < self._looked_s + due_s:
                return []
            returns = self._looked_s > 0 and excess_s < self._excess_s - self._period_s
            if returns or (self._looked_s == 0 and self._is_returning()):
                self._looked_s, self._excess_s = lasting_s, excess_s
                return []  # they come faster than the rate: they had waited
        missing = round(excess_s / self._period_s) if excess_s > self._tolerated_s() else 0
        stamps_s, rows = self._stamps, np.concatenate(self._rows)
        self._stamps, self._rows = np.empty(0), []
        self._n += missing
        return [self._placed(stamps_s, rows, missing)]

    def _is_returning(self) -> bool:
        """Whether the newer half of what is held back is less late than the older one."""
        late_s = self._late_s(self._stamps)
        half = len(late_s) // 2
        return half > 0 and float(late_s[half:].min()) < float(late_s[:half].min()) - self._period_s

    def _placed(
        self, stamps_s: NDArray[np.float64], rows: NDArray[np.generic], missing: int = 0
    ) -> Placed:
        raw_s = self._raw_s(stamps_s)
        self._learn(stamps_s, raw_s)
        n = len(stamps_s)
        ends_s = self._raw_start_s() + np.array([self._n, self._n + n - 1]) * self._period_s
        first_s, last_s = ends_s + self._floor_s(stamps_s[[0, -1]])
        self._n += n
        return Placed(missing, rows, float(first_s), float(last_s))

    def _raw_start_s(self) -> float:
        assert self._start_s is not None
        return self._start_s

    def _raw_s(self, stamps_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """How late the next samples are, by the line without slope."""
        due_s = self._raw_start_s() + (self._n + np.arange(len(stamps_s))) * self._period_s
        return stamps_s - due_s

    def _late_s(self, stamps_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """How late the next samples are."""
        return self._raw_s(stamps_s) - self._floor_s(stamps_s)

    def _floor_s(self, stamps_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The line beside the one without slope."""
        if not self._points:
            return np.zeros(len(stamps_s))
        at, earliest, _ = np.array(self._points).T
        if len(at) < _LEAST_SLICES:
            return np.full(len(stamps_s), earliest.min())
        half = len(at) // 2
        rise, run = earliest[half:] - earliest[:-half], at[half:] - at[:-half]
        slope = float(np.clip(np.median(rise / run), -_STEEPEST, _STEEPEST))
        start = float(np.median(earliest - slope * (at - at[0])))
        floor: NDArray[np.float64] = start + slope * (stamps_s - at[0])
        return floor

    def _jitter_s(self) -> float:
        """How late a stamp mostly is at most."""
        if not self._points:
            return 0.0
        at, _, latest = np.array(self._points).T
        return max(0.0, float(np.quantile(latest - self._floor_s(at), _QUANTILE)))

    def _tolerated_s(self) -> float:
        """How late a stamp may be without anything missing before it."""
        return 0.6 * self._period_s + 1.25 * self._jitter_s()

    def _learn(self, stamps_s: NDArray[np.float64], raw_s: NDArray[np.float64]) -> None:
        early_s = -float((raw_s - self._floor_s(stamps_s)).min())
        if early_s > max(_EARLY_S, self._tolerated_s()):
            self._points.clear()
        at, earliest, latest = float(stamps_s[0]), float(raw_s.min()), float(raw_s.max())
        if self._points and at - self._points[-1][0] < _SLICE_S:
            at, before, after = self._points.pop()
            earliest, latest = min(before, earliest), max(after, latest)
        self._points.append((at, earliest, latest))
