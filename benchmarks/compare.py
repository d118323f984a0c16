"""`python -m benchmarks compare A.json B.json`: two reports side by side, with ratios."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.report import Table, print_tables, read_json, write_json


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("compare", help="two reports of one benchmark, side by side")
    parser.add_argument("before", type=Path, metavar="A.json")
    parser.add_argument("after", type=Path, metavar="B.json")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write the comparison")


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison, and write it if asked; 0."""
    compared = compare(read_json(arguments.before), read_json(arguments.after))
    environment = Table("Environment, where it differs", ("", "A", "B"))
    for name, pair in compared["environment"].items():
        environment.add(name, pair["a"], pair["b"])
    figures = Table("Figures", ("figure", "A", "B", "B / A"))
    for name, pair in compared["figures"].items():
        figures.add(name, pair["a"], pair["b"], pair["ratio"])
    print_tables([table for table in (environment, figures) if table.rows])
    if arguments.json is not None:
        write_json(arguments.json, compared)
    return 0


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Every number that both reports hold, with B / A, and what differs in where they were measured.

    A ratio is None where A is 0. Raises BenchmarkError for reports of two benchmarks.
    """
    if before["benchmark"] != after["benchmark"]:
        raise BenchmarkError(
            f"one report is of {before['benchmark']}, the other of {after['benchmark']}:"
            " compare two of the same benchmark"
        )
    a, b = figures(before["results"]), figures(after["results"])
    here, there = before.get("environment", {}), after.get("environment", {})
    return {
        "benchmark": before["benchmark"],
        "environment": {
            name: {"a": here.get(name), "b": there.get(name)}
            for name in here
            if here.get(name) != there.get(name)
        },
        "figures": {
            name: {"a": a[name], "b": b[name], "ratio": b[name] / a[name] if a[name] else None}
            for name in a
            if name in b
        },
        "only_in_a": [name for name in a if name not in b],
        "only_in_b": [name for name in b if name not in a],
    }


def figures(results: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a report by their place, keys joined by `/`; lists are passed over."""
    found: dict[str, float] = {}
    for name, value in results.items():
        if isinstance(value, Mapping):
            found |= figures(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[f"{prefix}{name}"] = value
    return found
