"""The header of a WFDB record, read as other writers fill it in; no samples."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge.errors import InputError
from edge.files.record import printable

RECORD_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
"""What every reader takes for the name of a record."""
DEFAULT_GAIN = 200.0
"""What the format takes for units per mV where a header states none."""
_DEFAULT_HZ = 250.0
_MAX_BYTES = 1 << 20  # a header of thousands of signals; what is longer is no header
_HZ = re.compile(r"[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_FORMAT = re.compile(r"(\d{1,4})(?:x(\d{1,6}))?(?::(-?\d{1,9}))?(?:\+(\d{1,15}))?", re.ASCII)
_GAIN = re.compile(
    r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]{1,3})?)?(?:\((-?[0-9]{1,12})\))?(?:/(\S*))?", re.ASCII
)
_CLOCK = re.compile(r"(?:(\d{1,2}):)?(?:(\d{1,2}):)?(\d{1,2})(?:\.(\d{1,9}))?", re.ASCII)
_DAY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class WfdbSignal:
    """One signal of the header."""

    file: str
    """Its signal file, in the folder of the header."""
    form: int
    """How samples are stored: 16, 212 and others."""
    per_frame: int
    """Samples in each frame."""
    skew: int
    prolog: int
    """Bytes in the file before the first sample."""
    gain: float
    """Digits per physical unit; 0 where nobody calibrated it."""
    baseline: float
    """The digit that is 0 physical units."""
    unit: str
    label: str
    number: int
    """Its place in the record, from 1."""


@dataclass(frozen=True, slots=True)
class WfdbHeader:
    """What the header says."""

    signals: tuple[WfdbSignal, ...]
    frame_hz: float
    n_frames: int
    """0 where the header states none: as many as the files hold."""
    started_at: datetime | None
    comments: tuple[str, ...]

    @property
    def is_ours(self) -> bool:
        """Whether leadlift wrote it."""
        return bool(self.comments) and self.comments[0].startswith("leadlift ")

    def notes(self) -> dict[str, str]:
        """Comments of the form `key: value`."""
        parts = (line.partition(": ") for line in self.comments)
        return {key.strip(): value.strip() for key, colon, value in parts if colon}


def read_header(path: Path) -> WfdbHeader:
    """The header `path`. Raises InputError, naming the line, for what is no header of one record."""
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES or b"\0" in data:
        raise InputError(f"{path} is no WFDB header: it is no short text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = [
        (number, printable(line.replace("\t", " ")).strip())
        for number, line in enumerate(text.splitlines(), 1)
    ]
    comments = tuple(line[1:].strip() for _, line in lines if line.startswith("#"))
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"{path} is no WFDB header: it is empty")
    name, *fields = lines[0][1].split()
    n_signals = _whole(fields[0]) if fields else None
    _, segments, n_segments = name.partition("/")
    if n_signals is None or (segments and _whole(n_segments) is None):
        raise InputError(f"{path} is no WFDB header: its first line is {lines[0][1][:60]!r}")
    if segments:
        parts = ", ".join(line.split()[0] for _, line in lines[1:4] if line[:1] != "~") or "none"
        raise InputError(
            f"{path} is a record of {n_segments} segments ({parts}, ...): give the header of one"
        )
    if n_signals == 0:
        raise InputError(f"{path} has no signals, only annotations: nothing to reconstruct")
    if len(lines) - 1 < n_signals:
        raise InputError(
            f"{path} is damaged: it says {n_signals} signals and describes {len(lines) - 1}"
        )
    rate = _HZ.match(fields[1]) if len(fields) > 1 else None
    if len(fields) > 1 and rate is None:
        raise InputError(f"{path}: its sampling rate {fields[1][:20]!r} is no number")
    return WfdbHeader(
        signals=tuple(_signal(path, i, *lines[i]) for i in range(1, n_signals + 1)),
        frame_hz=_DEFAULT_HZ if rate is None else float(rate[0]),
        n_frames=(_whole(fields[2]) or 0) if len(fields) > 2 else 0,
        started_at=_started_at(fields[3:5]),
        comments=comments,
    )


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else None


def _signal(path: Path, number: int, line: int, text: str) -> WfdbSignal:
    """File, format, gain, ADC resolution, ADC zero, first value, checksum, block size, description."""
    fields = text.split(None, 8)
    form = _FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    gain = _GAIN.fullmatch(fields[2]) if len(fields) > 2 else _GAIN.fullmatch("")
    try:
        if form is None or gain is None:
            raise ValueError
        zero = float(fields[4]) if len(fields) > 4 else 0.0
        return WfdbSignal(
            file=fields[0],
            form=int(form[1]),
            per_frame=int(form[2] or 1) or 1,
            skew=int(form[3] or 0),
            prolog=int(form[4] or 0),
            gain=float(gain[1] or 0),
            baseline=zero if gain[2] is None else float(gain[2]),
            unit=gain[3] or "mV",
            label=fields[8] if len(fields) > 8 else "",
            number=number,
        )
    except ValueError as error:
        raise InputError(
            f"{path}, line {line}: {text[:60]!r} describes no WFDB signal: correct it"
        ) from error


def _started_at(fields: list[str]) -> datetime | None:
    """Local time of the first sample; None without a date: a time alone is of no day."""
    if len(fields) < 2:
        return None
    clock, day = _CLOCK.fullmatch(fields[0]), _DAY.fullmatch(fields[1])
    if clock is None or day is None:
        return None
    hour, minute, second, fraction = clock.groups()
    if hour is not None and minute is None:  # 12:30 is minutes and seconds
        hour, minute = None, hour
    with suppress(ValueError):
        return datetime(
            int(day[3]),
            int(day[2]),
            int(day[1]),
            int(hour or 0),
            int(minute or 0),
            int(second),
            int((fraction or "0")[:6].ljust(6, "0")),
        )
    return None
