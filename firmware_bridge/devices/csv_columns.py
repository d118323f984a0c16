"""What the columns of a sketch's lines are, by a header or by `leads=`: leads, time, or neither."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from firmware_bridge.devices.csv_fields import Row
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.lead_names import MV_PER_UNIT, lead_of, split_unit, unit_named, unknown_unit
from firmware_bridge.wire.spec import LEADS

_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs", "usec", "micros"), 1e-6),
    **dict.fromkeys(("microsecond", "microseconds"), 1e-6),
}
_TIME_WORDS = {"t", "ts", "time", "timestamp", "stamp", "elapsed", "clock", "uptime"}
_INDEX_WORDS = {"n", "nr", "no", "sample", "samples", "index", "idx", "count", "counter", "number"}
_INDEX_WORDS |= {"seq", "sequence", "id", "line", "row", "frame", "packet", "i"}
_SAY_WHICH = "say which is which: leads=II=NAME,V1=NAME,V5=NAME"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which lead stands in which column."""

    n_columns: int
    leads: tuple[str, ...]
    places: tuple[int, ...]
    """Column of each lead, from 0."""
    scales: tuple[float | None, ...]
    """Millivolts per unit of each lead, as its header says it; None where it says nothing."""
    clock: int | None = None
    """Column that counts time or samples."""
    clock_s: float | None = None
    """Seconds per unit of that column, where its name says so."""
    clock_is_index: bool = False
    """Whether it counts samples."""
    others: tuple[str, ...] = ()
    """Names of the columns that are neither."""
    again: tuple[str, ...] = ()
    """Names that say a lead which another column said before: that one is taken."""

    def time(self, row: Row) -> float | None:
        """What a row says in the column that counts, if there is one."""
        field = None if self.clock is None else row[self.clock]
        return None if field is None else field[0]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `leads=` says: leads in the order of their columns, or which column is which lead."""

    leads: tuple[str, ...]
    sources: tuple[str, ...] = ()
    """Header name, or number from 1, of each lead's column; empty where the order says it."""

    def by_number(self) -> tuple[int, ...] | None:
        """The columns, from 0; None where they are not numbers."""
        numbers = [int(source) - 1 for source in self.sources if source.isdecimal()]
        return tuple(numbers) if numbers and len(numbers) == len(self.sources) else None

    def lead_named(self, name: str) -> str | None:
        """The lead that a column of a header holds."""
        for lead, source in zip(self.leads, self.sources, strict=False):
            if source.lower() in (name.lower(), split_unit(name)[0].lower()):
                return lead
        return lead_of(name)

    def columns(self, n_columns: int) -> Columns | None:
        """What lines of so many columns without a header are; None where that is not said."""
        places = self.by_number()
        if places is None and not self.sources and n_columns == len(self.leads):
            places = tuple(range(n_columns))
        if places is None or max(places) >= n_columns:
            return None
        return Columns(n_columns, self.leads, places, (None,) * len(places))


def wanted(entries: Sequence[str]) -> Wanted:
    """`("II", "V1")`, `("1:II", "3:V1")`, `("CH1:II", ...)` or `("II=CH1", ...)`.

    Raises SourceSpecError for unknown or repeated leads, and for a mixture.
    """
    leads, sources = [], []
    for entry in entries:
        source, mark, name = entry.partition(":")
        if not mark:
            name, mark, source = entry.partition("=")
        lead = lead_of(name)
        if lead is None and mark and lead_of(source) is not None:  # II:CH1
            lead, source = lead_of(source), name
        if lead is None:
            raise SourceSpecError(f"unknown lead {name!r}: use names from {', '.join(LEADS)}")
        leads.append(lead)
        if mark:
            sources.append(source.strip().strip("\"'"))
    if not 1 <= len(leads) <= len(LEADS) or len(set(leads)) != len(leads):
        raise SourceSpecError(f"leads {','.join(leads)}: name 1 to {len(LEADS)} leads, each once")
    if sources and (len(sources) != len(leads) or "" in sources or "0" in sources):
        raise SourceSpecError(
            f"leads={','.join(entries)}: give every lead its column, by number from 1 or by name"
        )
    return Wanted(tuple(leads), tuple(sources))


