"""`python -m benchmarks`: measure, print Markdown, write JSON.

Exit codes: 0 measured, whether targets are met or not; 1 failed, or with --check a target missed or left
undecided by too few samples; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import (
    against,
    compare,
    fleet,
    footprint,
    misplacement,
    multi,
    peers,
    scale,
    view,
)
from benchmarks.device import command as device
from benchmarks.environment import SEED, environment, load_average
from benchmarks.fidelity import command as fidelity
from benchmarks.latency import command as latency
from benchmarks.quick import add_quick, shorten
from benchmarks.report import print_tables, target_table, write_json
from benchmarks.reports import command as reports
from benchmarks.soak import command as soak
from benchmarks.turing import command as turing
from benchmarks.wire import command as wire
from edge.bundle import load_bundle
from edge.engines.registry import open_engine
from edge.notices import add_notice_options, reported

MEASUREMENTS = (
    latency,
    multi,
    scale,
    fleet,
    against,
    peers,
    footprint,
    fidelity,
    misplacement,
    soak,
    wire,
    device,
    turing,
    view,
)

WITHOUT_A_REPORT: dict[str, Any] = {"report": reports, "compare": compare}
"""Commands that measure nothing themselves."""
NOT_OF_THE_REPORT = ("measure", "parser", "check", "verbosity")


def parser() -> argparse.ArgumentParser:
    """The parser of every benchmark."""
    top = argparse.ArgumentParser(prog="python -m benchmarks", description="Numbers, and how.")
    subparsers = top.add_subparsers(required=True, dest="benchmark", metavar="BENCHMARK")
    for benchmark in MEASUREMENTS:
        benchmark.add(subparsers)
    for subparser in subparsers.choices.values():
        subparser.add_argument("--json", type=Path, metavar="OUT.json", help="write the report")
        subparser.add_argument(
            "--check", action="store_true", help="exit 1 when a target is missed or undecided"
        )
        add_quick(subparser)
        add_notice_options(subparser)
        subparser.set_defaults(parser=subparser)
    for command in WITHOUT_A_REPORT.values():
        command.add(subparsers)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one benchmark; the exit code."""
    arguments = parser().parse_args(argv)
    name = f"benchmarks {arguments.benchmark}"
    if arguments.benchmark in WITHOUT_A_REPORT:
        command = WITHOUT_A_REPORT[arguments.benchmark]
        return reported(name, lambda: command.run(arguments), getattr(arguments, "verbosity", 0))
    shorten(arguments, arguments.parser)
    return reported(name, lambda: measure(arguments), arguments.verbosity)


def measure(arguments: argparse.Namespace) -> int:
    """Measure, print and write one report."""
    bundle, engine = load_bundle(arguments.model), arguments.engine
    if engine is not None:
        with open_engine(bundle, engine).engine as opened:  # what `auto` takes here
            engine = opened.name
    about = environment(bundle, engine, seed=getattr(arguments, "seed", SEED))
    about["load_before"] = load_average()
    result = arguments.measure(arguments)
    about["load_after"] = load_average()
    judged = result.judged()
    print(f"{about['cpu']}, {about['cores']} cores, load {_loads(about)}, {about['kernel']}")
    print(f"NumPy with {about['blas']}")
    if _busy(about):
        print("Something else was running: durations are longer than this machine's own.")
    asked = target_table([row for row in judged if row["met"] is not None or row["undecided"]])
    print_tables([*result.tables, *([asked] if asked.rows else [])])
    if arguments.json is not None:
        given = {k: v for k, v in vars(arguments).items() if k not in NOT_OF_THE_REPORT}
        report: dict[str, Any] = {
            "benchmark": arguments.benchmark,
            "environment": about,
            "arguments": {name: _said(value) for name, value in given.items()},
            "results": result.results,
            "targets": judged,
            **result.extra,
        }
        write_json(arguments.json, report)
    return int(arguments.check and any(row["met"] is False or row["undecided"] for row in judged))


def _loads(about: dict[str, object]) -> str:
    return " -> ".join(
        "unknown" if not isinstance(load, list) else str(load[0])
        for load in (about["load_before"], about["load_after"])
    )


def _busy(about: dict[str, object]) -> bool:
    """Whether others kept more than half of one core busy when the measurement began."""
    load = about["load_before"]
    return isinstance(load, list) and load[0] > 0.5


def _said(value: object) -> object:
    if isinstance(value, list):
        return [_said(item) for item in value]
    return str(value) if isinstance(value, Path) else value


if __name__ == "__main__":
    sys.exit(main())
