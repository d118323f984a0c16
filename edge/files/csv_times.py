"""What a column of times says: seconds, counts, clock times or dates, by its name and its cells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np
from numpy.typing import NDArray

from edge.files.csv_missing import is_missing

SECONDS_PER_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}
LOWEST_HZ, HIGHEST_HZ = 20.0, 20_000.0
"""Rates at which an ECG is recorded: outside them a unit of time is another."""

_UNIT_WORDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sek", "sekunden"), "s"),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "usec", "µs", "μs", "micros", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nsec", "nanos", "nanosecond", "nanoseconds"), "ns"),
    **dict.fromkeys(("min", "minute", "minutes"), "min"),
}
_TIME_WORDS = frozenset(
    [
        "time",
        "t",
        "timestamp",
        "timestamps",
        "stamp",
        "elapsed",
        "zeit",
        "temps",
        "tiempo",
        "tempo",
        "datetime",
        "clock",
        "timestep",
        "unixtime",
        "utc",
        "epoch",
        "zeitstempel",
    ]
)
_COUNT_WORDS = frozenset(
    [
        "sample",
        "samples",
        "index",
        "idx",
        "n",
        "nr",
        "no",
        "#",
        "interval",
        "number",
        "count",
        "counter",
    ]
)
_TEXT_TIME = re.compile(
    r"\[?(?:(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})[T ]+)?(\d{1,3}):(\d{1,2})(?::(\d{1,2}))?([.,]\d*)?"
    r"\s*([aApP][mM])?"
    r"(?:\s*(Z|UTC|[+-]\d{2}:?\d{2}))?(?:\s+(\d{1,2})[/.](\d{1,2})[/.](\d{4}))?\]?"
)
_EPOCH_UNITS = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9))
_DAY_S = 86400.0
_WRAPS = (1 << 32, 1 << 16)  # counters of microseconds and milliseconds on microcontrollers


def words_of(label: str) -> list[str]:
    """Words of a column's name in lower case: `Time [ms]` and `t_ms` have a unit behind a name."""
    return [word for word in re.split(r"[^\w#µμ]+|_", label.strip().lower()) if word]


def is_time_label(label: str) -> bool:
    """Whether a column's name says that it holds times."""
    words = words_of(label)
    units = [word for word in words if word in _UNIT_WORDS]
    return any(word in _TIME_WORDS for word in words) or (bool(words) and len(units) == len(words))


def is_count_label(label: str) -> bool:
    """Whether a column's name says that it counts samples; a column without a name does (pandas)."""
    words = words_of(label)
    return all(word in _COUNT_WORDS for word in words) and words != ["n", "n"]


def is_text_time(cell: str) -> bool:
    """Whether a cell is a clock time or a date with a time."""
    return ":" in cell and _TEXT_TIME.fullmatch(cell.strip("'\" ")) is not None


def time_unit(label: str, units_row: str) -> str | None:
    """The unit of a column of times by the row of units or by its name, or None."""
    for words in (words_of(units_row), words_of(label)):
        for word in reversed(words):
            if word in _UNIT_WORDS:
                return _UNIT_WORDS[word]
    return None


def epoch_unit(first: float) -> str | None:
    """The unit in which `first` counts since 1970, for a date from 2001 to 2100; or None."""
    for unit, per_second in _EPOCH_UNITS:
        if 1e9 <= abs(first) / per_second < 4.1e9:
            return unit
    return None


