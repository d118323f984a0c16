"""How fast samples really arrive, lost ones counted in, beside the rate that the device declares. Sans-I/O.

Two estimates have to agree before a device is doubted. The line along the earliest arrivals is exact, and
a pause bends it; the median of slopes over two seconds stands a pause, and is coarse. A stream that ends
before they can be made is judged once, by what no waiting explains.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from edge.live.clock import lower_hull

LEAST_S = 4.0
TOLERANCE = 0.01  # a device's crystal is off by 0.0001, and its ADC's oscillator by less than this
_SLICE_NS = 250_000_000  # one point each: a burst at connection is one point
_POINTS = 240  # of the last minute
_LAG = 8  # points in two seconds
_SHORT_S = 1.5  # of a stream that is judged at its end
_SHORT_LAG = 4  # points in a second
_WAITED_S = 1.0  # of samples may have waited in the device, the link or the port before it began
_PAUSE_NS = (
    2_500_000_000  # the link, the device or the host was away: what came before says nothing
)


class ArrivalRate:
    """Feed it each packet's end and arrival; ask it for the rate, and whether a declared one is wrong."""

    def __init__(self, declared_hz: float) -> None:
        self.declared_hz = declared_hz
        self._points: deque[tuple[float, float]] = deque(maxlen=_POINTS)
        """(sample index just after the packet, arrival in s), the earliest of each slice."""
        self._slice = -1
        self._last: tuple[int, int] | None = None
        self._doubts = 0
        self._is_whole = True  # no pause and no new start
        self._was_doubted = False

    def observe(self, end_sample: int, arrival_ns: int) -> bool:
        """Take the index just after a packet, and its arrival; whether now, for the first time, the
        declared rate is wrong by more than TOLERANCE and more than the jitter explains."""
        if self._last is not None and (
            end_sample < self._last[0] or arrival_ns - self._last[1] > _PAUSE_NS
        ):
            self._points.clear()
            self._slice = -1
            self._doubts = 0
            self._is_whole = False
        self._last = (end_sample, arrival_ns)
        point = (float(end_sample), arrival_ns * 1e-9)
        this_slice = arrival_ns // _SLICE_NS
        if this_slice != self._slice:
            is_due = self._slice >= 0 and this_slice % 2 == 0
            self._slice = this_slice
            self._points.append(point)
            return is_due and self._is_doubted()
        if self._lead(point) >= self._lead(self._points[-1]):
            self._points[-1] = point
        return False

    @property
    def hz(self) -> float | None:
        """Samples a second, as they arrive; None before LEAST_S."""
        estimates = self._estimates()
        if estimates is None:
            return None
        line_hz, median_hz, _ = estimates
        return line_hz if abs(line_hz / median_hz - 1) < TOLERANCE else median_hz

    def at_end(self) -> float | None:
        """Of a stream that has ended: the rate, where it is plainly not the declared one, and `observe` had
        too little to say so. Each second must show it, by more than _WAITED_S of samples that came late."""
        if not self._is_whole or self._was_doubted or len(self._points) <= _SHORT_LAG:
            return None
        ends, arrivals = np.array(self._points).T
        span_s = arrivals[-1] - arrivals[0]
        slopes = _slopes(ends, arrivals, _SHORT_LAG)
        off, waited = slopes / self.declared_hz - 1, _WAITED_S / span_s
        if span_s < _SHORT_S or not (off.min() > waited or off.max() < -waited):
            return None
        return float(np.median(slopes))

    def _lead(self, point: tuple[float, float]) -> float:
        """How early a packet is, in samples."""
        return point[0] - point[1] * self.declared_hz

    def _is_doubted(self) -> bool:
        """Twice in a row: half a second apart."""
        estimates = self._estimates()
        if estimates is None:
            return False
        line_hz, median_hz, jitter = estimates
        off = [line_hz / self.declared_hz - 1, median_hz / self.declared_hz - 1]
        wrong = min(off) > TOLERANCE + jitter or max(off) < -TOLERANCE - jitter
        self._doubts = self._doubts + 1 if wrong else 0
        self._was_doubted |= self._doubts == 2
        return self._doubts == 2

    def _estimates(self) -> tuple[float, float, float] | None:
        """By the line, by the median, both in Hz, and what jitter may make of them, as a share."""
        points = list(self._points)
        span_s = points[-1][1] - points[0][1] if points else 0.0
        if span_s < LEAST_S or len(points) <= _LAG:
            return None
        ends, arrivals = np.array(points).T
        slopes = _slopes(ends, arrivals, _LAG)
        hull = lower_hull(points)
        right = next(i for i, at in enumerate(hull) if i and at[0] >= ends.mean())
        (n0, s0), (n1, s1) = hull[right - 1], hull[right]
        if not (s1 > s0 and n1 > n0):
            return None
        late_s = arrivals - (s0 + (ends - n0) * (s1 - s0) / (n1 - n0))
        jitter = float(np.quantile(late_s, 0.75)) / span_s
        return (n1 - n0) / (s1 - s0), float(np.median(slopes)), max(0.0, jitter)


def _slopes(
    ends: NDArray[np.float64], arrivals: NDArray[np.float64], lag: int
) -> NDArray[np.float64]:
    """Samples a second between points that are `lag` apart."""
    slopes: NDArray[np.float64] = (ends[lag:] - ends[:-lag]) / (arrivals[lag:] - arrivals[:-lag])
    return slopes
