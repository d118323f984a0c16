"""The header of an EDF, EDF+ or BDF file, read as other writers fill it in; no samples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from edge.errors import InputError
from edge.files.record import printable
from edge.quality import Quality

ABSENT = int(Quality.GAP | Quality.LEAD_OFF)  # a code 0 under one of these flags is no value

FIXED_BYTES = 256
"""Bytes of the fixed part of the header, and of what it adds for every signal."""
BDF_VERSION = b"\xffBIOSEMI"
UNKNOWN_START = datetime(1985, 1, 1)
"""What EDF writes where the start is not known: its earliest."""
_ANNOTATIONS = ("edf annotations", "bdf annotations")
WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)  # label, transducer, dimension, ranges, ..., reserved
# What a header's number may look like: a decimal comma, blanks after the sign and junk behind it included.
_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d{1,3})?", re.ASCII)
_DATE = re.compile(r"(\d{1,2})\D(\d{1,2})\D(\d{2})", re.ASCII)
_TIME = re.compile(r"(\d{1,2})\D(\d{1,2})\D(\d{1,2})", re.ASCII)
_PLUS_YEAR = re.compile(r"Startdate\s+\d{1,2}-[A-Za-z]{3}-(\d{4})\b", re.ASCII)
_SHORTEST_RECORD_S = 1e-5  # one sample at 100 kHz
_LONGEST_RECORD_S = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class EdfSignal:
    """One signal of the header; numbers that cannot be read are None."""

    label: str
    transducer: str
    dimension: str
    physical: tuple[float | None, float | None]
    digital: tuple[float | None, float | None]
    prefilter: str
    samples: int
    """Samples in each data record."""
    offset: int
    """Its first byte in a data record."""
    number: int
    """Its place in the file, from 1."""

    @property
    def is_annotations(self) -> bool:
        """Whether it holds texts and not samples."""
        return self.label.lower() in _ANNOTATIONS


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """What the header says, with what had to be assumed in `warnings`."""

    signals: tuple[EdfSignal, ...]
    recording: str
    """The recording identification: start date, equipment and more."""
    started_at: datetime | None
    record_s: Fraction
    """Seconds in a data record; 0 where the header says none."""
    discontinuous: bool
    """EDF+D: records need not follow on each other; each says its own time."""
    says_continuous: bool
    """EDF+C: each record says its own time, and no gap lies between them."""
    data_offset: int
    n_records: int
    """Complete data records that the file holds."""
    record_bytes: int
    sample_bytes: int
    """2, or 3 in a BDF file."""
    warnings: tuple[str, ...]


def is_edf(head: bytes) -> bool:
    """Whether a file that begins with `head` (256 bytes) is EDF or BDF, by its version field."""
    if len(head) < FIXED_BYTES:
        return False
    return _has_version(head) and header_number(head[184:192]) is not None


def _has_version(head: bytes) -> bool:
    return head.startswith(BDF_VERSION) or head[:8].rstrip(b"\0 ") == b"0"


def header_number(field: bytes) -> float | None:
    """The number that a field begins with, or None; `-5,0` and `250 Hz` are numbers."""
    found = _NUMBER.match(re.sub(r"^([-+])\s+", r"\1", _text(field)))
    if found is None:
        return None
    value = float(found[0].replace(",", "."))
    return value if abs(value) < 1e12 else None


def read_header(file: BinaryIO, path: Path) -> EdfHeader:
    """The header of an open EDF or BDF file.

    What does not concern the samples never blocks it. Raises InputError where the samples cannot be
    found: a file that is shorter than its header, has no signals, or no complete data record.
    """
    size = file.seek(0, 2)
    file.seek(0)
    fixed = file.read(FIXED_BYTES)
    warnings: list[str] = []
    n_signals = _n_signals(fixed, size, path, warnings)
    sample_bytes = 3 if fixed.startswith(b"\xff") else 2
    if not _has_version(fixed):
        warnings.append(f"its version field is {_text(fixed[:8])!r}, not 0: read as EDF")
    signals, record_bytes = _signals(
        file.read(FIXED_BYTES * n_signals), n_signals, sample_bytes, path
    )
    data_offset = _data_offset(fixed, n_signals, size, record_bytes, warnings)
    n_records = _n_records(fixed, size - data_offset, record_bytes, path, warnings)
    recording = _text(fixed[88:168])
    reserved = _text(fixed[192:236]).upper()
    plus = reserved.startswith(("EDF+", "BDF+"))
    if plus and not any(signal.is_annotations for signal in signals):
        warnings.append(f"it says {reserved[:5]} and has no annotation signal: read as plain EDF")
    return EdfHeader(
        signals=signals,
        recording=recording,
        started_at=_started_at(_text(fixed[168:176]), _text(fixed[176:184]), recording, warnings),
        record_s=_record_s(fixed[244:252]),
        discontinuous=plus and reserved[4:5] == "D",
        says_continuous=plus and reserved[4:5] == "C",
        data_offset=data_offset,
        n_records=n_records,
        record_bytes=record_bytes,
        sample_bytes=sample_bytes,
        warnings=tuple(warnings),
    )


def _text(field: bytes) -> str:
    """A field as printable text: padded with blanks or NULs, in UTF-8 or else Latin-1."""
    content = field.lstrip(b"\0 ").partition(b"\0")[0].strip()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return printable(text)


def _n_signals(fixed: bytes, size: int, path: Path, warnings: list[str]) -> int:
    if len(fixed) < FIXED_BYTES:
        raise InputError(
            f"{path} is no EDF file, or only the start of one: copy it anew, or give another"
        )
    said = header_number(fixed[252:256])
    by_length = (header_number(fixed[184:192]) or 0.0) / FIXED_BYTES - 1
    if said is None and by_length >= 1 and by_length.is_integer():
        warnings.append(
            f"its number of signals is {_text(fixed[252:256])!r}: {by_length:g} by its length"
        )
        said = by_length
    if said is None or not said.is_integer():
        raise InputError(
            f"{path} is no EDF file: its number of signals is {_text(fixed[252:256])!r}: give another"
        )
    if said < 1:
        raise InputError(f"{path} holds no signals: nothing to reconstruct")
    if FIXED_BYTES * (1 + said) > size:
        raise InputError(
            f"{path} is no EDF file, or only the start of one: its header is cut short: copy it anew"
        )
    return int(said)


def _signals(
    data: bytes, n: int, sample_bytes: int, path: Path
) -> tuple[tuple[EdfSignal, ...], int]:
    """The signals, and the bytes of a data record."""
    columns: list[list[bytes]] = []
    at = 0
    for width in WIDTHS:
        columns.append([data[at + width * i : at + width * (i + 1)] for i in range(n)])
        at += width * n
    labels, transducers, dimensions, pmin, pmax, dmin, dmax, filters, counts, _ = columns
    signals: list[EdfSignal] = []
    offset = 0
    for i in range(n):
        label, samples = _text(labels[i]), header_number(counts[i])
        if samples is None or samples < 0 or not samples.is_integer():
            raise InputError(
                f"{path}: signal {i + 1} ({label!r}) has {_text(counts[i])!r} samples in a data record: "
                "the records cannot be told apart; correct that field"
            )
        signals.append(
            EdfSignal(
                label=label,
                transducer=_text(transducers[i]),
                dimension=_text(dimensions[i]),
                physical=(header_number(pmin[i]), header_number(pmax[i])),
                digital=(header_number(dmin[i]), header_number(dmax[i])),
                prefilter=_text(filters[i]),
                samples=int(samples),
                offset=offset,
                number=i + 1,
            )
        )
        offset += int(samples) * sample_bytes
    if offset == 0:
        raise InputError(f"{path} holds no samples: its data records are empty")
    return tuple(signals), offset


def _data_offset(
    fixed: bytes, n_signals: int, size: int, record_bytes: int, warnings: list[str]
) -> int:
    """Where the data begins: after the header, or where the file says if only that fits its length."""
    natural = FIXED_BYTES * (1 + n_signals)
    said = header_number(fixed[184:192])
    if said == natural:
        return natural
    warnings.append(f"its header length is {_text(fixed[184:192])!r}, {natural} for its signals")
    if said is None or not said.is_integer() or not natural < said < size:
        return natural
    fits = (size - said) % record_bytes == 0 and (size - natural) % record_bytes != 0
    return int(said) if fits else natural


def _n_records(
    fixed: bytes, n_bytes: int, record_bytes: int, path: Path, warnings: list[str]
) -> int:
    """Complete data records: what the file holds counts, whatever the header says."""
    said, text = header_number(fixed[236:244]), _text(fixed[236:244])
    held, rest = divmod(max(0, n_bytes), record_bytes)
    if held == 0:
        if said == 0 and rest == 0:
            raise InputError(f"{path} holds no samples: nothing to reconstruct")
        raise InputError(
            f"{path} is truncated or damaged: its header says {text} data records, the file holds none "
            "that is complete"
        )
    if said == -1:
        warnings.append(
            f"its writer did not finish it (-1 data records): {held} are there and read"
        )
    elif said != held:
        warnings.append(f"its header says {text!r} data records: {held} are there and read")
    if rest:
        warnings.append(f"its last {rest} bytes are no complete data record: left out")
    return held


def _record_s(field: bytes) -> Fraction:
    value = header_number(field)
    if value is None or not _SHORTEST_RECORD_S <= value <= _LONGEST_RECORD_S:
        return Fraction(0)
    return Fraction(
        repr(value)
    )  # the decimal that was written, so that 25 samples in 0.1 s are 250 Hz


def _started_at(date: str, time: str, recording: str, warnings: list[str]) -> datetime | None:
    """Local time of the header's start; None, with a warning, for a date that was taken out."""
    day, clock = _DATE.match(date), _TIME.match(time)
    if day is not None and clock is not None:
        year = int(day[3]) + (1900 if int(day[3]) >= 85 else 2000)  # the standard's rule
        plus = _PLUS_YEAR.match(recording)
        if plus is not None and int(plus[1]) % 100 == int(day[3]):
            year = int(plus[1])
        try:
            hour, minute, second = (int(part) for part in clock.groups())
            start = datetime(year, int(day[2]), int(day[1]), hour, minute, second)
            return None if start == UNKNOWN_START else start
        except ValueError:
            pass
    warnings.append(f"its start ({date!r}, {time!r}) is no date and time: not known")
    return None
