"""Reads CSV as instruments, spreadsheets and loggers write it, in pieces of bounded memory.

The rate is what the column of times says, or a comment `# sampling_hz: 250`, or the caller. Values are
millivolts unless a column's name (`II (uV)`), a row of units, a comment `# unit: uV` or the caller says
otherwise. Cells without a value, and rows that are missing in time, are NaN in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.csv_axis import MOST_JUMPS, fill
from edge.files.csv_cells import Columns, Table, naming, table_of
from edge.files.csv_clock import Clock, find_clock, rising_clock
from edge.files.csv_dialect import sniff
from edge.files.csv_notes import marker_of, sigma_column, started_at, stated_rate
from edge.files.csv_text import Chunk, TextFile
from edge.files.record import (
    ReadOptions,
    Record,
    one_unit,
    pick_leads,
    printable,
    rate_of,
    reconstructed,
    unit_mv,
    unit_of,
)
from edge.files.recording import CALIBRATION, MAX_GAP_FILL_S, OF_RECORDING, QUALITY
from edge.marker import Marker
from edge.progress import Progress, progress
from edge.quality import Quality
from firmware_bridge.lead_names import unit_named

_SNIFFED_LINES = 3000
_OVERLAP_S = (
    1.0  # a device may send a packet again; time that goes back further is another recording
)


@dataclass(slots=True)
class _Piece:
    """A chunk of the file, and the rows in it."""

    offset: int
    end: int
    skip: int
    """Lines above the table, in the first chunk."""
    line: int
    """Number of its first line, from 1."""
    first_row: int
    n_rows: int
    first_sample: int = 0
    end_sample: int = 0


class CsvRecord(Record):
    """The lead columns of a CSV file. The file is read once at opening, and held open."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Raises InputError, naming the line, for what is no table of samples with leads and a rate."""
        self.path = path
        self._text = TextFile(path)
        try:
            self._open(options)
        except BaseException:
            self._text.close()
            raise

    def _open(self, options: ReadOptions) -> None:
        path, said = self.path, list[str]()
        head = self._text.chunk(self._text.start)
        if head is not None and not head.is_text:
            raise InputError(
                f"{path} is no CSV: it holds bytes that are no text; end its name as its format does"
            )
        lines = [] if head is None else head.data.split(b"\n", _SNIFFED_LINES)[:_SNIFFED_LINES]
        self._dialect = dialect = sniff([self._text.decode(line) for line in lines])
        if head is None or (dialect.first_line is None and not dialect.labels):
            if head is None or not any(lines):
                raise InputError(f"{path} is empty: give another recording")
            raise InputError(
                f"{path} has no header: begin with a line of lead names, as in II,V1,V5"
            )
        if dialect.first_line is None:
            if any(len(label) > 1000 for label in dialect.labels or ()):
                raise InputError(f"{path} begins with a line of no cells: it is no CSV")
            raise InputError(f"{path} holds no samples: nothing to reconstruct")
        table = self._table(head, dialect.first_line, 1)
        stated = stated_rate(dialect.notes, path)
        nominal = options.sampling_hz if stated is None else stated
        if dialect.labels is None:
            in_order = options.leads is not None and not isinstance(options.leads, Mapping)
            every_one = in_order and len(options.leads or ()) == dialect.n_columns
            clock = None if every_one else rising_clock(table, nominal)
            labels = self._labels_without_header(clock, options, nominal, lines, said)
        else:
            labels = dialect.labels
            with naming(self.path, 1 + dialect.first_line):
                clock = find_clock(table, labels, dialect, nominal, path)
        names, places = pick_leads(labels, options.leads, path, said)
        self._leads = Columns(places, self._units(labels, places, options, said))
        self.mv_per_value = one_unit(self._leads.mv.ravel().tolist())
        beside = {x: i for i, x in enumerate(labels)} if self._is_ours else {}
        sigma = [beside[sigma_column(x)] for x in names if sigma_column(x) in beside]
        self._sigma = Columns(sigma, self._leads.mv) if len(sigma) == len(names) else None
        self._has_quality = QUALITY in beside
        if self._has_quality:
            mv = np.append(self._leads.mv, [[1.0]], axis=0)
            self._leads = Columns([*places, beside[QUALITY]], mv)
        if clock is None and nominal is None:
            raise InputError(
                f"{path} does not say its sampling rate: give --rate, or add a line "
                "'# sampling_hz: 250' or a column time_s"
            )
        self._pieces: list[_Piece] = []
        with progress(f"reading {self.path.name}", self.path.stat().st_size) as work:
            n_rows = self._scan(head, clock, said, work)
        self._jumps = np.empty((0, 2), np.int64)
        rate = rate_of(stated, options, path) if clock is None else 0.0
        if clock is not None:
            rate = clock.axis.rate(nominal)
            if n_rows < 2 and nominal:
                rate = nominal
            self._agree(rate, stated, clock)
            rate = rate_of(rate or None, options, path)
            self._place(clock, rate, said)
            said += clock.warnings
        n_samples = self._lay_out(n_rows)
        super().__init__(path, names, rate, n_samples)
        self._identify(clock, said)
        self.warnings = tuple(said)

    def _labels_without_header(
        self,
        clock: Clock | None,
        options: ReadOptions,
        nominal: float | None,
        lines: Sequence[bytes],
        said: list[str],
    ) -> list[str]:
        """Names of the columns by the caller's leads, in order; a column of times comes before them."""
        n_columns = self._dialect.n_columns
        n_values = n_columns - (clock is not None)
        first = self._text.decode(lines[self._dialect.first_line or 0])[:60]
        where = f"{self.path} has no header: its first line is {first!r}"
        if options.leads is None:
            rate = "" if clock is not None or nominal else " and --rate 250"
            raise InputError(
                f"{where}; name its {n_values} columns of values in order with --leads II,V1,V5{rate}"
            )
        if isinstance(options.leads, Mapping):
            return [f"column {i + 1}" for i in range(n_columns)]
        if len(options.leads) != n_values:
            raise InputError(
                f"{where}, with {n_values} columns of values for the {len(options.leads)} leads "
                f"{','.join(options.leads)}: name each column in order, or pick by place, "
                f"as in --leads {options.leads[0]}=#1"
            )
        names = list(options.leads)
        said.append(f"it has no header: its columns are taken for {', '.join(names)}, in order")
        return (["time"] if clock is not None else []) + names

    def _units(
        self, labels: Sequence[str], places: Sequence[int], options: ReadOptions, said: list[str]
    ) -> NDArray[np.float64]:
        """Millivolts per unit of each lead, (n_leads, 1)."""
        notes, rows = self._dialect.notes, self._dialect.units
        noted = next((notes[key] for key in ("unit", "units", "einheit") if notes.get(key)), "")
        scales = []
        for column in places:
            label = labels[column]
            in_row = rows[column].strip("()[] ") if rows else ""
            in_row = "" if unit_named(in_row) is None else in_row
            found = [unit for unit in (unit_of(label) or "", in_row, noted) if unit]
            if any(unit_named(unit) != unit_named(found[0]) for unit in found):
                text = f"{label!r} is said to be in {' and in '.join(found)}: read in {found[0]}"
                said.append(text if options.unit is None else f"{text}, but for --unit")
            stated = found[0] if found else "" if options.unit else "mV"
            scales.append(unit_mv(stated, label, options, str(self.path), said))
        return np.array(scales)[:, None]

    def _scan(self, head: Chunk, clock: Clock | None, said: list[str], work: Progress) -> int:
        """Read the file once: rows, times and every cell that is used. Returns the number of rows."""
        chunk: Chunk | None = head
        line, row, waiting = 1, 0, 0
        foot: tuple[int, str] | None = None
        skip = self._dialect.first_line or 0
        while chunk is not None:
            table = self._table(chunk, skip, line)
            heads = [(n, t) for n, t in table.odd if t == self._dialect.header]
            if heads:
                said.append(f"line {line + skip + heads[0][0]}: the header stands there again")
            for number, text in (o for o in table.odd if o not in heads):
                foot = foot or (line + skip + number, text)
            after = (table.lines + line + skip)[~table.empty]
            if foot is not None and len(after) and after[-1] > foot[0]:
                raise InputError(
                    f"{self.path}, line {foot[0]}: {foot[1][:60]!r} is no row of {self._dialect.n_columns} "
                    "values: correct or cut that line"
                )
            filled = int(np.flatnonzero(~table.empty)[-1]) + 1 if len(after) else 0
            with naming(self.path, line + skip):
                self._leads.of(table)
                if clock is not None and filled:
                    times = np.concatenate(
                        [np.full(waiting, np.nan), clock.seconds(table)[:filled]]
                    )
                    fill(times, clock.axis)
                    clock.axis.feed(times)
                    if len(clock.axis.jumps) > min(MOST_JUMPS, 100 + (row + len(table)) // 4):
                        raise InputError(
                            f"{self.path}: the times in its column {clock.label!r} are uneven: it was not "
                            "sampled at a constant rate"
                        )
            waiting = waiting * (not filled) + len(table) - filled
            if len(table):
                self._pieces.append(_Piece(chunk.offset, chunk.end, skip, line, row, len(table)))
            row += len(table)
            line += skip + table.n_lines
            skip = 0
            work.done = chunk.end
            chunk = self._text.chunk(chunk.end)
        if clock is not None:
            clock.axis.feed(np.empty(0), final=True)
        if foot is not None:
            said.append(f"line {foot[0]}, {foot[1][:60]!r}, is no row: left out")
        if row == waiting:
            raise InputError(f"{self.path} holds no samples: nothing to reconstruct")
        return row - waiting

    def _table(self, chunk: Chunk, skip: int, line: int) -> Table:
        data = chunk.data.split(b"\n", skip)[skip] if skip else chunk.data
        with naming(self.path, line + skip):
            return table_of(data, self._dialect, unfinished=chunk.unfinished)

    def _agree(self, rate: float, stated: float | None, clock: Clock) -> None:
        if not rate > 0:
            raise InputError(
                f"{self.path}: the times in its column {clock.label!r} do not rise: it has no sampling rate"
            )
        if stated is not None and abs(rate - stated) > 0.01 * stated:
            raise InputError(
                f"{self.path} says a sampling rate of {stated:g} Hz, but its column {clock.label!r} steps "
                f"by {1e3 / rate:.4g} ms ({rate:.6g} Hz): correct one of them"
            )

    def _place(self, clock: Clock, rate: float, said: list[str]) -> None:
        """Where the rows behind each jump of the time lie."""
        jumps: list[tuple[int, int]] = []
        missing = doubled = 0
        first_gap = first_back = ""
        for jump in clock.axis.jumps:
            shift = round(min(max(jump.step_s * rate, -1e12), 1e12)) - 1
            at_s = jump.at_s - (clock.axis.first_s if clock.relative else 0.0)
            where = f"after {at_s:.6g} s"
            if shift == 0:
                continue
            if shift < -max(2, _OVERLAP_S * rate):
                raise InputError(
                    f"{self.path}: its times go back {where}, line {self._line_of(jump.row)}, by "
                    f"{-jump.step_s:.6g} s: split the file there"
                )
            if shift < 0:
                doubled += 1
                first_back = first_back or f"line {self._line_of(jump.row)}"
            else:
                missing += shift
                first_gap = first_gap or where
                if missing > MAX_GAP_FILL_S * rate:
                    raise InputError(
                        f"{self.path}: {jump.step_s / 3600:.4g} h are missing {where}, line "
                        f"{self._line_of(jump.row)}: split the file there"
                    )
            jumps.append((jump.row, shift))
        if missing:
            said.append(
                f"{missing} samples ({missing / rate:.4g} s) are missing in time, the first {first_gap}: "
                "they are missing samples"
            )
        if doubled:
            said.append(
                f"times repeat or go back at {doubled} places, the first in {first_back}: "
                "the later rows count"
            )
        self._jumps = np.array(jumps, np.int64).reshape(-1, 2)

    def _line_of(self, row: int) -> int:
        for piece in self._pieces:
            if piece.first_row <= row < piece.first_row + piece.n_rows:
                table = self._piece_table(piece)
                return piece.line + piece.skip + int(table.lines[row - piece.first_row])
        return 0

    def _lay_out(self, n_rows: int) -> int:
        """Place each piece on the axis of samples; returns their number."""
        end = 0
        for piece in self._pieces:
            piece.n_rows = max(0, min(piece.n_rows, n_rows - piece.first_row))
            if piece.n_rows:
                samples = self._samples(piece)
                piece.first_sample, piece.end_sample = int(samples.min()), int(samples.max()) + 1
                end = max(end, piece.end_sample)
        return end

    def _samples(self, piece: _Piece) -> NDArray[np.int64]:
        """The sample of each row of a piece."""
        rows = np.arange(piece.first_row, piece.first_row + piece.n_rows)
        shifts = np.concatenate([[0], np.cumsum(self._jumps[:, 1])])
        place = np.searchsorted(self._jumps[:, 0], rows, side="right")
        return np.asarray(rows + shifts[place], np.int64)

    def _piece_table(self, piece: _Piece) -> Table:
        chunk = self._text.chunk(piece.offset, piece.end)
        if chunk is None:
            raise InputError(f"{self.path} became shorter while it was read")
        return self._table(chunk, piece.skip, piece.line)

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._rows_of(start, stop, self._leads)[: len(self.leads)]

    def read_quality(self, start: int, stop: int) -> NDArray[np.uint8] | None:
        """As of every recording: a file of ours has one column for all leads."""
        if not self._has_quality:
            return None
        bits = np.nan_to_num(self._rows_of(start, stop, self._leads)[-1], nan=float(Quality.GAP))
        return np.repeat(bits[None].astype(np.uint8), len(self.leads), axis=0)

    def read_sigma(self, start: int, stop: int) -> NDArray[np.float32] | None:
        """As of every recording: a file of ours has it, unless an older version wrote it."""
        return None if self._sigma is None else self._rows_of(start, stop, self._sigma)

    def read_markers(self) -> list[Marker]:
        """As of every recording: in a file of ours, comments between the rows."""
        found: list[Marker] = []
        if self._is_ours:
            with self.path.open("rb") as file:
                for line in file:
                    if (marker := marker_of(line)) is not None:
                        at_s, text = marker
                        found.append(Marker(printable(text), round(at_s * self.sampling_hz)))
        return sorted(found, key=lambda marker: marker.sample)

    def _rows_of(self, start: int, stop: int, columns: Columns) -> NDArray[np.float32]:
        """(n_columns, stop - start) values of `columns`."""
        out = np.full((len(columns.places), stop - start), np.nan, np.float32)
        for number, piece in enumerate(self._pieces):
            if not piece.n_rows or piece.first_sample >= stop or piece.end_sample <= start:
                continue
            if columns.held is None or columns.held[0] != number:
                table = self._piece_table(piece)
                if len(table) < piece.n_rows:
                    raise InputError(f"{self.path} changed while it was read")
                with naming(self.path, piece.line + piece.skip):
                    columns.held = (number, columns.of(table))
            samples = self._samples(piece)
            inside = (samples >= start) & (samples < stop)
            out[:, samples[inside] - start] = columns.held[1][:, : piece.n_rows][:, inside]
        return out

    def _identify(self, clock: Clock | None, said: list[str]) -> None:
        """Start, device and what is simulated or reconstructed, as the comments say."""
        notes = self._dialect.notes
        self.started_at = started_at(notes)
        if self.started_at is None and clock is not None:
            self.started_at = clock.started_at
        self.device = notes.get("device") or notes.get("board") or ""
        self.simulated = any(key.startswith("simulated") for key in notes)
        self.of_recording = notes.get("source") == OF_RECORDING
        if self._is_ours:
            self.provenance = tuple(notes.get(x.lower(), "") for x in self.leads)
            self.model, self.prefilter = notes.get("model", ""), notes.get("prefilter", "")
            words = (f"{k}, {v}" for k, v in notes.items() if k.startswith(CALIBRATION))
            self.calibration = next(words, "")  # its comma was taken for that of a key and a value
            said += reconstructed(self.leads, self.provenance)

    @property
    def _is_ours(self) -> bool:
        """Whether leadlift wrote it."""
        return any(key.startswith("leadlift") for key in self._dialect.notes)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._text.close()
