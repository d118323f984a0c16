"""Reads NPZ archives without loading them: members are mapped in place, or unpacked to disk first.

Known arrays: `ecg_mv`, float (n_leads, n) or (N, n_leads, n) in millivolts, or `ecg_uv` in microvolts, or
`ecg` in the unit that the caller says; `leads`, their names; `sampling_hz`. Nothing is ever unpickled.
"""

from __future__ import annotations

import lzma
import math
import mmap
import shutil
import struct
import tempfile
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.record import (
    ReadOptions,
    Record,
    pick_leads,
    printable,
    rate_of,
    reconstructed,
    unit_mv,
)
from edge.files.recording import OF_RECORDING
from edge.marker import Marker

_COPY_BYTES = 1 << 20
_MARKER_BYTES = 1 << 28  # one each second of a day, of the longest text
_LOCAL_HEADER_BYTES = 30  # of a zip member, before its name and extra field
_LARGEST_RATIO = 1100  # what DEFLATE can shrink to one byte, and a little
_UNITS = {"ecg_mv": "mV", "ecg_uv": "uV", "ecg": ""}
_SMALL = (
    *("leads", "sampling_hz", "device", "simulated"),
    *("source", "started_at", "provenance", "calibration", "model", "prefilter"),
)
# What zipfile and NumPy's header parser raise on damaged bytes.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    struct.error,
    lzma.LZMAError,
    EOFError,
    MemoryError,
    LookupError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


class _NotNumbersError(ValueError):
    """An array that is whole, and of a type that is not read."""