def read_header(names: Sequence[str], by: Wanted) -> Columns | None:
    """What the columns of these names are; None where no name is a lead. The first one of a lead counts."""
    leads: dict[str, int] = {}
    scales, others, again = [], [], []
    clock: int | None = None
    clock_s: float | None = None
    is_index = False
    for place, name in enumerate(names):
        lead = by.lead_named(name)
        if lead is not None and lead in leads:
            again.append(name)
        elif lead is not None:
            leads[lead] = place
            unit = split_unit(name)[1]
            scales.append(None if unit is None else MV_PER_UNIT[unit])
        elif clock is None and counts_time(name):
            clock, clock_s = place, seconds_per_unit(name)
            is_index = clock_s is None and any(word in _INDEX_WORDS for word in _words(name))
        elif not counts_time(name):
            others.append(name)
    if not leads:
        return None
    return Columns(
        len(names),
        tuple(leads),
        tuple(leads.values()),
        tuple(scales),
        clock,
        clock_s,
        is_index,
        tuple(others),
        tuple(again),
    )


@dataclass(frozen=True, slots=True)
class Header:
    """The names of columns as a line gave them, and what they were understood as."""

    names: tuple[str, ...]
    columns: Columns | None
    is_label: bool = False
    """Whether every line has them, before each value."""

    @property
    def repeats(self) -> bool:
        """Whether a name is there twice: that damage may have made, `I,I,V1` of `I,II,V1`."""
        return len(set(self.names)) < len(self.names)

    @property
    def n_columns(self) -> int:
        """Of the lines that it is the header of."""
        return len(self.names) if self.columns is None else self.columns.n_columns

    def misfit(self, n_columns: int) -> str:
        """That it is not used for lines of so many columns, for people."""
        if n_columns == self.n_columns:
            return (
                f"the header {self._text()} may be damaged: it is not used, unless it comes again"
            )
        return (
            f"the header {self._text()} names {self.n_columns} columns and the lines have {n_columns}: "
            "it is not used"
        )

    def remarks(self, by: Wanted, unit_mv: float | None) -> list[str]:
        """What the user should know of how it was understood."""
        what = f"the {'labels' if self.is_label else 'header'} {self._text()}"
        columns = self.columns
        if columns is None and by.columns(self.n_columns) is None:
            return [] if self.is_label else [f"{what} names no lead: {_SAY_WHICH}"]
        if columns is None:
            return [
                f"{what} names no lead: the columns are taken for {', '.join(by.leads)}, in this order; "
                f"{_SAY_WHICH}"
            ]
        remarks = []
        if columns.others:
            remarks.append(f"{what}: skipped, since they are no leads: {', '.join(columns.others)}")
        if columns.again:
            remarks.append(
                f"{what} says a lead twice: skipped is {', '.join(columns.again)}; the first is taken"
            )
        scales = zip(columns.places, columns.scales, strict=True)
        units = [unknown_unit(self.names[place]) for place, scale in scales if scale is None]
        if unit_mv is None and any(units):
            remarks.append(no_unit_in(what, [unit for unit in units if unit]))
        if unit_mv is not None and any(scale not in (None, unit_mv) for scale in columns.scales):
            remarks.append(f"{what} says another unit than unit_mv={unit_mv:g}, which is used")
        return remarks

    def _text(self) -> str:
        text = ",".join(self.names)
        return repr(text if len(text) <= 80 else f"{text[:77]}...")


def with_units(columns: Columns, units: Sequence[str]) -> Columns | None:
    """The same, by a second line of a header that has a unit for each column; None if it is no such line."""
    named = [unit_named(unit) for unit in units]
    at_leads = [named[place] for place in columns.places if place < len(units)]
    if len(units) != columns.n_columns or None in at_leads:
        return None
    scales = tuple(MV_PER_UNIT[unit] for unit in at_leads if unit is not None)
    clock = columns.clock
    clock_s = columns.clock_s if clock is None else seconds_per_unit(units[clock])
    return replace(columns, scales=scales, clock_s=clock_s or columns.clock_s)


def no_unit_in(what: str, units: Sequence[str]) -> str:
    """That what stands where units do is none, for people."""
    return (
        f"{what} says no unit that is known: {', '.join(dict.fromkeys(units))}; the values are taken for mV: "
        "say how many mV a value of 1 is: unit_mv="
    )


def counts_time(name: str) -> bool:
    """Whether a column of this name counts time or samples."""
    words = _words(name)
    return bool(words) and all(
        word in _TIME_WORDS or word in _INDEX_WORDS or word in _SECONDS for word in words
    )


def seconds_per_unit(name: str) -> float | None:
    """The unit of a time column, where its name says it."""
    return next((_SECONDS[word] for word in _words(name) if word in _SECONDS), None)


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower())
