"""The devices by the name that `device=` takes, and the decoder that the options of a source ask for."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_bridge.devices import csv_lines, cyton, ganglion, lsl_stream, openview, wearable
from firmware_bridge.devices.device import Device
from firmware_bridge.devices.lead_map import MissingLeads, missing_leads
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Decoder
from firmware_bridge.source_spec import Options

DEFAULT = wearable.DEVICE
"""What a source is taken for that does not say."""
DEVICES: dict[str, Device] = {
    module.DEVICE.name: module.DEVICE
    for module in (wearable, csv_lines, cyton, ganglion, openview, lsl_stream)
}
"""All of them; who adds a device adds its file here."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options of a source ask for."""

    device: Device
    decoder: Decoder
    used: dict[str, str]
    """The options that made it; a capture remembers them."""
    simulated: bool
    """Whether the user says that it measures nobody's heart."""


def make_decoder(options: Options, link: str = "") -> Asked:
    """Take `device=` and its own options out of `options`.

    `link` is the scheme of the source, and empty for a recording of any. Raises SourceSpecError for a device
    that is unknown or is not, and for its options.
    """
    device = DEVICES[options.choice("device", DEVICES, DEFAULT.name)]
    if link and device.scheme not in ("", link):
        raise SourceSpecError(
            f"device={device.name} is read as {device.scheme}:NAME: leave out device="
        )
    if link == "ble" and device.profile is None:
        on_ble = sorted(name for name, other in DEVICES.items() if other.profile is not None)
        raise SourceSpecError(
            f"device={device.name} does not speak BLE here: use one of {', '.join(on_ble)}"
        )
    if link == "serial" and not device.on_serial:
        raise SourceSpecError(
            f"device={device.name} speaks BLE: name it as ble:NAME?device={device.name}"
        )
    before = options.left()
    decoder = device.make(options)
    missing = options.text("missing", "")
    if missing:
        decoder = MissingLeads(decoder, missing_leads(missing))
    simulated = options.choice("simulated", ("0", "1"), "0") == "1"
    used = {name: value for name, value in before.items() if name not in options.left()}
    return Asked(device, decoder, used, simulated)
