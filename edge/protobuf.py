"""The fields of a protobuf message: a bundle and its graph are read, and changed, without a library."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field of a message, as (number, value): an int for a varint, else the field's bytes.

    Raises IndexError or KeyError for bytes that are no message.
    """
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63 + 7:
                raise IndexError("a number of more than 64 bits")
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        kind = tag & 7
        if kind == VARINT:
            yield tag >> 3, varint()
            continue
        length = varint() if kind == LENGTH_DELIMITED else {FIXED64: 8, FIXED32: 4}[kind]
        if length > len(data) - at:
            raise IndexError("a field that ends behind its message")
        yield tag >> 3, data[at : at + length]
        at += length


def encoded(number: int, value: int | bytes) -> bytes:
    """A field as it stands in a message: an int as a varint."""
    if isinstance(value, int):
        return _varint(number << 3 | VARINT) + _varint(value)
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])
