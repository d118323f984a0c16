"""Markers in a DICOM file that is still growing: a Waveform Annotation Sequence in room kept free for it.

The sequence stands before the samples, which are the last element and grow. So a private element of zeros
follows it: each marker makes the sequence longer and the zeros shorter, in place, in one write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.files.dicom_codes import ENCODING, PRIVATE_CREATOR

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ROOM_BYTES = 65536
"""About 500 markers of usual length."""
_GROUP, _FREE = 0x0041, 0x01  # the first private group behind the sequence
_CREATOR = b"\x41\x00\x10\x00LO\x08\x00LEADLIFT"
_ZEROS = b"\x41\x00\x01\x10OB\x00\x00"
_SEQUENCE = b"\x40\x00\x20\xb0SQ\x00\x00"  # (0040,B020) Waveform Annotation Sequence
_ITEM = b"\xfe\xff\x00\xe0"


def keep_room(ds: Dataset) -> None:
    """Have `ds` keep room for markers."""
    free = ds.private_block(_GROUP, PRIVATE_CREATOR, create=True)
    free.add_new(_FREE, "OB", bytes(ROOM_BYTES))


class MarkerRoom:
    """The room in a file: what to write there for the markers so far."""

    def __init__(self, head: bytes) -> None:
        """`head` is the file, made with `keep_room`, without its samples."""
        self.at = head.rindex(_CREATOR + _ZEROS)
        """Where in the file the room begins."""
        self._items = b""

    def add(self, onset: int, text: str) -> bytes | None:
        """What the room begins with from now on; None, and as before, where this one does not fit."""
        item = _item(onset, text)
        items = self._items + _ITEM + _length(item) + item
        sequence = _SEQUENCE + _length(items) + items
        n_left = ROOM_BYTES - len(sequence)
        if n_left < 0:
            return None
        self._items = items
        return sequence + _CREATOR + _ZEROS + n_left.to_bytes(4, "little")


def _length(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little")


def _item(onset: int, text: str) -> bytes:
    from pydicom.dataset import Dataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    item = Dataset()
    item.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    item.UnformattedTextValue = text
    item.ReferencedWaveformChannels = [1, 0]  # of the first group, all
    item.TemporalRangeType = "POINT"
    item.ReferencedSamplePositions = onset + 1  # the first sample is 1
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, item, parent_encoding=ENCODING)
    return bytes(out.getvalue())
