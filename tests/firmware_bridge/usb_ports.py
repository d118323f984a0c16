"""Fake USB ports: pseudo-terminals that a list of ports gives vendor, product and serial number."""

from __future__ import annotations

import os
import tty
from dataclasses import dataclass, field

from firmware_bridge.transports.ports import PortInfo

DONGLE = PortInfo(
    "", "FT231X USB UART", 0x0403, 0x6015, "DM00ABCD", "FT231X USB UART", "FTDI", "1-2"
)


@dataclass
class Sockets:
    """What is plugged in, as `list_ports` says it."""

    ports: list[PortInfo] = field(default_factory=list)
    listed: int = 0

    def __call__(self) -> list[PortInfo]:
        self.listed += 1
        return list(self.ports)


@dataclass
class Pty:
    """A pseudo-terminal; nobody has its port open but the host."""

    master: int
    port: str

    def write(self, data: bytes) -> None:
        assert os.write(self.master, data) == len(data)

    def unplug(self) -> None:
        if self.master >= 0:
            os.close(self.master)
        self.master = -1


def pty() -> Pty:
    """A new one, raw."""
    master, slave = os.openpty()
    tty.setraw(slave)
    made = Pty(master, os.ttyname(slave))
    os.close(slave)
    return made
