"""A DICOM waveform object whose samples grow in place: they are its last element.

Every write adds the samples with the end of the object, then says how many there are. A process that is
killed between these leaves an object that `mended` makes whole.
"""

from __future__ import annotations

from contextlib import suppress
from io import FileIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge.errors import SinkError
from edge.files.dicom_codes import GENERAL_ECG, MISSING, PRIVATE_CREATOR, TWELVE_LEAD_ECG
from edge.leads import LEADS

MOST_SAMPLES = 16_384
"""Of a 12-Lead ECG; a General ECG has no limit."""
MOST_HEAD_BYTES = 1 << 18
"""Of what precedes the samples; far more than leadlift writes."""
_MOST_BYTES = (1 << 32) - 2
_COUNT = b"\x3a\x00\x10\x00UL\x04\x00"  # (003A,0010) Number of Waveform Samples
_CHANNELS = b"\x3a\x00\x05\x00US\x02\x00"  # (003A,0005) Number of Waveform Channels
_PADDING = b"\x00\x54\x0a\x10OW\x00\x00\x02\x00\x00\x00" + MISSING.to_bytes(
    2, "little", signed=True
)
_DATA = b"\x00\x54\x10\x10OW\x00\x00"  # (5400,1010) Waveform Data
_END = (
    b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
)  # of the item, of the sequence


class Places:
    """Where in an object of ours what changes stands."""

    def __init__(self, head: bytes) -> None:
        """Raises ValueError for the beginning of another object."""
        if PRIVATE_CREATOR.encode() not in head:
            raise ValueError("another writer's")
        self.length = head.index(_PADDING + _DATA) + len(_PADDING + _DATA)
        self.data = self.length + 4
        self.count = head.rindex(_COUNT, 0, self.length) + len(_COUNT)
        channels = head.rindex(_CHANNELS, 0, self.length) + len(_CHANNELS)
        self.width = 2 * int.from_bytes(head[channels : channels + 2], "little")
        """Bytes of a sample of all channels."""
        self.classes: list[int] = []
        at = -1
        for uid in (TWELVE_LEAD_ECG, GENERAL_ECG):
            while (at := head.find(uid.encode(), at + 1, self.length)) >= 0:
                self.classes.append(at)

    def changes(self, n_samples: int, *, twelve_lead: bool) -> list[tuple[int, bytes]]:
        """What an object of `n_samples` has at each place; its class, too, if it is one of `twelve_lead`."""
        found = [
            (self.length, (self.width * n_samples).to_bytes(4, "little")),
            (self.count, n_samples.to_bytes(4, "little")),
        ]
        if twelve_lead:
            is_long = n_samples > MOST_SAMPLES
            uid = GENERAL_ECG if is_long else TWELVE_LEAD_ECG
            found += [(at, uid.encode()) for at in self.classes]
        return found


class GrowingObject:
    """An object, open to be written, and what waits to be written into it."""

    def __init__(self, file: FileIO, head: bytes, name: str) -> None:
        """`head` is the object without a sample; it is written. `name` is for errors."""
        self._file = file
        self._name = name
        self._places = Places(head)
        self._is_twelve_lead = TWELVE_LEAD_ECG.encode() in head
        self.n_samples = 0
        """Written so far."""
        self.put(0, head)

    def append(self, codes: NDArray[np.int16]) -> None:
        """Write (channels, n) codes. Raises OSError, and leaves the object as it was, if there is no room."""
        places, n = self._places, self.n_samples + codes.shape[1]
        if places.width * n > _MOST_BYTES:
            raise SinkError(
                f"{self._name} is full: a DICOM waveform holds 4 GB; begin another file, "
                "as with ?every=1d after the name"
            )
        end = places.data + places.width * self.n_samples
        try:
            self.put(end, codes.T.astype("<i2").tobytes() + _END)
        except OSError:
            with suppress(OSError):  # the first error is the one to report
                self._file.truncate(end)
                self.put(end, _END)
            raise
        changes = places.changes(n, twelve_lead=self._is_twelve_lead)
        for at, data in changes[:2] if self.n_samples > MOST_SAMPLES else changes:
            self.put(at, data)
        self.n_samples = n

    def put(self, at: int, data: bytes) -> None:
        """Write `data` at a place."""
        self._file.seek(at)
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def mended(file: BinaryIO) -> tuple[int, list[tuple[int, bytes]]] | None:
    """(bytes to keep, what to write at which place) of an object of ours that was interrupted.

    None for one that is whole, and for another writer's. All samples that are there whole are kept.
    """
    head = file.read(MOST_HEAD_BYTES)
    size = file.seek(0, 2)
    try:
        places = Places(head)
    except ValueError:
        return None
    file.seek(max(places.data, size - len(_END)))
    has_end = file.read() == _END
    n_bytes = size - places.data - (len(_END) if has_end else 0)
    n_samples = n_bytes // places.width
    twelve_lead = places.width == 2 * len(LEADS)
    keep = places.data + places.width * n_samples
    changes = [
        (at, data)
        for at, data in places.changes(n_samples, twelve_lead=twelve_lead)
        if head[at : at + len(data)] != data
    ]
    if n_samples <= 0 or (not changes and has_end and keep + len(_END) == size):
        return None
    return keep, [*changes, (keep, _END)]
