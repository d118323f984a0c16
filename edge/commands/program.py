"""Every command of `leadlift`: its parser, and how an error ends."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from edge import __version__
from edge.commands import (
    build_engine,
    calibrate,
    demo,
    devices,
    doctor,
    monitor,
    reconstruct,
    repair,
    run,
    simulate,
)
from edge.commands.common import UsageError, one_line
from edge.commands.console import accept_any_text
from edge.errors import LeadliftError

COMMANDS = (
    demo,
    run,
    reconstruct,
    calibrate,
    repair,
    devices,
    doctor,
    monitor,
    simulate,
    build_engine,
)


def parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    top = argparse.ArgumentParser(
        prog="leadlift",
        description="Twelve leads from three, live, on the device. Research use only, "
        "not a medical device.",
    )
    top.add_argument("--version", action="version", version=f"leadlift {__version__}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(subparsers)
    for subparser in subparsers.choices.values():
        subparser.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks"
        )
    return top


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    accept_any_text()
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except LeadliftError as error:
        if arguments.debug:
            raise
        print(f"leadlift: error: {one_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # `leadlift doctor | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
