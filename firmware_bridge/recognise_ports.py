"""What the device behind a serial port is believed to be, by its USB vendor, product and names."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_bridge.devices.registry import DEVICES
from firmware_bridge.transports.ports import PortInfo


@dataclass(frozen=True, slots=True)
class PortBelief:
    """What a port seems to be. A chip that many boards use names no board: then it is only a hint."""

    title: str
    options: str = ""
    """What follows `serial:PORT` if it is what it seems."""
    readable: bool = True
    """Whether leadlift can read it."""


# By what the product or manufacturer says of itself, before the numbers: the first that is contained.
_NAMES = (
    *(
        (name, PortBelief(title, device.options))
        for device in DEVICES.values()
        for name, title in device.usb_names.items()
    ),
    ("healthypi", PortBelief("HealthyPi, one lead only", readable=False)),
    ("gnss", PortBelief("satellite receiver, no ECG", readable=False)),
    ("modem", PortBelief("modem, no ECG", readable=False)),
)

# (vendor, product).
_PRODUCTS = {
    (0x0403, 0x6001): PortBelief("FTDI FT232R serial adapter"),
    (0x0403, 0x6010): PortBelief("FTDI FT2232 serial adapter"),
    (0x0403, 0x6011): PortBelief("FTDI FT4232 serial adapter"),
    (0x0403, 0x6014): PortBelief("FTDI FT232H serial adapter"),
    (0x10C4, 0xEA60): PortBelief("CP210x serial adapter, as on many ESP32 boards"),
    (0x1A86, 0x7523): PortBelief("CH340 serial adapter, as on many Arduino and ESP32 boards"),
    (0x1A86, 0x55D4): PortBelief("CH9102 serial adapter, as on many ESP32 boards"),
    (0x067B, 0x2303): PortBelief("PL2303 serial adapter"),
    (0x0483, 0x374B): PortBelief("ST-LINK of an STM32 board"),
    (0x16C0, 0x0483): PortBelief("Teensy board"),
    **{
        numbers: PortBelief(title, device.options)
        for device in DEVICES.values()
        for numbers, title in device.usb_chips.items()
    },
}

_VENDORS = {
    0x0403: PortBelief("FTDI serial adapter"),
    0x0483: PortBelief("STM32 board"),
    0x10C4: PortBelief("Silicon Labs serial adapter"),
    0x1366: PortBelief("SEGGER J-Link of a development board, as on nRF kits"),
    0x1A86: PortBelief("WCH serial adapter"),
    0x1915: PortBelief("Nordic nRF board"),
    0x2341: PortBelief("Arduino board"),
    0x239A: PortBelief("Adafruit board"),
    0x2886: PortBelief("Seeed board"),
    0x2A03: PortBelief("Arduino board"),
    0x2E8A: PortBelief("Raspberry Pi Pico, or a board with its chip"),
    0x2FE3: PortBelief("board with Zephyr"),
    0x303A: PortBelief("Espressif ESP32 board"),
    0x1546: PortBelief("u-blox satellite receiver, no ECG", readable=False),
    0x2C7C: PortBelief("modem, no ECG", readable=False),
}


def port_belief(port: PortInfo) -> PortBelief | None:
    """What `port` is believed to be; None if nothing about it is known."""
    says = f"{port.manufacturer} {port.product} {port.description}".lower()
    for name, belief in _NAMES:
        if name in says:
            return belief
    if port.vid is None or port.pid is None:
        return None
    return _PRODUCTS.get((port.vid, port.pid)) or _VENDORS.get(port.vid)
