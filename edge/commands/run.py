"""`leadlift run`: a live source into one or more sinks."""

from __future__ import annotations

import argparse

from edge.commands.common import (
    Subparsers,
    add_live_options,
    add_patient_option,
    exit_code,
    live_outputs,
    measured_leads,
    open_reconstructor,
    run_live,
    say,
    summary,
    usage,
)
from edge.commands.wiring import wired


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("run", help="reconstruct a live source into files and screens")
    parser.add_argument(
        "--source",
        required=True,
        metavar="SPEC",
        help="serial:PORT[?device=csv], ble:[NAME-OR-ADDRESS], tcp:HOST:PORT, udp:PORT (on this machine; "
        "udp:0.0.0.0:PORT for boards on the network), lsl:[NAME], replay:FILE or sim:; with any of them "
        "?markers=NAME for the markers of an LSL stream",
    )
    parser.add_argument(
        "--sink",
        required=True,
        nargs="+",
        action="extend",
        metavar="SPEC",
        help="file:OUT.edf, file:OUT.npz, file:OUT.csv, terminal: or view:[PORT], a page for browsers; "
        "lsl:[NAME], streams for programs on this network; "
        "may be repeated",
    )
    add_live_options(parser)
    add_patient_option(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Record until the source ends, Ctrl-C, SIGTERM or --seconds."""
    from firmware_bridge.source import open_source

    outputs = live_outputs(arguments.sink, arguments, arguments.source)
    leads = measured_leads(arguments)
    spec = arguments.source
    if (
        leads is not None and spec.startswith("sim:") and "leads=" not in spec
    ):  # it measures anything
        spec += f"{'&' if '?' in spec else '?'}leads={','.join(leads)}"
    with usage():
        spec = wired(spec, arguments.leads)
        source = open_source(spec, say=None if outputs.draws else say)
    with open_reconstructor(arguments, arguments.patient, leads) as reconstructor:
        settled = leads is not None
        report = run_live(
            source, reconstructor, outputs, seconds=arguments.seconds, settled=settled
        )
    print(summary(report))
    return exit_code(report)
