"""Frames on a byte stream: splitting, COBS and the CRC, without I/O and with bounded memory.

*Strategy.* A delimiter ends a frame whatever came before it, so damage costs the frame it hits and, where
it ate or made a delimiter, the one beside it. Nothing is ever searched for inside a damaged run.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from firmware_bridge.events import Corrupt
from firmware_bridge.wire.spec import (
    COBS_BLOCK,
    CRC_BYTES,
    DELIMITER,
    MAX_FRAME_BYTES,
    REPORT_BYTES,
)


class FrameError(ValueError):
    """Bytes that are no valid frame; the text is the reason that a `Corrupt` event gives."""


class SenselessError(FrameError):
    """A frame that arrived as it was sent, and cannot be meant: no link is to blame for it."""


class Splitter:
    """Cuts a byte stream at a delimiter; holds at most `max_bytes` of it."""

    def __init__(
        self,
        delimiter: bytes = DELIMITER,
        max_bytes: int = MAX_FRAME_BYTES,
        unit: str = "frame",
    ) -> None:
        self._delimiter = delimiter
        self._max_bytes = max_bytes
        self._unit = unit
        self._held = bytearray()
        self._dropped = 0  # bytes of the current run that are not held and not yet reported
        self._oversize = False

    @property
    def held_bytes(self) -> int:
        """Bytes of the unfinished run that are kept."""
        return len(self._held)

    def receive_data(self, data: bytes) -> Iterator[bytes | Corrupt]:
        """Yield each run that a delimiter ends, without the delimiter; empty runs are skipped.

        A run longer than `max_bytes` is dropped and yields `Corrupt` with its length, once: when it ends,
        or each time that REPORT_BYTES of it were dropped if it does not. Exhaust the iterator.
        """
        runs = data.split(self._delimiter)
        last = runs.pop()
        for run in runs:
            if not self._held and not self._oversize and len(run) <= self._max_bytes:
                if run:
                    yield run
                continue
            yield from self._take(run)
            if self._oversize:
                if self._dropped:
                    yield self._report(self._dropped)
                self._oversize = False
            else:
                yield bytes(self._held)
                self._held.clear()
        yield from self._take(last)

    def _take(self, run: bytes) -> Iterator[Corrupt]:
        if not self._oversize and len(self._held) + len(run) <= self._max_bytes:
            self._held += run
            return
        self._oversize = True
        self._dropped += len(self._held) + len(run)
        self._held.clear()
        while self._dropped >= REPORT_BYTES:
            yield self._report(REPORT_BYTES)

    def _report(self, n_bytes: int) -> Corrupt:
        self._dropped -= n_bytes
        return Corrupt(
            f"no {self._unit} ends within {self._max_bytes} bytes: wrong baud rate or other device?",
            n_bytes,
        )


def cobs_encode(data: bytes) -> bytes:
    """`data` without zero bytes, by consistent overhead byte stuffing; no delimiter is added."""
    out = bytearray()
    runs = data.split(b"\x00")
    last = len(runs) - 1
    for i, run in enumerate(runs):
        start = 0
        while len(run) - start >= COBS_BLOCK:
            out.append(COBS_BLOCK + 1)
            out += run[start : start + COBS_BLOCK]
            start += COBS_BLOCK
        if i < last or start < len(run) or not start:  # a full block at the very end needs no more
            out.append(len(run) - start + 1)
            out += run[start:]
    return bytes(out)


def cobs_decode(frame: bytes) -> bytes:
    """Undo `cobs_encode`.

    Raises FrameError for a zero byte, or for a block that is longer than what is left.
    """
    out = bytearray()
    n = len(frame)
    place = 0
    while place < n:
        code = frame[place]
        end = place + code
        if code == 0 or end > n:
            raise FrameError("bad COBS: a block is longer than its frame" if code else "bad COBS")
        out += frame[place + 1 : end]
        if code <= COBS_BLOCK and end < n:
            out.append(0)
        place = end
    return bytes(out)


def wrap(packet: bytes) -> bytes:
    """A whole frame: `packet` and its CRC under COBS, with the delimiter."""
    return cobs_encode(packet + zlib.crc32(packet).to_bytes(CRC_BYTES, "little")) + DELIMITER


def unwrap(frame: bytes) -> bytes:
    """The packet inside `frame` (without its delimiter).

    Raises FrameError if COBS or the CRC fails.
    """
    decoded = cobs_decode(frame)
    if len(decoded) <= CRC_BYTES:
        raise FrameError(f"{len(decoded)} bytes: too short for a frame")
    packet = decoded[:-CRC_BYTES]
    if zlib.crc32(packet) != int.from_bytes(decoded[-CRC_BYTES:], "little"):
        raise FrameError("CRC does not match")
    return packet
