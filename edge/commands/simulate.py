"""`leadlift simulate`: a virtual device on a pseudo-terminal or over BLE, for any program that reads one."""

from __future__ import annotations

import argparse

from edge.commands.common import Subparsers, usage
from edge.errors import InputError
from edge.notices import say
from firmware_bridge.simulators.options import add_options
from firmware_bridge.simulators.twins import RATE_HZ, chosen_port, source_options


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("simulate", help="run a virtual device and print its port")
    add_options(parser)
    parser.add_argument(
        "--reconstruct",
        choices=("only", "too"),
        help="of a wearable: reconstruct twelve leads on the device and send them, alone or beside the "
        "measured ones",
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate until Ctrl-C, SIGTERM or --seconds."""
    from firmware_bridge.simulators.__main__ import simulate

    with usage():
        arguments.port = chosen_port(arguments.device, arguments.port)
    if arguments.reconstruct is not None:
        _reconstruct(arguments)

    def announce(port: str) -> None:
        name = port if port.startswith("ble:") else f"serial:{port}"
        options = source_options(arguments.device, arguments.leads.split(","), arguments.rate)
        say(f"a virtual {arguments.device}; read it with  leadlift monitor '{name}{options}'")

    return simulate(arguments, announce)


def _reconstruct(arguments: argparse.Namespace) -> None:
    from edge.commands.device_decoder import DeviceDecoder
    from edge.files.lead_option import parse_leads

    with usage():
        if arguments.device != "wearable":
            raise InputError(
                f"--reconstruct is for a wearable: a virtual {arguments.device} sends what it measures"
            )
        leads = parse_leads(arguments.leads)
        if isinstance(leads, dict):
            raise InputError(f"--leads {arguments.leads}: name leads alone, such as I,II")
        rate_hz = RATE_HZ if arguments.rate is None else arguments.rate
        arguments.decoder = DeviceDecoder(leads, rate_hz)
    arguments.measured = arguments.reconstruct == "too"
