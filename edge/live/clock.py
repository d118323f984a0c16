"""Device ticks to host time: a line along the lower envelope of arrivals over a sliding window.

A packet can be late but never early, so the earliest arrivals show the true relation between the two
clocks. The line lies below every (tick, arrival) of the window and touches one. Its slope is that of their
lower convex hull over the middle of the window, from end to end of that middle and not at one point of it:
where connection events hide the slope for a while, the hull bends, and either side of the bend is wrong.

Drift has the sign of the device's clock: positive where it runs fast, more than a second of ticks in one of
the host's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

import numpy as np

# Long enough for BLE's connection events to slip past the packets, which shows the least delay where the
# two keep step (40 ms packets at 30 ms events, 100 ppm: every 100 s); short enough to follow temperature.
WINDOW_S = 300.0
_SLICE_US = 500_000  # one envelope point per slice bounds the memory: 600 points in a window
_LEAST_SPAN_US = 5_000_000  # below this a slope would be jitter; 200 ppm over it is 1 ms
_MIDDLE = (
    0.3,
    0.7,
)  # of the window; p99 below 2 ms at 20 ms events, where one point of it has 3 ms
_EARLY_NS = (
    100_000_000  # earlier than the line by this: the clocks jumped (host suspended), start anew
)
_LATE_NS = 1e9  # all packets this much late for as long as below: the device's clock stood still
_SLEPT_NS = 5e9  # meanwhile, as a device's does that sleeps
_RESIDUALS = 1024  # recent delays kept for the jitter figure


@dataclass(frozen=True, slots=True)
class ClockFit:
    """The line that holds now."""

    tick_us: float
    """Where the line is anchored."""
    host_ns: float
    """`time.monotonic_ns()` at the anchor, least transport delay included."""
    drift: float
    """Device seconds per host second, minus one: 1e-4 is a device clock that runs fast by 100 ppm."""

    def host_ns_at(self, tick_us: float) -> float:
        """Host time of a device tick."""
        return self.host_ns + (tick_us - self.tick_us) * 1000.0 / (1.0 + self.drift)

    def late_ns(self, tick_us: float, arrival_ns: float) -> float:
        """How much later than the line a packet arrived."""
        return arrival_ns - self.host_ns_at(tick_us)


class DeviceClock:
    """Feed it each packet's last tick and arrival; ask it when the device took any sample."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_us = window_s * 1e6
        self._residuals: deque[float] = deque(maxlen=_RESIDUALS)
        self.jumps = 0
        """Times the relation broke and the fit began anew."""
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a restart of the device."""
        self._points: list[tuple[float, float]] = []  # (tick_us, arrival_ns), lowest of each slice
        self._slice = 0
        self._fit: ClockFit | None = None
        self._late_since_ns: int | None = None
        self._residuals.clear()

    @property
    def fit(self) -> ClockFit | None:
        """The line; None before the first packet."""
        return self._fit

    @property
    def drift_ppm(self) -> float:
        """How much the device's clock runs fast against the host's, in parts per million; 0 until fitted."""
        return 0.0 if self._fit is None else self._fit.drift * 1e6

    @property
    def jitter_s(self) -> float:
        """The delay beyond the least one that 95 % of recent packets stay within, in seconds."""
        if not self._residuals:
            return 0.0
        return float(np.percentile(np.fromiter(self._residuals, np.float64), 95)) * 1e-9

    def host_ns(self, tick_us: float) -> int:
        """Host time (`time.monotonic_ns()`) of a device tick, least delay included; 0 before a packet."""
        return 0 if self._fit is None else round(self._fit.host_ns_at(tick_us))

    def observe(self, tick_us: float, arrival_ns: int) -> None:
        """Learn from one packet: the tick of its last sample and `time.monotonic_ns()` of its last byte."""
        if self._fit is None:
            self._begin(tick_us, arrival_ns)
            return
        residual = self._fit.late_ns(tick_us, arrival_ns)
        if residual < _LATE_NS:
            self._late_since_ns = None
        elif self._late_since_ns is None:
            self._late_since_ns = arrival_ns
        # By arrivals: a backlog, late as it is, comes all at once.
        slept = self._late_since_ns is not None and arrival_ns - self._late_since_ns > _SLEPT_NS
        if residual < -_EARLY_NS or tick_us < self._points[-1][0] or slept:
            self.jumps += 1
            self.reset()
            self._begin(tick_us, arrival_ns)
            return
        self._residuals.append(max(0.0, residual))
        this_slice = int(tick_us // _SLICE_US)
        if this_slice != self._slice:
            self._slice = this_slice
            oldest = tick_us - self._window_us
            del self._points[: bisect_right(self._points, (oldest, float("inf")))]
            self._points.append((tick_us, float(arrival_ns)))
            self._refit()
        elif residual < self._fit.late_ns(*self._points[-1]):
            self._points[-1] = (tick_us, float(arrival_ns))
            if residual < 0:
                self._refit()

    def _begin(self, tick_us: float, arrival_ns: int) -> None:
        self._points = [(tick_us, float(arrival_ns))]
        self._slice = int(tick_us // _SLICE_US)
        self._fit = ClockFit(tick_us, float(arrival_ns), 0.0)
        self._residuals.append(0.0)

    def _refit(self) -> None:
        first, last = self._points[0], self._points[-1]
        if last[0] - first[0] < _LEAST_SPAN_US:  # keep the slope, take the offset anew
            slope = 1000.0 / (1.0 + self.drift_ppm * 1e-6)
            below = self._points
        else:
            below = lower_hull(self._points)
            ticks, hosts = np.array(below).T
            ends = first[0] + np.array(_MIDDLE) * (last[0] - first[0])
            low, high = np.interp(ends, ticks, hosts - hosts[0])
            slope = float((high - low) / (ends[1] - ends[0]))
        tick, host = min(
            below, key=lambda point: point[1] - first[1] - (point[0] - first[0]) * slope
        )
        self._fit = ClockFit(tick, host, 1000.0 / slope - 1.0)


def lower_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Lower convex hull of points sorted by their first coordinate (Andrew's monotone chain)."""
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while len(hull) > 1:
            (x0, y0), (x1, y1) = hull[-2], hull[-1]
            if (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0):
                break
            hull.pop()
        hull.append((x, y))
    return hull
