"""EDF+ recording: twelve leads, their quality and sigma in records of a second, safe against a crash.

Written here and not by pyedflib, which keeps the record count and all annotations in memory until it is
closed (a killed process leaves a file that edflib itself refuses), takes a record for written that the
full disk did not take, and then appends the rest of it when the process ends. Every second this writes
one whole record, annotations included, and then the count in the header. edfio and pyedflib read it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from io import SEEK_END, FileIO
from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.files.annotations import (
    END_OF_RECORDING,
    SOURCE,
    STARTED_AT,
    Annotation,
    QualityAnnotator,
)
from edge.files.edf_header import ABSENT, UNKNOWN_START, WIDTHS
from edge.files.recording import (
    MODEL,
    OF_RECORDING,
    QUALITY,
    SIGMA,
    MetadataSource,
    RecordingSink,
)
from edge.leads import LEADS, Provenance
from edge.marker import PREFIX
from edge.quality import Quality
from edge.samples import TwelveLeadBlock

LSB_MV = 0.0005
"""Half a microvolt: well below the noise of any ECG front end."""
DIGITAL_MAX = 32767
PHYSICAL_MAX_MV = DIGITAL_MAX * LSB_MV  # 16.3835 mV, five times the largest QRS; beyond it clips
MAX_SAMPLING_HZ = 2000
SIGMA_UNKNOWN = -1
"""The code of a sigma that is not known: no standard deviation is negative."""
PENDING_ANNOTATIONS = 256
"""Annotations that wait for room in a record; more than this at once is a fault, and counted."""

_N = len(LEADS)
_ROWS = 2 * _N + 1  # the leads, the quality, then the sigmas
_NOTHING = np.array([[0]] * _N + [[Quality.GAP]] + [[SIGMA_UNKNOWN]] * _N, "<i2")
_ANNOTATION_BYTES = 360  # ten annotations a second, 3 % of the file at 250 Hz
_MOST_SAMPLES = 1200  # in a record: EDF allows 61440 bytes
_HEADER_BYTES = 256 * (1 + _ROWS + 1)
_COUNT_OFFSET = 236  # where the header keeps the number of data records, 8 characters
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


class EdfSink(RecordingSink):
    """Writes EDF+C: `ECG I` .. `V6` in mV, `quality`, the OR of the quality bits, `sigma I` .. `sigma V6`.

    Time runs on through gaps: lost samples and samples of a lead that is off are 0 mV, with the
    quality bits set and an annotation that says since when and for how long. So is what fills the last
    record up, behind the annotation `end of recording`. A sigma that is not known is SIGMA_UNKNOWN there. It
    has the rate of the leads: it follows the QRS, and some readers bring all signals to one rate.
    """

    def __init__(
        self, path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
    ) -> None:
        """As every recording; raises InputError for a rate EDF cannot hold, too."""
        super().__init__(path, sampling_hz, metadata, overwrite=overwrite)
        if not 1.0 <= sampling_hz <= MAX_SAMPLING_HZ:
            raise InputError(
                f"{path}: EDF holds 1 to {MAX_SAMPLING_HZ} samples a second, not "
                f"{sampling_hz:g}: write .npz or .csv"
            )
        self.samples_clipped = 0
        """Samples beyond the range of the file, written as its largest value and annotated."""
        self.annotations_dropped = 0
        self._equipment = _equipment()  # here, so that the first block does not wait for it
        self._file: FileIO
        self._length = _record_length(sampling_hz)
        # At 250.137 Hz a record of 250 samples lasts 0.999452 s: all that the header's 8 characters hold.
        self._record_us = round(self._length / sampling_hz * 1e6)
        self._file_hz = self._length * 1e6 / self._record_us
        self._record = np.zeros((_ROWS, self._length), "<i2")
        self._filled = 0
        self._records = 0
        self._record_bytes = 2 * self._record.size + _ANNOTATION_BYTES
        self._pending: deque[Annotation] = deque(maxlen=PENDING_ANNOTATIONS)
        self._last_texts = b""  # annotations of the record written last, without padding
        self._annotator: QualityAnnotator | None = None

    def counters(self) -> dict[str, int]:
        """Samples beyond the file's range, and annotations that found no room."""
        return {
            "samples_clipped": self.samples_clipped,
            "annotations_dropped": self.annotations_dropped,
        }

    @staticmethod
    def size_of(n_samples: int, sampling_hz: float) -> int:
        """As of every recording."""
        length = _record_length(sampling_hz)
        n_records = -(-n_samples // length) + 1  # one more for annotations that are left at the end
        return _HEADER_BYTES + n_records * (2 * _ROWS * length + _ANNOTATION_BYTES)

    def _open(self) -> None:
        self._file = self.output.create()

    def _begin(self, block: TwelveLeadBlock) -> None:
        self._annotator = QualityAnnotator(self.sampling_hz, block.provenance)
        self._write_all(self._header(block.provenance))
        if self.metadata.started_at is not None:  # the header has whole seconds and no time zone
            self._annotate(Annotation(0, 0, STARTED_AT + self.metadata.started_at.isoformat()))
        if self.metadata.calibration:
            self._annotate(Annotation(0, 0, self.metadata.calibration))
        if self.metadata.model:
            self._annotate(Annotation(0, 0, MODEL + self.metadata.model))
        if self.metadata.source == OF_RECORDING:  # others are in the device's field
            self._annotate(Annotation(0, 0, SOURCE + OF_RECORDING))
        if self.metadata.simulated:
            self._annotate(Annotation(0, 0, "simulated signal"))

    def _header(self, provenance: tuple[Provenance, ...]) -> bytes:
        """The header: a fixed part, then each field for all signals in turn. No patient data."""
        start = self.metadata.started_at or UNKNOWN_START
        device = _ascii(self.metadata.device.strip(), 20).replace(" ", "_")
        recording = [
            f"Startdate {_startdate(self.metadata.started_at)} X X",
            self._equipment,
            *(["simulated_signal"] if self.metadata.simulated else []),
            *([device] if device else []),
        ]
        fixed = [
            ("0", 8),
            ("X X X X", 80),
            (" ".join(recording), 80),
            (f"{start:%d.%m.%y}", 8),
            (f"{start:%H.%M.%S}", 8),
            (str(_HEADER_BYTES), 8),
            ("EDF+C", 44),
            ("0", 8),
            (_seconds(self._record_us), 8),
            (str(_ROWS + 1), 4),
        ]
        bits = " ".join(f"{flag.value}={str(flag.name).lower()}" for flag in Quality if flag)
        least, most, unknown = (
            f"{code * LSB_MV:g}" for code in (-DIGITAL_MAX, DIGITAL_MAX, SIGMA_UNKNOWN)
        )
        prefilter = _ascii(self.metadata.prefilter, 80)
        sigma = f"standard deviation of the error of lead {{}}; {unknown}: not known"
        top, n = str(DIGITAL_MAX), str(self._length)
        leads = zip(LEADS, provenance, strict=True)
        signals = [
            *(
                (f"ECG {x}", str(y), "mV", least, most, f"-{top}", top, prefilter, n)
                for x, y in leads
            ),
            (QUALITY, bits, "", "0", "255", "0", "255", "", n),
            *(
                (SIGMA + x, sigma.format(x), "mV", unknown, most, str(SIGMA_UNKNOWN), top, "", n)
                for x in LEADS
            ),
            (
                "EDF Annotations",
                "",
                "",
                "-1",
                "1",
                "-32768",
                "32767",
                "",
                str(_ANNOTATION_BYTES // 2),
            ),
        ]
        per_signal = zip(zip(*((*one, "") for one in signals), strict=True), WIDTHS, strict=True)
        fields = fixed + [(text, width) for texts, width in per_signal for text in texts]
        return "".join(text[:width].ljust(width) for text, width in fields).encode("ascii")

    def _append(self, block: TwelveLeadBlock, onset: int) -> None:
        block = self._mark_clipped(block)
        if self._annotator is not None:
            for annotation in self._annotator.follow(block, onset):
                self._annotate(annotation)
        quality = np.bitwise_or.reduce(block.quality, axis=0)
        quality[np.isnan(block.ecg_mv).any(axis=0) & (quality == 0)] = Quality.LEAD_OFF
        ecg = np.rint(block.ecg_mv / LSB_MV)
        ecg[(ecg == 0) & (quality & ABSENT != 0)] = 1  # 0 there is no value
        sigma = np.rint(block.sigma_mv / LSB_MV)
        codes = np.empty((_ROWS, block.n_samples), "<i2")
        codes[:_N] = np.clip(np.nan_to_num(ecg, nan=0.0), -DIGITAL_MAX, DIGITAL_MAX)
        codes[_N] = quality
        codes[_N + 1 :] = np.clip(
            np.nan_to_num(sigma, nan=SIGMA_UNKNOWN), SIGMA_UNKNOWN, DIGITAL_MAX
        )
        done = 0
        while done < block.n_samples:
            n = min(self._length - self._filled, block.n_samples - done)
            self._record[:, self._filled : self._filled + n] = codes[:, done : done + n]
            done += n
            self._advance(n)

    def _mark_clipped(self, block: TwelveLeadBlock) -> TwelveLeadBlock:
        """`block`, with CLIPPED set where the file's range is too small for it."""
        beyond = np.abs(block.ecg_mv) > PHYSICAL_MAX_MV
        if not beyond.any():
            return block
        self.samples_clipped += int(np.count_nonzero(beyond))
        return replace(block, quality=block.quality | beyond * np.uint8(Quality.CLIPPED))

    def _gap(self, n_samples: int, onset: int) -> None:
        self._annotate(
            Annotation(onset, n_samples, f"gap {n_samples / self.sampling_hz * 1e3:.0f} ms")
        )
        left = n_samples
        while left:
            n = min(self._length - self._filled, left)
            self._record[:, self._filled : self._filled + n] = _NOTHING
            left -= n
            self._advance(n)

    def _restart(self, onset: int) -> None:
        self._annotate(Annotation(onset, 0, "stream restarted, break of unknown length"))

    def _mark(self, onset: int, text: str) -> None:
        self._annotate(Annotation(onset, 0, PREFIX + text))

    def _annotate(self, annotation: Annotation) -> None:
        if len(self._pending) == PENDING_ANNOTATIONS:
            self.annotations_dropped += 1
        self._pending.append(annotation)

    def _advance(self, n_samples: int) -> None:
        self._filled += n_samples
        if self._filled == self._length:
            self._write_record()

    def _write_record(self) -> None:
        self._filled = 0
        self._write_all(self._record.tobytes() + self._annotation_bytes())
        self._records += 1
        self._file.seek(_COUNT_OFFSET)
        self._write_all(f"{self._records:<8d}".encode())
        self._file.seek(0, SEEK_END)

    def _write_all(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            self._annotator = None  # a full disk takes no tail either
            self._pending.clear()
            raise

    def _annotation_bytes(self) -> bytes:
        """The annotation signal of the next record: its time, then as many annotations as fit."""
        signal = f"+{_seconds(self._records * self._record_us)}\x14\x14\x00".encode()
        self._last_texts = self._with_pending(signal)
        return self._last_texts.ljust(_ANNOTATION_BYTES, b"\x00")

    def _with_pending(self, signal: bytes) -> bytes:
        """`signal` with as many of the annotations that wait as fit."""
        while self._pending:
            text = self._time_stamped(self._pending[0])
            if len(signal) + len(text) > _ANNOTATION_BYTES:
                break
            signal += text
            self._pending.popleft()
        return signal

    def _time_stamped(self, annotation: Annotation) -> bytes:
        """One time-stamped annotation list of the EDF+ standard."""
        onset, duration = (
            _seconds(round(n / self._file_hz * 1e6))
            for n in (annotation.onset, annotation.n_samples)
        )
        lasting = f"\x15{duration}" if annotation.n_samples else ""
        return f"+{onset}{lasting}\x14{annotation.text}\x14\x00".encode(errors="replace")

    def _finish(self) -> None:
        try:
            self._write_tail()
        finally:
            if not self.output.is_stream:
                self._file.truncate(_HEADER_BYTES + self._records * self._record_bytes)
            self._file.close()
            if self._records == 0:
                self.output.discard()  # not one second was written: a header alone is no recording

    def _write_tail(self) -> None:
        """The last partial second, padded to a record, and the annotations still open."""
        for annotation in self._annotator.finish() if self._annotator is not None else []:
            self._annotate(annotation)
        if self._records and self._pending and not self._filled and not self.output.is_stream:
            # The last record may have room: one more would be a second of padding.
            self._last_texts = self._with_pending(self._last_texts)
            behind = _HEADER_BYTES + self._records * self._record_bytes
            self._file.seek(behind - _ANNOTATION_BYTES)
            self._write_all(self._last_texts.ljust(_ANNOTATION_BYTES, b"\x00"))
        if self._filled or self._pending:
            self._annotate(Annotation(self.timeline.end, 0, END_OF_RECORDING))
        while self._filled or self._pending:
            self._record[:, self._filled :] = _NOTHING
            self._write_record()


def _record_length(sampling_hz: float) -> int:
    """Samples of a signal in a data record: a second, or half of one where that would be too large."""
    return round(sampling_hz if sampling_hz <= _MOST_SAMPLES else sampling_hz / 2)


def _seconds(microseconds: int) -> str:
    """As EDF writes a time: without zeros at the end."""
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}".rstrip("0").rstrip(".")


def _startdate(start: datetime | None) -> str:
    """The day as EDF+ writes it in its recording field; X where it is not known."""
    return f"{start.day:02d}-{_MONTHS[start.month - 1]}-{start.year}" if start is not None else "X"


def _equipment() -> str:
    try:
        return f"leadlift_{version('leadlift')}"
    except PackageNotFoundError:  # run from a checkout
        return "leadlift"


def _ascii(text: str, longest: int) -> str:
    """Printable ASCII of at most `longest` characters: all that an EDF header can hold."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:longest]
