"""`leadlift devices`: serial ports and BLE peripherals, named as `--source` wants them."""

from __future__ import annotations

import argparse
import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands import lsl_devices
from edge.commands.common import Subparsers
from firmware_bridge.errors import TransportError
from firmware_bridge.recognise_ports import port_belief
from firmware_bridge.transports.ports import SYSFS, ListPorts, latency_hint, list_ports
from firmware_bridge.transports.serial_open import access_remedy

if TYPE_CHECKING:
    from firmware_bridge.transports.ble_scan import Heard

BLE_SECONDS = 4.0  # a device that advertises once a second is heard four times
MAX_BLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Port:
    """A serial port, what is behind it, and whether this user may open it."""

    name: str
    description: str
    allowed: bool
    usb: str = ""
    """`0403:6015 DM00ABCD`; empty where it is not on USB."""
    belief: str = ""
    """What it is believed to be; empty where nothing is known of it."""
    options: str = ""
    """What follows `serial:PORT` if it is that."""
    hint: str = ""
    """What would make it better: FTDI's latency timer."""


def serial_ports(ports: ListPorts = list_ports, sysfs: Path = SYSFS) -> list[Port]:
    """The serial ports of this machine, sorted by name."""
    found = []
    for port in ports():
        belief = port_belief(port)
        title = "" if belief is None else belief.title
        if belief is not None and not belief.readable:
            title = f"{title}: not a source that leadlift reads"
        found.append(
            Port(
                port.name,
                port.product or port.description,
                os.access(port.name, os.R_OK | os.W_OK),
                port.usb_name() if port.on_usb else "",
                title,
                "" if belief is None else belief.options,
                latency_hint(port.name, sysfs) or "",
            )
        )
    return found


def port_line(port: Port) -> str:
    """A port in one line, its name first, as `--source` takes it."""
    known = port.belief or ("not known" if port.usb else "")
    usage = f"try {port.options}" if port.options else ""
    forbidden = "" if port.allowed else f"no permission: {access_remedy(port.name)}"
    parts = [f"serial:{port.name}", port.description, known, usage, port.usb, forbidden]
    return "  ".join(part for part in parts if part)


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "devices", help="list the serial ports and BLE peripherals that a wearable may be"
    )
    parser.add_argument(
        "--lsl-seconds",
        type=_listening_s,
        default=lsl_devices.SECONDS,
        metavar="S",
        help="how long to look for LSL streams, where MNE-LSL is installed, 0 not at all (default: "
        "%(default)g)",
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
        print(port_line(port))
    if not ports:
        print("no serial ports here; plug a device in, or try `leadlift demo`")
    if arguments.lsl_seconds and lsl_devices.is_installed():
        for line in lsl_devices.lsl_lines(arguments.lsl_seconds):
            print(line)
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
