"""`leadlift devices`: serial ports and BLE peripherals, named as `--source` wants them."""

from __future__ import annotations

import argparse
import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.commands.common import Subparsers
from firmware_bridge.errors import TransportError

if TYPE_CHECKING:
    from firmware_bridge.transports.ble_scan import Heard

BLE_SECONDS = 4.0  # a device that advertises once a second is heard four times
MAX_BLE_SECONDS = 60.0


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
    parser = subparsers.add_parser(
        "devices", help="list the serial ports and BLE peripherals that a wearable may be"
    )
    parser.add_argument(
        "--ble-seconds",
        type=_listening_s,
        default=BLE_SECONDS,
        metavar="S",
        help="how long to listen for BLE, 0 not at all (default: %(default)g)",
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line per port and per peripheral."""
    ports = serial_ports()
    for port in ports:
        note = "" if port.allowed else "  no permission: join the group that owns it, often dialout"
        print(f"serial:{port.name}  {port.description}{note}")
    if not ports:
        print("no serial ports here; plug a device in, or try `leadlift demo`")
    if arguments.ble_seconds:
        for line in ble_lines(arguments.ble_seconds):
            print(line)
    return 0


def ble_lines(seconds: float) -> list[str]:
    """What is heard within `seconds`, a line each; or one line that says why nothing can be."""
    from firmware_bridge.transports.ble_scan import listen

    try:
        heard = asyncio.run(listen(seconds))
    except TransportError as error:
        return [f"no BLE here: {error}"]
    lines = [line for line in map(_ble_line, heard) if line]
    nameless = len(heard) - len(lines)
    if nameless:
        lines.append(f"{nameless} more BLE peripherals that say neither name nor kind")
    return lines or [f"no BLE peripheral heard in {seconds:g} s; switch the device on"]


def _ble_line(heard: Heard) -> str | None:
    from firmware_bridge.recognise import believed_to_be

    belief = believed_to_be(heard.name, heard.services)
    if belief is None and not heard.name:
        return None
    name = heard.name or "(no name)"
    if belief is None:
        what, options = "not known", ""
    elif belief.options is None:
        what, options = f"{belief.title}: not a source that leadlift reads", ""
    else:
        what, options = belief.title, belief.options
    return f"ble:{heard.address}{options}  {name}  {what}  {heard.rssi_dbm} dBm"


def _listening_s(text: str) -> float:
    value = float(text)
    if not 0 <= value <= MAX_BLE_SECONDS:
        raise argparse.ArgumentTypeError(f"{text}: listen for 0 to {MAX_BLE_SECONDS:g} s")
    return value
