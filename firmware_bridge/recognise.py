"""What a BLE peripheral is believed to be, by the services and the name that it advertises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.devices.registry import DEVICES
from firmware_bridge.wire.gatt import short_uuid


@dataclass(frozen=True, slots=True)
class Belief:
    """What a peripheral seems to be, and what a source that reads it is called."""

    title: str
    options: str | None
    """To be put behind `ble:ADDRESS`; None where leadlift cannot read it."""


@dataclass(frozen=True, slots=True)
class _Kind:
    title: str
    name: str = ""
    """How its name begins; no name if empty."""
    service: str = ""


# What people own, told apart because this host must not be fed from it by mistake.
_OTHERS = (
    _Kind("Polar chest strap, one lead only", name="Polar "),
    _Kind("Movesense, one lead only", name="Movesense "),
    _Kind("HealthyPi, one lead only", name="healthypi", service=short_uuid(0x1122)),
    _Kind("heart rate monitor, no ECG", service=short_uuid(0x180D)),
)


def believed_to_be(name: str, services: Sequence[str]) -> Belief | None:
    """What advertises `name` (maybe empty) and `services` (UUIDs); None if nothing known does."""
    for device in DEVICES.values():
        profile = device.profile
        if profile and (profile.service in services or _begins(name, device.ble_name)):
            return Belief(device.title, device.options)
    for kind in _OTHERS:
        if kind.service in services or _begins(name, kind.name):
            return Belief(kind.title, None)
    return None


def _begins(name: str, beginning: str) -> bool:
    return bool(beginning) and name.lower().startswith(beginning.lower())
