"""A DICOM waveform object that stays open: pydicom reads its fields, its samples are read a range at a time.

pydicom alone would hold all samples in memory: 0.5 GB of a day in twelve leads.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from firmware_bridge.closing import Closing

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_WAVEFORM_SEQUENCE, _WAVEFORM_DATA = 0x54000100, 0x54001010
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_NOT_STATED = 0xFFFFFFFF
"""The length of what ends with a delimiter."""
_BITS = {"SB": 8, "UB": 8, "SS": 16, "US": 16, "SL": 32, "UL": 32, "SV": 64, "UV": 64}
"""What a sample may be; the others (MB, AB) are compressed."""
_DEFERRED_BYTES = 1 << 16
_FIELDS = (
    "NumberOfWaveformChannels",
    "NumberOfWaveformSamples",
    "WaveformBitsAllocated",
    "WaveformSampleInterpretation",
)


@dataclass(frozen=True, slots=True)
class _Data:
    """Where the samples of a group lie in the file."""

    at: int
    n_bytes: int


class WaveformObject(Closing):
    """The fields of an object, and codes of its groups of channels.

    An object in big-endian or deflated transfer syntax is in memory as a whole.
    """

    def __init__(self, path: Path) -> None:
        """Raises whatever pydicom raises for what is no object, or a damaged one."""
        self._path = path
        self._file = path.open("rb")
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        from pydicom import dcmread
        from pydicom.filereader import read_partial
        from pydicom.uid import DeflatedExplicitVRLittleEndian

        self.fields: Dataset = read_partial(self._file, _Finds(self._file, _WAVEFORM_SEQUENCE))
        """Those before the groups."""
        self.groups: list[Any] = []
        """The groups of channels, without their samples."""
        self._data: list[_Data | None] = []
        self._whole: Dataset | None = None
        self._arrays: dict[int, NDArray[np.generic]] = {}
        syntax = self.fields.file_meta.get("TransferSyntaxUID")
        _, little_endian = self.fields.original_encoding
        if syntax == DeflatedExplicitVRLittleEndian or not little_endian:
            self._whole = self.fields = dcmread(self._path)
            self.groups = list(self._whole.get("WaveformSequence") or [])
            return
        self._size = os.fstat(self._file.fileno()).st_size
        implicit = bool(self.fields.original_encoding[0])
        header = self._file.read(8 if implicit else 12)
        if len(header) < 8:
            return
        length = int.from_bytes(header[-4:], "little")
        end = self._size if length == _NOT_STATED else self._file.tell() + length
        while self._file.tell() < end and self._item(implicit):
            pass

    def _item(self, implicit: bool) -> bool:
        """Read the next group, up to the one behind it; whether there was one."""
        from pydicom.filereader import read_dataset

        file = self._file
        tag, length = _tag_and_length(file)
        if tag == _END_OF_SEQUENCE:
            return False
        if tag != _ITEM:
            raise ValueError("its groups of channels are damaged")
        until = None if length == _NOT_STATED else file.tell() + length
        found = _Finds(file, _WAVEFORM_DATA)
        encoding = self.fields.original_character_set
        self.groups.append(
            read_dataset(
                file,
                implicit,
                True,
                bytelength=None if until is None else length,
                stop_when=found,
                parent_encoding=encoding,
                at_top_level=False,
            )
        )
        self._data.append(found.data)
        if found.data is not None:
            behind = found.data.at + found.data.n_bytes
            if found.data.n_bytes == _NOT_STATED or behind > self._size:
                raise ValueError("its samples are cut short")
            file.seek(behind)
            if until is None and _tag_and_length(file)[0] != _END_OF_ITEM:
                file.seek(behind)
                read_dataset(file, implicit, True, defer_size=_DEFERRED_BYTES, at_top_level=False)
        if until is not None:
            file.seek(until)
        return True

    def n_samples(self, number: int) -> int:
        """Samples of a channel of a group. Raises ValueError for a group that cannot be read."""
        return self._layout(number)[0]

    def _layout(self, number: int) -> tuple[int, int, np.dtype[Any]]:
        """(samples of a channel, channels, type of a sample) of a group."""
        group = self.groups[number]
        missing = [name for name in _FIELDS if group.get(name) is None]
        if missing:
            raise ValueError(f"group {number + 1} of its channels has no {', '.join(missing)}")
        n_channels, n, bits, kind = (group.get(name) for name in _FIELDS)
        if _BITS.get(kind) != bits:
            raise ValueError(f"samples of {bits} bits and the kind {kind} are not read")
        dtype = np.dtype(f"<{'i' if kind[0] == 'S' else 'u'}{bits // 8}")
        if n_channels < 1 or n < 0:
            raise ValueError(f"it cannot have {n_channels} channels of {n} samples")
        if self._whole is None:
            data = self._data[number]
            held = 0 if data is None else data.n_bytes // (dtype.itemsize * n_channels)
            if held < n:
                raise ValueError(f"it says {n} samples and holds {held}")
        return n, n_channels, dtype

    def codes(self, number: int, start: int, stop: int) -> NDArray[Any]:
        """(stop - start, channels) codes of a group; the range lies inside."""
        if self._whole is not None:
            return self._array(number)[start:stop]
        _, n_channels, dtype = self._layout(number)
        data = self._data[number]
        width = dtype.itemsize * n_channels
        assert data is not None  # _layout has found as many samples as are asked for
        self._file.seek(data.at + start * width)
        read = self._file.read((stop - start) * width)
        if len(read) < (stop - start) * width:
            raise InputError(f"{self._path} became shorter while it was read")
        return np.frombuffer(read, dtype).reshape(-1, n_channels)

    def _array(self, number: int) -> NDArray[Any]:
        from pydicom.waveforms.numpy_handler import multiplex_array

        if number not in self._arrays:
            assert self._whole is not None
            self._arrays[number] = multiplex_array(self._whole, number, as_raw=True)
        return self._arrays[number]

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


class _Finds:
    """What pydicom asks before each value: stop at an element, and note where its value lies."""

    def __init__(self, file: BinaryIO, tag: int) -> None:
        self._file = file
        self._tag = tag
        self.data: _Data | None = None

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        if tag == self._tag:
            self.data = _Data(self._file.tell(), length)
        return tag == self._tag


def _tag_and_length(file: BinaryIO) -> tuple[int, int]:
    group, element, length = struct.unpack("<HHL", file.read(8))
    return group << 16 | element, length
