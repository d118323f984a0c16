"""Devices that speak leadlift's own wire format (`firmware_bridge.wire`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_bridge.devices.device import Device
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.gatt import WIRE_PROFILE
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.spec import DELIMITER, FrameType

if TYPE_CHECKING:
    from firmware_bridge.simulators.twins import Setup, Twin

IDENTIFY = encode_frame(Command(FrameType.IDENTIFY))


def _twin(setup: Setup) -> Twin:
    from firmware_bridge.simulators.twins import wearable

    return wearable(setup)


DEVICE = Device(
    "wire",
    WIRE_PROFILE.title,
    lambda options: WireDecoder(),
    _twin,
    twin_name="wearable",
    profile=WIRE_PROFILE,
    hello=IDENTIFY,
    resync=DELIMITER,
    says_simulated=True,
    usb_names={"leadlift": WIRE_PROFILE.title},
)
