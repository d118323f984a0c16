"""What a BLE peripheral is believed to be, by the services and the name that it advertises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.devices.ganglion import PROFILE as GANGLION
from firmware_bridge.wire.gatt import WIRE_PROFILE, short_uuid


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
    options: str | None = None


# What people own: read, or told apart because this host must not be fed from it by mistake.
_OTHERS = (
    _Kind(GANGLION.title, "Ganglion-", GANGLION.service, "?device=ganglion&leads=1:II,2:V1,3:V5"),
    _Kind("Polar chest strap, one lead only", name="Polar "),
    _Kind("Movesense, one lead only", name="Movesense "),
    _Kind("HealthyPi, one lead only", name="healthypi", service=short_uuid(0x1122)),
    _Kind("heart rate monitor, no ECG", service=short_uuid(0x180D)),
)


def believed_to_be(name: str, services: Sequence[str]) -> Belief | None:
    """What advertises `name` (maybe empty) and `services` (UUIDs); None if nothing known does."""
    if WIRE_PROFILE.service in services:
        return Belief(WIRE_PROFILE.title, "")
    for kind in _OTHERS:
        named = bool(kind.name) and name.lower().startswith(kind.name.lower())
        if named or kind.service in services:
            return Belief(kind.title, kind.options)
    return None
