"""Golden vectors of the wire format: the fields, and the frames that any encoder must make of them.

`python -m tests.firmware_bridge.wire_vectors` writes `golden_vectors.json` anew, after a deliberate change of
the format; a test compares the two. Each good vector has the fields of its byte table by name (samples in
wire order), each bad one a part of the reason that the decoder must give.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from firmware_bridge.wire import spec
from firmware_bridge.wire.framing import cobs_encode, wrap
from firmware_bridge.wire.packets import (
    BatteryPacket,
    Command,
    InfoPacket,
    Packet,
    SamplePacket,
    encode_frame,
)
from firmware_bridge.wire.reconstructed import ReconstructedPacket, ReconstructionPacket
from firmware_bridge.wire.spec import FrameType

PATH = Path(__file__).with_name("golden_vectors.json")


def _samples(kind, channels, samples, first_sample=0, tick_us=0, lead_off=0, config_id=1):
    return kind, {
        "config_id": config_id,
        "first_sample": first_sample,
        "tick_us": tick_us,
        "count": len(samples) // channels,
        "lead_off": lead_off,
        "channels": channels,
        "samples": samples,
    }


def _info(leads, bits=24, rate=500_000, nanovolts=50.0, device="", firmware="", config_id=1):
    return "stream_info", {
        "config_id": config_id,
        "sample_bits": bits,
        "rate_millihertz": rate,
        "nanovolts_per_lsb": float(np.float32(nanovolts)),
        "channels": len(leads),
        "leads": leads,
        "device": device,
        "firmware": firmware,
    }


def _reconstruction(leads, provenance, rate=250_000, nanovolts=1000.0, model="", config_id=1):
    return "reconstruction", {
        "config_id": config_id,
        "rate_millihertz": rate,
        "nanovolts_per_lsb": float(np.float32(nanovolts)),
        "leads": len(leads),
        "codes": leads,
        "provenance": provenance,
        "model": model,
    }


def _reconstructed(quality, values, sigmas, first_sample=0, tick_us=0, config_id=1):
    return "reconstructed", {
        "config_id": config_id,
        "first_sample": first_sample,
        "tick_us": tick_us,
        "count": len(values) // len(quality),
        "leads": len(quality),
        "quality": quality,
        "values": values,
        "sigmas": sigmas,
    }


_TWELVE = list(range(1, 13))
_RAMP = [1000 * i - 30_000 for i in range(60)]

# name, session, sequence, (type, fields)
GOOD = [
    ("stream info", 7, 0, _info([2, 7, 11], device="leadlift one", firmware="1.0.2")),
    ("stream info, eight leads", 255, 1, _info([1, 2, 7, 8, 9, 10, 11, 12], 16, 250_000, 286.1)),
    ("stream info, longest names", 1, 2, _info([2], 16, 1, 1e-3, "µV" * 10 + "ab", "x" * 32)),
    ("int16, one sample", 7, 3, _samples("samples_int16", 3, [1, -2, 300])),
    ("int16 rails", 7, 4, _samples("samples_int16", 2, [-32768, 32767, 0, -1])),
    ("int16 zeros", 7, 5, _samples("samples_int16", 3, [0] * 60)),
    ("int24, twenty samples", 7, 6, _samples("samples_int24", 3, _RAMP, 12_340, 24_680_000)),
    ("int24 rails", 7, 7, _samples("samples_int24", 2, [-(2**23), 2**23 - 1, 0, -1])),
    ("lead off", 7, 8, _samples("samples_int24", 3, [0, 5, 6], 1, 2, lead_off=0b001)),
    (
        "every counter at its end",
        7,
        65_535,
        _samples("samples_int24", 1, [1], 2**32 - 1, 2**32 - 1, config_id=255),
    ),
    (
        "COBS block full",
        1,
        258,
        _samples("samples_int16", 8, [0x0101] * 240, 0x01010101, 0x01010101),
    ),
    ("largest frame", 1, 259, _samples("samples_int24", 1, [0x010203] * 163, 16_909_060)),
    ("most samples", 1, 260, _samples("samples_int16", 1, [-1] * 245)),
    ("battery empty", 7, 9, ("battery", {"percent": 0})),
    ("battery full", 7, 10, ("battery", {"percent": 100})),
    (
        "reconstruction of twelve leads",
        7,
        11,
        _reconstruction(_TWELVE, [6, 1, 3, 3, 3, 3, 1, 6, 6, 6, 1, 6], model="leadlift-any-to-12"),
    ),
    (
        "reconstruction, longest name",
        1,
        12,
        _reconstruction([9], [6], 1, 1e-3, "µV" * 10 + "ab", config_id=255),
    ),
    (
        "reconstructed, a hop of twelve leads",
        7,
        13,
        _reconstructed(
            [0, 4] * 6, [i - 24 for i in range(48)], list(range(48)), 12_340, 24_680_000
        ),
    ),
    (
        "reconstructed, ends of all ranges",
        7,
        14,
        _reconstructed([63, 0], [-32768, -32767, 32767, 0], [0, 255, 1, 0], 2**32 - 1, 2**32 - 1),
    ),
    (
        "most reconstructed samples",
        1,
        261,
        _reconstructed([255] * 12, [-1] * 156, [1] * 156, config_id=255),
    ),
    ("start", 0, 0, ("start", {})),
    ("stop", 0, 0, ("stop", {})),
    ("set rate", 0, 0, ("set_rate", {"rate_millihertz": 500_000})),
    ("identify", 0, 0, ("identify", {})),
]


def packet_from_fields(kind: str, fields: dict[str, Any]) -> Packet:
    """The packet with the fields of its byte table."""
    frame_type = FrameType[kind.upper()]
    if frame_type in spec.SAMPLE_BITS:
        flat = np.array(fields["samples"], np.int32).reshape(fields["count"], fields["channels"])
        return SamplePacket(
            fields["config_id"],
            fields["first_sample"],
            fields["tick_us"],
            fields["lead_off"],
            flat.T,
            spec.SAMPLE_BITS[frame_type],
        )
    if frame_type is FrameType.STREAM_INFO:
        leads = tuple(spec.LEADS[code - 1] for code in fields["leads"])
        rest = {k: v for k, v in fields.items() if k not in ("channels", "leads")}
        return InfoPacket(leads=leads, **rest)
    if frame_type is FrameType.RECONSTRUCTED:
        shape = fields["count"], fields["leads"]
        return ReconstructedPacket(
            fields["config_id"],
            fields["first_sample"],
            fields["tick_us"],
            np.array(fields["quality"], np.uint8),
            np.array(fields["values"], np.int16).reshape(shape).T,
            np.array(fields["sigmas"], np.uint8).reshape(shape).T,
        )
    if frame_type is FrameType.RECONSTRUCTION:
        return ReconstructionPacket(
            fields["config_id"],
            fields["rate_millihertz"],
            fields["nanovolts_per_lsb"],
            tuple(spec.LEADS[code - 1] for code in fields["codes"]),
            tuple(spec.PROVENANCE[code - 1] for code in fields["provenance"]),
            fields["model"],
        )
    if frame_type is FrameType.BATTERY:
        return BatteryPacket(**fields)
    return Command(frame_type, **fields)


def _frame(frame_type: int, payload: bytes, version: int = 1) -> bytes:
    return wrap(struct.pack("<BBBH", version, frame_type, 7, 3) + payload)


def _sample_payload(count: int, lead_off: int, channels: int, n_bytes: int) -> bytes:
    return struct.pack("<BIIBBB", 1, 0, 0, count, lead_off, channels) + bytes(n_bytes)


def _info_payload(bits=24, rate=500_000, nanovolts=50.0, leads=b"\2\7\x0b", tail=b"\0\0") -> bytes:
    return struct.pack("<BBIfB", 1, bits, rate, nanovolts, len(leads)) + leads + tail


def _reconstruction_payload(
    rate=250_000, nanovolts=1000.0, leads=b"\2\7", origins=b"\1\6", tail=b"\0"
) -> bytes:
    return struct.pack("<BIfB", 1, rate, nanovolts, len(leads)) + leads + origins + tail


def _reconstructed_payload(count: int, leads: int, n_bytes: int) -> bytes:
    return struct.pack("<BIIBB", 1, 0, 0, count, leads) + bytes(n_bytes)


def _bad() -> list[tuple[str, str, bytes]]:
    """Name, part of the reason, frame."""
    good = encode_frame(packet_from_fields(*GOOD[6][3]), 7, 6)
    flipped = good[:40] + bytes([good[40] ^ 0x10]) + good[41:]
    return [
        ("one bit flipped", "CRC", flipped),
        ("delimiter inside", "COBS", good[:50] + b"\0"),
        ("COBS block too long", "COBS", b"\xff\x01\x02\x00"),
        ("too short for a CRC", "too short", cobs_encode(b"\1\2\3\4") + b"\0"),
        ("too short for a header", "too short", wrap(b"\1\2\3")),
        ("oversize", "within 515", b"\x01" * 516 + b"\0"),
        ("another version", "version 2", _frame(0x01, b"", version=2)),
        ("unknown type", "0x7f", _frame(0x7F, b"")),
        ("command from the device", "looped back", encode_frame(Command(FrameType.START))),
        ("sample frame cut", "declares 2 x 3", _frame(0x01, _sample_payload(2, 0, 3, 11))),
        ("sample frame too long", "declares 2 x 3", _frame(0x02, _sample_payload(2, 0, 3, 19))),
        ("sample frame without fields", "needs 12", _frame(0x02, b"\1")),
        ("no samples", "without samples", _frame(0x01, _sample_payload(0, 0, 3, 0))),
        ("no channels", "0 channels", _frame(0x01, _sample_payload(1, 0, 0, 0))),
        ("nine channels", "9 channels", _frame(0x01, _sample_payload(1, 0, 9, 18))),
        ("lead-off mask too wide", "mask 0x8", _frame(0x01, _sample_payload(1, 8, 3, 6))),
        ("info without leads", "0 channels", _frame(0x10, _info_payload(leads=b""))),
        ("info cut in the leads", "names 1 leads", _frame(0x10, _info_payload(tail=b"")[:-2])),
        ("lead code 0", "lead code 0", _frame(0x10, _info_payload(leads=b"\0"))),
        ("lead code 13", "lead code 13", _frame(0x10, _info_payload(leads=b"\x0d"))),
        ("lead twice", "twice", _frame(0x10, _info_payload(leads=b"\2\2"))),
        ("12-bit samples", "12-bit", _frame(0x10, _info_payload(bits=12))),
        ("rate of zero", "rate of zero", _frame(0x10, _info_payload(rate=0))),
        ("scale of zero", "0.0 nanovolts", _frame(0x10, _info_payload(nanovolts=0.0))),
        (
            "scale not a number",
            "nan nanovolts",
            _frame(0x10, _info_payload(nanovolts=float("nan"))),
        ),
        ("info without names", "before its device", _frame(0x10, _info_payload(tail=b""))),
        ("info name cut", "firmware name of 2", _frame(0x10, _info_payload(tail=b"\0\2a"))),
        ("info name too long", "device name of 33", _frame(0x10, _info_payload(tail=b"\x21" * 40))),
        ("info name not UTF-8", "UTF-8", _frame(0x10, _info_payload(tail=b"\1\xff\0"))),
        ("info too long", "1 bytes longer", _frame(0x10, _info_payload(tail=b"\0\0\0"))),
        ("reconstructed cut", "declares 2 x 3", _frame(0x03, _reconstructed_payload(2, 3, 20))),
        (
            "reconstructed too long",
            "declares 2 x 3",
            _frame(0x03, _reconstructed_payload(2, 3, 22)),
        ),
        ("reconstructed without fields", "needs 11", _frame(0x03, b"\1")),
        (
            "reconstructed without samples",
            "without samples",
            _frame(0x03, _reconstructed_payload(0, 1, 1)),
        ),
        ("no reconstructed leads", "0 leads", _frame(0x03, _reconstructed_payload(1, 0, 0))),
        ("thirteen leads", "13 leads", _frame(0x03, _reconstructed_payload(1, 13, 52))),
        (
            "reconstruction of nothing",
            "0 leads",
            _frame(0x12, _reconstruction_payload(leads=b"", origins=b"")),
        ),
        (
            "reconstruction cut",
            "declares 2 leads",
            _frame(0x12, _reconstruction_payload(origins=b"", tail=b"\1")),
        ),
        (
            "reconstructed lead 13",
            "lead code 13",
            _frame(0x12, _reconstruction_payload(leads=b"\2\x0d")),
        ),
        ("reconstructed lead twice", "twice", _frame(0x12, _reconstruction_payload(leads=b"\2\2"))),
        (
            "provenance 0",
            "provenance code 0",
            _frame(0x12, _reconstruction_payload(origins=b"\0\1")),
        ),
        (
            "provenance 7",
            "provenance code 7",
            _frame(0x12, _reconstruction_payload(origins=b"\1\7")),
        ),
        (
            "reconstruction at no rate",
            "rate of zero",
            _frame(0x12, _reconstruction_payload(rate=0)),
        ),
        (
            "reconstruction without scale",
            "0.0 nanovolts",
            _frame(0x12, _reconstruction_payload(nanovolts=0.0)),
        ),
        (
            "reconstruction without a model",
            "before its model",
            _frame(0x12, _reconstruction_payload(tail=b"")),
        ),
        (
            "reconstruction too long",
            "1 bytes longer",
            _frame(0x12, _reconstruction_payload(tail=b"\0\0")),
        ),
        ("battery over full", "101 %", _frame(0x11, b"\x65")),
        ("battery without charge", "needs 1 bytes", _frame(0x11, b"")),
        ("battery too long", "1 bytes longer", _frame(0x11, b"\1\1")),
        ("set rate to zero", "rate of zero", _frame(0x22, bytes(4))),
        ("start with a payload", "1 bytes longer", _frame(0x20, b"\1")),
    ]


def build() -> dict[str, Any]:
    """The content of the file."""
    good = [
        {
            "name": name,
            "session": session,
            "sequence": sequence,
            "type": kind,
            "fields": fields,
            "hex": encode_frame(packet_from_fields(kind, fields), session, sequence).hex(),
        }
        for name, session, sequence, (kind, fields) in GOOD
    ]
    bad = [{"name": name, "reason": reason, "hex": frame.hex()} for name, reason, frame in _bad()]
    return {"version": spec.VERSION, "crc": spec.CRC_NAME, "frames": good, "bad_frames": bad}


def load() -> dict[str, Any]:
    """The file."""
    content: dict[str, Any] = json.loads(PATH.read_text())
    return content


def text() -> str:
    """The file as it should be, one vector a line."""
    content = build()
    good, bad = (",\n ".join(map(json.dumps, content.pop(k))) for k in ("frames", "bad_frames"))
    head = json.dumps(content)[:-1]
    return f'{head},\n"frames": [\n {good}\n],\n"bad_frames": [\n {bad}\n]}}\n'


if __name__ == "__main__":
    PATH.write_text(text())
