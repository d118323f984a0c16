"""What a CSV file's first lines tell: separator, decimal sign, comments, header and units."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.files.csv_missing import begins_with_hole, is_missing
from edge.files.csv_times import is_text_time, is_time_label
from firmware_bridge.lead_names import lead_of, unit_named

COMMENT_MARKS = ("#", "%", "//")
_SEPARATORS = ("\t", ";", "|", ",", " ")
_SNIFFED_LINES = 400
_NUMBER = re.compile(r"[+\-\u2212]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?")
_UNITS_OF_TIME = frozenset(
    [
        "s",
        "sec",
        "secs",
        "second",
        "seconds",
        "ms",
        "msec",
        "us",
        "usec",
        "µs",
        "μs",
        "ns",
        "samples",
        "sample",
        "hh:mm:ss.mmm",
        "hh:mm:ss",
        "datetime",
        "date",
        "time",
        "a.u.",
        "au",
        "counts",
        "count",
        "adc",
        "bit",
        "bits",
    ]
)
_PAIR = re.compile(r"\s*\"?([^:=,;\t]{1,60}?)\"?\s*[:=,;\t]\s*(.*)")


@dataclass(slots=True)
class Dialect:
    """How a file writes its table, and what it says above it."""

    separator: str = ","
    decimal_comma: bool = False
    n_columns: int = 0
    labels: list[str] | None = None
    """Names of the columns; None without a header."""
    units: list[str] | None = None
    """The row of units under the header, if there is one."""
    notes: dict[str, str] = field(default_factory=dict)
    """What the comments and the lines above the table say, by their key in lower case."""
    first_line: int | None = None
    """The first line with values, counted from 0 in the file's first chunk; None without any."""
    header: str = ""
    """The header as it is written, by which a repeated one is known."""


def split(line: str, separator: str) -> list[str]:
    """Cells of a line, without blanks and quotes around them."""
    if separator == " ":
        cells = line.split()
    elif '"' in line:
        try:
            cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
        except csv.Error:
            cells = line.split(separator)
    else:
        cells = line.split(separator)
    return [cell.strip(" \t\"'\u00a0\ufeff") for cell in cells]


def is_comment(line: str) -> bool:
    """Whether a line is a remark: `#`, `%` or `//`, also in quotes; `#N/A,0.12,0.3` is a row."""
    text = line.lstrip(" \t\"'\ufeff")
    return text.startswith(COMMENT_MARKS) and not begins_with_hole(text)


