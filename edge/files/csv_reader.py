"""Reads CSV: a header of lead names, one row a sample; comment lines begin with #.

The rate comes from a comment `# sampling_hz: 250` or from a column `time_s` (or `time`), in seconds.
Values are millivolts unless a column's name (`II (uV)`) or a comment `# unit: uV` says otherwise.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.record import ReadOptions, Record, mv_per, pick_leads, unit_of

_INDEX_ROWS = 4096  # rows between two known places in the file: 8 bytes for every 16 s at 250 Hz
_LONGEST_LINE = 16_384  # a file without line ends must not be read whole as one line
_TIME_COLUMNS = ("time_s", "time", "t")
_COMMENT = b"#"


class CsvRecord(Record):
    """The lead columns of a CSV file. The file is scanned once at opening, and held open."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Raises InputError for a file without a header, a rate, or a lead; and for uneven times."""
        self.path = path
        self._file = path.open("rb")
        try:
            labels, comments = self._header()
            names, columns = pick_leads(labels, options.leads, path)
            file_unit = comments.get("unit", "mV")
            units = [unit_of(labels[column]) or file_unit for column in columns]
            self._mv = np.array([mv_per(unit, path) for unit in units])[:, None]
            lower = [label.strip().lower() for label in labels]
            self._time = next((lower.index(t) for t in _TIME_COLUMNS if t in lower), None)
            self._columns = columns
            self._places, n_samples = self._scan()
            self.n_samples = n_samples
            self.sampling_hz = 0.0  # not known while the first times are read
            super().__init__(path, names, self._rate(comments), n_samples)
        except InputError:
            self._file.close()
            raise

    def _header(self) -> tuple[list[str], dict[str, str]]:
        comments: dict[str, str] = {}
        while line := self._line():
            if line.startswith(_COMMENT):
                key, _, value = line[1:].decode("utf-8", "replace").partition(":")
                comments[key.strip().lower()] = value.strip()
            elif line.strip():
                text = line.decode("utf-8", "replace").lstrip("\ufeff").strip()
                return [label.strip().strip('"') for label in text.split(",")], comments
        raise InputError(f"{self.path} has no header: begin with a line of lead names, II,V1,V5")

    def _line(self) -> bytes:
        line = self._file.readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE:
            raise InputError(f"{self.path} has a line over {_LONGEST_LINE} bytes: it is no CSV")
        return line

    def _scan(self) -> tuple[list[int], int]:
        """Offsets of every _INDEX_ROWS-th row, and the number of rows."""
        places: list[int] = []
        rows = 0
        offset = self._file.tell()
        while line := self._line():
            if line.strip() and not line.startswith(_COMMENT):
                if rows % _INDEX_ROWS == 0:
                    places.append(offset)
                rows += 1
            offset += len(line)
        if not rows:
            raise InputError(f"{self.path} holds no samples: nothing to reconstruct")
        return places, rows

    def _rate(self, comments: dict[str, str]) -> float:
        if "sampling_hz" in comments:
            try:
                return float(comments["sampling_hz"])
            except ValueError as error:
                raise InputError(
                    f"{self.path}: sampling_hz {comments['sampling_hz']!r} is no number"
                ) from error
        if self._time is None or self.n_samples < 2:
            raise InputError(
                f"{self.path} does not say its sampling rate: add a line '# sampling_hz: 250' or a "
                "column time_s"
            )
        times = self._rows(0, min(self.n_samples, _INDEX_ROWS))[-1]
        rate = (len(times) - 1) / float(times[-1] - times[0]) if times[-1] > times[0] else 0.0
        return float(round(rate)) if abs(rate - round(rate)) < 1e-3 * rate else rate

    def _rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """Rows [start, stop), one row of the result per lead and a last one for the time."""
        self._file.seek(self._places[start // _INDEX_ROWS])
        skip = start % _INDEX_ROWS
        text = io.BytesIO()
        left = stop - start
        while left:
            line = self._line()
            if not line:
                raise InputError(f"{self.path} became shorter while it was read")
            if not line.strip() or line.startswith(_COMMENT):
                continue
            if skip:
                skip -= 1
                continue
            text.write(line)
            left -= 1
        text.seek(0)
        columns = [*self._columns, *([] if self._time is None else [self._time])]
        try:
            return np.loadtxt(text, np.float64, delimiter=",", usecols=columns, ndmin=2).T
        except (ValueError, IndexError) as error:
            why = str(error).splitlines()[0]
            raise InputError(
                f"{self.path}, samples {start} to {stop}: {why}; correct or cut those lines"
            ) from error

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        if self._time is None:
            return np.asarray(self._rows(start, stop) * self._mv, np.float32)
        before = min(start, 1)  # the row before tells whether samples are missing at the seam
        rows = self._rows(start - before, stop)
        times = rows[-1]
        uneven = np.flatnonzero(~(np.abs(np.diff(times) * self.sampling_hz - 1.0) < 0.5))
        if len(uneven):
            raise InputError(
                f"{self.path}: samples are missing after {times[uneven[0]]:g} s: split the file there"
            )
        return np.asarray(rows[:-1, before:] * self._mv, np.float32)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()
