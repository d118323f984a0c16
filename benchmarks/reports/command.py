"""`python -m benchmarks report`: make the reports that are kept with the code, and what is made of them.

Runs latency, multi, scale, against, peers, footprint and fidelity, each in a process of its own, and keeps a
JSON report of each; then writes one Markdown page, one HTML page with plots, and the tables of README.md and
docs/. It takes a quarter of an hour, on a machine that nothing else uses.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.report import print_tables
from benchmarks.reports import page
from benchmarks.reports.blocks import update_pages
from benchmarks.reports.kept import COMMANDS, FOLDER, make, read
from benchmarks.reports.musts import MUSTS, musts_table
from edge.notices import add_notice_options, say
from edge.progress import followed


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "report",
        help="all kept reports, their page and the tables of the docs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        nargs="*",
        choices=tuple(COMMANDS),
        default=list(COMMANDS),
        metavar="BENCHMARK",
        help=f"run these alone, of {', '.join(COMMANDS)}; with none, pages are made of what is there",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help="keep reports and pages there; README.md and docs/ are written for docs/reports alone",
    )
    parser.add_argument(
        "--quick", action="store_true", help="to see that it works: with --out alone"
    )
    parser.add_argument(
        "--check", action="store_true", help="exit 1 when a ratio that must be reached is missed"
    )
    add_notice_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when every benchmark that was asked for ran; else 1, and the earlier report of each stays.

    With --check also 1 when a must is missed.
    """
    folder: Path = arguments.out
    kept = folder.resolve() == FOLDER.resolve()
    if kept and arguments.quick:
        raise BenchmarkError("--quick gives no figures to be kept: give another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in followed(arguments.only, "benchmarks", calm=True):
        try:
            make(name, folder, arguments.quick)
        except BenchmarkError as error:
            failed = True
            say(f"warning: {error}; its earlier report, if any, stays")
    reports = read(folder)
    write(reports, folder)
    if kept:
        for name in update_pages(reports):
            say(f"{name} has new figures")
    print_tables([musts_table(reports)])
    verdicts = [must.verdict(must.found(reports)) for must in MUSTS]
    return int(failed or (arguments.check and "missed" in verdicts))


def write(reports: dict[str, dict[str, Any]], folder: Path) -> None:
    """Both pages. Raises BenchmarkError if they cannot be written."""
    try:
        (folder / "README.md").write_text(page.text(reports), encoding="utf-8")
        (folder / "report.html").write_text(page.html(reports), encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"cannot write {folder}: {error.strerror}; give --out") from error
