"""Reads NPZ archives without loading them: members are mapped in place, or unpacked to disk first.

Known arrays: `ecg_mv`, float (n_leads, n) or (N, n_leads, n) in millivolts, or `ecg_uv` in microvolts;
`leads`, their names; `sampling_hz`. Nothing is ever unpickled.
"""

from __future__ import annotations

import struct
import tempfile
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.record import ReadOptions, Record, pick_leads

_COPY_BYTES = 1 << 20
_LOCAL_HEADER_BYTES = 30  # of a zip member, before its name and extra field
_SCALES_MV = {"ecg_mv": 1.0, "ecg_uv": 1e-3}
# What zipfile and NumPy's header parser raise on damaged bytes.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    struct.error,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


class NpzRecord(Record):
    """One record of an NPZ file."""

    def __init__(self, path: Path, options: ReadOptions, number: int | None) -> None:
        """Raises InputError for a damaged file, unknown arrays, or one of many records not picked."""
        try:
            with zipfile.ZipFile(path) as archive:
                names = {name.removesuffix(".npy") for name in archive.namelist()}
                lacking = [name for name in ("leads", "sampling_hz") if name not in names]
                signal = next((name for name in _SCALES_MV if name in names), None)
                if signal is None or lacking:
                    wanted = "ecg_mv or ecg_uv, leads and sampling_hz"
                    has = ", ".join(sorted(names)) or "nothing"
                    raise InputError(f"{path} needs the arrays {wanted}: it has {has}")
                labels = [str(label) for label in _small(archive, "leads").ravel()]
                sampling_hz = float(_small(archive, "sampling_hz"))
                self._ecg = _mapped(path, archive, signal, number)
        except InputError:
            raise
        except _DAMAGED as error:
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"cannot read {path} as NPZ, it is damaged: {why}") from error
        if self._ecg.ndim != 2 or self._ecg.shape[0] != len(labels):
            raise InputError(
                f"{path}: {signal} of shape {self._ecg.shape} does not fit {len(labels)} leads: "
                "expected (n_leads, n_samples)"
            )
        self._scale = _SCALES_MV[signal]
        chosen, self._rows = pick_leads(labels, options.leads, path)
        super().__init__(path, chosen, sampling_hz, self._ecg.shape[1])

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        part = np.asarray(self._ecg[:, start:stop])[self._rows]
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite counts as missing
            return np.asarray(part * np.float32(self._scale), np.float32)


def _small(archive: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    """A member that is small by nature."""
    if archive.getinfo(f"{name}.npy").file_size > _COPY_BYTES:
        raise ValueError(f"{name} is larger than a megabyte")
    with archive.open(f"{name}.npy") as member:
        return np.asarray(np.lib.format.read_array(member, allow_pickle=False))


def _mapped(
    path: Path, archive: zipfile.ZipFile, name: str, number: int | None
) -> NDArray[np.generic]:
    """Record `number` of a member as an array on disk, never whole in memory."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(member)
        header_bytes = member.tell()
        if dtype.kind not in "iuf":
            raise ValueError(f"{name} has type {dtype}, not numbers")
        skip = 0
        if len(shape) == 3 and not fortran:
            if number is None and shape[0] != 1:
                raise InputError(f"{path} holds {shape[0]} records: pick one, as in {path.name}#0")
            number = number or 0
            if number >= shape[0]:
                raise InputError(f"{path} holds records 0..{shape[0] - 1}: there is no {number}")
            shape = shape[1:]
            skip = number * int(np.prod(shape)) * dtype.itemsize
        elif number:
            raise InputError(f"{path} holds one record: leave out #{number}")
        n_bytes = int(np.prod(shape)) * dtype.itemsize
        if header_bytes + skip + n_bytes > info.file_size:
            raise ValueError(f"{name} ends early")
        order: Literal["F", "C"] = "F" if fortran else "C"
        if n_bytes == 0:
            return np.empty(shape, dtype)
        if info.compress_type == zipfile.ZIP_STORED:
            offset = _data_offset(path, info) + header_bytes + skip
            return np.memmap(path, dtype, "r", offset, shape, order)
        with tempfile.TemporaryFile() as spool:
            _copy(member, None, skip)
            _copy(member, spool, n_bytes)
            spool.flush()
            return np.memmap(spool, dtype, "r", 0, shape, order)


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
