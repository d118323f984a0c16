"""Devices that speak leadlift's own wire format (`firmware_bridge.wire`)."""

from __future__ import annotations

from firmware_bridge.devices.device import Device
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.gatt import WIRE_PROFILE
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.spec import DELIMITER, FrameType

IDENTIFY = encode_frame(Command(FrameType.IDENTIFY))


DEVICE = Device(
    "wire",
    WIRE_PROFILE.title,
    lambda options: WireDecoder(),
    "firmware_bridge.simulators.twins:wearable",
    twin_name="wearable",
    profile=WIRE_PROFILE,
    hello=IDENTIFY,
    resync=DELIMITER,
    says_simulated=True,
    usb_names={"leadlift": WIRE_PROFILE.title},
)
