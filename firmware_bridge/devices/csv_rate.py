"""How fast a sketch prints that does not say so: from its own time column, or from when its lines arrive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from firmware_bridge.devices.csv_columns import Columns
from firmware_bridge.devices.csv_fields import is_no_sample
from firmware_bridge.devices.csv_held import MAX_HELD, HeldLine
from firmware_bridge.events import RateSource

ASSUMED_HZ = 250.0
HEADER_S = 1.25  # a sketch that repeats its header mostly does so every second
JUDGED_EVERY = 10  # lines: how often a column of time is looked at
RATE_S = 2.0  # of lines that the rate is estimated from: 1 % of it is the jitter of a USB port
LONGER_S = 4.0  # of lines where the estimate is no round number: then its digits matter
SETTLE_S = 0.1  # what comes right after the opening may have waited
LEAST_LINES = 10
ROUND_WITHIN = 0.01
CLOCK_WITHIN = 0.001  # a clock in milliseconds is 0.05 % uncertain after two seconds
# What sketches and converters are set to. No two are within 2 % of each other.
ROUND_HZ = (
    *(10, 20, 25, 30, 32, 40, 50, 60, 64, 75, 80, 100, 120, 125, 128, 150, 160, 180, 200, 240, 250),
    *(256, 300, 320, 333, 350, 360, 400, 450, 480, 500, 512, 600, 640, 720, 750, 800, 860, 900),
    *(1000, 1024, 1200, 1250, 1500, 1600, 2000, 2048, 2500, 3200, 4000, 4096),
)
_SLOWEST_HZ, _FASTEST_HZ = 20.0, 5000.0  # of what an ECG is sampled at: tells a clock's unit
_UNITS_S = (1e-3, 1e-6, 1.0)  # most sketches print millis()


def round_rate(hz: float, within: float = ROUND_WITHIN) -> float | None:
    """The round number that `hz` is within that share of, if any."""
    nearest = min(ROUND_HZ, key=lambda candidate: abs(candidate - hz))
    return float(nearest) if abs(nearest - hz) <= within * nearest else None


def clock_rate(times: Sequence[float], unit_s: float | None) -> tuple[float, float, float] | None:
    """(lines per second, seconds of lines, step of a line in the column's unit) by a column that counts
    time; None where it does not.

    Without `unit_s` the unit is the one of ms, us and s in which the step is that of an ECG. A step of one
    may be an index, and then says nothing.
    """
    steps = np.diff(np.asarray(times, np.float64))
    forward = steps[steps > 0]
    if len(steps) < LEAST_LINES or len(forward) < 0.9 * len(steps):
        return None
    step = float(np.median(forward))
    if unit_s is None:
        if step == 1.0:
            return None
        fits = [u for u in _UNITS_S if _SLOWEST_HZ <= 1 / (step * u) <= _FASTEST_HZ]
        if not fits:
            return None
        unit_s = fits[0]
    # A step of two is a line that was lost; a jump of many is a pause, and counts for nothing.
    forward = forward[forward < 10 * step]
    n_lines = float(np.rint(forward / step).sum())
    seconds = float(forward.sum()) * unit_s
    hz = n_lines / seconds
    return (
        round_rate(hz, CLOCK_WITHIN) or float(f"{hz:.6g}"),
        seconds,
        float(forward.sum()) / n_lines,
    )


class Arrivals:
    """Counts lines by when they arrive."""

    def __init__(self) -> None:
        self._points: list[tuple[int, int]] = []  # ns, lines that have arrived by then
        self.now_ns: int | None = None
        """When the newest bytes arrived."""
        self._n_lines = 0

    def line(self) -> None:
        """A line was completed by what has just arrived."""
        self._n_lines += 1

    def arrived(self, now_ns: int) -> None:
        """The bytes that follow arrived at this time."""
        before = self._points[-1][1] if self._points else 0
        if self.now_ns is not None and now_ns != self.now_ns and self._n_lines > before:
            self._points.append((self.now_ns, self._n_lines))
        self.now_ns = now_ns

    @property
    def seconds(self) -> float:
        """From the first line to the newest bytes; 0 before."""
        if not self._points or self.now_ns is None:
            return 0.0
        return (self.now_ns - self._points[0][0]) * 1e-9

    def rate(self) -> float | None:
        """Lines per second; None where there is too little."""
        if not self._points:
            return None
        at, lines = (np.array(column, np.float64) for column in zip(*self._points, strict=True))
        at = (at - at[0]) * 1e-9
        settled = at >= SETTLE_S
        at, lines = at[settled], lines[settled]
        if len(at) < 3 or lines[-1] - lines[0] < LEAST_LINES:
            return None
        return float(np.polyfit(at, lines, 1)[0])


class RateEstimate:
    """The rate that was declared, or the one that the column of time or the arrivals show."""

    def __init__(self, declared_hz: float | None) -> None:
        self.hz = ASSUMED_HZ if declared_hz is None else declared_hz
        self.source = RateSource.ASSUMED if declared_hz is None else RateSource.DECLARED
        self.arrivals = Arrivals()
        self._notices: list[str] = []
        self._columns: Columns | None = None  # whose column of time this is
        self._times: list[float] | None = []  # None once nothing more is to be learnt of them
        self._clock_hz: float | None = None
        self.clock_step: float | None = None
        """By how much the column of time goes up from line to line; None until it is known."""

    def time(self, columns: Columns, time: float | None) -> None:
        """Take what a line says in its column of time."""
        if columns != self._columns:
            self._columns, self._times, self._clock_hz = columns, [], None
            self.clock_step = 1.0 if columns.clock_is_index else None
        if self._times is None:
            return
        if time is None or columns.clock_is_index or len(self._times) >= MAX_HELD:
            self._times = None
            return
        self._times.append(time)
        if len(self._times) % JUDGED_EVERY:
            return
        found = clock_rate(self._times, columns.clock_s)
        if found is None:
            self._times = None if len(self._times) > 5 * JUDGED_EVERY else self._times
        elif found[1] >= RATE_S:
            self._times, self._clock_hz, self.clock_step = None, found[0], found[2]
            self._compare(found[0])

    def learn_again(self, columns: Columns, lines: Iterable[HeldLine]) -> None:
        """These lines, and no others, are all of known columns so far."""
        now_ns, self.arrivals = self.arrivals.now_ns, Arrivals()
        for line in lines:
            if line.at_ns is not None:
                self.arrivals.arrived(line.at_ns)
            self.arrivals.line()
            if columns.clock is not None and not is_no_sample(line.row):
                self.time(columns, columns.time(line.row))
        if now_ns is not None:
            self.arrivals.arrived(now_ns)

    def _compare(self, clock_hz: float) -> None:
        if self.source is RateSource.DECLARED and abs(clock_hz / self.hz - 1) > ROUND_WITHIN:
            self._notices.append(
                f"rate={self.hz:g} was said, and the column of time says {clock_hz:g} Hz: correct rate=, "
                "or leave it out"
            )

    def is_known(self, has_header: bool, n_held: int, at_end: bool) -> bool:
        """Whether the lines held back need not be held any longer."""
        at_end = at_end or n_held >= MAX_HELD
        seconds = self.arrivals.seconds
        if self.source is RateSource.DECLARED:
            return at_end or has_header or seconds >= HEADER_S
        if self._clock_hz is not None:
            self.hz, self.source = self._clock_hz, RateSource.TIME_COLUMN
            self._notices.append(
                f"no rate= was given: {self.hz:g} Hz by the column of time of the lines"
            )
            return True
        may_tell = self._columns is not None and self._times is not None
        if may_tell and seconds < LONGER_S and not at_end:
            return False
        hz = self.arrivals.rate() if at_end or seconds >= RATE_S else None
        if hz is not None and hz > 0:
            return self._by_arrivals(hz, seconds, at_end)
        if at_end:
            self._notices.append(
                f"no rate= was given, and the lines were too few to tell: taken for {self.hz:g} Hz"
            )
        return at_end

    def _by_arrivals(self, hz: float, seconds: float, at_end: bool) -> bool:
        rounded = round_rate(hz)
        if rounded is None and seconds < LONGER_S and not at_end:
            return False
        self.hz, self.source = rounded or float(f"{hz:.4g}"), RateSource.ARRIVALS
        self._notices.append(
            f"no rate= was given: about {hz:.4g} lines a second arrive, taken for {self.hz:g} Hz; "
            f"say what the device samples at: rate={self.hz:g}"
        )
        return True

    def notices(self) -> list[str]:
        """What the user should know, each handed out once."""
        said, self._notices = self._notices, []
        return said
