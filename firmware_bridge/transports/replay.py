"""A captured byte stream with its times: the recorder, and the transport that plays it back.

Capture file, little-endian, appended to and flushed record by record:

    magic     b"leadlift capture 1\\n"
    header    one line of JSON, at least {"device": "<decoder name>"}, ended by b"\\n"
    record*   u64  nanoseconds since the previous record (the first: since the recorder started)
              u32  number of bytes, at most 1,048,576; 0 where the link was lost and opened anew
              u32  CRC-32/ISO-HDLC (check value 0xCBF43926) of the two fields above and the bytes,
                   continued from the CRC of the record before (the first: of magic and header)
              the bytes

The chained CRC shows a record that was changed, removed or moved. A recording cut short by a kill or
a full disk plays up to its last whole record.
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import BinaryIO

from firmware_bridge.closing import Closing
from firmware_bridge.errors import CaptureError, SourceSpecError, TransportError
from firmware_bridge.new_file import NewFile
from firmware_bridge.transports.base import Received
from firmware_bridge.unread import why_unread

KIND = b"leadlift capture "
MAGIC = KIND + b"1\n"
MAX_HEADER_BYTES = 4096  # a header is a handful of options; more is not a capture of ours
MAX_RECORD_BYTES = 1 << 20  # transports read 64 KiB at most; an altered length must not ask for GBs
_FIELDS = struct.Struct("<QI")
_CRC = struct.Struct("<I")


class CaptureWriter(Closing):
    """Records pieces of a byte stream to the new file `path`; a context manager.

    `header` must name the device format under "device"; other keys are the caller's. With `overwrite`
    a file that exists is replaced when the capture is closed. Raises CaptureError if the file exists
    otherwise, or cannot be written. The recording begins at `start_ns`, by default now.
    """

    def __init__(
        self,
        path: str | Path,
        header: Mapping[str, object],
        *,
        overwrite: bool = False,
        start_ns: int | None = None,
    ) -> None:
        self._new = NewFile(path, overwrite=overwrite)
        self.path = self._new.path
        start = MAGIC + json.dumps(dict(header)).encode() + b"\n"
        if "device" not in header or len(start) > MAX_HEADER_BYTES:
            raise CaptureError("a capture header names its device format and fits 4,096 bytes")
        try:
            # Unbuffered: each record is one write, so a killed recording ends with a whole record.
            self._file = self._new.create()
        except OSError as error:
            raise CaptureError(f"cannot write {self.path}: {error.strerror}") from error
        self._append(start)
        self._crc = zlib.crc32(start)
        self._last_ns = time.monotonic_ns() if start_ns is None else start_ns

    def write(self, piece: Received) -> None:
        """Append one piece. Raises CaptureError when the disk is full or the piece too long."""
        if len(piece.data) > MAX_RECORD_BYTES or bool(piece.data) == piece.reopened:
            raise CaptureError(f"a captured piece has 1 to {MAX_RECORD_BYTES:,} bytes")
        delta_ns = max(0, piece.arrival_ns - self._last_ns)
        fields = _FIELDS.pack(delta_ns, len(piece.data))
        crc = zlib.crc32(piece.data, zlib.crc32(fields, self._crc))
        self._append(fields + _CRC.pack(crc) + piece.data)
        self._crc = crc
        self._last_ns += delta_ns

    def close(self) -> None:
        """Close the file; closing twice is fine. Raises CaptureError if it cannot take its name."""
        self._file.close()
        try:
            self._new.keep()
        except OSError as error:
            raise CaptureError(
                f"cannot write {self.path}: {error.strerror}; it is {self._new.part}"
            ) from error

    def _append(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            self._file.close()
            kept = self._new.leave()
            raise CaptureError(
                f"cannot write {self.path}: {error.strerror}; what was captured before is in {kept}"
            ) from error


class Capture:
    """A recorder whose file is made when the first bytes are there: no bytes, no file."""

    def __init__(
        self,
        path: str | Path,
        header: Mapping[str, object],
        when: Callable[[int], datetime | None],
        *,
        overwrite: bool = False,
    ) -> None:
        """As CaptureWriter; `created`, when the first bytes arrived, is added to `header`, if it is known.

        `when` says it of their `arrival_ns`: of a replay it is the time of its capture.
        """
        self._path = path
        self._header = header
        self._when = when
        self._overwrite = overwrite
        self._writer: CaptureWriter | None = None

    def write(self, piece: Received) -> None:
        """Append one piece. Raises what CaptureWriter does."""
        if self._writer is None:
            if not piece.data:
                return
            header, created = dict(self._header), self._when(piece.arrival_ns)
            if created is not None:
                utc = created.astimezone(timezone.utc)
                header["created"] = utc.isoformat(timespec="milliseconds")
            self._writer = CaptureWriter(
                self._path, header, overwrite=self._overwrite, start_ns=piece.arrival_ns
            )
        self._writer.write(piece)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._writer is not None:
            self._writer.close()


def read_header(path: str | Path) -> dict[str, object]:
    """The header of a capture. Raises CaptureError if the file is missing or is no capture."""
    file, header, _ = _open(Path(path))
    file.close()
    return header


class ReplayTransport:
    """Plays a capture: the same pieces, at `speed` times their pace (`math.inf`: as fast as taken).

    At speed 1 a piece arrives when it is played; at any other speed its `arrival_ns` follows the
    recorded times, so that what is computed from arrivals is as it was live.
    """

    def __init__(self, path: str | Path, speed: float = 1.0) -> None:
        self.path = Path(path)
        if not speed > 0:
            raise SourceSpecError(f"replay speed {speed:g} is not above 0: use 1, 10 or inf")
        self.speed = speed
        self._file: BinaryIO | None = None
        self._pending: Received | None = None
        self._crc = 0
        self._start_ns = 0
        self._offset_ns = 0
        self._created: datetime | None = None

    def recorded_at(self, arrival_ns: int) -> datetime | None:
        """Local time at which a piece that was read arrived when it was captured; None if not known."""
        if self._created is None:
            return None
        offset_us = (arrival_ns - self._start_ns) / 1000
        try:
            return (self._created + timedelta(microseconds=offset_us)).astimezone()
        except (OverflowError, ValueError, OSError):  # the calendar, or this system's, ends before
            return None

    async def open(self) -> None:
        """Open the file and start its clock. Raises CaptureError."""
        await self.close()
        self._file, header, self._crc = _open(self.path)
        self._created = _time(header.get("created"))
        self._start_ns = time.monotonic_ns()
        self._offset_ns = 0

    async def read(self) -> Received:
        """The next piece when it is due; empty data at the end.

        Raises CaptureError at the first record that is cut short or altered.
        """
        if self._pending is None:
            self._pending = self._next_record()
        piece = self._pending
        wait_s = 0.0
        if math.isfinite(self.speed):
            due_ns = self._start_ns + self._offset_ns / self.speed
            wait_s = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        await asyncio.sleep(wait_s)  # also when 0: a fast replay lets other tasks run
        self._pending = None
        if self.speed == 1.0:
            return replace(piece, arrival_ns=time.monotonic_ns())
        return piece

    async def write(self, data: bytes) -> None:
        """Ignored: a capture does not answer."""

    async def close(self) -> None:
        """Close the file."""
        self._pending = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next_record(self) -> Received:
        if self._file is None:
            raise TransportError("the replay is not open: open it before reading")
        offset = self._file.tell()
        head = self._file.read(_FIELDS.size + _CRC.size)
        if not head:
            return Received(b"", self._start_ns + self._offset_ns)
        cut = CaptureError(
            f"{self.path}: cut short in the record at byte {offset}; played up to it"
        )
        if len(head) < _FIELDS.size + _CRC.size:
            raise cut
        delta_ns, n_bytes = _FIELDS.unpack_from(head)
        (expected,) = _CRC.unpack_from(head, _FIELDS.size)
        altered = CaptureError(
            f"{self.path}: altered in the record at byte {offset}; played up to it"
        )
        if n_bytes > MAX_RECORD_BYTES:
            raise altered
        data = self._file.read(n_bytes)
        if len(data) < n_bytes:
            raise cut
        crc = zlib.crc32(data, zlib.crc32(head[: _FIELDS.size], self._crc))
        if crc != expected:
            raise altered
        self._crc = crc
        self._offset_ns += delta_ns
        return Received(data, self._start_ns + self._offset_ns, reopened=n_bytes == 0)


def _time(text: object) -> datetime | None:
    """A time with its zone out of a header; None where it says none."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _open(path: Path) -> tuple[BinaryIO, dict[str, object], int]:
    """The file placed at its first record, its header, and the CRC that the records continue."""
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        why = why_unread(error, path)
        raise CaptureError(
            f"cannot read the capture {path}: {why}, or record one with `leadlift monitor`"
        ) from error
    start = file.readline(len(MAGIC))
    line = file.readline(MAX_HEADER_BYTES)
    try:
        header = json.loads(line) if start == MAGIC and line.endswith(b"\n") else None
    except (ValueError, RecursionError):  # a few thousand brackets are nested too deep
        header = None
    if start.startswith(KIND) and start != MAGIC and len(start) == len(MAGIC):
        file.close()
        raise CaptureError(f"{path} is a capture of another version than 1: update leadlift")
    if not isinstance(header, dict) or not isinstance(header.get("device"), str):
        file.close()
        raise CaptureError(f"{path} is no leadlift capture: record one with `leadlift monitor`")
    return file, header, zlib.crc32(start + line)
