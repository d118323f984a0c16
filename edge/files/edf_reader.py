"""Reads the ECG signals of EDF, EDF+ and BDF files, in pieces of bounded memory.

Read here and not by pyedflib, which refuses a whole recording for a date that was taken out, for the unit or
the range of a signal that nobody asked for, for a byte behind the last record, and for every gap.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.annotations import END_OF_RECORDING, SOURCE, STARTED_AT
from edge.files.edf_header import ABSENT, EdfSignal, read_header
from edge.files.edf_timeline import EdfTimeline, Run, annotation_texts, place_records, record_onset
from edge.files.record import (
    ReadOptions,
    Record,
    one_unit,
    pick_leads,
    printable,
    rate_of,
    reconstructed,
    unit_mv,
)
from edge.files.recording import CALIBRATION, MODEL, OF_RECORDING, QUALITY, SIGMA
from edge.marker import PREFIX, Marker
from edge.quality import Quality

_CHUNK_BYTES = 1 << 20
_LAST_RECORDS = 64  # where that annotation is looked for: those that wait fill about 26 records


class EdfRecord(Record):
    """The ECG signals of an EDF file, all at one rate. Samples that are missing are NaN."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Raises InputError for a file that is no EDF, is truncated, or lacks a lead."""
        self.path = path
        self._file = path.open("rb")
        try:
            self._open(options)
        except BaseException:
            self._file.close()
            raise

    def _open(self, options: ReadOptions) -> None:
        path = self.path
        self._header = header = read_header(self._file, path)
        warnings = list(header.warnings)
        signals = [s for s in header.signals if not s.is_annotations and s.samples]
        if not signals:
            raise InputError(f"{path} holds annotations and no signals: nothing to reconstruct")
        self._is_ours = "leadlift" in header.recording
        sigma = {s.label: s for s in signals if self._is_ours and s.label.startswith(SIGMA)}
        signals = [s for s in signals if s.label not in sigma]
        names, rows = pick_leads([s.label for s in signals], options.leads, path, warnings)
        chosen = [signals[row] for row in rows]
        sampling_hz = self._rate(chosen, options)
        self._samples = chosen[0].samples
        unit = [
            unit_mv(s.dimension, s.label, options, f"{path}, signal {s.number}", warnings)
            for s in chosen
        ]
        gain, offset = zip(*(self._scale(s) for s in chosen), strict=True)
        self.mv_per_value = one_unit(unit)
        self._gain = (np.array(gain) * unit)[:, None]
        self._offset = (np.array(offset) * unit)[:, None]
        texts = next((s for s in header.signals if s.is_annotations and s.samples), None)
        self._timeline = EdfTimeline(
            [Run(0, 0, header.n_records)], header.n_records * self._samples
        )
        discontinuous = header.discontinuous
        if header.says_continuous and texts is not None and self._has_gaps(texts):
            warnings.append(
                "it says EDF+C, but its data records state times with gaps: these count"
            )
            discontinuous = True
        if discontinuous and texts is not None:
            self._timeline = place_records(self._onsets(texts), self._samples, sampling_hz)
            warnings += self._timeline.warnings
        n_samples = self._timeline.n_samples
        self._quality = None
        beside = [sigma[SIGMA + name] for name in names if SIGMA + name in sigma]
        self._sigma = [s for s in beside if s.samples == self._samples]
        try:
            scales = np.array([self._scale(s) for s in self._sigma]).reshape(-1, 2)
        except InputError as error:
            warnings.append(f"no sigma: {error}")
            self._sigma = []
        else:
            self._sigma_scale = scales.T[:, :, None]
        if self._is_ours and texts is not None:
            self.provenance = tuple(s.transducer for s in chosen)
            self.prefilter = chosen[0].prefilter
            warnings += reconstructed(names, self.provenance)
            quality = [s for s in signals if s.label == QUALITY and s.samples == self._samples]
            self._quality = quality[0] if quality else None
            n_samples = min(n_samples, self._end(texts, sampling_hz))
        self._read_signals = [*chosen, *([self._quality] if self._quality else [])]
        super().__init__(path, names, sampling_hz, n_samples)
        self.warnings = tuple(warnings)
        self._identify(b"" if texts is None else self._bytes(0, texts.offset, texts.samples))

    def _rate(self, chosen: list[EdfSignal], options: ReadOptions) -> float:
        """The one sampling rate of the chosen signals, in Hz."""
        record_s = self._header.record_s
        if not record_s and options.sampling_hz is None:
            raise InputError(
                f"{self.path}: its data records last 0 s, so that it has no sampling rate: give --rate"
            )
        counts = sorted({signal.samples for signal in chosen})
        if len(counts) != 1:
            rates = [f"{float(n / record_s):g} Hz" if record_s else f"{n} a record" for n in counts]
            raise InputError(
                f"{self.path} has leads at {', '.join(rates)}: name those of one rate with --leads"
            )
        return rate_of(float(counts[0] / record_s) if record_s else None, options, self.path)

    def _identify(self, first_texts: bytes) -> None:
        """Start and device, from `Startdate 01-MAR-2026 X X EQUIPMENT MORE` and the first annotations."""
        onset = record_onset(first_texts) or 0.0
        if self._header.started_at is not None and 0 <= onset < 366 * 86400:
            self.started_at = self._header.started_at + timedelta(seconds=onset)
        words = self._header.recording.split()
        equipment = words[4] if len(words) > 4 and words[0] == "Startdate" else "X"
        if equipment.startswith("leadlift"):  # what wrote the file; the device stands behind it
            self.simulated = "simulated_signal" in words[5:]
            words = [word for word in words[5:] if word != "simulated_signal"]
            equipment = words[0] if words else "X"
            for _, text in annotation_texts(first_texts):
                self.of_recording = self.of_recording or text == SOURCE + OF_RECORDING
                if text.startswith(MODEL):
                    self.model = text.removeprefix(MODEL)
                if text.startswith(CALIBRATION):
                    self.calibration = text
                if text.startswith(STARTED_AT):  # to the microsecond, with the time zone
                    with suppress(ValueError):
                        self.started_at = datetime.fromisoformat(text.removeprefix(STARTED_AT))
        self.device = "" if equipment == "X" else equipment.replace("_", " ")

    def _scale(self, signal: EdfSignal) -> tuple[float, float]:
        """(physical units per digit, physical value of digit 0); a negative gain is legal."""
        (pmin, pmax), (dmin, dmax) = signal.physical, signal.digital
        if (
            pmin is None
            or pmax is None
            or dmin is None
            or dmax is None
            or pmin == pmax
            or dmin == dmax
        ):
            raise InputError(
                f"{self.path}: signal {signal.number} ({signal.label!r}) has the physical range "
                f"{_or_none(pmin)} to {_or_none(pmax)} for the digital range {_or_none(dmin)} to "
                f"{_or_none(dmax)}: correct those fields"
            )
        gain = (pmax - pmin) / (dmax - dmin)
        return gain, pmin - dmin * gain

    def _has_gaps(self, signal: EdfSignal) -> bool:
        """Whether the last data record begins more than a second later than it would without a gap.

        A clock that differs by less than 0.1 % from the declared rate makes no gap.
        """
        n = self._header.n_records - 1
        first, last = (record_onset(self._bytes(r, signal.offset, signal.samples)) for r in (0, n))
        if first is None or last is None:
            return False
        lasts = float(n * self._header.record_s)
        return last - first - lasts > max(1.0, 1e-3 * lasts)

    def _onsets(self, signal: EdfSignal) -> Iterator[float | None]:
        """When each data record says that it begins."""
        for record in range(self._header.n_records):
            yield record_onset(self._bytes(record, signal.offset, signal.samples))

    def _end(self, annotated: EdfSignal, sampling_hz: float) -> int:
        """Samples before the padding of a file of ours."""
        n = self._header.n_records
        for record in range(max(0, n - _LAST_RECORDS), n):
            data = self._bytes(record, annotated.offset, annotated.samples)
            for onset, text in annotation_texts(data):
                if text == END_OF_RECORDING and onset > 0:
                    return round(onset * sampling_hz)
        return n * self._samples

    def _bytes(self, record: int, offset: int, n_samples: int) -> bytes:
        header = self._header
        self._file.seek(header.data_offset + record * header.record_bytes + offset)
        n_bytes = n_samples * header.sample_bytes
        data = self._file.read(n_bytes)
        if len(data) != n_bytes:
            raise InputError(f"{self.path} became shorter while it was read")
        return data

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        out = np.full((len(self.leads), stop - start), np.nan, np.float32)
        for at, codes in self._pieces(start, stop, self._read_signals):
            out[:, at : at + codes.shape[1]] = self._millivolts(codes)
        return out

    def read_sigma(self, start: int, stop: int) -> NDArray[np.float32] | None:
        """As of every recording: a file of ours has it, unless an older version wrote it."""
        if len(self._sigma) != len(self.leads):
            return None
        gain, offset = self._sigma_scale
        out = np.full((len(self.leads), stop - start), np.nan, np.float32)
        for at, codes in self._pieces(start, stop, self._sigma):
            known = np.where(codes < 0, np.nan, codes * gain + offset)
            out[:, at : at + codes.shape[1]] = known
        return out

    def read_quality(self, start: int, stop: int) -> NDArray[np.uint8] | None:
        """As of every recording: a file of ours has one signal for all leads."""
        if self._quality is None:
            return None
        out = np.full((len(self.leads), stop - start), Quality.GAP, np.uint8)
        for at, codes in self._pieces(start, stop, [self._quality]):
            out[:, at : at + codes.shape[1]] = codes
        return out

    def read_markers(self) -> list[Marker]:
        """As of every recording: annotations are spread over all data records."""
        texts = next((s for s in self._header.signals if s.is_annotations and s.samples), None)
        if texts is None:
            return []
        found: list[Marker] = []
        start_s: float | None = None
        for record in range(self._header.n_records):
            data = self._bytes(record, texts.offset, texts.samples)
            if start_s is None:
                start_s = record_onset(data) or 0.0
            for onset, text in annotation_texts(data):
                if self._is_ours and not text.startswith(PREFIX):
                    continue
                if line := printable(text.removeprefix(PREFIX)).strip():
                    found.append(Marker(line, round((onset - start_s) * self.sampling_hz)))
        return sorted(found, key=lambda marker: marker.sample)

    def _pieces(
        self, start: int, stop: int, signals: Sequence[EdfSignal]
    ) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """(place behind `start`, digital values of each of `signals`) of what the records hold in a range."""
        runs = self._timeline.runs
        for run in runs[max(0, bisect_right(runs, start, key=lambda r: r.first_sample) - 1) :]:
            if run.first_sample >= stop:
                break
            a = max(start, run.first_sample)
            b = min(stop, run.first_sample + run.n_records * self._samples)
            at = run.first_record * self._samples - run.first_sample
            while a < b:
                codes = self._codes(a + at, b + at, signals)
                yield a - start, codes
                a += codes.shape[1]

    def _codes(self, start: int, stop: int, signals: Sequence[EdfSignal]) -> NDArray[np.int32]:
        """Digital values of each of `signals` from sample `start` of the records on, up to a chunk."""
        header, n = self._header, self._samples
        record, a = divmod(start, n)
        count = min(stop - start, n - a)
        width = header.sample_bytes
        if a or count < n or header.record_bytes > _CHUNK_BYTES:
            return np.stack(
                [
                    _integers(
                        np.frombuffer(self._bytes(record, s.offset + a * width, count), np.uint8),
                        width,
                    )
                    for s in signals
                ]
            )
        n_records = min((stop - start) // n, _CHUNK_BYTES // header.record_bytes)
        data = self._bytes(record, 0, n_records * header.record_bytes // width)
        records = np.frombuffer(data, np.uint8).reshape(n_records, header.record_bytes)
        return np.stack(
            [_integers(records[:, s.offset : s.offset + n * width], width) for s in signals]
        )

    def _millivolts(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """(n_leads, n) float32 mV; what a file of ours flags as absent and holds as 0 is NaN."""
        signals = codes[: len(self.leads)]
        ecg_mv = np.asarray(signals * self._gain + self._offset, np.float32)
        if self._quality is not None:
            ecg_mv[(signals == 0) & (codes[-1] & ABSENT != 0)] = np.nan
        return ecg_mv

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


def _or_none(number: float | None) -> str:
    return "no number" if number is None else f"{number:g}"


def _integers(data: NDArray[np.uint8], width: int) -> NDArray[np.int32]:
    """Little-endian integers of 2 or 3 bytes, flat, from their bytes."""
    flat = np.ascontiguousarray(data).reshape(-1, width)
    if width == 2:
        return flat.view("<i2").ravel().astype(np.int32)
    padded = np.zeros((len(flat), 4), np.uint8)
    padded[:, 1:] = flat
    return (padded.view("<i4") >> 8).ravel()
