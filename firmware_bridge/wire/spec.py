"""Every constant of the wire format, once: layouts, numbers, bounds with their reasons.

A frame is `COBS(header | payload | CRC-32) 0x00`. The tables below drive the Python encoder and decoder
and the byte tables of `firmware_bridge/wire/README.md`, which also says what each side must do.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

VERSION = 1
DELIMITER = b"\x00"  # COBS leaves no zero inside a frame, so a zero always ends one

# Named as in the catalogue of parametrised CRC algorithms; `zlib.crc32` computes it. Not a CRC-16: that
# would let one damaged frame in 65,536 through, this one in 4.3 thousand million.
CRC_NAME = "CRC-32/ISO-HDLC"
CRC_CHECK = 0xCBF43926  # of the nine bytes "123456789"
CRC_BYTES = 4

MAX_CHANNELS = 8  # the widest ECG front ends have eight, and the lead-off mask is one byte
MAX_SAMPLES = 255  # `count` is one byte
MAX_TEXT_BYTES = (
    32  # device and firmware names are for people; the stream info stays one small frame
)
# Header, payload and CRC. Holds 20 samples of 8 channels at 24 bits (501); a microcontroller can spare
# the buffer, and at 115200 baud a damaged frame costs 45 ms.
MAX_PACKET_BYTES = 512
COBS_BLOCK = 254  # data bytes that one COBS code byte covers
MAX_FRAME_BYTES = MAX_PACKET_BYTES + -(
    -MAX_PACKET_BYTES // COBS_BLOCK
)  # 515, without the delimiter
# A run that never ends in a delimiter is reported each time this many bytes of it were dropped: about
# every 6 s at 115200 baud, so that a wrong baud rate is seen and does not flood.
REPORT_BYTES = 65_536
# A frame this many places back is a duplicate or late; further back, the counters began again. Serial and
# BLE keep the order, so this serves relays that do not; 64 frames are 2.5 s of 20-sample frames at 500 Hz.
REORDER_FRAMES = 64

# Leads that the device reconstructed itself: values of two bytes, sigma as a code of one.
MAX_LEADS = 12
NO_VALUE = -(1 << 15)  # a value where a measured lead is off
SIGMA_LEAST_MV = 1e-4  # of code 1; below a tenth of a microvolt nothing is known
SIGMA_STEPS = 16  # codes that double it: half a step is 2.2 %, and code 255 is 6 mV
# Where a lead comes from; its code is its position plus one.
PROVENANCE = (
    "measured",
    "derived",
    "derived from reconstructed I",
    "derived from reconstructed II",
    "derived from reconstructed I and II",
    "reconstructed",
)

SIMULATED = "simulated"  # as its firmware: what a device says that measures nobody's heart
STREAM_INFO_PERIOD_S = 1.0  # a host that joins late waits this long for the scale of the samples

# Lead codes are positions in this tuple plus one; 0 is never sent.
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


class FrameType(IntEnum):
    """What a frame carries; 0x20 and up go from host to device."""

    SAMPLES_INT16 = 0x01
    SAMPLES_INT24 = 0x02
    RECONSTRUCTED = 0x03
    STREAM_INFO = 0x10
    BATTERY = 0x11
    RECONSTRUCTION = 0x12
    START = 0x20
    STOP = 0x21
    SET_RATE = 0x22
    IDENTIFY = 0x23


SAMPLE_BITS = {FrameType.SAMPLES_INT16: 16, FrameType.SAMPLES_INT24: 24}

# Fixed-size kinds of field and their `struct` codes; every other kind has a length of its own.
FIXED_KINDS = {"u8": "B", "u16": "H", "u32": "I", "f32": "f"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a layout."""

    name: str
    kind: str
    """A key of FIXED_KINDS, `text` (u8 length, then UTF-8), or an array: `codes`, `flags`, `logs`, `int16`,
    `int24`."""
    meaning: str


HEADER = (
    Field("version", "u8", "1"),
    Field("type", "u8", "what the payload is"),
    Field("session", "u8", "new at each boot and each start of sampling; 0 from the host"),
    Field("sequence", "u16", "frames sent in this session before this one, modulo 2^16"),
)

_SAMPLES = (
    Field("config_id", "u8", "the stream info that describes these samples"),
    Field("first_sample", "u32", "samples taken in this session before this one, modulo 2^32"),
    Field("tick_us", "u32", "device time of the first sample in microseconds, modulo 2^32"),
    Field("count", "u8", "samples of each channel, 1 to 255"),
    Field("lead_off", "u8", "bit i set: the electrode of channel i is off"),
    Field("channels", "u8", "1 to 8"),
)

