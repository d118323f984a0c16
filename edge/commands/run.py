"""`leadlift run`: a live source into one or more sinks."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.commands.browser import has_browser
from edge.commands.common import (
    Subparsers,
    UsageError,
    add_live_options,
    add_patient_option,
    live_outputs,
    measured_leads,
    open_reconstructor,
    run_live,
    usage,
)
from edge.commands.live_report import exit_code, summary
from edge.commands.metrics import add_metrics_option, metrics
from edge.commands.profiles import Replace, add_profile_options
from edge.commands.wiring import wired
from edge.notices import say
from edge.sinks.viewer.sink import MISSING_EXTRA, can_view
from firmware_bridge.source_spec import simulating

if TYPE_CHECKING:
    from firmware_bridge.source import Source

RECORD = "--sink file:{time}.edf"


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("run", help="reconstruct a live source into files and screens")
    parser.add_argument(
        "--source",
        nargs="+",
        action=Replace,
        metavar="SPEC",
        help="serial:PORT[?device=csv], ble:[NAME-OR-ADDRESS], tcp:HOST:PORT, udp:PORT (on this machine; "
        "udp:0.0.0.0:PORT for boards on the network), lsl:[NAME], replay:FILE or sim:; with any of them "
        "?markers=NAME for the markers of an LSL stream; several run side by side, each with outputs of its "
        "own: {source} or {number} in a name, else a number is added",
    )
    parser.add_argument(
        "--sink",
        nargs="+",
        action=Replace,
        metavar="SPEC",
        help="file:OUT.edf, file:OUT.npz, file:OUT.csv, terminal:, view:[PORT], a page for browsers, or "
        "lsl:[NAME], streams for programs on this network; "
        "may be repeated (default: view: where its libraries are installed, else terminal:). "
        "file:OUT.edf?every=1h or ?size=100MB begins another file then: OUT-0001.edf, "
        "OUT-0002.edf or, with {time} in the name, the time of each",
    )
    add_live_options(parser)
    add_patient_option(parser)
    add_metrics_option(parser)
    add_profile_options(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the report as JSON, and nothing else on stdout"
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Record until the source ends, Ctrl-C, SIGTERM or --seconds."""
    if not arguments.source:
        raise UsageError(
            "no source: give --source, such as serial:/dev/ttyACM0 (`leadlift devices` lists them) or sim:"
        )
    from edge.commands.several_sources import names_of, run_several

    if len(arguments.source) > 1:
        return run_several(arguments)
    [spec] = arguments.source
    sinks = arguments.sink or [default_sink(as_json=arguments.json)]
    outputs = live_outputs(sinks, arguments, spec)
    if not arguments.sink:
        outputs = replace(
            outputs,
            open_browser=sinks[0] == "view:" and has_browser(),
            once_open=f"{sinks[0]} shows it and nothing is recorded; to record give {RECORD}",
        )
    leads = measured_leads(arguments, spec)
    source = source_of(spec, arguments, leads, say=None if outputs.draws else say)
    with (
        metrics(arguments.metrics) as exporter,
        open_reconstructor(arguments, arguments.patient, leads) as reconstructor,
    ):
        report = run_live(
            source,
            reconstructor,
            outputs,
            seconds=arguments.seconds,
            settled=leads is not None,
            follow=None if exporter is None else exporter.follow(*names_of([spec])),
        )
    print(json.dumps(report, indent=2) if outputs.as_json else summary(report))
    return exit_code(report)


def source_of(
    spec: str,
    arguments: argparse.Namespace,
    leads: Sequence[str] | None,
    say: Callable[[str], object] | None,
) -> Source:
    """The source, not yet open; the simulator measures the leads of `--leads` or of the calibration.

    Raises UsageError, and PatientError where the simulator asks for a calibration's leads.
    """
    from edge.patient.patient import load_patient
    from firmware_bridge.source import open_source

    if leads is None and arguments.patient and spec.startswith("sim:"):
        leads = load_patient(arguments.patient).input_leads
    with usage():
        return open_source(wired(simulating(spec, leads), arguments.leads), say=say)


def default_sink(*, as_json: bool = False) -> str:
    """What shows a run that names no sink. Raises UsageError where nothing can."""
    if can_view():
        return "view:"
    if sys.stdout.isatty() and not as_json:
        return "terminal:"
    raise UsageError(f"nothing would show or keep what comes: give {RECORD}; {MISSING_EXTRA}")
