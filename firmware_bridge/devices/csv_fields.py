"""One line of a sketch cut into fields, whatever separator, brackets, labels and decimal sign it uses.

0.1,0.2,0.3    0.1;0.2;0.3    0,1;0,2;0,3    0.1 0.2 0.3    (0.1, 0.2, 0.3)    II:0.1,V1:0.2    II=0.1 V1=0.2
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from firmware_bridge.lead_names import unit_named

_BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_WITH_UNIT = re.compile(rf"({_NUMBER})\s*([^\W\d_]+)")
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
_LABELLED = re.compile(r"([^:=]*[^\W\d][^:=]*?)\s*[:=]\s*(.*)", re.S)  # a label has a letter
_PAIRS = re.compile(r"(\S[^:=]*?)\s*[:=]\s*(\S+)")
_CLOCK_IN_FRONT = re.compile(r"\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\s*->\s*")  # of a serial monitor
_CHECKSUM = re.compile(r"\*[0-9A-Fa-f]{2}$")  # as in NMEA; which bytes it covers is not known
_TAG = re.compile(r"[^\W\d][\w ]*")
_MISSING = frozenset(("", "!", "nan", "null", "none", "na", "n/a", "-", "--"))
_MISSING |= {
    "ovf",
    "-ovf",
}  # what Arduino's print() makes of a large number; "inf" is a float's own word
Row = list[tuple[float, str | None] | None]
"""`value_of` each field of a line."""


@dataclass(frozen=True, slots=True)
class Line:
    """The fields of a line, as text."""

    fields: list[str]
    labels: tuple[str, ...] | None
    """Of each field, where every field has one."""
    separator: str
    """`,`, `;`, `|`, a tab, or a blank, which stands for any run of them."""


def split_line(text: str) -> Line:
    """Cut a line that is not empty."""
    text = _without_frame(text)
    separator = _separator(text)
    if separator == " ":
        pairs = _PAIRS.findall(text)
        if pairs and not _PAIRS.sub("", text).strip():
            return Line([_with_point(value) for _, value in pairs], _names(pairs), separator)
        return Line([_with_point(word) for word in text.split()], None, separator)
    fields = [field.strip() for field in text.split(separator)]
    if separator == "\t":
        fields = [field.removesuffix(",") for field in fields]  # a comma and a tab
    if separator != ",":
        fields = [_with_point(field) for field in fields]
    named = [_LABELLED.fullmatch(field) for field in fields if field]
    if named and all(named):
        matches = [(found[1], found[2]) for found in named if found is not None]
        return Line([value for _, value in matches], _names(matches), separator)
    return Line(_without_tag(fields), None, separator)


def value_of(field: str) -> tuple[float, str | None] | None:
    """(value, unit) of a field; NaN where it says that there is none, None where it is no number.

    An infinite value is none: it costs its lead a sample, and not the line.
    The unit is one of `lead_names.MV_PER_UNIT`, or None without one.
    """
    field = field.strip("\"' ")
    try:
        value = float(field)
    except ValueError:
        if field.lower() in _MISSING:
            return math.nan, None
        found = _WITH_UNIT.fullmatch(field)
        unit = unit_named(found[2]) if found is not None else None
        return (float(found[1]), unit) if found is not None and unit is not None else None
    if "_" in field:  # Python reads 1_0 as ten
        return None
    return math.nan if math.isinf(value) else value, None


def is_missing(value: tuple[float, str | None] | None) -> bool:
    """Whether a field says that there is no value."""
    return value is not None and math.isnan(value[0])


def is_no_sample(row: Row) -> bool:
    """Whether a line is one word, such as `!`, that there is no value: it stands for all columns."""
    return len(row) == 1 and is_missing(row[0])


def cut(row: Row, n_columns: int) -> Row | None:
    """A row of so many columns, without a separator at its end; None for a row of other columns."""
    if is_no_sample(row):
        return row * n_columns
    if len(row) == n_columns + 1 and is_missing(row[-1]):
        return row[:-1]
    return row if len(row) == n_columns else None


def _without_tag(fields: list[str]) -> list[str]:
    """Without the word in front that says what the numbers are: `DATA,0.1,0.2` and `ECG: 0.1,0.2`."""
    first, *rest = fields
    found = _LABELLED.fullmatch(first)
    named = [] if found is None else [found[2]]
    tag = first if found is None else found[1]
    numbers = named + rest
    if not numbers or value_of(tag) is not None or _TAG.fullmatch(tag) is None:
        return fields
    return numbers if all(value_of(field) is not None for field in numbers) else fields


def _without_frame(text: str) -> str:
    """Without what stands around a line: brackets, `/* */`, `$ ;`, and the mark of a comment."""
    text = text.strip().removeprefix("/*").removesuffix("*/").strip()
    text = _CLOCK_IN_FRONT.sub("", text, count=1).lstrip("$>#% ").strip()
    text = _CHECKSUM.sub("", text)
    if text.count(";") == 1:
        text = text.removesuffix(";")
    while len(text) > 1 and _BRACKETS.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text


def _separator(text: str) -> str:
    for mark in (";", "\t", "|"):
        if mark in text:
            return mark
    if "," not in text:
        return " "
    words = text.split()
    # `0,1 0,2 0,3` is three numbers; `0.1, 0.2` has its comma at the end of a word.
    if len(words) > 1 and all(_DECIMAL_COMMA.fullmatch(word) for word in words):
        return " "
    return ","


def _with_point(field: str) -> str:
    """A field in which a comma separates nothing."""
    return field.replace(",", ".") if _DECIMAL_COMMA.search(field) else field


def _names(pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(name.strip().strip("\"'") for name, _ in pairs)
