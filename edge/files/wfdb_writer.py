"""WFDB recording: a header, twelve leads in format 16, sigma and quality in a second signal file.

Every second the samples are written, then the header with their number and checksums: a killed process
leaves a record that any reader opens up to its last whole second. wfdb-python reads it.
"""

from __future__ import annotations

from contextlib import suppress
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError, SinkError
from edge.files import wfdb_annotations
from edge.files.recording import MODEL, QUALITY, SIGMA, MetadataSource, RecordingSink
from edge.files.wfdb_codes import INVALID
from edge.files.wfdb_header import RECORD_NAME
from edge.files.wfdb_reader import SIMULATED
from edge.leads import LEADS
from edge.quality import Quality, describe
from edge.samples import TwelveLeadBlock
from firmware_bridge.new_file import NewFile

DIGITS_PER_MV = 2000
"""Half a microvolt a step, as in EDF: well below the noise of any ECG front end."""
DIGITAL_MAX = 32767
_MISSING = INVALID[16]
_HEAD_BYTES = 8192  # of the header, at most
_FILL_SAMPLES = 16_384  # a gap is written in pieces of this size: 0.8 MB at most
_LABELS = [*LEADS, *(SIGMA + lead for lead in LEADS), QUALITY]  # under the 32 of old readers


def companions(path: Path) -> tuple[Path, Path, Path]:
    """The files that belong to the header `path`: the leads, their sigma and quality, and the markers."""
    sigma = path.with_name(f"{path.stem}_sigma.dat")
    return path.with_suffix(".dat"), sigma, path.with_suffix(wfdb_annotations.SUFFIX)


