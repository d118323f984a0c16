"""What a benchmark hands over: percentiles that the sample count allows, JSON, Markdown tables, targets."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.errors import BenchmarkError

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
CONFIDENCE = 0.99  # that at least two samples lie beyond a percentile that is reported
TOO_FEW = None  # what stands in a report for a percentile that the samples cannot tell


@cache
def samples_needed(percentile: float) -> int:
    """Fewest samples of which, with 99 % confidence, at least two lie beyond the percentile.

    A smaller sample's percentile is its extreme in disguise. 64 for p90 and 662 for p99, the floors of
    MLPerf's early stopping; 6,636 for p99.9.
    """
    p = percentile / 100
    if not 0 < p < 1:
        raise ValueError(f"percentile {percentile}: give one between 0 and 100, both excluded")
    n = 2
    while p**n * (1 + n * (1 - p) / p) > 1 - CONFIDENCE:  # none beyond, or one
        n += 1
    return n


def percentile_name(percentile: float) -> str:
    """`p50`, `p99.9`."""
    return f"p{percentile:g}"


def percentiles(values: ArrayLike, wanted: Sequence[float] = PERCENTILES) -> dict[str, Any]:
    """`n`, `min`, `max` and each percentile of `values`; TOO_FEW where there are not `samples_needed`."""
    data = np.asarray(values, np.float64).ravel()
    found: dict[str, Any] = {"n": int(data.size)}
    for percent in wanted:
        enough = data.size >= samples_needed(percent)
        found[percentile_name(percent)] = float(np.percentile(data, percent)) if enough else TOO_FEW
    found["min"] = float(data.min()) if data.size else TOO_FEW
    found["max"] = float(data.max()) if data.size else TOO_FEW
    return found


@dataclass(frozen=True)
class Target:
    """A bound that the project has set itself, on one figure of a report."""

    name: str
    figure: str
    """Where the figure stands in the results: keys joined by `/`."""
    bound: float
    unit: str = ""
    at_least: bool = False

    def judge(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Measured, bound, and whether it is met; `met` is None where there is no figure.

        `undecided`: its part was measured, and gave no figure (too few samples for the percentile).
        """
        value: Any = results
        for key in self.figure.split("/"):
            value = value.get(key) if isinstance(value, Mapping) else None
        measured = None if value is None else float(value)
        met = None
        if measured is not None and not math.isnan(measured):
            met = measured >= self.bound if self.at_least else measured <= self.bound
        undecided = met is None and self.figure.split("/")[0] in results
        return {**asdict(self), "measured": measured, "met": met, "undecided": undecided}


@dataclass
class Table:
    """Rows for people."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)
    note: str = ""
    """A line below it."""

    def add(self, *cells: object) -> None:
        """One row; floats get four significant figures."""
        self.rows.append(cells)


@dataclass
class Result:
    """What one benchmark measured."""

    results: dict[str, Any]
    tables: list[Table]
    targets: Sequence[Target] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    """More top-level entries of the JSON report."""

    def judged(self) -> list[dict[str, Any]]:
        """Every target beside what was measured."""
        return [target.judge(self.results) for target in self.targets]


def target_table(judged: Sequence[Mapping[str, Any]]) -> Table:
    """Measured, bound, verdict."""
    table = Table("Targets", ("target", "measured", "bound", "unit", "verdict"))
    for row in judged:
        nothing = "undecided" if row["undecided"] else "not measured"
        verdict = {True: "met", False: "missed", None: nothing}[row["met"]]
        sign = ">=" if row["at_least"] else "<="
        table.add(row["name"], row["measured"], f"{sign} {row['bound']:g}", row["unit"], verdict)
    return table


def print_tables(tables: Sequence[Table]) -> None:
    """Markdown on stdout, as wide as it needs to be."""
    for table in tables:
        print(f"\n**{table.title}**\n")
        print("\n".join(markdown(table)))


def markdown(table: Table) -> list[str]:
    """Its lines, columns as wide as they need to be, without the title."""
    rows = [[str(column) for column in table.columns]]
    rows += [[cell(value) for value in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    lines = [
        f"| {' | '.join(text.ljust(width) for text, width in zip(row, widths, strict=True))} |"
        for row in rows
    ]
    return [*lines, *(["", table.note] if table.note else [])]


def markdown_rows(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table without a title."""
    return markdown(Table("", columns, [*rows]))


def cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if math.isnan(value):
            return "-"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "/")


def write_json(path: str | Path, report: Mapping[str, Any]) -> None:
    """Write a report; NaN becomes null. Raises BenchmarkError if it cannot be written."""
    text = json.dumps(_plain(report), indent=1, allow_nan=False)
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(
            f"cannot write {path}: {error.strerror}; choose another place"
        ) from error


def read_json(path: str | Path) -> dict[str, Any]:
    """A report that `write_json` wrote. Raises BenchmarkError for anything else."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BenchmarkError(f"{path} is no JSON report: {error}") from error
    if not isinstance(report, dict) or "results" not in report:
        raise BenchmarkError(f"{path} is no report of `python -m benchmarks`: it has no results")
    return report


def _plain(value: Any) -> Any:
    """JSON's own types: NumPy scalars and arrays unpacked, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