# Fixed-size fields first in every layout.
PAYLOADS: dict[FrameType, tuple[Field, ...]] = {
    FrameType.SAMPLES_INT16: (
        *_SAMPLES,
        Field("samples", "int16", "count x channels, all channels of a sample together"),
    ),
    FrameType.SAMPLES_INT24: (
        *_SAMPLES,
        Field("samples", "int24", "count x channels, all channels of a sample together"),
    ),
    FrameType.RECONSTRUCTED: (
        Field("config_id", "u8", "the reconstruction that describes these samples"),
        Field(
            "first_sample",
            "u32",
            "samples of each lead in this session before this one, modulo 2^32",
        ),
        Field("tick_us", "u32", "device time of the first sample in microseconds, modulo 2^32"),
        Field("count", "u8", "samples of each lead, 1 or more"),
        Field("leads", "u8", "1 to 12"),
        Field("quality", "flags", "of each lead, the quality bits of any of its samples"),
        Field("values", "int16", "count x leads, all leads of a sample together; -32768: no value"),
        Field(
            "sigmas",
            "logs",
            "count x leads, sigma as a code: 0 is 0, c is 0.1 uV x 2^((c - 1) / 16)",
        ),
    ),
    FrameType.STREAM_INFO: (
        Field("config_id", "u8", "changes with any field below"),
        Field("sample_bits", "u8", "16 or 24: the converter's rails"),
        Field("rate_millihertz", "u32", "sampling rate, above 0"),
        Field("nanovolts_per_lsb", "f32", "one count at the electrodes, above 0"),
        Field("channels", "u8", "1 to 8"),
        Field("leads", "codes", "lead code of each channel, 1 to 12: " + " ".join(LEADS)),
        Field("device", "text", "name of the device, at most 32 bytes"),
        Field("firmware", "text", "version of its firmware, at most 32 bytes"),
    ),
    FrameType.BATTERY: (Field("percent", "u8", "charge, 0 to 100"),),
    FrameType.RECONSTRUCTION: (
        Field("config_id", "u8", "changes with any field below; as in the stream info"),
        Field("rate_millihertz", "u32", "rate of the reconstructed leads, above 0"),
        Field("nanovolts_per_lsb", "f32", "one count of a value, above 0"),
        Field("leads", "u8", "1 to 12"),
        Field("codes", "codes", "lead code of each lead, as in the stream info"),
        Field(
            "provenance",
            "codes",
            "where each lead comes from: 1 measured, 2 derived, 3 derived from reconstructed I, 4 from II, "
            "5 from both, 6 reconstructed",
        ),
        Field("model", "text", "name of the model, at most 32 bytes"),
    ),
    FrameType.START: (),
    FrameType.STOP: (),
    FrameType.SET_RATE: (Field("rate_millihertz", "u32", "sampling rate to use, above 0"),),
    FrameType.IDENTIFY: (),
}


def fixed_struct(fields: tuple[Field, ...]) -> struct.Struct:
    """The packed little-endian layout of the fixed-size fields, which come first."""
    return struct.Struct(
        "<" + "".join(FIXED_KINDS[f.kind] for f in fields if f.kind in FIXED_KINDS)
    )


HEADER_STRUCT = fixed_struct(HEADER)  # 5 bytes
PAYLOAD_STRUCTS = {frame_type: fixed_struct(fields) for frame_type, fields in PAYLOADS.items()}


def max_samples(channels: int, sample_bits: int) -> int:
    """The most samples per channel that one frame carries."""
    fixed = HEADER_STRUCT.size + PAYLOAD_STRUCTS[FrameType.SAMPLES_INT16].size + CRC_BYTES
    return min(MAX_SAMPLES, (MAX_PACKET_BYTES - fixed) // (channels * sample_bits // 8))


def max_reconstructed(leads: int) -> int:
    """The most samples per lead that one frame carries."""
    fixed = HEADER_STRUCT.size + PAYLOAD_STRUCTS[FrameType.RECONSTRUCTED].size + CRC_BYTES + leads
    return min(MAX_SAMPLES, (MAX_PACKET_BYTES - fixed) // (3 * leads))


def byte_table(fields: tuple[Field, ...], offset: int = 0) -> str:
    """A layout as a Markdown table; `offset` is the place of its first byte in the packet."""
    sizes = {"text": "1 + n", "int16": "2 x each", "int24": "3 x each", "logs": "1 x each"}
    per_channel = (
        "leads" if any(f.name == "leads" and f.kind == "u8" for f in fields) else "channels"
    )
    sizes |= {"codes": per_channel, "flags": per_channel}
    rows = ["| byte | size | type | field | meaning |", "|---|---|---|---|---|"]
    place: int | None = offset
    for field in fields:
        code = FIXED_KINDS.get(field.kind)
        size = struct.calcsize("<" + code) if code else None
        rows.append(
            f"| {'…' if place is None else place} | {size or sizes[field.kind]} "
            f"| {field.kind} | `{field.name}` | {field.meaning} |"
        )
        place = place + size if place is not None and size else None
    return "\n".join(rows)


def byte_tables() -> str:
    """The byte tables of the whole format as Markdown, as they stand in the README beside this file."""
    parts = [f"### Header, every frame\n\n{byte_table(HEADER)}"]
    for frame_type, fields in PAYLOADS.items():
        title = f"### 0x{frame_type:02X} {frame_type.name.lower()}"
        table = byte_table(fields, HEADER_STRUCT.size) if fields else "No payload."
        parts.append(f"{title}\n\n{table}")
    return "\n\n".join(parts)
