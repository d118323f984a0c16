"""The serial ports of this machine: the USB device behind each, how to find it again, and FTDI's timer."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import NotFoundError

SYSFS = Path("/sys")
_LIST_ATTEMPTS = 3
# A board's own UARTs that pyserial's lister does not look for; the kernel makes the file for those it has.
_OWN_UARTS = {
    "/dev/ttyTHS*": "UART of a Jetson, as on its 40-pin header",
    "/dev/ttymxc*": "UART of an i.MX board",
    "/dev/ttySTM*": "UART of an STM32MP board",
    "/dev/ttyO[0-9]*": "UART of an OMAP board",
}
LEAST_TIMER_MS = (
    1  # what leadlift asks for when it opens a port; FTDI's default of 16 comes in bursts
)


@dataclass(frozen=True, slots=True)
class PortInfo:
    """A serial port, and the USB device that it belongs to, as far as the system knows."""

    name: str
    """`/dev/ttyUSB0`, `COM3`."""
    description: str = ""
    vid: int | None = None
    """USB vendor; None for what is not on USB."""
    pid: int | None = None
    serial_number: str | None = None
    product: str = ""
    manufacturer: str = ""
    location: str | None = None
    """The USB socket, such as `1-2.3`, and for a device of several ports which of them it is."""

    @property
    def on_usb(self) -> bool:
        """Whether it can be told from others after a replug."""
        return self.vid is not None and self.pid is not None

    def usb_name(self) -> str:
        """`0403:6015 DM00ABCD`, for people."""
        if self.vid is None or self.pid is None:
            return "not on USB"
        return f"{self.vid:04X}:{self.pid:04X} {self.serial_number or 'without serial number'}"


ListPorts = Callable[[], Sequence[PortInfo]]


def list_ports() -> list[PortInfo]:
    """The serial ports of this machine, sorted by name; none while devices come and go without end."""
    from serial.tools import list_ports as system

    found = []
    for _ in range(_LIST_ATTEMPTS):
        # pyserial reads the system's files one by one: a device may go in between, TypeError included.
        with suppress(OSError, TypeError, ValueError):
            found = list(system.comports())
            break
    ports = [
        PortInfo(
            str(port.device),
            _known(port.description),
            port.vid,
            port.pid,
            port.serial_number or None,
            _known(port.product),
            _known(port.manufacturer),
            port.location or None,
        )
        for port in found
    ]
    names = {port.name for port in ports}
    ports += [
        PortInfo(name, title)
        for pattern, title in _OWN_UARTS.items()
        for name in glob.glob(pattern)  # noqa: PTH207 - as pyserial looks for the others
        if name not in names
    ]
    return sorted(ports, key=lambda port: port.name)


def port_info(name: str, ports: Sequence[PortInfo]) -> PortInfo | None:
    """The port of that name, or the one that a link of that name points to; None if there is none."""
    names = (name, os.path.realpath(name))
    return next((port for port in ports if port.name in names), None)


def find_again(known: PortInfo, name: str, ports: Sequence[PortInfo]) -> str:
    """What the port of the USB device `known`, opened as `name` before, is called now.

    It is the port of the same vendor, product and serial number; a device without a serial number has to
    be in the same socket, since another one of its kind may be another person's. Where nothing tells
    devices apart it is `name`. Raises NotFoundError if it is not there.
    """
    if not known.on_usb:
        return name
    same = [port for port in ports if _usb(port) == _usb(known)]
    found = [port for port in same if port.location == known.location]
    if not found and known.serial_number is not None:
        # In another socket. A device with several ports has one serial number for all of them.
        found = [port for port in same if _interface(port) == _interface(known)]
    if len(found) != 1:
        where = "any USB socket" if known.serial_number else "the socket that it was in"
        raise NotFoundError(
            f"the device of {name} ({known.usb_name()}) is not plugged in: plug it into {where}"
        )
    return name if port_info(name, ports) == found[0] else found[0].name


def latency_timer_ms(name: str, sysfs: Path = SYSFS) -> int | None:
    """How long the FTDI chip of a port holds bytes back, in ms; None for any other port."""
    try:
        return int(_timer_path(name, sysfs).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def latency_hint(name: str, sysfs: Path = SYSFS) -> str | None:
    """What to do where an FTDI chip holds bytes back for longer than need be; else None."""
    timer_ms = latency_timer_ms(name, sysfs)
    if timer_ms is None or timer_ms <= LEAST_TIMER_MS:
        return None
    path = _timer_path(name, sysfs)
    return (
        f"{name}: its FTDI chip holds bytes back for up to {timer_ms} ms; to set {LEAST_TIMER_MS} ms: "
        f"echo {LEAST_TIMER_MS} | sudo tee {path}"
    )


def _timer_path(name: str, sysfs: Path) -> Path:
    port = Path(os.path.realpath(name)).name
    return sysfs / "bus" / "usb-serial" / "devices" / port / "latency_timer"


def _usb(port: PortInfo) -> tuple[int | None, int | None, str | None]:
    return port.vid, port.pid, port.serial_number


def _interface(port: PortInfo) -> str:
    """Which of a device's ports it is: `1.2` in `1-4:1.2`; empty where it has one."""
    return (port.location or "").partition(":")[2]


def _known(text: str | None) -> str:
    return "" if text in (None, "n/a") else str(text).strip()
