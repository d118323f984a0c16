"""How the cells of a CSV file say that a sample is missing."""

from __future__ import annotations

import re

MISSING = frozenset(
    [
        "nan",
        "na",
        "n/a",
        "#n/a",
        "#na",
        "null",
        "none",
        "nil",
        "missing",
        "-",
        "--",
        "?",
        ".",
        "inf",
        "+inf",
        "-inf",
        "infinity",
        "-infinity",
        "+infinity",
        "1.#inf",
        "-1.#inf",
        "1.#qnan",
        "-1.#ind",
        "#num!",
        "#div/0!",
        "#value!",
        "#ref!",
        "#name?",
        "#null!",
    ]
) | {""}
"""Cells, in lower case, that stand for a sample that is missing."""

_WITH_MARK = "|".join(re.escape(word) for word in sorted(MISSING) if word.startswith("#"))
_HOLE = re.compile(
    rf"(?:{_WITH_MARK})[\"']?\s*(?:$|[\t;|,]|(?<=\s)[\"'\d.+\-\u2212#])", re.IGNORECASE
)


def is_missing(cell: str) -> bool:
    """Whether a cell stands for a sample that is missing."""
    return cell.lower() in MISSING


def begins_with_hole(line: str) -> bool:
    """Whether a line is a row that begins with `#N/A` or its like, as spreadsheets write it."""
    return _HOLE.match(line) is not None