@dataclass(slots=True)
class TextTimes:
    """Clock times and dates as seconds since the first day's midnight, on one axis."""

    started_at: datetime | None = None
    """The first time, where it has a date that is not ambiguous."""
    ambiguous_date: str = ""
    _day_zero: int | None = None
    _shift_s: float = 0.0
    _last_s: float | None = None

    def seconds(self, cells: NDArray[np.bytes_]) -> NDArray[np.float64]:
        """(n,) seconds; NaN without a value. Raises ValueError with the text of a cell that is no time."""
        known: dict[bytes, float | None] = {}
        out = np.empty(len(cells))
        for row, cell in enumerate(cells.tolist()):
            head, _, tail = cell.rpartition(b":")
            base = known.get(head, False)
            # The seconds behind the last colon are plain in most files; what stands before repeats.
            if base is False or base is None or not tail.replace(b".", b"", 1).isdigit():
                text = cell.decode("utf-8", "replace")
                value = self._parse(text)
                if tail.replace(b".", b"", 1).isdigit() and len(known) < 4096:
                    known[head] = value - float(tail) if head.count(b":") else None
            else:
                value = base + float(tail)
            value += self._shift_s
            if self._last_s is not None and value < self._last_s - _DAY_S / 2 and not self._dated:
                self._shift_s += _DAY_S  # midnight
                value += _DAY_S
            out[row] = value
            if value == value:
                self._last_s = value
        return out

    @property
    def _dated(self) -> bool:
        return self._day_zero is not None

    def _parse(self, text: str) -> float:
        bare = text.strip(" \t'\"\u00a0")
        if is_missing(bare):
            return float("nan")
        found = _TEXT_TIME.fullmatch(bare)
        if found is None:
            raise ValueError(f"{text!r} is no time")
        a, b, c, h, m, s, fraction, half, zone, d2, m2, y2 = found.groups()
        if s is None and (fraction or (a is None and d2 is None)):  # m:ss.fff
            hours, minutes, seconds = 0, int(h), int(m)
        else:
            hours, minutes, seconds = int(h), int(m), int(s or 0)
        if half:
            hours = hours % 12 + 12 * (half.lower() == "pm")
        value = 3600.0 * hours + 60.0 * minutes + seconds
        value += float((fraction or ".0").replace(",", ".") + "0")
        if a is None and d2 is None:
            return value
        day, sure = _day(a, b, c) if a is not None else _day(d2, m2, y2)
        offset = _zone(zone)
        if self._day_zero is None:
            self._day_zero = day.toordinal()
            if sure:
                self.started_at = day.replace(tzinfo=offset) + timedelta(seconds=value)
            else:
                self.ambiguous_date = bare
        value += (day.toordinal() - self._day_zero) * _DAY_S
        if offset is not None and self.started_at is not None and self.started_at.tzinfo:
            moved = (self.started_at.utcoffset() or timedelta()) - (
                offset.utcoffset(None) or timedelta()
            )
            value += moved.total_seconds()  # the clocks were changed
        return value


def _day(a: str, b: str, c: str) -> tuple[datetime, bool]:
    """(midnight, whether the order of day and month is sure). Raises ValueError for no date."""
    if len(a) == 4:
        return datetime(int(a), int(b), int(c)), True
    year = int(c) + (2000 if len(c) == 2 else 0)
    first, second = int(a), int(b)
    if second > 12:
        return datetime(year, first, second), True
    return datetime(year, second, first), first > 12 or first == second


def _zone(zone: str | None) -> timezone | None:
    if zone is None:
        return None
    if zone in ("Z", "UTC"):
        return timezone.utc
    sign = -1 if zone[0] == "-" else 1
    digits = zone[1:].replace(":", "")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def resolution(cells: NDArray[np.bytes_]) -> float:
    """The smallest step that the cells can write, in their own unit: 0.001 for `12.345`."""
    finest = 1.0
    for cell in cells[:256].tolist():
        mantissa, _, exponent = cell.strip(b" '\"").lower().replace(b",", b".").partition(b"e")
        digits = len(mantissa.partition(b".")[2].rstrip(b"z"))
        power = int(exponent) if exponent.lstrip(b"+-").isdigit() and len(exponent) < 5 else 0
        finest = min(finest, 10.0 ** min(0, max(-12, power - digits)))
    return finest


def unwrapped(
    times: NDArray[np.float64], last: float | None, shift: float
) -> tuple[NDArray[np.float64], float, float | None]:
    """(times, shift, last raw time) of a counter that starts anew at 2**32 or 2**16, on one axis."""
    before = np.concatenate([[times[0] if last is None else last], times[:-1]])
    steps = times - before
    moved = np.zeros(len(times))
    for wrap in _WRAPS:
        back = (np.abs(steps + wrap) < 0.02 * wrap) & (before > 0.98 * wrap) & (before < wrap)
        moved[back] = wrap
    shifts = shift + np.cumsum(moved)
    return times + shifts, float(shifts[-1]), float(times[-1])
