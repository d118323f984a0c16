"""DICOM recording: a 12-Lead ECG waveform, or a General ECG once it is longer than that may be.

pydicom makes the data set once; the samples are its last element and grow in place. Every second they are
written, then their number: a killed process leaves a file that any reader opens up to its last whole second.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from io import BytesIO, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError, SinkError
from edge.files.dicom_codes import (
    CODES,
    ENCODING,
    GENERAL_ECG,
    MISSING,
    PRIVATE_CREATOR,
    PRIVATE_GROUP,
    PRIVATE_NOTES,
    TWELVE_LEAD_ECG,
    need_pydicom,
)
from edge.files.dicom_markers import MarkerRoom, keep_room
from edge.files.recording import MODEL, MetadataSource, RecordingSink
from edge.leads import LEADS
from edge.samples import TwelveLeadBlock

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

UV_PER_DIGIT = 0.5
DIGITAL_MAX = 32767
LEAST_HZ, MOST_HZ = 200.0, 1000.0
"""What the standard allows for an ECG."""
MOST_SAMPLES = 16_384
"""Of a 12-Lead ECG; a General ECG has no limit."""
_FILL_SAMPLES = 16_384
_MOST_BYTES = (1 << 32) - 2
_COUNT = b"\x3a\x00\x10\x00UL\x04\x00"  # (003A,0010) Number of Waveform Samples
_DATA = b"\x00\x54\x10\x10OW\x00\x00"  # (5400,1010) Waveform Data
_END = (
    b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
)  # of the item, of the sequence


class DicomSink(RecordingSink):
    """Writes twelve channels of 16 bits in microvolts; what is missing is the padding value.

    Where each lead comes from is its channel's derivation description; markers are annotations of the
    waveform. The format has no place for sigma and quality of a recording that is still growing.
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
        self.samples_clipped = 0
        """Samples beyond the range of the file, written as its largest value."""
        self.markers_dropped = 0
        """Markers that the room kept for them could not hold."""
        self._file: FileIO
        self._room: MarkerRoom
        self._pending: list[NDArray[np.int16]] = []
        self._n_pending = 0
        self._n_written = 0
        self._count_at = self._length_at = self._data_at = 0
        self._classes_at: list[int] = []

    def counters(self) -> dict[str, int]:
        """Samples beyond the file's range, and markers that found no room."""
        return {
            "samples_clipped": self.samples_clipped,
            "markers_dropped": self.markers_dropped,
        }

    def _open(self) -> None:
        self._file = self.output.create()

    def _begin(self, block: TwelveLeadBlock) -> None:
        head = self._head(block)
        self._count_at = head.rindex(_COUNT) + len(_COUNT)
        self._length_at = head.rindex(_DATA) + len(_DATA)
        self._data_at = self._length_at + 4
        uid, at = TWELVE_LEAD_ECG.encode(), -1
        while (at := head.find(uid, at + 1)) >= 0:
            self._classes_at.append(at)
        self._room = MarkerRoom(head)
        _write_all(self._file, head)

    def _head(self, block: TwelveLeadBlock) -> bytes:
        """The file without a sample."""
        import pydicom
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

        known, now = self.metadata, datetime.now().astimezone()
        start = known.started_at or now  # the standard wants one; our notes say if it is not known
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = UID(TWELVE_LEAD_ECG)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
        ds.SpecificCharacterSet = ENCODING
        ds.PatientName = ds.PatientID = ds.PatientBirthDate = ds.PatientSex = ""
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        ds.StudyDate, ds.StudyTime = f"{start:%Y%m%d}", f"{start:%H%M%S}"
        ds.ReferringPhysicianName = ds.StudyID = ds.AccessionNumber = ""
        ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "ECG", "1", "1"
        ds.SeriesDescription = "simulated signal" if known.simulated else "leadlift"
        ds.Manufacturer = "leadlift, research use only"
        ds.ManufacturerModelName = known.device[:64]
        ds.ContentDate, ds.ContentTime = f"{now:%Y%m%d}", f"{now:%H%M%S.%f}"
        ds.AcquisitionDateTime = f"{start:%Y%m%d%H%M%S.%f}" + (
            f"{start:%z}" if start.tzinfo else ""
        )
        ds.AcquisitionContextSequence = []
        notes = ds.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
        notes.add_new(PRIVATE_NOTES, "UT", self._notes(block))
        keep_room(ds)
        ds.WaveformSequence = [self._waveform(block)]
        ds["WaveformSequence"].is_undefined_length = True
        ds.WaveformSequence[0].is_undefined_length_sequence_item = True
        target = BytesIO()
        pydicom.dcmwrite(target, ds, enforce_file_format=True)
        return target.getvalue()

    def _waveform(self, block: TwelveLeadBlock) -> Dataset:
        from pydicom.dataset import Dataset

        item = Dataset()
        item.WaveformOriginality = "ORIGINAL"
        item.NumberOfWaveformChannels = len(LEADS)
        item.NumberOfWaveformSamples = 0
        item.SamplingFrequency = f"{self.sampling_hz:.10g}"
        item.MultiplexGroupLabel = "leads"
        item.ChannelDefinitionSequence = []
        for lead, source in zip(LEADS, block.provenance, strict=True):
            channel = Dataset()
            channel.ChannelLabel = lead
            channel.ChannelSourceSequence = [_code(CODES[lead], "MDC", f"Lead {lead}")]
            channel.ChannelSensitivity = f"{UV_PER_DIGIT:g}"
            channel.ChannelSensitivityUnitsSequence = [_code("uV", "UCUM", "microvolt")]
            channel.ChannelSensitivityCorrectionFactor = "1"
            channel.ChannelBaseline = "0"
            channel.ChannelSampleSkew = "0"
            channel.WaveformBitsStored = 16
            channel.ChannelDerivationDescription = str(source)
            item.ChannelDefinitionSequence.append(channel)
        item.WaveformBitsAllocated = 16
        item.WaveformSampleInterpretation = "SS"
        item.add_new(0x5400100A, "OW", int(MISSING).to_bytes(2, "little", signed=True))
        item.add_new(0x54001010, "OW", b"")
        return item

    def _notes(self, block: TwelveLeadBlock) -> str:
        known, start = self.metadata, self.metadata.started_at
        lines = [
            f"started_at: {'unknown' if start is None else start.isoformat()}",
            f"first_sample: {block.first_sample}",
            f"prefilter: {known.prefilter}",
            f"source: {known.source}",
            MODEL + known.model,
            f"calibration: {known.calibration}",
            f"simulated: {known.simulated}",
        ]
        return "\n".join(" ".join(line.split()) for line in lines)

    def _append(self, block: TwelveLeadBlock, onset: int) -> None:
        with np.errstate(invalid="ignore"):
            digits = np.rint(block.ecg_mv.astype(np.float64) * 1000 / UV_PER_DIGIT)
            self.samples_clipped += int((np.abs(digits) > DIGITAL_MAX).sum())
            digits = np.clip(digits, -DIGITAL_MAX, DIGITAL_MAX)
        digits[np.isnan(digits)] = MISSING
        self._extend(digits.astype(np.int16))

    def _gap(self, n_samples: int, onset: int) -> None:
        for start in range(0, n_samples, _FILL_SAMPLES):
            shape = (len(LEADS), min(_FILL_SAMPLES, n_samples - start))
            self._extend(np.full(shape, MISSING, np.int16))

    def _restart(self, onset: int) -> None:
        """Nothing to write: the format has no place for it."""

    def _mark(self, onset: int, text: str) -> None:
        data = self._room.add(onset, text)
        if data is None:
            self.markers_dropped += 1
        else:
            self._put(self._room.at, data)

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
        width = 2 * len(LEADS)
        n = self._n_written + codes.shape[1]
        if width * n > _MOST_BYTES:
            raise SinkError(
                f"{self.target} is full: a DICOM waveform holds 4 GB; begin another file"
            )
        end = self._data_at + width * self._n_written
        try:
            self._put(end, codes.T.astype("<i2").tobytes() + _END)
        except OSError:
            with suppress(OSError):  # the first error is the one to report
                self._file.truncate(end)
                self._put(end, _END)
            raise
        self._put(self._length_at, (width * n).to_bytes(4, "little"))
        self._put(self._count_at, n.to_bytes(4, "little"))
        if self._n_written <= MOST_SAMPLES < n:
            for at in self._classes_at:
                self._put(at, GENERAL_ECG.encode())
        self._n_written = n

    def _put(self, at: int, data: bytes) -> None:
        self._file.seek(at)
        _write_all(self._file, data)

    def _finish(self) -> None:
        try:
            if not self._failed:
                self._write_pending()
        except OSError:
            self._failed = True
            raise
        finally:
            self._file.close()
            if self._n_written == 0:
                self.output.discard()


def _code(value: str, scheme: str, meaning: str) -> Any:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _write_all(file: FileIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]
