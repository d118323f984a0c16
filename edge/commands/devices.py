"""`leadlift devices`: serial ports and BLE peripherals, named as `--source` wants them."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands import lsl_devices
from edge.commands.common import Subparsers
from edge.progress import progress
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
    parser.add_argument(
        "--json", action="store_true", help="print what was found as JSON, and nothing else"
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line per port and per peripheral."""
    ports = serial_ports()
    if arguments.json:
        print(json.dumps(as_dict(ports, arguments.ble_seconds), indent=2))
        return 0
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
    found, nameless, why = _peripherals(seconds)
    if why is not None:
        return [f"no BLE here: {why}"]
    lines = [peripheral_line(one) for one in found]
    if nameless:
        lines.append(f"{nameless} more BLE peripherals that say neither name nor kind")
    return lines or [f"no BLE peripheral heard in {seconds:g} s; switch the device on"]


def as_dict(ports: Sequence[Port], ble_seconds: float) -> dict[str, Any]:
    """The same as the lines say: `serial` and `ble` list what there is, each with the `source` to give."""
    found, nameless, why = _peripherals(ble_seconds) if ble_seconds else ([], 0, None)
    return {
        "serial": [
            {
                "source": f"serial:{port.name}{port.options}",
                "port": port.name,
                "description": port.description,
                "belief": port.belief or None,
                "usb": port.usb or None,
                "allowed": port.allowed,
                "hint": port.hint or None,
            }
            for port in ports
        ],
        "ble": [
            {
                "source": None if one.options is None else f"ble:{one.address}{one.options}",
                "address": one.address,
                "name": one.name or None,
                "belief": one.belief or None,
                "rssi_dbm": one.rssi_dbm,
            }
            for one in found
        ],
        "ble_nameless": nameless,
        "ble_error": why,
    }


@dataclass(frozen=True, slots=True)
class Peripheral:
    """What was heard over BLE, and what it is believed to be."""

    address: str
    name: str
    rssi_dbm: int
    belief: str
    """Empty where nothing is known of it."""
    options: str | None
    """What follows `ble:ADDRESS`; None for what leadlift does not read."""


def peripheral_line(one: Peripheral) -> str:
    """A peripheral in one line, its name first, as `--source` takes it."""
    what = one.belief or "not known"
    if one.options is None:
        what += ": not a source that leadlift reads"
    name = one.name or "(no name)"
    return f"ble:{one.address}{one.options or ''}  {name}  {what}  {one.rssi_dbm} dBm"


def _peripherals(seconds: float) -> tuple[list[Peripheral], int, str | None]:
    """What says its name or kind, how many say neither, and why nothing can be heard, if so."""
    from firmware_bridge.transports.ble_scan import listen

    try:
        with progress("listening for BLE", seconds, by_clock=True):
            heard = asyncio.run(listen(seconds))
    except TransportError as error:
        return [], 0, str(error)
    found = [one for one in map(_peripheral, heard) if one is not None]
    return found, len(heard) - len(found), None


def _peripheral(heard: Heard) -> Peripheral | None:
    from firmware_bridge.recognise import believed_to_be

    belief = believed_to_be(heard.name, heard.services)
    if belief is None and not heard.name:
        return None
    title, options = ("", "") if belief is None else (belief.title, belief.options)
    return Peripheral(heard.address, heard.name, heard.rssi_dbm, title, options)


def _listening_s(text: str) -> float:
    value = float(text)
    if not 0 <= value <= MAX_BLE_SECONDS:
        raise argparse.ArgumentTypeError(f"{text}: listen for 0 to {MAX_BLE_SECONDS:g} s")
    return value
