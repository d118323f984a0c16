"""`leadlift simulate`: a virtual device on a pseudo-terminal or over BLE, for any program that reads one."""

from __future__ import annotations

import argparse
import sys

from edge.commands.common import Subparsers
from firmware_bridge.simulators.twins import TWINS, source_options


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "simulate",
        help="run a virtual device and print its port",
        epilog="Further options go to the simulator: `python -m firmware_bridge.simulators --help`.",
    )
    parser.add_argument("--device", required=True, choices=sorted(TWINS), help="what to simulate")
    parser.set_defaults(command=run, passes_on=True)


def run(arguments: argparse.Namespace) -> int:
    """Simulate until Ctrl-C, SIGTERM or --seconds."""
    from firmware_bridge.simulators.__main__ import main

    def announce(port: str) -> None:
        name = port if port.startswith("ble:") else f"serial:{port}"
        source = f"{name}{source_options(arguments.device)}"
        print(
            f"a virtual {arguments.device}; read it with  leadlift monitor '{source}'",
            file=sys.stderr,
        )

    return main(["--device", arguments.device, *arguments.rest], announce)
