"""`leadlift devices`: the serial ports of this machine, as `--source` wants them."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

from edge.commands.common import Subparsers


@dataclass(frozen=True, slots=True)
class Port:
    """A serial port and whether this user may open it."""

    name: str
    description: str
    allowed: bool


def serial_ports() -> list[Port]:
    """The serial ports of this machine, sorted by name."""
    from serial.tools import list_ports

    return [
        Port(port.device, port.description or "", os.access(port.device, os.R_OK | os.W_OK))
        for port in sorted(list_ports.comports(), key=lambda port: str(port.device))
    ]


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("devices", help="list the serial ports a wearable may be on")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line per port."""
    ports = serial_ports()
    for port in ports:
        note = "" if port.allowed else "  no permission: join the group that owns it, often dialout"
        print(f"serial:{port.name}  {port.description}{note}")
    if not ports:
        print("no serial ports here; plug a device in, or try `leadlift demo`")
    return 0
