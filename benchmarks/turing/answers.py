"""Files of a Turing test: the key, the answer sheet, and what readers answered."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.turing.sheets import REAL, RECONSTRUCTED, Sheet

KEY_COLUMNS = ("sheet", "kind", "record_id")
ANSWER_COLUMNS = ("sheet", "answer", "confidence")
WORDS = {
    **dict.fromkeys(("real", "true", "r"), REAL),
    **dict.fromkeys(("reconstructed", "made", "fake", "synthetic", "c"), RECONSTRUCTED),
}
"""What a reader may write, whatever the case."""
NOT_ANSWERED = ("", "?", "-", "don't know", "unknown")


def write_key(file: Path, sheets: Sequence[Sheet], about: Mapping[str, object]) -> None:
    """Which sheet is which; `about` says in lines that begin with # how they were made.

    Raises BenchmarkError if it cannot be written, or is there.
    """
    lines = [f"# {name}: {value}" for name, value in about.items()]
    _write(file, lines, KEY_COLUMNS, [(s.name, s.kind, s.record_id) for s in sheets])


def write_answer_sheet(file: Path, sheets: Sequence[Sheet]) -> None:
    """To be filled in. Raises BenchmarkError if it cannot be written, or is there."""
    _write(file, [], ANSWER_COLUMNS, [(sheet.name, "", "") for sheet in sheets])


def read_key(file: Path) -> dict[str, str]:
    """Kind by sheet. Raises BenchmarkError for what is no key."""
    found = {row["sheet"]: row.get("kind", "") for row in _rows(file)}
    if not found or set(found.values()) - {REAL, RECONSTRUCTED}:
        raise BenchmarkError(f"{file} is no key of `python -m benchmarks turing`: give its --key")
    return found


def read_answers(file: Path, key: Mapping[str, str]) -> dict[str, str]:
    """Kind that a reader answered, by sheet; a sheet without an answer is not there.

    Raises BenchmarkError naming the file and sheet for another word, an unknown sheet, or one answered twice.
    """
    found: dict[str, str] = {}
    for row in _rows(file):
        sheet, word = row["sheet"].removesuffix(".png"), row.get("answer", "").casefold()
        if word in NOT_ANSWERED:
            continue
        if word not in WORDS:
            raise BenchmarkError(
                f"{file}, {sheet}: {word!r} is no answer: write {REAL} or {RECONSTRUCTED}"
            )
        if sheet not in key:
            raise BenchmarkError(
                f"{file}: the key has no sheet {sheet!r}: give the key of this kit"
            )
        if sheet in found:
            raise BenchmarkError(f"{file}: {sheet} is answered twice: leave one")
        found[sheet] = WORDS[word]
    return found


def score(answers: Mapping[str, str], key: Mapping[str, str]) -> dict[str, Any]:
    """How often a reader was right, exact binomial 95 % interval; by kind; two-sided p of guessing."""
    from scipy.stats import binomtest

    right = [answers[sheet] == key[sheet] for sheet in answers]
    found: dict[str, Any] = {"answered": len(right), "not_answered": len(key) - len(right)}
    if not right:
        return {**found, "accuracy": None, "accuracy_95": None, "p_of_guessing": None}
    test = binomtest(sum(right), len(right))
    ends = test.proportion_ci(0.95, "exact")
    of_kind = {
        kind: [answers[sheet] == kind for sheet in answers if key[sheet] == kind]
        for kind in (REAL, RECONSTRUCTED)
    }
    return {
        **found,
        "right": sum(right),
        "accuracy": sum(right) / len(right),
        "accuracy_95": [float(ends.low), float(ends.high)],
        "p_of_guessing": float(test.pvalue),
        "right_of": {kind: sum(of) / len(of) if of else None for kind, of in of_kind.items()},
    }


def _write(
    file: Path, lines: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    try:
        with file.open("x", encoding="utf-8", newline="") as target:
            target.writelines(f"{line}\n" for line in lines)
            writer = csv.writer(target)
            writer.writerow(columns)
            writer.writerows(rows)
    except FileExistsError as error:
        raise BenchmarkError(f"{file} exists: choose another place") from error
    except OSError as error:
        raise BenchmarkError(f"cannot write {file}: {error.strerror}") from error


def _rows(file: Path) -> list[dict[str, str]]:
    """Of a CSV as spreadsheets write it: commas, semicolons or tabs, a byte order mark, comments."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise BenchmarkError(f"cannot read {file}: {said}") from error
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    head = lines[0] if lines else ""
    mark = max(",;\t", key=head.count)
    names = [name.strip().casefold() for name in head.split(mark)]
    if "sheet" not in names:
        raise BenchmarkError(f"{file} has no column named sheet: give a file of this kit")
    parsed = csv.reader(lines[1:], delimiter=mark)
    return [dict(zip(names, map(str.strip, row), strict=False)) for row in parsed]
