"""`leadlift simulate`: a virtual device on a pseudo-terminal or over BLE, for any program that reads one."""

from __future__ import annotations

import argparse

from edge.commands.common import Subparsers
from edge.notices import say
from firmware_bridge.simulators.options import add_options
from firmware_bridge.simulators.twins import source_options


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("simulate", help="run a virtual device and print its port")
    add_options(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate until Ctrl-C, SIGTERM or --seconds."""
    from firmware_bridge.simulators.__main__ import simulate

    def announce(port: str) -> None:
        name = port if port.startswith("ble:") else f"serial:{port}"
        options = source_options(arguments.device, arguments.leads.split(","), arguments.rate)
        say(f"a virtual {arguments.device}; read it with  leadlift monitor '{name}{options}'")

    return simulate(arguments, announce)
