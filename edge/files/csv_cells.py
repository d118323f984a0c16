"""The cells of a chunk of CSV lines, found and converted a column at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.csv_dialect import Dialect, is_comment, split
from edge.files.csv_missing import MISSING

_LONGEST_CELL = 48  # bytes; a number is shorter
_INNER = "\x1f"  # stands between cells once quotes are gone
_MINUS = "\u2212".encode()


class CellError(ValueError):
    """A line that cannot be a sample: its number in the chunk (from 0) and what is wrong."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


@contextmanager
def naming(path: Path, line: int) -> Iterator[None]:
    """Turn a CellError into an InputError that names the file and the line; `line` is the chunk's first."""
    try:
        yield
    except CellError as error:
        raise InputError(
            f"{path}, line {line + error.line}: {error.why[:120]}; correct or cut that line"
        ) from error


@dataclass(slots=True)
class Table:
    """The rows of a chunk."""

    lines: NDArray[np.int64]
    """(n,) the line of each row, from 0 in the chunk."""
    odd: list[tuple[int, str]]
    """Lines of text that are no rows."""
    empty: NDArray[np.bool_]
    """(n,) rows without a value in any column."""
    n_lines: int
    _buffer: NDArray[np.uint8]
    _starts: NDArray[np.int64]
    _ends: NDArray[np.int64]
    _decimal_comma: bool

    def __len__(self) -> int:
        return len(self.lines)

    def cells(self, column: int) -> NDArray[np.bytes_]:
        """(n,) the cells of a column; one that is longer than any number is cut."""
        starts, ends = self._starts[:, column], self._ends[:, column]
        lengths = np.minimum(ends - starts, _LONGEST_CELL)
        width = max(1, int(lengths.max(initial=1)))
        place = np.arange(width)
        at = np.minimum(starts[:, None] + place, max(0, len(self._buffer) - 1))
        letters = np.where(place < lengths[:, None], self._buffer[at], 0).astype(np.uint8)
        return np.ascontiguousarray(letters).view(f"S{width}").ravel()

    def numbers(self, column: int) -> NDArray[np.float64]:
        """(n,) the values of a column, NaN where one is missing. Raises CellError for text."""
        cells = self.cells(column)
        if self._decimal_comma:
            cells = _replaced(cells, b",", b".")
        try:
            values = _floats(cells)
        except ValueError:
            values = self._with_missing(cells)
        values[~np.isfinite(values)] = np.nan
        return values

    def _with_missing(self, cells: NDArray[np.bytes_]) -> NDArray[np.float64]:
        bare = np.char.lower(np.char.strip(np.char.replace(cells, _MINUS, b"-"), b" \t\"'\xa0\xc2"))
        names = [word.encode() for word in MISSING]
        bare = np.where(np.isin(bare, names), b"nan", bare)  # may make cells wider
        try:
            return _floats(bare)
        except ValueError:
            for row, cell in enumerate(bare):
                try:
                    _floats(bare[row : row + 1])
                except ValueError:
                    text = cell.decode("utf-8", "replace")
                    raise CellError(int(self.lines[row]), f"{text!r} is no number") from None
            raise


@dataclass(slots=True)
class Columns:
    """Columns that are read together."""

    places: list[int]
    mv: NDArray[np.float64]
    """(n, 1) millivolts in the unit of each."""
    held: tuple[int, NDArray[np.float32]] | None = None
    """The piece that was read last, by its number: the next range may begin in it."""

    def of(self, table: Table) -> NDArray[np.float32]:
        """(n, rows) float32 mV, NaN where a value is missing. Raises CellError for text."""
        with np.errstate(over="ignore"):
            rows = np.stack([table.numbers(place) for place in self.places]) * self.mv
            values = rows.astype(np.float32)
        values[~np.isfinite(values)] = np.nan
        return values


def _floats(cells: NDArray[np.bytes_]) -> NDArray[np.float64]:
    if (cells.view(np.uint8) == ord("_")).any():
        raise ValueError("Python takes 1_000 for a number")
    return cells.astype(np.float64)


