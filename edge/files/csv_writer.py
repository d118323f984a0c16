"""CSV recording: one row a sample, for eyes and spreadsheets; on disk to the last second."""

from __future__ import annotations

from contextlib import suppress
from io import FileIO
from pathlib import Path

import numpy as np

from edge.files.csv_notes import sigma_column
from edge.files.recording import MODEL, QUALITY, MetadataSource, RecordingSink
from edge.leads import LEADS
from edge.marker import PREFIX
from edge.quality import describe
from edge.samples import TwelveLeadBlock

_ROW = ",".join(["%.6f", *["%.5f"] * len(LEADS), "%d", *["%.4f"] * len(LEADS)]) + "\n"
_HEAD_BYTES = 4096  # of the comments, at most
_ROWS_AT_ONCE = 4096  # bounds the memory of formatting: about 0.5 MB of text


class CsvSink(RecordingSink):
    """Writes `time_s,I,...,V6,quality,sigma_I,...,sigma_V6` in mV, after comments on where each lead is from.

    `quality` is the OR of the leads' quality bits, `sigma_I` the standard deviation of the error of lead I,
    to a tenth of a microvolt. A missing value is `nan`; lost samples have no row: `time_s`, which starts at
    0, jumps. A marker is a comment, `# marker: 12.340000 s: TEXT`.
    """

    def __init__(
        self, path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
    ) -> None:
        """As every recording."""
        super().__init__(path, sampling_hz, metadata, overwrite=overwrite)
        self._file: FileIO
        self._pending: list[str] = []
        self._pending_samples = 0
        self._is_empty = True

    @staticmethod
    def size_of(n_samples: int, sampling_hz: float) -> int:
        """As of every recording: values of up to 99 mV, times of up to eleven days."""
        return _HEAD_BYTES + n_samples * len(
            _ROW % (1e6 - 1e-6, *[-99.0] * len(LEADS), 255, *[99.0] * len(LEADS))
        )

    def _open(self) -> None:
        self._file = self.output.create()

    def _begin(self, block: TwelveLeadBlock) -> None:
        started_at = self.metadata.started_at
        lines = [
            "leadlift 12-lead ECG in mV. Research use only, not a medical device.",
            f"sampling_hz: {self.sampling_hz:.12g}",
            f"started_at: {'unknown' if started_at is None else started_at.isoformat()}",
            f"first_sample: {block.first_sample}",
            f"prefilter: {self.metadata.prefilter}",
            f"device: {self.metadata.device}",
            *([MODEL + self.metadata.model] if self.metadata.model else []),
            *([f"source: {self.metadata.source}"] if self.metadata.source else []),
            *([self.metadata.calibration] if self.metadata.calibration else []),
            *(["simulated signal"] if self.metadata.simulated else []),
            *(f"{lead}: {source}" for lead, source in zip(LEADS, block.provenance, strict=True)),
            "sigma columns: standard deviation of the error of each lead in mV",
            "quality bits: " + ", ".join(f"{1 << i}={describe(1 << i)}" for i in range(6)),
        ]
        self._pending += [f"# {' '.join(line.split())}\n" for line in lines]
        self._pending.append(
            ",".join(["time_s", *LEADS, QUALITY, *(sigma_column(x) for x in LEADS)]) + "\n"
        )

    def _append(self, block: TwelveLeadBlock, onset: int) -> None:
        n = len(LEADS)
        rows = np.empty((block.n_samples, 2 + 2 * n), np.float64)
        rows[:, 0] = (onset + np.arange(block.n_samples)) / self.sampling_hz
        rows[:, 1 : 1 + n] = block.ecg_mv.T
        rows[:, 1 + n] = np.bitwise_or.reduce(block.quality, axis=0)
        rows[:, 2 + n :] = block.sigma_mv.T
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            self._pending.append((_ROW * len(some)) % tuple(some.ravel().tolist()))
            self._pending_samples += len(some)
            if self._pending_samples >= self.sampling_hz:
                self._write_pending()

    def _gap(self, n_samples: int, onset: int) -> None:
        """Nothing to write: the next row's `time_s` is that much later."""

    def _restart(self, onset: int) -> None:
        self._pending.append(f"# stream restarted at {onset / self.sampling_hz:.6f} s\n")

    def _mark(self, onset: int, text: str) -> None:
        self._pending.append(f"# {PREFIX}{onset / self.sampling_hz:.6f} s: {text}\n")

    def _write_pending(self) -> None:
        """Write what a second brought; if it does not fit, leave the file as it was before."""
        data = "".join(self._pending).encode()
        self._pending.clear()
        self._pending_samples = 0
        if not data:
            return
        size = None if self.output.is_stream else self._file.tell()  # a pipe has no position
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            with suppress(OSError):  # the first error is the one to report
                if size is not None:
                    self._file.truncate(size)
            raise
        self._is_empty = False

    def _finish(self) -> None:
        try:
            self._write_pending()
        finally:
            self._file.close()
            if self._is_empty:
                self.output.discard()
