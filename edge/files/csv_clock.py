"""Which column of a CSV file tells the time, in which unit, and what it says about the first sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.csv_axis import TimeAxis
from edge.files.csv_cells import CellError, Table
from edge.files.csv_dialect import Dialect
from edge.files.csv_missing import is_missing
from edge.files.csv_times import (
    HIGHEST_HZ,
    LOWEST_HZ,
    SECONDS_PER_UNIT,
    TextTimes,
    epoch_unit,
    is_count_label,
    is_text_time,
    is_time_label,
    resolution,
    time_unit,
    unwrapped,
)

_WRAPPING = (100, 128, 200, 201, 256, 1000, 1024, 4096, 32768, 65536)  # where counters begin anew


@dataclass(slots=True)
class Clock:
    """A column of times as seconds."""

    column: int
    label: str
    axis: TimeAxis
    seconds_per_unit: float = 1.0
    texts: TextTimes | None = None
    wraps_at: int = 0
    """The count at which a counter of samples begins anew; 0 for one that does not."""
    relative: bool = False
    """Times are said from the first one on: they count since 1970, or are dates."""
    started_at: datetime | None = None
    warnings: list[str] = field(default_factory=list)
    _last: float | None = None
    _shift: float = 0.0

    def seconds(self, table: Table) -> NDArray[np.float64]:
        """(n,) seconds of the rows of a chunk, the chunks in order; NaN where a cell is empty."""
        if self.texts is not None:
            cells = table.cells(self.column)
            try:
                return self.texts.seconds(cells)
            except ValueError as error:
                for row in range(len(cells)):
                    try:
                        TextTimes().seconds(cells[row : row + 1])
                    except ValueError as why:
                        raise CellError(int(table.lines[row]), str(why)) from None
                raise CellError(int(table.lines[0]), str(error)) from None
        raw = table.numbers(self.column)
        known = np.isfinite(raw)
        if not known.any():
            return raw
        if self.wraps_at:
            raw[known], self._shift, self._last = self._counted(raw[known])
        else:
            raw[known], self._shift, self._last = unwrapped(raw[known], self._last, self._shift)
        return raw * self.seconds_per_unit

    def _counted(self, raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float | None]:
        before = np.concatenate([[raw[0] if self._last is None else self._last], raw[:-1]])
        shifts = self._shift + np.cumsum(np.where(raw < before, float(self.wraps_at), 0.0))
        return raw + shifts, float(shifts[-1]), float(raw[-1])


def find_clock(
    table: Table, labels: list[str], dialect: Dialect, stated_hz: float | None, path: Path
) -> Clock | None:
    """The clock of a file whose first rows are `table`; None where no column tells the time.

    Raises InputError for a column of times that does not rise.
    """
    units = dialect.units or [""] * len(labels)
    named = [i for i, label in enumerate(labels) if is_time_label(label)]
    named += [
        i for i, unit in enumerate(units) if i not in named and time_unit("", unit) is not None
    ]
    named.sort(key=lambda i: time_unit(labels[i], units[i]) is None)
    clocks: list[Clock] = []
    still: list[str] = []
    damaged: CellError | None = None
    for column in named:
        try:
            clock = _clock(table, column, labels[column], units[column], stated_hz)
        except CellError as error:
            damaged = damaged or error
            continue  # damaged, or of another kind under such a name
        except ValueError:
            continue
        if clock is not None:
            clocks.append(clock)
        elif len(table) > 1:
            still.append(labels[column])
    clean = next((clock for clock in clocks if clock.axis.is_clean), None)
    if clean is None and stated_hz:
        counts = [i for i, label in enumerate(labels) if is_count_label(label)]
        for column in [*(c.column for c in clocks), *named, *counts]:
            counter = _counter(table, column, labels[column], stated_hz)
            if counter is not None:
                counter.started_at = next((c.started_at for c in clocks if c.started_at), None)
                return counter
    if not clocks and still:
        raise InputError(
            f"{path}: its column {still[0]!r} does not rise in a unit of time: it has no sampling rate; "
            "give --rate, or name its unit, as in time_ms"
        )
    if not clocks and damaged is not None and stated_hz is None:
        raise damaged
    return clean or next(iter(clocks), None)


def rising_clock(table: Table, stated_hz: float | None) -> Clock | None:
    """The first column of a file without a header, if it rises evenly: it is the time, or a count."""
    if len(table) < 3 or table.cells(0).size == 0:
        return None
    try:
        clock = _clock(table, 0, "", "", stated_hz)
        if clock is None or not clock.axis.is_clean:
            clock = _counter(table, 0, "", stated_hz) if stated_hz else None
        return clock if clock is not None and clock.axis.is_clean else None
    except (CellError, ValueError):
        return None


def _clock(
    table: Table, column: int, label: str, units_row: str, stated_hz: float | None
) -> Clock | None:
    cells = table.cells(column)
    step = resolution(cells)
    begin = (cell.decode("utf-8", "replace").strip(" '\"") for cell in cells[:256].tolist())
    filled = [text for text in begin if not is_missing(text)]
    if filled and is_text_time(filled[0]):
        texts = TextTimes()
        step = resolution(np.array([text.rpartition(":")[2].encode() for text in filled]))
        times = texts.seconds(cells)
        axis = _axis(times, step)
        if axis is None:
            return None
        # The columns are read from the beginning again: this one only looked.
        clock = Clock(column, label, axis, texts=TextTimes(), relative=True)
        clock.started_at = texts.started_at
        if texts.ambiguous_date:
            clock.warnings.append(
                f"{texts.ambiguous_date!r} may be day or month first: the start is not known"
            )
        return clock
    raw = table.numbers(column)
    axis = _axis(raw, step)
    if axis is None:
        return None
    first = float(raw[np.isfinite(raw)][0])
    epoch = epoch_unit(first)
    unit, warning = time_unit(label, units_row) or epoch, ""
    if unit is None:
        unit, warning = _unit_by_step(axis, label, stated_hz)
        if unit is None:
            return None
    scale = SECONDS_PER_UNIT[unit]
    axis.period_s *= scale
    axis.stray_s *= scale
    axis.resolution_s *= scale
    clock = Clock(column, label, axis, scale, relative=epoch == unit)
    if warning:
        clock.warnings.append(warning)
    if epoch == unit:
        clock.started_at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(
            seconds=first * scale
        )
    return clock


def _axis(times: NDArray[np.float64], step: float) -> TimeAxis | None:
    known = times[np.isfinite(times)]
    return TimeAxis.of(known, step) if len(known) > 1 else None


def _unit_by_step(axis: TimeAxis, label: str, stated_hz: float | None) -> tuple[str | None, str]:
    """(unit, what was assumed) of a column that names none, by the rate that each unit would mean."""
    per_unit = {unit: 1 / (axis.period_s * scale) for unit, scale in SECONDS_PER_UNIT.items()}
    if stated_hz:
        for unit, hz in per_unit.items():
            if abs(hz - stated_hz) <= 0.2 * stated_hz:
                return unit, ""
    if abs(axis.period_s - 1) < 1e-6:
        return None, ""  # 1, 2, 3 is a count as well as milliseconds
    for unit in ("s", "ms", "us", "ns"):
        if LOWEST_HZ <= per_unit[unit] <= HIGHEST_HZ:
            assumed = (
                f"its column {label!r} names no unit: steps of {axis.period_s:g} are taken for {unit} "
                f"({per_unit[unit]:g} Hz); name it time_{unit} if so"
            )
            return unit, "" if unit == "s" else assumed
    return None, ""


def _counter(table: Table, column: int, label: str, hz: float) -> Clock | None:
    """A column that counts samples, if this one does."""
    try:
        raw = table.numbers(column)
    except CellError:
        return None
    known = raw[np.isfinite(raw)]
    steps = np.diff(known)
    if len(known) < 3 or np.median(steps) != 1 or (np.mod(known, 1) != 0).any():
        return None
    wraps_at = int(known.max()) + 1 if (steps < 0).any() else 0
    if wraps_at and wraps_at not in _WRAPPING:
        return None
    return Clock(column, label, TimeAxis(1 / hz, 0.0, 0.0), 1 / hz, wraps_at=wraps_at)
