"""`leadlift completion SHELL`: a script with which a shell completes commands and options on TAB.

shtab writes it from the parser, once. A completion that asks the program on each TAB would import NumPy each
time, which takes seconds from the SD card of a small board.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from edge.commands.common import Subparsers
from edge.errors import InputError
from firmware_bridge.extras import install_extra

SHELLS = ("bash", "zsh", "tcsh")
NOT_INSTALLED = f"writing completions needs shtab: {install_extra('completion')}"
FILES = (
    "FILE",
    "PATH",
    "INPUT",
    "OUTPUT",
    "REFERENCE",
    "SHEET",
    "OUT",
    "PATIENT.json",
    "OUT.json",
    "OUT.edf",
)
"""What is given for a file in help texts."""


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print what makes a shell complete commands and options on TAB",
        epilog="bash: leadlift completion bash > ~/.local/share/bash-completion/completions/leadlift",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to complete")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from edge.cli import parser

    try:
        import shtab
    except ImportError as error:
        raise InputError(f"{NOT_INSTALLED} ({error})") from error
    top = parser()
    for action in _actions(top):
        if action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(top, shell=arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action
