"""The device formats by the name that `device=` takes: what decodes each, and how it is reached."""

from __future__ import annotations

from collections.abc import Callable

from firmware_bridge.devices import cyton, ganglion, openview
from firmware_bridge.devices.csv_lines import CsvDecoder
from firmware_bridge.devices.lead_map import LeadMap, MissingLeads, lead_map, missing_leads
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Decoder
from firmware_bridge.source_spec import Options
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.gatt import WIRE_PROFILE, GattProfile


def _wire(options: Options) -> Decoder:
    return WireDecoder()


def _csv(options: Options) -> Decoder:
    leads = options.text("leads", "II,V1,V5").split(",")
    rate = options.number("rate", 0.0) if options.has("rate") else None
    unit = options.number("unit_mv", 0.0) if options.has("unit_mv") else None
    return CsvDecoder(leads, rate, unit)


def _cyton(options: Options) -> Decoder:
    wired = _wired(options, "cyton", cyton.CHANNELS)
    gain = options.integer("gain", cyton.DEFAULT_GAIN)
    srb2 = options.choice("srb2", ("0", "1"), "1" if wired.reference else "0")
    return cyton.CytonDecoder(wired, gain, srb2=srb2 == "1")


def _ganglion(options: Options) -> Decoder:
    wired = _wired(options, "ganglion", ganglion.CHANNELS)
    firmware = options.choice("firmware", ganglion.FIRMWARE, "auto")
    return ganglion.GanglionDecoder(wired, firmware)


def _openview(options: Options) -> Decoder:
    wired = _wired(options, "openview", openview.CHANNELS, "1:I,2:II,3:V1")
    rate = options.number("rate", openview.SAMPLING_HZ)
    text = options.text("adcmax", hex(openview.ADC_MAX))
    try:
        adc_max = int(text, 0)
    except ValueError:
        raise SourceSpecError(f"adcmax={text}: use a whole number such as 0xF30000") from None
    return openview.OpenViewDecoder(wired, rate, adc_max)


def _wired(options: Options, device: str, n_channels: int, shipped: str = "") -> LeadMap:
    text = options.text("leads", shipped)
    reference = options.text("reference", "")
    if not text:
        raise SourceSpecError(
            f"device={device} needs leads=, since you wire its {n_channels} channels: leads=1:II,2:V1,3:V5, "
            "or by electrode leads=1:LA,2:LL,3:V1,4:V5&reference=RA"
        )
    return lead_map(text, n_channels, reference)


DEVICES: dict[str, Callable[[Options], Decoder]] = {
    "csv": _csv,
    "cyton": _cyton,
    "ganglion": _ganglion,
    "openview": _openview,
    "wire": _wire,
}
"""What makes the decoder for each `device=` from its options."""

PROFILES: dict[str, GattProfile] = {"wire": WIRE_PROFILE, "ganglion": ganglion.PROFILE}
"""Where each `device=` that speaks BLE has its bytes; all others speak over a serial port."""

BAUDS = {"openview": 57600}
"""Baud rates other than 115200, where `baud=` does not say."""


def make_decoder(options: Options, link: str = "") -> tuple[str, Decoder, dict[str, str]]:
    """Take `device=` and its own options out of `options`: its name, a decoder, and what it was made with.

    `link` is "serial" or "ble" where the device has to speak over one. Raises SourceSpecError for a device
    that is unknown or does not, and for its options.
    """
    device = options.choice("device", DEVICES, "wire")
    if link == "ble" and device not in PROFILES:
        raise SourceSpecError(
            f"device={device} does not speak BLE here: use one of {', '.join(sorted(PROFILES))}"
        )
    if link == "serial" and device == "ganglion":
        raise SourceSpecError("device=ganglion speaks BLE: name it as ble:NAME?device=ganglion")
    before = options.left()
    decoder = DEVICES[device](options)
    missing = options.text("missing", "")
    if missing:
        decoder = MissingLeads(decoder, missing_leads(missing))
    used = {name: value for name, value in before.items() if name not in options.left()}
    return device, decoder, used
