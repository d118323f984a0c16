"""Which columns the next line of a sketch has: by a header, by labels, or by what was expected."""

from __future__ import annotations

import re
from dataclasses import replace

from firmware_bridge.devices.csv_columns import (
    Columns,
    Header,
    Wanted,
    no_unit_in,
    read_header,
    with_units,
)
from firmware_bridge.devices.csv_fields import Line, Row, cut, is_missing, is_no_sample
from firmware_bridge.wire.framing import FrameError

COUNTING_LINES = 10  # in which a first column without a name goes up, until it is taken for time

MISFITS = 3  # lines alike that do not fit a header, until it is given up: fewer may be damaged
_UNLESS_UNIT = re.compile(r" (?![(\[{])")  # the blank in `II (uV)` separates no columns


class Headers:
    """Hears headers and labels, and believes those that a line of as many numbers follows.

    What was believed or heard is not unsaid by damage: not by a line that is none, and a header that may be
    a damaged copy of the one before counts where it is said twice, or the lines no longer fit that one.
    """

    def __init__(self, by: Wanted, unit_mv: float | None) -> None:
        self.columns: Columns | None = None
        """Of the lines now; None until it is known."""
        self.names: tuple[str, ...] = ()
        """Of the header that is believed."""
        self._by = by
        self._unit_mv = unit_mv
        self._heard: Header | None = None  # and not yet followed by numbers
        self._misfits: list[int] = []  # columns of the lines since, which it did not fit
        self._doubted: tuple[str, ...] = ()  # names of the last one that was given up
        self._counted: list[float] = []  # first fields of lines that have one too many
        self._notices: list[str] = []

    def notices(self) -> list[str]:
        """What the user should know, each handed out once."""
        said, self._notices = self._notices, []
        return said

    def hear_labels(self, labels: tuple[str, ...]) -> None:
        """Take the labels of a line of numbers. Raises FrameError for those of a damaged line."""
        header = Header(labels, read_header(labels, self._by), is_label=True)
        if labels == self.names:
            self._heard = None
            return
        if header.columns is None and (self.names or _names_leads(self._heard)):
            raise self.miscounted(len(labels))
        if header.repeats and self.names:
            raise FrameError("labels of which some are there twice, and before they were not")
        self._hear(header)

    def hear_words(self, line: Line, is_first: bool) -> None:
        """Take a line without numbers, which may be a header. Raises FrameError for one that is none."""
        names = list(line.fields)
        while not names[-1]:
            names.pop()
        if line.separator == " ":
            names = _UNLESS_UNIT.split(" ".join(names))
        if tuple(names) == self.names:
            self._heard = None  # it is said again
            return
        if self._hear_units(names):
            return
        if is_first and "" in names:
            raise FrameError("the first line may be half a line")
        header = Header(tuple(names), read_header(names, self._by))
        columns = header.columns
        if columns is None and self._unit_mv is None and _lacks_units(self._heard, len(names)):
            self._notices.append(no_unit_in("the line under the header", names))
        if columns is None or (columns.others and line.separator == " "):  # these are no header
            if line.separator != " " and not self.names and not _names_leads(self._heard):
                self._hear(header)  # said, if lines of as many numbers follow
            raise self.miscounted(len(names))
        self._hear(header)

    def understood(self, row: Row) -> Row | None:
        """The row of a line, without a separator at its end; None if its columns are not known.

        Raises FrameError where the column of a lead has no number.
        """
        header = self._heard
        if header is not None and not is_no_sample(row):
            fitting = None if self._doubts(header, row) else cut(row, header.n_columns)
            if fitting is None:
                self._misfit(header, len(row))
            else:
                row = self._adopt(header, fitting)
        if self.columns is None and not _names_leads(self._heard):
            self.columns = self._by.columns(len(row)) or self._with_clock(row)
            if self.columns is None and len(row) == len(self._by.leads) + 1 and is_missing(row[-1]):
                self.columns = self._by.columns(len(row) - 1)
        fitting = None if self.columns is None else cut(row, self.columns.n_columns)
        if self.columns is None or fitting is None:
            return None
        return checked(fitting, self.columns)

    def miscounted(self, n_columns: int) -> FrameError:
        """That the columns of a line are not known, and what to do."""
        if self.columns is not None:
            expected = self.columns.n_columns
        elif self._heard is not None and self._heard.columns is not None:
            expected = self._heard.n_columns
        else:
            expected = len(self._by.leads)
        return FrameError(
            f"{n_columns} columns and {expected} expected: name the columns in a header line"
        )

    def _hear(self, header: Header) -> None:
        if self._heard is None or header.names != self._heard.names:
            self._misfits.clear()
        self._heard = header

    def _hear_units(self, names: list[str]) -> bool:
        """Whether a line has the units of the header before it, which then has them."""
        heard = self._heard or Header(self.names, self.columns)
        columns = None if heard.columns is None else with_units(heard.columns, names)
        if columns is not None and columns != heard.columns:
            self._heard = replace(heard, columns=columns)
        return columns is not None

    def _adopt(self, header: Header, row: Row) -> Row:
        """Believe a header by the row that fits it, unless the row is damaged: then FrameError."""
        columns = header.columns or self._by.columns(header.n_columns)
        if columns is not None:
            row = checked(row, columns)
            self.columns, self.names = columns, header.names
        self._heard = None
        self._notices += header.remarks(self._by, self._unit_mv)
        return row

    def _doubts(self, header: Header, row: Row) -> bool:
        """Whether a header is more likely damaged than another one than the row has the columns of."""
        columns = header.columns
        may_be_damaged = header.repeats or (columns is not None and columns.others)
        if header.is_label or not may_be_damaged or header.names == self._doubted:
            return False
        believed = self.columns if self.names else None
        return believed is not None and cut(row, believed.n_columns) is not None

    def _misfit(self, header: Header, n_columns: int) -> None:
        """Give a header up once enough lines do not fit it."""
        if self._misfits and self._misfits[-1] != n_columns:
            self._misfits.clear()
        self._misfits.append(n_columns)
        if len(self._misfits) < MISFITS:
            return
        self._heard, self._doubted = None, header.names
        if header.columns is not None:
            self._notices.append(header.misfit(n_columns))

    def _with_clock(self, row: Row) -> Columns | None:
        """Columns of lines without a header that have one too many in front, which counts."""
        leads, first = self._by.leads, row[0]
        if self._by.sources or len(row) != len(leads) + 1 or first is None:
            return None
        if self._counted and not first[0] > self._counted[-1]:
            self._counted.clear()
        self._counted.append(first[0])
        if len(self._counted) < COUNTING_LINES:
            return None
        self._notices.append(
            f"{len(row)} columns and no header: the first counts, and is taken for time; "
            f"the others for {', '.join(leads)}"
        )
        places = tuple(range(1, len(row)))
        return Columns(len(row), leads, places, (None,) * len(leads), clock=0)


def _names_leads(header: Header | None) -> bool:
    return header is not None and header.columns is not None


def _lacks_units(header: Header | None, n_columns: int) -> bool:
    columns = None if header is None else header.columns
    return columns is not None and columns.n_columns == n_columns and None in columns.scales


def checked(row: Row, columns: Columns) -> Row:
    """The row. Raises FrameError where a lead's field is no number."""
    if any(row[place] is None for place in columns.places):
        raise FrameError("a line that is not numbers between commas")
    return row
