"""`python -m benchmarks report`: make the reports that are kept with the code, and what is made of them.

Runs each benchmark in a process of its own, and keeps a JSON report of each; then writes one Markdown page,
one HTML page with plots, and the tables of README.md and docs/. `--times` makes those of times alone, a
quarter of an hour on a machine that nothing else uses; `--fidelity` those of recordings; `--only soak` that
of 24 simulated hours, ten minutes, which is made on request.

`--fidelity --jobs 2` uses two cores. Streams and scores are kept in `--cache`, so that what was interrupted
goes on where it ended; several runs with other `--only` may share the folder. `--only` with nothing behind it
makes the pages of the reports that are there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.report import print_tables
from benchmarks.reports import page
from benchmarks.reports.blocks import update_pages
from benchmarks.reports.kept import COMMANDS, FIDELITY, FOLDER, ROOT, TIMED, make, read
from benchmarks.reports.musts import MUSTS, in_a_sentence, musts_table
from edge.notices import add_notice_options, say
from edge.progress import followed

PAGES_FOLDER = "pages"
"""Of --out: README.md and docs/ as they would be."""


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "report",
        help="all kept reports, their page and the tables of the docs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--only",
        nargs="*",
        choices=tuple(COMMANDS),
        metavar="BENCHMARK",
        help=f"run these alone, of {', '.join(COMMANDS)}; with none, pages are made of what is there",
    )
    which.add_argument(
        "--times", action="store_true", help=f"run those of times: {', '.join(TIMED)}"
    )
    which.add_argument(
        "--fidelity", action="store_true", help=f"run those of recordings: {', '.join(FIDELITY)}"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help=f"keep reports and pages there, README.md and docs/ in its folder {PAGES_FOLDER}",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=ROOT / "build" / "fidelity",
        metavar="FOLDER",
        help="keeps what the reports of recordings are made of (default: build/fidelity of the checkout)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="so many reports of recordings at once; those of times always run alone",
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="N records of each data set: with --out alone"
    )
    parser.add_argument(
        "--float-bundle",
        type=Path,
        metavar="BUNDLE",
        help="the decoder before INT8, for what INT8 costs",
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
    for option in ("quick", "limit"):
        if kept and getattr(arguments, option):
            raise BenchmarkError(
                f"--{option} gives no figures to be kept: give another folder with --out"
            )
    folder.mkdir(parents=True, exist_ok=True)
    failed = make_all(asked(arguments), arguments)
    reports = read(folder)
    write(reports, folder)
    for name in update_pages(reports, to=ROOT if kept else folder / PAGES_FOLDER):
        say(f"{name} has new figures")
    print_tables([musts_table(reports)])
    print(f"\n{in_a_sentence(reports)}")
    verdicts = [must.verdict(must.found(reports)) for must in MUSTS]
    return int(failed or (arguments.check and "missed" in verdicts))


def asked(arguments: argparse.Namespace) -> Sequence[str]:
    """Names of the reports to make."""
    if arguments.times or arguments.fidelity:
        return TIMED if arguments.times else FIDELITY
    if arguments.only is None:
        return [name for name, how in COMMANDS.items() if not how.on_request]
    return list(arguments.only)


def make_all(names: Sequence[str], arguments: argparse.Namespace) -> bool:
    """Whether any failed. Those of times one by one, those of records `--jobs` at once."""

    def made(name: str) -> bool:
        try:
            make(name, arguments.out, arguments.quick, options_of(name, arguments))
        except BenchmarkError as error:
            say(f"warning: {error}; its earlier report, if any, stays")
            return False
        return True

    alone = [name for name in names if not COMMANDS[name].of_records]
    done = [made(name) for name in followed(alone, "benchmarks", calm=True)]
    together = [name for name in names if COMMANDS[name].of_records]
    with ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        waiting = [pool.submit(partial(made, name)) for name in together]
        done += [one.result() for one in followed(waiting, "reports", calm=True)]
    return not all(done)


def options_of(name: str, arguments: argparse.Namespace) -> list[str]:
    """What a report is given besides its own options."""
    how, options = COMMANDS[name], []
    if how.of_records and arguments.limit:
        options += ["--limit", str(arguments.limit)]
    if how.cached:
        options += ["--cache", str(arguments.cache.resolve())]
    if how.float_bundle and arguments.float_bundle:
        options += ["--float-bundle", str(arguments.float_bundle.resolve())]
    return options


def write(reports: dict[str, dict[str, Any]], folder: Path) -> None:
    """Both pages. Raises BenchmarkError if they cannot be written."""
    try:
        (folder / "README.md").write_text(page.text(reports), encoding="utf-8")
        (folder / "report.html").write_text(page.html(reports), encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"cannot write {folder}: {error.strerror}; give --out") from error
