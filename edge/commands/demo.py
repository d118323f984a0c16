"""`leadlift demo`: the whole live path on a simulated wearable behind a real serial device."""

from __future__ import annotations

import argparse
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TextIO, cast

from edge.commands.browser import has_browser
from edge.commands.common import (
    Subparsers,
    UsageError,
    add_live_options,
    live_outputs,
    measured_leads,
    open_reconstructor,
    run_live,
)
from edge.commands.live_report import exit_code, summary
from edge.leads import INDEPENDENT_LEADS
from edge.notices import say
from edge.sinks.viewer.sink import MISSING_EXTRA, can_view
from firmware_bridge.errors import TransportError
from firmware_bridge.new_file import TIME
from firmware_bridge.wire.spec import MAX_CHANNELS

START_S = 20.0  # a Jetson that imports NumPy from an SD card takes seconds
END_S = 5.0  # the wearable ends within one frame once its input closes
WEARABLE = ("--port", "pty", "--wait", "--hr", "68", "--baseline", "0.03", "--muscle", "0.005")


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "demo", help="watch twelve leads come out of three, or of --leads, on a simulated wearable"
    )
    parser.add_argument(
        "--headless",
        action="store_true",
        help="no traces: neither in a browser nor in the terminal",
    )
    parser.add_argument(
        "--output", metavar="OUT.edf", help="recording (default: leadlift-demo-TIME.edf)"
    )
    add_live_options(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until Ctrl-C, SIGTERM or --seconds, then say how it went."""
    from firmware_bridge.source import open_source

    output = arguments.output or f"leadlift-demo-{TIME}.edf"
    sinks = [f"file:{output}"]
    shows_page = not arguments.headless and can_view()
    opens_page = shows_page and has_browser()
    if shows_page:
        sinks.append("view:")
    if not arguments.headless and sys.stdout.isatty() and not opens_page:
        sinks.append("terminal:")
    if not arguments.headless and not shows_page:
        say(MISSING_EXTRA)
    outputs = replace(live_outputs(sinks, arguments, ""), open_browser=opens_page)
    leads = measured_leads(arguments)
    if leads is not None and len(leads) > MAX_CHANNELS:
        raise UsageError(
            f"--leads: {len(leads)} leads for a wearable of {MAX_CHANNELS} channels: name fewer; "
            f"{','.join(INDEPENDENT_LEADS)} imply all twelve"
        )
    options = WEARABLE if leads is None else (*WEARABLE, "--leads", ",".join(leads))
    with (
        open_reconstructor(arguments, leads=leads) as reconstructor,
        virtual_wearable(options) as port,
    ):
        print(f"The signal is simulated: a virtual wearable on {port}, not a person.", flush=True)
        source = open_source(f"serial:{port}")
        source.link = replace(source.link, simulated=True)
        report = run_live(source, reconstructor, outputs, seconds=arguments.seconds, settled=True)
    print(summary(report))
    print("The signal was simulated. Research use only, not a medical device.")
    return exit_code(report)


@contextmanager
def virtual_wearable(options: tuple[str, ...] = WEARABLE) -> Iterator[str]:
    """A virtual wearable in a process of its own; the name of its pseudo-terminal.

    Raises TransportError if it does not start.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "firmware_bridge.simulators", *options],
        stdin=subprocess.PIPE,  # it ends when this closes, also if this process is killed
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process, which then ends the wearable
    )
    try:
        yield _port(child)
    finally:
        try:
            child.communicate(timeout=END_S)  # closes its input
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()


def _port(child: subprocess.Popen[str]) -> str:
    """The first line that the wearable prints, within START_S."""
    lines = cast("TextIO", child.stdout)
    ready, _, _ = select.select([lines], [], [], START_S)
    if not ready:
        raise TransportError(f"the virtual wearable says nothing for {START_S:.0f} s: try again")
    port = lines.readline().strip()
    if not port:
        why = cast("TextIO", child.stderr).read().strip().splitlines()
        raise TransportError(
            f"the virtual wearable does not start: {why[-1] if why else 'it ended'}"
        )
    return port
