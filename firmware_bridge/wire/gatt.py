"""The GATT service of a leadlift device, every UUID once: the same frames, over notifications.

*Strategy.* A characteristic carries a byte stream, as a serial port does: a notification ends where the
MTU says, a frame where its delimiter says, and neither knows of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from firmware_bridge.wire.packets import read_info_frame

ATT_HEADER_BYTES = 3  # of each notification and write, out of the MTU
MIN_MTU = 23  # what any link has, before or without negotiation
MAX_VALUE_BYTES = 512  # the longest attribute value there is: an MTU above 515 carries no more

# Drawn at random for this project; the four differ in the third and fourth byte, as BLE stacks have it.
_BASE = "fba6{:04x}-4b00-4eeb-9361-f2feb3f9a05b"


def short_uuid(number: int) -> str:
    """The whole UUID of one that the Bluetooth SIG assigned as 16 bits."""
    return f"{number:08x}-0000-1000-8000-00805f9b34fb"


SERVICE = _BASE.format(0x0001)
STREAM = _BASE.format(0x0002)
CONTROL = _BASE.format(0x0003)
INFO = _BASE.format(0x0004)
BATTERY_SERVICE = short_uuid(0x180F)
BATTERY_LEVEL = short_uuid(0x2A19)


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One characteristic of a device: what it is called, what may be done to it, what it holds."""

    name: str
    service: str
    uuid: str
    properties: tuple[str, ...]
    """As BlueZ and the Bluetooth specification name them."""
    meaning: str


CHARACTERISTICS = (
    Characteristic(
        "stream", SERVICE, STREAM, ("notify",), "device to host: frames as a byte stream"
    ),
    Characteristic(
        "control",
        SERVICE,
        CONTROL,
        ("write", "write-without-response"),
        "host to device: frames as a byte stream",
    ),
    Characteristic(
        "info", SERVICE, INFO, ("read",), "one stream info frame, with session 0 and sequence 0"
    ),
    Characteristic(
        "battery level",
        BATTERY_SERVICE,
        BATTERY_LEVEL,
        ("read", "notify"),
        "charge in percent, u8; for other hosts: this one takes the battery frames of the stream",
    ),
)


@dataclass(frozen=True, slots=True)
class GattProfile:
    """Where a kind of device has its byte stream."""

    title: str
    """What the kind of device is called, for people."""
    service: str
    """Advertised, and so what a device is recognised by."""
    stream: str
    """Notifies."""
    control: str | None = None
    """Takes what the host writes; None for a device that listens to nobody."""
    info: str | None = None
    """Holds what the device says of itself; None where there is no such thing."""
    read_info: Callable[[bytes], object] | None = None
    """Reads `info`; raises ValueError, with the reason, for what this host does not understand."""
    notification_bytes: int | None = None
    """Of every notification, where the format counts on that; None: as many as the MTU has room for."""


WIRE_PROFILE = GattProfile("leadlift wearable", SERVICE, STREAM, CONTROL, INFO, read_info_frame)


def characteristics(profile: GattProfile) -> tuple[Characteristic, ...]:
    """What a peripheral of `profile` offers: ours all of it, another maker's what the profile names."""
    if profile == WIRE_PROFILE:
        return CHARACTERISTICS
    uuids = {"stream": profile.stream, "control": profile.control, "info": profile.info}
    return tuple(
        replace(c, service=profile.service, uuid=uuid)
        for c in CHARACTERISTICS
        if (uuid := uuids.get(c.name)) is not None
    )


def notifications(data: bytes, mtu: int, profile: GattProfile = WIRE_PROFILE) -> list[bytes]:
    """Cut a piece of the byte stream into values that one notification each carries."""
    room = min(max(mtu, MIN_MTU) - ATT_HEADER_BYTES, MAX_VALUE_BYTES)
    size = profile.notification_bytes or room
    return [data[start : start + size] for start in range(0, len(data), size)]


def gatt_table() -> str:
    """The service as a Markdown table, as it stands in the README beside this file."""
    rows = [
        "| service | characteristic | UUID | properties | meaning |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| `{c.service}` | {c.name} | `{c.uuid}` | {', '.join(c.properties)} | {c.meaning} |"
        for c in CHARACTERISTICS
    ]
    return "\n".join(rows)