class WfdbSink(RecordingSink):
    """Writes signals `I` .. `V6`, `sigma I` .. `sigma V6` in mV, then `quality`, the OR of the quality bits.

    What is missing, by a gap or a lead that is off, is the format's code for an invalid sample. What the
    header's fields cannot say is in its comments: provenance, start with its time zone, device, filters.
    """

    def __init__(
        self, path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
    ) -> None:
        """As every recording; raises InputError for a name that no WFDB record can have, too."""
        super().__init__(path, sampling_hz, metadata, overwrite=overwrite)
        if not RECORD_NAME.fullmatch(self.output.path.stem):
            raise InputError(
                f"{self.target}: a WFDB record's name has letters, digits, _ and - only: name it otherwise"
            )
        if self.output.is_stream:
            raise SinkError(f"cannot write {self.target}: WFDB needs files, write .csv to a pipe")
        *self._data, self._notes = [
            NewFile(name, overwrite=overwrite) for name in companions(self.output.path)
        ]
        for new in (*self._data, self._notes):
            try:
                new.check()
            except OSError as error:
                raise SinkError(f"cannot write {new.path}: {error.strerror}") from error
        self.samples_clipped = 0
        """Samples beyond the range of the file, written as its largest value and flagged."""
        self._header: FileIO
        self._markers: list[tuple[int, str]] = []
        self._notes_file: FileIO | None = None
        self._files: list[FileIO] = []
        self._pending: list[NDArray[np.int16]] = []
        self._n_pending = 0
        self._n_written = 0
        self._first = np.zeros(len(_LABELS), np.int16)
        self._sums = np.zeros(len(_LABELS), np.int64)

    def counters(self) -> dict[str, int]:
        """Samples beyond the file's range."""
        return {"samples_clipped": self.samples_clipped}

    @staticmethod
    def size_of(n_samples: int, sampling_hz: float) -> int:
        """As of every recording."""
        return _HEAD_BYTES + 2 * len(_LABELS) * n_samples

    def _open(self) -> None:
        try:
            for new in self._data:
                self._files.append(new.create())
            self._header = self.output.create()
        except OSError:
            for new, file in zip(self._data, self._files, strict=False):
                file.close()
                new.discard()
            raise

    def _begin(self, block: TwelveLeadBlock) -> None:
        _write_all(self._header, (self._fields() + self._comments(block)).encode())

    def _append(self, block: TwelveLeadBlock, onset: int) -> None:
        codes = np.empty((len(_LABELS), block.n_samples), np.int16)
        ecg, clipped = _codes(block.ecg_mv)
        codes[: len(LEADS)] = ecg
        codes[len(LEADS) : -1], _ = _codes(block.sigma_mv)
        codes[-1] = np.bitwise_or.reduce(block.quality, axis=0)
        if clipped.any():
            self.samples_clipped += int(clipped.sum())
            codes[-1, clipped.any(axis=0)] |= Quality.CLIPPED
        self._extend(codes)

    def _gap(self, n_samples: int, onset: int) -> None:
        for start in range(0, n_samples, _FILL_SAMPLES):
            shape = (len(_LABELS), min(_FILL_SAMPLES, n_samples - start))
            codes = np.full(shape, _MISSING, np.int16)
            codes[-1] = Quality.GAP
            self._extend(codes)

    def _restart(self, onset: int) -> None:
        text = f"# stream restarted, break of unknown length: sample {onset}\n"
        self._header.seek(0, 2)
        _write_all(self._header, text.encode())

    def _mark(self, onset: int, text: str) -> None:
        """Into the annotations, in the order of time; their file is made with the first one."""
        if self._notes_file is None:
            self._notes_file = self._notes.create()
        last = self._markers[-1][0] if self._markers else 0
        self._markers.append((onset, text))
        if onset < last:
            self._markers.sort(key=lambda marker: marker[0])
            self._notes_file.seek(0)
            _write_all(self._notes_file, wfdb_annotations.notes(self._markers))
        else:
            self._notes_file.seek(max(0, self._notes_file.tell() - len(wfdb_annotations.END)))
            data = wfdb_annotations.note(onset - last, text) + wfdb_annotations.END
            _write_all(self._notes_file, data)

    def _extend(self, codes: NDArray[np.int16]) -> None:
        self._pending.append(codes)
        self._n_pending += codes.shape[1]
        if self._n_pending >= self.sampling_hz:
            self._write_pending()

    def _write_pending(self) -> None:
        """Write what a second brought, then the header; if it does not fit, leave the files as they were."""
        if not self._pending:
            return
        codes = np.concatenate(self._pending, axis=1)
        self._pending.clear()
        self._n_pending = 0
        if self._n_written == 0:
            self._first = codes[:, 0].copy()
        parts = codes[: len(LEADS)], codes[len(LEADS) :]
        try:
            # The leads last: a reader that goes by the size of their file finds all of the other one.
            for file, part in reversed(list(zip(self._files, parts, strict=True))):
                _write_all(file, part.T.astype("<i2").tobytes())
        except OSError:
            with suppress(OSError):  # the first error is the one to report
                for file, part in zip(self._files, parts, strict=True):
                    file.truncate(2 * self._n_written * len(part))
            raise
        self._n_written += codes.shape[1]
        self._sums += codes.sum(1, dtype=np.int64)
        self._header.seek(0)
        _write_all(self._header, self._fields().encode())

    def _fields(self) -> str:
        """The lines of the record and its signals, always of one length: they are written in place."""
        start = self.metadata.started_at
        at = "" if start is None else f" {start:%H:%M:%S.%f} {start:%d/%m/%Y}"
        name, n = self.output.path.stem, self._n_written
        lines = [f"{name} {len(_LABELS)} {self.sampling_hz:.12g} {n:>12d}{at}"]
        sums = (self._sums & 0xFFFF).astype(np.uint16).view(np.int16)  # 16 bits, signed
        for i, label in enumerate(_LABELS):
            file = self._data[i >= len(LEADS)].path.name
            scale = "1(0)/NU" if label == QUALITY else f"{DIGITS_PER_MV}(0)/mV"
            lines.append(f"{file} 16 {scale} 16 0 {self._first[i]:>6d} {sums[i]:>6d} 0 {label}")
        return "\n".join(lines) + "\n"

    def _comments(self, block: TwelveLeadBlock) -> str:
        known, start = self.metadata, self.metadata.started_at
        lines = [
            "leadlift 12-lead ECG in mV. Research use only, not a medical device.",
            f"started_at: {'unknown' if start is None else start.isoformat()}",
            f"first_sample: {block.first_sample}",
            f"prefilter: {known.prefilter}",
            f"device: {known.device}",
            *([MODEL + known.model] if known.model else []),
            *([f"source: {known.source}"] if known.source else []),
            *([f"calibration: {known.calibration}"] if known.calibration else []),
            *([SIMULATED] if known.simulated else []),
            *(f"{lead}: {source}" for lead, source in zip(LEADS, block.provenance, strict=True)),
            "quality bits: " + ", ".join(f"{1 << i}={describe(1 << i)}" for i in range(6)),
        ]
        return "".join(f"# {' '.join(line.split())}\n" for line in lines)

    def _finish(self) -> None:
        try:
            if not self._failed:
                self._write_pending()
        except OSError:
            self._failed = True
            raise
        finally:
            for file in (*self._files, self._header, self._notes_file):
                if file is not None:
                    file.close()
            if self._n_written == 0:
                for new in (*self._data, self._notes, self.output):
                    new.discard()
            elif not self._failed:
                for new in (*self._data, self._notes):  # the header takes its name last
                    new.keep()
                if self._notes_file is None and self._notes.overwrite:  # of the record replaced
                    self._notes.path.unlink(missing_ok=True)


def _codes(values_mv: NDArray[np.float32]) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Codes of values in mV, and which of them are beyond the range."""
    with np.errstate(invalid="ignore"):
        digits = np.rint(values_mv.astype(np.float64) * DIGITS_PER_MV)
        clipped = np.abs(digits) > DIGITAL_MAX
        codes = np.clip(digits, -DIGITAL_MAX, DIGITAL_MAX)
    codes[np.isnan(codes)] = _MISSING
    return codes.astype(np.int16), clipped


def _write_all(file: FileIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]