def sniff(lines: Sequence[str]) -> Dialect:
    """The dialect of a file that begins with `lines`."""
    dialect = Dialect()
    forced = ""
    begin = 0
    if lines and (found := re.fullmatch(r"\"?sep=(.|\\t)\"?[;,\t]*", lines[0].strip(' \ufeff"'))):
        forced = "\t" if found[1] == "\\t" else found[1]
        begin = 1
    rows = [
        (number, line)
        for number, line in enumerate(lines[begin:], begin)
        if line.strip(" \t\"'\ufeff,;|") and not is_comment(line)
    ]
    tail = [line for _, line in rows[len(rows) // 2 :][:_SNIFFED_LINES]]
    if not any(character.isdigit() for line in tail for character in line):
        tail = [line for _, line in rows]  # it ends in missing values
    dialect.separator, dialect.n_columns = _separator(tail, forced, [line for _, line in rows])
    numeric = _numeric_columns(tail, dialect)
    place = next((i for i, (_, line) in enumerate(rows) if _is_data(line, dialect, numeric)), None)
    while place and _is_all_missing(rows[place - 1][1], dialect):
        place -= 1
    first = None if place is None else rows[place][0]
    dialect.first_line = first
    above = [(n, line) for n, line in rows if first is None or n < first]
    cells = [cell for line in tail for cell in split(line, dialect.separator)]
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    commas = sum("," in cell for cell in numbers)
    dialect.decimal_comma = commas > sum("." in cell for cell in numbers)
    _read_comments(lines, first, dialect)
    _read_header(above, dialect)
    return dialect


def _separator(tail: Sequence[str], forced: str, rows: Sequence[str]) -> tuple[str, int]:
    """(separator, columns) under which the rows agree best; one column where none is found."""
    for separator in [forced] if forced else _SEPARATORS:
        table = [split(line, separator) for line in tail]
        if not table:
            break
        counts = Counter(len(cells) for cells in table)
        n_columns, n_rows = counts.most_common(1)[0]
        if n_columns < 2 or n_rows < 0.5 * len(table):
            continue
        cells = [c for row in table if len(row) == n_columns for c in row if not is_missing(c)]
        good = sum(_is_value(cell) for cell in cells)
        if separator == "," and n_columns == 2 and _is_decimal_column(rows):
            return ";", 1
        if forced or good >= 0.3 * len(cells):
            while n_columns > 1 and all(
                len(row) >= n_columns and not row[n_columns - 1] for row in table
            ):
                n_columns -= 1  # a separator at the end of each line
            return separator, max(n_columns, _header_columns(rows, separator, n_columns))
    header_only = [s for s in _SEPARATORS if tail and s != " " and s in tail[-1]]
    if header_only and not any(_NUMBER.fullmatch(line.strip(" \"'")) for line in tail):
        return header_only[0], len(split(tail[-1], header_only[0]))
    return ("\t", 1) if not any("\t" in line for line in tail) else (";", 1)


def _header_columns(rows: Sequence[str], separator: str, n_columns: int) -> int:
    """Columns of a header that names more than the rows hold values of: the last ones are all empty."""
    labels = split(rows[0], separator)
    while labels and not labels[-1]:
        labels.pop()
    full = len(split(rows[-1], separator))
    named = any(lead_of(label) for label in labels)
    return len(labels) if named and n_columns < len(labels) <= full else n_columns


def _is_decimal_column(rows: Sequence[str]) -> bool:
    """Whether `1,25` is one column with decimal commas: the header has no comma, or a line names one lead."""
    if "," not in rows[0] and lead_of(rows[0].strip(" \"'")) is not None:
        return True
    return any(
        (found := _PAIR.fullmatch(line)) is not None and found[1].lower() == "lead"
        for line in rows[:40]
    )


def _is_value(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None or is_text_time(cell)


def _numeric_columns(tail: Sequence[str], dialect: Dialect) -> list[bool]:
    """Columns that hold numbers or times in most rows, or nothing."""
    table = [split(line, dialect.separator) for line in tail]
    table = [row for row in table if len(row) >= dialect.n_columns]
    return [
        2 * sum(_is_value(row[i]) for row in table) > sum(not is_missing(row[i]) for row in table)
        for i in range(dialect.n_columns)
    ]


def _is_data(line: str, dialect: Dialect, numeric: Sequence[bool]) -> bool:
    cells = split(line, dialect.separator)
    if len(cells) < dialect.n_columns or any(cells[dialect.n_columns :]):
        return False
    judged = [cell for cell, wanted in zip(cells, numeric, strict=False) if wanted]
    values = [cell for cell in judged if _is_value(cell)]
    return bool(values) and all(is_missing(cell) or cell in values for cell in judged)


def _is_all_missing(line: str, dialect: Dialect) -> bool:
    """Whether a line is a row like `nan,nan,nan`."""
    cells = split(line, dialect.separator)
    return len(cells) >= dialect.n_columns and all(is_missing(cell) for cell in cells)


def _read_comments(lines: Sequence[str], first: int | None, dialect: Dialect) -> None:
    """Keys and values of the comments; a header may stand in the last one (np.savetxt writes it so)."""
    last = ""
    for line in lines[:first]:
        if is_comment(line):
            text = line.strip(" \t\"'\ufeff,;").lstrip("#%/ \t")
            note(text, dialect.notes)
            last = text
    cells = split(last, dialect.separator)
    if len(cells) == dialect.n_columns and any(lead_of(c) or is_time_label(c) for c in cells):
        dialect.labels = cells


def note(text: str, notes: dict[str, str]) -> None:
    """Take `key: value`, `key = value` or `key,value` into `notes`; other text is its own key."""
    found = _PAIR.fullmatch(text)
    if found is None:
        notes.setdefault(text.strip().lower(), "")
    else:
        key = " ".join(found[1].lower().replace("_", " ").split())
        notes.setdefault(key, found[2].strip(" \t\"',;"))


def _read_header(above: Sequence[tuple[int, str]], dialect: Dialect) -> None:
    """The header is the last line above the values with a name for each column, or the one above units."""
    for place in range(len(above) - 1, -1, -1):
        line = above[place][1]
        cells = split(line, dialect.separator)
        while len(cells) > dialect.n_columns and not cells[-1]:
            cells.pop()
        if len(cells) == dialect.n_columns and dialect.header == "":
            if dialect.units is None and all(_is_unit(cell) for cell in cells) and place:
                dialect.units = cells
                continue
            if dialect.n_columns > 1 or lead_of(cells[0]) or not _PAIR.fullmatch(line):
                dialect.labels, dialect.header = cells, line
                continue
        note(line, dialect.notes)
    if dialect.labels is None and dialect.n_columns == 1 and "lead" in dialect.notes:
        dialect.labels = [dialect.notes["lead"]]


def _is_unit(cell: str) -> bool:
    bare = cell.strip("()[]' ").lower()
    return is_missing(bare) or unit_named(bare) is not None or bare in _UNITS_OF_TIME
