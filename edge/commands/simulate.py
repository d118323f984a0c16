"""`leadlift simulate`: a virtual wearable on a pseudo-terminal, for any program that reads a port."""

from __future__ import annotations

import argparse

from edge.commands.common import Subparsers


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "simulate",
        help="run a virtual wearable and print its port",
        epilog="Further options go to the simulator: `python -m firmware_bridge.simulators --help`.",
    )
    parser.add_argument("--device", required=True, choices=["wearable"], help="what to simulate")
    parser.set_defaults(command=run, passes_on=True)


def run(arguments: argparse.Namespace) -> int:
    """Simulate until Ctrl-C, SIGTERM or --seconds."""
    from firmware_bridge.simulators.__main__ import main

    return main(arguments.rest)