def _replaced(cells: NDArray[np.bytes_], old: bytes, new: bytes) -> NDArray[np.bytes_]:
    letters = cells.view(np.uint8)
    return np.where(letters == ord(old), ord(new), letters).astype(np.uint8).view(cells.dtype)


def table_of(data: bytes, dialect: Dialect, *, unfinished: bool = False) -> Table:
    """The rows of the lines in `data`, each of which ends in a line feed.

    Raises CellError for a line with a wrong number of cells.
    """
    separator, n_columns = dialect.separator, dialect.n_columns
    plain = data.replace(b'"', b"") if b'"' in data else data
    if separator == " ":
        plain = re.sub(rb"(?m)^ | $", b"", re.sub(rb"[ \t]+", b" ", plain))
    grid = _Grid(plain, separator, n_columns)
    if dialect.header and (header := dialect.header.encode()) in data:
        for number, line in enumerate(data.split(b"\n")[:-1]):
            grid.regular[number] &= line != header
    odd: list[tuple[int, str]] = []
    lines = np.arange(grid.n_lines)
    if not grid.regular.all():
        # Most lines are as they should be: the others are looked at one by one.
        kept: list[bytes] = []
        numbers: list[int] = []
        originals, plains = data.split(b"\n"), plain.split(b"\n")
        outer, inner = separator.encode(), _INNER.encode()
        for number, regular in enumerate(grid.regular.tolist()):
            if regular:
                row = plains[number].replace(outer, inner)
            else:
                last = unfinished and number == grid.n_lines - 1
                mended = _mended(originals[number], dialect, number, odd, last)
                if mended is None:
                    continue
                row = mended
            kept.append(row)
            numbers.append(number)
        grid = _Grid(b"".join(row + b"\n" for row in kept), _INNER, n_columns)
        lines = np.array(numbers, np.int64)
    starts, ends = grid.cells()
    empty = (ends - starts).sum(1) == 0
    return Table(
        lines, odd, empty, data.count(b"\n"), grid.buffer, starts, ends, dialect.decimal_comma
    )


class _Grid:
    """Where the cells lie, for lines that have the right number of them."""

    def __init__(self, data: bytes, separator: str, n_columns: int) -> None:
        self.n_columns = n_columns
        self.buffer = np.frombuffer(data, np.uint8)
        is_end = self.buffer == 10
        ends = np.flatnonzero(is_end)
        self.n_lines = len(ends)
        self._starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
        self._marks = np.flatnonzero(is_end | (self.buffer == ord(separator)))
        counts = np.diff(np.searchsorted(self._marks, ends), prepend=-1)
        first = self.buffer[self._starts]
        remark = np.isin(first, np.frombuffer(b"#%/\n\xef", np.uint8))
        self.regular = (counts == n_columns) & ~remark

    def cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(starts, ends) of (n_lines, n_columns) cells."""
        ends = self._marks[: self.n_lines * self.n_columns].reshape(self.n_lines, self.n_columns)
        starts = np.empty_like(ends)
        starts[:, 0] = self._starts
        starts[:, 1:] = ends[:, :-1] + 1
        return starts, ends


def _mended(
    line: bytes, dialect: Dialect, number: int, odd: list[tuple[int, str]], unfinished: bool
) -> bytes | None:
    """The row of a line that is not as the others; None for one that is none."""
    text = line.decode("utf-8", "replace")
    if not text.strip() or is_comment(text) or text == dialect.header:
        if text and text == dialect.header:
            odd.append((number, text))
        return None
    cells = split(text, dialect.separator)
    while len(cells) > dialect.n_columns and not cells[-1]:
        cells.pop()
    if len(cells) == dialect.n_columns:
        row = _INNER.join(cells)
        if "\n" not in row and row.count(_INNER) == dialect.n_columns - 1:
            return row.encode()
    if unfinished or not any(cells) or not re.match(r"[+\-]?[\d.,]+(?:\D|$)", cells[0] or "0"):
        odd.append((number, text))
        return None
    raise CellError(number, f"it has {len(cells)} cells, not {dialect.n_columns}")
