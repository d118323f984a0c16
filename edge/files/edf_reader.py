"""Reads EDF and EDF+ through pyedflib."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.record import ReadOptions, Record, mv_per, pick_leads


class EdfRecord(Record):
    """The ECG signals of an EDF file, all at one rate."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Raises InputError for a file that is no EDF, is truncated, or lacks a lead."""
        from pyedflib import EdfReader

        _check_length(path)
        try:
            self._reader = EdfReader(str(path))
        except OSError as error:
            why = str(error).replace(str(path), "").strip(": ")
            raise InputError(f"cannot read {path} as EDF: {why}") from error
        try:
            labels = self._reader.getSignalLabels()
            names, self._signals = pick_leads(labels, options.leads, path)
            rates = {float(self._reader.getSampleFrequency(i)) for i in self._signals}
            if len(rates) != 1:
                raise InputError(
                    f"{path} has leads at {', '.join(f'{r:g}' for r in sorted(rates))} Hz: "
                    "resample them to one rate"
                )
            units = [self._reader.getPhysicalDimension(i) for i in self._signals]
            self._mv = np.array([mv_per(unit, path) for unit in units])[:, None]
            n_samples = int(min(self._reader.getNSamples()[self._signals]))
            super().__init__(path, names, rates.pop(), n_samples)
        except InputError:
            self._reader.close()
            raise

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        rows = [self._reader.readSignal(i, start, stop - start) for i in self._signals]
        if any(len(row) != stop - start for row in rows):
            raise InputError(f"{self.path} ends before sample {stop}: it is truncated")
        return np.asarray(np.stack(rows) * self._mv, np.float32)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._reader.close()


def _check_length(path: Path) -> None:
    """Refuse a file that is not as long as its header says, which pyedflib would print and not say."""
    with path.open("rb") as file:
        fixed = file.read(256)
        try:
            header_bytes, n_records, n_signals = (
                int(fixed[a:b]) for a, b in ((184, 192), (236, 244), (252, 256))
            )
            file.seek(256 + 216 * n_signals)
            counts = file.read(8 * n_signals)
            record_bytes = 2 * sum(int(counts[8 * i : 8 * i + 8]) for i in range(n_signals))
        except ValueError as error:
            raise InputError(f"{path} is no EDF file, or only the start of one") from error
    if n_records < 0:
        raise InputError(f"{path} was never finished by its writer: repair its number of records")
    if path.stat().st_size != header_bytes + n_records * record_bytes:
        held = max(0, path.stat().st_size - header_bytes) // max(1, record_bytes)
        raise InputError(
            f"{path} is truncated or damaged: its header says {n_records} data records, "
            f"the file holds {held}"
        )
