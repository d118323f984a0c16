"""Which columns the next line of a sketch has: by a header, by labels, or by what was expected."""

from __future__ import annotations

from firmware_bridge.devices.csv_columns import Columns, Header, Wanted, read_header, with_units
from firmware_bridge.devices.csv_fields import Line, Row, is_missing
from firmware_bridge.wire.framing import FrameError

COUNTING_LINES = 10  # in which a first column without a name goes up, until it is taken for time


class Headers:
    """Hears headers and labels, and believes those that a line of as many numbers follows."""

    def __init__(self, by: Wanted, unit_mv: float | None) -> None:
        self.columns: Columns | None = None
        """Of the lines now; None until it is known."""
        self.names: tuple[str, ...] = ()
        """Of the header that is believed."""
        self._by = by
        self._unit_mv = unit_mv
        self._heard: Header | None = None  # and not yet followed by numbers
        self._counted: list[float] = []  # first fields of lines that have one too many
        self._notices: list[str] = []

    def notices(self) -> list[str]:
        """What the user should know, each handed out once."""
        said, self._notices = self._notices, []
        return said

    def hear_labels(self, labels: tuple[str, ...]) -> None:
        """Take the labels of a line of numbers. Raises FrameError for those of a damaged line."""
        header = Header(labels, read_header(labels, self._by), is_label=True)
        if header.repeats and self.names not in ((), labels):
            raise FrameError("labels of which some are there twice, and before they were not")
        self._hear(header)

    def hear_words(self, line: Line, is_first: bool) -> None:
        """Take a line without numbers, which may be a header. Raises FrameError for one that is none."""
        names = list(line.fields)
        while not names[-1]:
            names.pop()
        if tuple(names) == self.names:
            self._heard = None  # it is said again
            return
        self._hear(self._header_in(names, line.separator, is_first))

    def understood(self, row: Row) -> Row:
        """The row, if its columns are known and those of the leads are numbers; FrameError if not."""
        header, self._heard = self._heard, None
        if header is not None and not header.fits(row):
            if header.columns is not None and not header.may_be_cut:
                self._notices.append(header.misfit(len(row)))
            header = None
        if header is not None:
            row = row[: len(header.names)]
            self._adopt(header)
        if self.columns is None:
            self.columns = self._by.columns(len(row)) or self._with_clock(row)
        columns = self.columns
        if columns is None:
            if len(row) == len(self._by.leads) + 1 and is_missing(row[-1]):
                self.columns = columns = self._by.columns(len(row) - 1)
            if columns is None:
                raise self._miscounted(len(row))
        if len(row) == columns.n_columns + 1 and is_missing(row[-1]):
            row = row[:-1]  # a separator at the end of the line
        if len(row) != columns.n_columns:
            raise self._miscounted(len(row))
        if any(row[place] is None for place in columns.places):
            raise FrameError("a line that is not numbers between commas")
        return row

    def _header_in(self, names: list[str], separator: str, is_first: bool) -> Header:
        heard = self._heard.columns if self._heard else self.columns
        with_unit = None if heard is None else with_units(heard, names)
        if with_unit is not None:
            before = self._heard.names if self._heard else self.names
            return Header(before, with_unit, has_units=True)
        columns = read_header(names, self._by)
        header = Header(tuple(names), columns, may_be_cut=is_first)
        if is_first and "" in names:
            raise FrameError("the first line may be half a line")
        # What was believed once is not unsaid by a damaged line, and words with blanks are no header.
        unknown = columns is None or columns.others
        if (self.names and (unknown or header.repeats)) or (separator == " " and unknown):
            raise self._miscounted(len(names))
        if columns is None:
            self._heard = header  # said, if lines of as many numbers follow
            raise self._miscounted(len(names))
        return header

    def _hear(self, header: Header) -> None:
        same = header.names == self.names and not header.has_units
        self._heard = None if same else header

    def _adopt(self, header: Header) -> None:
        self._notices += header.remarks(self._by, self._unit_mv)
        columns = header.columns or self._by.columns(len(header.names))
        if columns is not None:
            self.columns = columns
            self.names = header.names

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

    def _miscounted(self, n_columns: int) -> FrameError:
        expected = self.columns.n_columns if self.columns else len(self._by.leads)
        return FrameError(
            f"{n_columns} columns and {expected} expected: name the columns in a header line"
        )