class NpzRecord(Record):
    """One record of an NPZ file."""

    def __init__(self, path: Path, options: ReadOptions, number: int | None) -> None:
        """Raises InputError for a damaged file, unknown arrays, or one of many records not picked."""
        said: list[str] = []
        try:
            with zipfile.ZipFile(path) as archive:
                names = {name.removesuffix(".npy") for name in archive.namelist()}
                signal = next((name for name in _UNITS if name in names), None)
                lacking = [
                    name
                    for name, given in (
                        ("leads", options.leads),
                        ("sampling_hz", options.sampling_hz),
                    )
                    if name not in names and given is None
                ]
                if signal is None or lacking:
                    wanted = "ecg_mv or ecg_uv, leads and sampling_hz (or --leads and --rate)"
                    has = printable(", ".join(sorted(names)[:24])) or "nothing"
                    raise InputError(f"{path} needs the arrays {wanted}: it has {has}")
                self._ecg = _mapped(path, archive, signal, number)
                given = {name: _small(archive, name) for name in _SMALL if name in names}
        except InputError:
            raise
        except _NotNumbersError as error:
            raise InputError(f"{path}: {error}") from error
        except _DAMAGED as error:
            why = printable((str(error) or type(error).__name__).splitlines()[0][:200])
            raise InputError(
                f"cannot read {path} as NPZ, it is damaged ({why}): copy it anew"
            ) from error
        labels = _labels(given.get("leads"), options, sum(self._ecg.shape[:1]))
        if self._ecg.ndim != 2 or self._ecg.shape[0] != len(labels):
            turned = self._ecg.ndim == 2 and self._ecg.shape[1] == len(labels)
            raise InputError(
                f"{path}: {signal} of shape {self._ecg.shape} does not fit {len(labels)} leads: "
                "expected (n_leads, n_samples)" + ("; save it transposed" if turned else "")
            )
        self._scale = self.mv_per_value = unit_mv(_UNITS[signal], signal, options, str(path), said)
        chosen, self._rows = pick_leads(labels, options.leads, path, said)
        if "leads" not in given and not isinstance(options.leads, Mapping):
            said.append(f"it names no leads: its rows are taken for {', '.join(labels)}, in order")
        sources = _texts(given.get("provenance"))
        if len(sources) == len(labels):
            self.provenance = tuple(sources[row] for row in self._rows)
            said += reconstructed(chosen, self.provenance)
        rate = _number(given["sampling_hz"], path) if "sampling_hz" in given else None
        super().__init__(path, chosen, rate_of(rate, options, path), self._ecg.shape[1])
        self.warnings = tuple(said)
        self._beside: dict[str, NDArray[np.generic] | None] = {}
        self.device = " ".join(_texts(given.get("device")))
        self.calibration = " ".join(_texts(given.get("calibration")))
        self.model = " ".join(_texts(given.get("model")))
        self.prefilter = " ".join(_texts(given.get("prefilter")))
        self.simulated = bool(np.any(given.get("simulated", np.False_)))
        self.of_recording = " ".join(_texts(given.get("source"))) == OF_RECORDING
        with suppress(ValueError):
            self.started_at = datetime.fromisoformat(" ".join(_texts(given.get("started_at"))))

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        part = _copied(self._ecg, self._rows, start, stop)
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite counts as missing
            return np.asarray(part * np.float32(self._scale), np.float32)

    def read_sigma(self, start: int, stop: int) -> NDArray[np.float32] | None:
        """As of every recording: a file of ours has it."""
        part = self._part("sigma_mv", start, stop)
        return None if part is None else np.asarray(part, np.float32)

    def read_quality(self, start: int, stop: int) -> NDArray[np.uint8] | None:
        """As of every recording: a file of ours has it of every lead."""
        part = self._part("quality", start, stop)
        return None if part is None else np.asarray(part, np.uint8)

    def read_markers(self) -> list[Marker]:
        """As of every recording: a file of ours has them."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                at = _small(archive, "markers", _MARKER_BYTES).ravel().tolist()
                texts = _texts(_small(archive, "marker_texts", _MARKER_BYTES))
        except _DAMAGED:  # also of others, who have none
            return []
        return [Marker(text, int(n)) for n, text in sorted(zip(at, texts, strict=False))]

    def _part(self, name: str, start: int, stop: int) -> NDArray[np.generic] | None:
        """Samples [start, stop) of an array of the shape of the leads; None where there is none.

        It is mapped when it is first asked for: unpacking takes time that most readers need not spend.
        """
        if name not in self._beside:
            self._beside[name] = None
            if not self.provenance:  # not of ours: what it means by that name is not known
                return None
            with suppress(InputError, *_DAMAGED), zipfile.ZipFile(self.path) as archive:
                found = _mapped(self.path, archive, name, None)
                self._beside[name] = found if found.shape == self._ecg.shape else None
        array = self._beside[name]
        return None if array is None else _copied(array, self._rows, start, stop)


def n_records(path: Path) -> int | None:
    """How many records a file of many holds; None for one record, and for what cannot be read."""
    with suppress(OSError, InputError, *_DAMAGED), zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        member = _Member.read(archive, next((name for name in _UNITS if name in names), ""))
        if len(member.shape) == 3 and not member.fortran and member.shape[0] > 1:
            return member.shape[0]
    return None


def _labels(given: NDArray[np.generic] | None, options: ReadOptions, n_rows: int) -> list[str]:
    """Names of the rows: the file's, or what the caller says of a file that names none."""
    if given is not None:
        labels = _texts(given)
        return labels[0].split(",") if given.ndim == 0 else labels
    if options.leads is None or isinstance(options.leads, Mapping):
        return [f"row {i + 1}" for i in range(n_rows)]  # a mapping may pick them by place
    return list(options.leads)


def _texts(given: NDArray[np.generic] | None) -> list[str]:
    if given is None:
        return []
    return [
        printable(one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one))
        for one in given.ravel().tolist()
    ]


def _number(given: NDArray[np.generic], path: Path) -> float:
    try:
        return float(given.reshape(()).item())
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: its sampling_hz is no number: correct it") from error


