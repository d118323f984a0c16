"""The first lines of a sketch, held back until it is known what their columns are and how fast they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from firmware_bridge.devices.csv_columns import Columns
from firmware_bridge.devices.csv_fields import Row, cut

MAX_HELD = 20_000  # lines: more than the seconds that are held have of any ECG
UNKNOWN_NS = (
    2_000_000_000  # most headers come every second; what makes no sense for three is given up
)


@dataclass(frozen=True, slots=True)
class HeldLine:
    """A line, and the columns of the header before it, if there was one."""

    row: Row
    at_ns: int | None
    n_bytes: int
    columns: Columns | None = None

    def fits(self, columns: Columns | None) -> bool:
        """Whether it has the columns that its own header says, or without one these."""
        columns = self.columns or columns
        return columns is not None and cut(self.row, columns.n_columns) is not None


class HeldLines:
    """Holds lines in their order; those of unknown columns for a while, in which a header may come."""

    def __init__(self) -> None:
        self._lines: list[HeldLine] = []
        self._n_unknown = 0
        self._unknown_since_ns: int | None = None

    def __len__(self) -> int:
        """Lines of known columns."""
        return len(self._lines) - self._n_unknown

    def __iter__(self) -> Iterator[HeldLine]:
        return iter(self._lines)

    def put(self, line: HeldLine, is_known: bool) -> None:
        """Hold a line back."""
        self._lines.append(line)
        if not is_known:
            if not self._n_unknown:
                self._unknown_since_ns = line.at_ns
            self._n_unknown += 1

    def known(self, columns: Columns) -> list[HeldLine]:
        """Those that have these columns, which are known from now on."""
        found = [line for line in self._lines if line.fits(columns)]
        self._n_unknown = len(self._lines) - len(found)
        return found

    def given_up(self, columns: Columns | None, now_ns: int | None, at_end: bool) -> list[HeldLine]:
        """Those of other columns than these, for which no header came: they are held no longer."""
        all_of_them = at_end or len(self._lines) >= MAX_HELD
        since_ns = self._unknown_since_ns
        waited_ns = 0 if now_ns is None or since_ns is None else now_ns - since_ns
        if not self._n_unknown or not (all_of_them or waited_ns >= UNKNOWN_NS):
            return []
        until_ns = None if all_of_them or now_ns is None else now_ns - UNKNOWN_NS // 2
        lines, self._lines, self._n_unknown = self._lines, [], 0
        given_up: list[HeldLine] = []
        for line in lines:
            is_known = line.fits(columns)
            is_late = until_ns is None or line.at_ns is None or line.at_ns <= until_ns
            if is_late and not is_known:
                given_up.append(line)
            else:
                self.put(line, is_known)
        return given_up
