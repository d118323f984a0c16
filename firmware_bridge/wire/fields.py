"""Fields of a payload to bytes and back, by the tables of `spec`."""

from __future__ import annotations

import struct

from firmware_bridge.errors import EncodeError
from firmware_bridge.wire import spec
from firmware_bridge.wire.framing import FrameError
from firmware_bridge.wire.spec import FrameType


def pack(frame_type: FrameType, *values: float) -> bytes:
    """The fixed-size fields. Raises EncodeError for values that do not fit."""
    try:
        return spec.PAYLOAD_STRUCTS[frame_type].pack(*values)
    except (struct.error, OverflowError) as error:
        raise EncodeError(f"{frame_type.name.lower()} {values}: {error}") from error


def unpack(frame_type: FrameType, payload: bytes) -> tuple[tuple[int, ...], bytes]:
    """The fixed-size fields and what follows. Raises FrameError where they are cut."""
    layout = spec.PAYLOAD_STRUCTS[frame_type]
    if len(payload) < layout.size:
        raise FrameError(
            f"{frame_type.name.lower()} needs {layout.size} bytes and has {len(payload)}"
        )
    return layout.unpack_from(payload), payload[layout.size :]


def unpack_all(frame_type: FrameType, payload: bytes) -> tuple[int, ...]:
    """The fixed-size fields, which are all. Raises FrameError for another length."""
    values, rest = unpack(frame_type, payload)
    if rest:
        raise FrameError(f"{frame_type.name.lower()} is {len(rest)} bytes longer than it declares")
    return values


def text(value: str) -> bytes:
    """A `text` field. Raises EncodeError for one that is too long."""
    encoded = value.encode()
    if len(encoded) > spec.MAX_TEXT_BYTES:
        raise EncodeError(f"{value!r} has more than {spec.MAX_TEXT_BYTES} bytes: shorten it")
    return bytes([len(encoded)]) + encoded


def lead_codes(leads: tuple[str, ...]) -> bytes:
    """A `codes` field. Raises EncodeError for an unknown lead."""
    unknown = [lead for lead in leads if lead not in spec.LEADS]
    if unknown:
        raise EncodeError(f"unknown lead {unknown[0]!r}: use {', '.join(spec.LEADS)}")
    return bytes(spec.LEADS.index(lead) + 1 for lead in leads)


def leads_of(codes: bytes) -> tuple[str, ...]:
    """The leads of a `codes` field. Raises FrameError for an unknown code."""
    unknown = [code for code in codes if not 1 <= code <= len(spec.LEADS)]
    if unknown:
        raise FrameError(f"unknown lead code {unknown[0]}")
    return tuple(spec.LEADS[code - 1] for code in codes)


def take_text(data: bytes, name: str, of: str = "stream info") -> tuple[str, bytes]:
    """A `text` field and what follows. Raises FrameError where it is none."""
    if not data:
        raise FrameError(f"{of} ends before its {name} name")
    n = data[0]
    if n > spec.MAX_TEXT_BYTES or n > len(data) - 1:
        raise FrameError(f"{name} name of {n} bytes, where {len(data) - 1} are left")
    try:
        return data[1 : 1 + n].decode(), data[1 + n :]
    except UnicodeDecodeError as error:
        raise FrameError(f"{name} name is not UTF-8") from error