@dataclass(frozen=True, slots=True)
class _Member:
    """The header of an array in the archive, held to the bytes that are there."""

    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[np.generic]
    header_bytes: int

    @classmethod
    def read(cls, archive: zipfile.ZipFile, name: str) -> _Member:
        """Raises ValueError for a member that holds objects, or claims more than it can hold."""
        info = archive.getinfo(f"{name}.npy")
        with archive.open(info) as member, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy takes some damage for Python 2
            version = np.lib.format.read_magic(member)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = read_header(member)
            found = cls(info, shape, fortran, dtype, member.tell())
        if dtype.hasobject:
            raise _NotNumbersError(
                f"{name} holds Python objects, which are never unpickled: save it as plain numbers or text"
            )
        held = info.file_size
        if info.compress_type == zipfile.ZIP_STORED:
            held = min(held, info.compress_size)
        elif info.compress_type == zipfile.ZIP_DEFLATED:
            held = min(held, _LARGEST_RATIO * info.compress_size)
        if min(shape, default=0) < 0 or found.header_bytes + found.n_bytes > held:
            raise ValueError(f"{name} ends early: it claims more than the file can hold")
        return found

    @property
    def n_bytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def _small(
    archive: zipfile.ZipFile, name: str, most_bytes: int = _COPY_BYTES
) -> NDArray[np.generic]:
    """A member that is small by nature."""
    member = _Member.read(archive, name)
    if member.n_bytes > most_bytes:
        raise ValueError(f"{name} is larger than {most_bytes / 1e6:.0f} MB")
    with archive.open(member.info) as file:
        data = file.read(member.header_bytes + member.n_bytes)[member.header_bytes :]
    if member.dtype.itemsize == 0:  # an empty text
        return np.zeros(member.shape, member.dtype)
    order: Literal["F", "C"] = "F" if member.fortran else "C"
    return np.frombuffer(data, member.dtype).reshape(member.shape, order=order)


def _mapped(
    path: Path, archive: zipfile.ZipFile, name: str, number: int | None
) -> NDArray[np.generic]:
    """Record `number` of a member as an array on disk, never whole in memory."""
    member = _Member.read(archive, name)
    shape, dtype, skip = member.shape, member.dtype, 0
    if dtype.kind not in "iuf":
        raise _NotNumbersError(f"{name} has type {dtype}, not numbers: save it as float32")
    if len(shape) == 3 and not member.fortran:
        if number is None and shape[0] != 1:
            raise InputError(f"{path} holds {shape[0]} records: pick one, as in {path.name}#0")
        number = number or 0
        if number >= shape[0]:
            raise InputError(f"{path} holds records 0..{shape[0] - 1}: there is no {number}")
        shape = shape[1:]
        skip = number * math.prod(shape) * dtype.itemsize
    elif number:
        raise InputError(f"{path} holds one record: leave out #{number}")
    n_bytes = math.prod(shape) * dtype.itemsize
    order: Literal["F", "C"] = "F" if member.fortran else "C"
    if n_bytes == 0:
        return np.empty(shape if max(shape, default=0) < _COPY_BYTES else (0, 0), dtype)
    skip += member.header_bytes
    if member.info.compress_type == zipfile.ZIP_STORED:
        return np.memmap(path, dtype, "r", _data_offset(path, member.info) + skip, shape, order)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if n_bytes > free:
        raise InputError(
            f"{path}: {name} unpacks to {n_bytes / 1e9:.3g} GB, {tempfile.gettempdir()} has "
            f"{free / 1e9:.3g} GB: set TMPDIR to a larger place, or save it uncompressed"
        )
    with archive.open(member.info) as source, tempfile.TemporaryFile() as spool:
        _copy(source, None, skip)
        _copy(source, spool, n_bytes)
        spool.flush()
        return np.memmap(spool, dtype, "r", 0, shape, order)


def _copied(array: NDArray[np.generic], rows: list[int], start: int, stop: int) -> NDArray[Any]:
    """Samples [start, stop) of some rows; what was read of the mapped file does not stay in memory."""
    part = np.asarray(array[rows, start:stop])
    mapping = getattr(array, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        mapping.madvise(mmap.MADV_DONTNEED)
    return part


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a stored member begin in the file."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(_LOCAL_HEADER_BYTES)
    if len(header) < _LOCAL_HEADER_BYTES:
        raise EOFError("a member lies beyond the end")
    name_bytes = int.from_bytes(header[26:28], "little")
    extra_bytes = int.from_bytes(header[28:30], "little")
    return info.header_offset + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes


def _copy(source: IO[bytes], target: IO[bytes] | None, n_bytes: int) -> None:
    """Move `n_bytes` on, into `target` or nowhere."""
    left = n_bytes
    while left:
        data = source.read(min(left, _COPY_BYTES))
        if not data:
            raise EOFError("a member ends early")
        if target is not None:
            target.write(data)
        left -= len(data)
