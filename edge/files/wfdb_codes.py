"""Samples of a WFDB signal file: how each format stores them, and where one of them lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

FORMATS = (16, 24, 32, 61, 80, 160, 212)
"""What is read: PhysioNet's ECG are 16 and 212, the others are as simple."""
FLAC = (508, 516, 524)
_WIDTHS = {16: 2, 24: 3, 32: 4, 61: 2, 80: 1, 160: 2}
INVALID = {16: -(1 << 15), 24: -(1 << 23), 32: -(1 << 31), 61: -(1 << 15), 80: -128}
INVALID |= {160: -(1 << 15), 212: -2048}
"""The code of a sample that is missing."""


@dataclass(frozen=True, slots=True)
class SignalFile:
    """An open signal file. Its frames hold the samples of all its signals in turn."""

    file: BinaryIO
    form: int
    """One of FORMATS."""
    frame: int
    """Samples in a frame, of all signals together."""
    prolog: int
    """Bytes before the first sample."""

    @property
    def n_frames(self) -> int:
        """Whole frames that the file holds now."""
        n_bytes = max(0, self.file.seek(0, 2) - self.prolog)
        if self.form == 212:
            return _in_pairs(n_bytes) // self.frame
        return n_bytes // _WIDTHS[self.form] // self.frame

    def codes(self, first: int, last: int) -> NDArray[np.int32]:
        """Frames [first, last), (n_frames, samples in a frame). Raises EOFError for what is not there."""
        start, stop = first * self.frame, last * self.frame
        at = start // 2 * 2 if self.form == 212 else start
        flat = self._flat(at, stop)[start - at : stop - at]
        if len(flat) != stop - start:
            raise EOFError
        return flat.reshape(-1, self.frame)

    def _flat(self, start: int, stop: int) -> NDArray[np.int32]:
        if self.form == 212:  # start is even: a pair begins a byte
            self.file.seek(self.prolog + start // 2 * 3)
            n = stop - start
            data = self.file.read(n // 2 * 3 + n % 2 * 2)
            whole = data.ljust(-(-len(data) // 3) * 3, b"\0")
            return _pairs(whole)[: _in_pairs(len(data))]
        width = _WIDTHS[self.form]
        self.file.seek(self.prolog + start * width)
        data = self.file.read((stop - start) * width)
        data = data[: len(data) // width * width]
        if self.form == 80:
            return np.frombuffer(data, np.uint8).astype(np.int32) - 128
        if self.form == 160:
            return np.frombuffer(data, "<u2").astype(np.int32) - (1 << 15)
        if self.form == 24:
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return (padded.view("<i4") >> 8).ravel()
        kind = {16: "<i2", 61: ">i2", 32: "<i4"}[self.form]
        return np.frombuffer(data, kind).astype(np.int32)


def _in_pairs(n_bytes: int) -> int:
    """Samples of 12 bits in so many bytes: the last pair may be half."""
    return n_bytes // 3 * 2 + (n_bytes % 3 == 2)


def _pairs(data: bytes) -> NDArray[np.int32]:
    """Samples of 12 bits, two in three bytes: low byte, both high halves, low byte."""
    triples = np.frombuffer(data, np.uint8).astype(np.int32).reshape(-1, 3)
    both = triples[:, 1]
    pair = np.stack(
        [triples[:, 0] | (both & 0x0F) << 8, triples[:, 2] | (both & 0xF0) << 4], axis=1
    ).ravel()
    return np.asarray((pair ^ 0x800) - 0x800, np.int32)  # two's complement
