"""Where the lines of a sketch stopped for a while: how many are missing, by arrival or their own clock."""

from __future__ import annotations

from firmware_bridge.devices.csv_columns import Columns
from firmware_bridge.devices.csv_fields import Row

PAUSE_NS = 1_200_000_000  # a sketch that sends once a second does not pause
SETTLE_NS = (
    250_000_000  # what waited on the way has come by then, or still comes faster than the rate
)
LEAST_S = 0.5  # less may be the jitter of the link
CLOCK_STEPS = 5  # a jump of fewer steps may be the jitter of the sketch's loop
CLOCK_AHEAD_S = (
    1.0  # a clock that jumps further than the lines took to arrive was damaged on the way
)
MAX_WAITING = 5_000  # lines
Line = tuple[Row, Columns]
"""With the columns that it was said to have, whatever comes after it."""


class Pauses:
    """Gives each line back with the number of lines missing before it; after a pause, a moment later.

    A pause of the link delivers afterwards what waited, and then nothing is missing; one of the sketch does
    not. Which it was shows once lines come at their rate again.
    """

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._before_ns = 0  # when the last line before the pause arrived
        self._waiting: list[tuple[Line, int | None]] = []
        self._checked: tuple[int, float] | None = None  # arrival, lines missing by then

    def __len__(self) -> int:
        """Lines that wait."""
        return len(self._waiting)

    def take(self, line: Line, at_ns: int | None, hz: float) -> list[tuple[int, Line, int | None]]:
        """The next line and its arrival; what is known by now: lines missing, line, arrival of each."""
        last_ns, self._last_ns = self._last_ns, at_ns
        if at_ns is None or last_ns is None:
            return [(0, line, at_ns)]
        if not self._waiting:
            if at_ns - last_ns <= PAUSE_NS:
                return [(0, line, at_ns)]
            self._before_ns = last_ns
        elif at_ns != last_ns and (ready := self._judged(last_ns, hz)):
            return [*ready, (0, line, at_ns)]  # all that came with the line before was counted
        self._waiting.append((line, at_ns))
        return []

    def ended(self, hz: float) -> list[tuple[int, Line, int | None]]:
        """No more lines will come: those that wait."""
        if not self._waiting or self._last_ns is None:
            return []
        return self._released(self._missing(self._last_ns, hz), hz)

    def _missing(self, at_ns: int, hz: float) -> float:
        return (at_ns - self._before_ns) * 1e-9 * hz - len(self._waiting)

    def _judged(self, at_ns: int, hz: float) -> list[tuple[int, Line, int | None]]:
        missing = self._missing(at_ns, hz)
        since_ns, then = self._checked or (at_ns, missing)
        self._checked = (since_ns, then)
        if len(self._waiting) < MAX_WAITING:
            if at_ns - since_ns < SETTLE_NS:
                return []
            if missing < then - 0.05 * hz:  # they come faster than the rate: they had waited
                self._checked = (at_ns, missing)
                return []
        return self._released(missing, hz)

    def _released(self, missing: float, hz: float) -> list[tuple[int, Line, int | None]]:
        waiting, self._waiting, self._checked = self._waiting, [], None
        lost = round(missing) if missing >= LEAST_S * hz else 0
        return [(0 if i else lost, line, at_ns) for i, (line, at_ns) in enumerate(waiting)]


class ClockJumps:
    """How many lines are missing before one, by the column that counts time or samples."""

    def __init__(self) -> None:
        self._time: float | None = None
        self._at_ns: int | None = None

    def missing(
        self, time: float | None, at_ns: int | None, step: float | None, hz: float, is_index: bool
    ) -> int | None:
        """By the step of a line, in the column's unit; None where the column does not say."""
        last, self._time = self._time, time
        last_ns, self._at_ns = self._at_ns, at_ns
        if time is None or last is None or step is None or not time > last:
            return None
        steps = (time - last) / step
        if steps < (1.5 if is_index else CLOCK_STEPS):
            return 0
        arrival_s = 0.0 if at_ns is None or last_ns is None else (at_ns - last_ns) * 1e-9
        if not steps / hz <= arrival_s + CLOCK_AHEAD_S:
            return None
        return round(steps) - 1
