"""`leadlift run`: a live source into one or more sinks."""

from __future__ import annotations

import argparse
import sys

from edge.commands.common import (
    Subparsers,
    add_live_options,
    add_patient_option,
    open_reconstructor,
    run_live,
    say,
    summary,
    usage,
)


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("run", help="reconstruct a live source into files and screens")
    parser.add_argument(
        "--source",
        required=True,
        metavar="SPEC",
        help="serial:PORT[?device=csv], ble:[NAME-OR-ADDRESS], replay:FILE or sim:",
    )
    parser.add_argument(
        "--sink",
        required=True,
        nargs="+",
        action="extend",
        metavar="SPEC",
        help="file:OUT.edf, file:OUT.npz, file:OUT.csv or terminal:; may be repeated",
    )
    add_live_options(parser)
    add_patient_option(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Record until the source ends, Ctrl-C, SIGTERM or --seconds."""
    from firmware_bridge.source import open_source

    with usage():
        drawn = sys.stdout.isatty() and any(x.startswith("terminal:") for x in arguments.sink)
        source = open_source(arguments.source, say=None if drawn else say)  # a screen shows it
    with open_reconstructor(arguments, arguments.patient) as reconstructor:
        report = run_live(
            source,
            reconstructor,
            arguments.sink,
            seconds=arguments.seconds,
            report=arguments.report,
            simulated=arguments.source.startswith("sim:"),
        )
    print(summary(report))
    return 0
