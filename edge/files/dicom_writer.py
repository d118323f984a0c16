"""DICOM recording: a 12-Lead ECG waveform, or a General ECG once it is longer than that may be.

Sigma and quality are a second object of the same study, as a 12-Lead ECG may have thirteen channels in a
group, and a group must be whole before the next one begins. Both grow in place, second by second.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError, SinkError
from edge.files.dicom_codes import MISSING, companion, need_pydicom
from edge.files.dicom_head import UV_PER_DIGIT, heads
from edge.files.dicom_markers import ROOM_BYTES, MarkerRoom
from edge.files.dicom_object import GrowingObject
from edge.files.recording import MetadataSource, RecordingSink
from edge.leads import LEADS
from edge.quality import Quality
from edge.samples import TwelveLeadBlock
from firmware_bridge.new_file import NewFile

DIGITAL_MAX = 32767
LEAST_HZ, MOST_HZ = 200.0, 1000.0
"""What the standard allows for an ECG."""
_FILL_SAMPLES = 16_384
_HEAD_BYTES = ROOM_BYTES + 32_768  # of both objects, at most
_CHANNELS = 2 * len(LEADS) + 1  # the leads, their sigma, then quality


class DicomSink(RecordingSink):
    """Writes twelve channels of 16 bits in microvolts; what is missing is the padding value.

    Where each lead comes from is its channel's derivation description; markers are annotations of the
    waveform. `OUT_sigma.dcm` has `sigma I` .. `sigma V6` and `quality`, the OR of the quality bits.
    """

    def __init__(
        self, path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
    ) -> None:
        """As every recording; raises InputError for a rate that the standard does not allow, too."""
        super().__init__(path, sampling_hz, metadata, overwrite=overwrite)
        need_pydicom(SinkError)
        if not LEAST_HZ <= sampling_hz <= MOST_HZ:
            raise InputError(
                f"{path}: a DICOM ECG has {LEAST_HZ:g} to {MOST_HZ:g} samples a second, not "
                f"{sampling_hz:g}: write .edf or .hea"
            )
        if self.output.is_stream:
            raise SinkError(f"cannot write {self.target}: DICOM needs a file, write .csv to a pipe")
        self._beside = NewFile(companion(self.output.path), overwrite=overwrite)
        try:
            self._beside.check()
        except OSError as error:
            raise SinkError(f"cannot write {self._beside.path}: {error.strerror}") from error
        self.samples_clipped = 0
        """Samples beyond the range of the file, written as its largest value and flagged."""
        self.markers_dropped = 0
        """Markers that the room kept for them could not hold."""
        self._objects: list[GrowingObject] = []  # the leads, then sigma and quality
        self._room: MarkerRoom
        self._pending: list[NDArray[np.int16]] = []
        self._n_pending = 0

    def counters(self) -> dict[str, int]:
        """Samples beyond the file's range, and markers that found no room."""
        return {
            "samples_clipped": self.samples_clipped,
            "markers_dropped": self.markers_dropped,
        }

    @staticmethod
    def size_of(n_samples: int, sampling_hz: float) -> int:
        """As of every recording."""
        return _HEAD_BYTES + 2 * _CHANNELS * n_samples

    def _open(self) -> None:
        self._files = []
        try:
            for new in (self.output, self._beside):
                self._files.append(new.create())
        except OSError:
            for new, file in zip((self.output, self._beside), self._files, strict=False):
                file.close()
                new.discard()
            raise

    def _begin(self, block: TwelveLeadBlock) -> None:
        made = heads(self.metadata, block)
        self._room = MarkerRoom(made[0])
        for file, head in zip(self._files, made, strict=True):
            self._objects.append(GrowingObject(file, head, self.target))

    def _append(self, block: TwelveLeadBlock, onset: int) -> None:
        codes = np.empty((_CHANNELS, block.n_samples), np.int16)
        codes[: len(LEADS)], clipped = _codes(block.ecg_mv)
        codes[len(LEADS) : -1], _ = _codes(block.sigma_mv)
        codes[-1] = np.bitwise_or.reduce(block.quality, axis=0)
        if clipped.any():
            self.samples_clipped += int(clipped.sum())
            codes[-1, clipped.any(axis=0)] |= Quality.CLIPPED
        self._extend(codes)

    def _gap(self, n_samples: int, onset: int) -> None:
        for start in range(0, n_samples, _FILL_SAMPLES):
            shape = (_CHANNELS, min(_FILL_SAMPLES, n_samples - start))
            codes = np.full(shape, MISSING, np.int16)
            codes[-1] = Quality.GAP
            self._extend(codes)

    def _restart(self, onset: int) -> None:
        """Nothing to write: the format has no place for it."""

    def _mark(self, onset: int, text: str) -> None:
        data = self._room.add(onset, text)
        if data is None:
            self.markers_dropped += 1
        else:
            self._objects[0].put(self._room.at, data)

    def _extend(self, codes: NDArray[np.int16]) -> None:
        self._pending.append(codes)
        self._n_pending += codes.shape[1]
        if self._n_pending >= self.sampling_hz:
            self._write_pending()

    def _write_pending(self) -> None:
        if not self._pending:
            return
        codes = np.concatenate(self._pending, axis=1)
        self._pending.clear()
        self._n_pending = 0
        leads, beside = self._objects
        beside.append(codes[len(LEADS) :])  # first: there is no sample without its sigma
        leads.append(codes[: len(LEADS)])

    def _finish(self) -> None:
        try:
            if not self._failed:
                self._write_pending()
        except OSError:
            self._failed = True
            raise
        finally:
            for file in self._files:
                file.close()
            if not self._objects or self._objects[0].n_samples == 0:
                for new in (self._beside, self.output):
                    new.discard()
            elif not self._failed:
                self._beside.keep()  # the leads take their name last


def _codes(values_mv: NDArray[np.float32]) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Codes of values in mV, and which of them are beyond the range."""
    with np.errstate(invalid="ignore"):
        digits = np.rint(values_mv.astype(np.float64) * (1000 / UV_PER_DIGIT))
        clipped = np.abs(digits) > DIGITAL_MAX
        codes = np.clip(digits, -DIGITAL_MAX, DIGITAL_MAX)
    codes[np.isnan(codes)] = MISSING
    return codes.astype(np.int16), clipped
