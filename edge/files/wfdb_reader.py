"""Reads the ECG signals of a WFDB record, as PhysioNet keeps them, in pieces of bounded memory.

Read here and not by wfdb-python, which brings pandas, matplotlib and an HTTP client to the device.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files import wfdb_annotations
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
from edge.files.recording import OF_RECORDING, QUALITY, SIGMA
from edge.files.wfdb_codes import FLAC, FORMATS, INVALID, SignalFile
from edge.files.wfdb_header import DEFAULT_GAIN, WfdbSignal, read_header
from edge.leads import LEADS
from edge.marker import Marker

SIMULATED = "simulated signal"


class WfdbRecord(Record):
    """The ECG signals of a WFDB record, all at one rate. Samples that are missing are NaN."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Raises InputError for what is no header, a signal file that is not there, or a missing lead."""
        self.path = path
        self._open_files = ExitStack()
        try:
            self._open(options)
        except BaseException:
            self._open_files.close()
            raise

    def _open(self, options: ReadOptions) -> None:
        path, said = self.path, list[str]()
        self._header = header = read_header(path)
        beside = {
            s.label: s
            for s in header.signals
            if header.is_ours and (s.label == QUALITY or s.label.startswith(SIGMA))
        }
        signals = [s for s in header.signals if s.label not in beside]
        names, rows = pick_leads([s.label for s in signals], options.leads, path, said)
        self._chosen = chosen = [signals[row] for row in rows]
        if len({s.per_frame for s in chosen}) > 1:
            rates = sorted({s.per_frame * header.frame_hz for s in chosen})
            raise InputError(
                f"{path} has leads at {', '.join(f'{hz:g} Hz' for hz in rates)}: "
                "name those of one rate with --leads"
            )
        sampling_hz = rate_of(chosen[0].per_frame * header.frame_hz, options, path)
        unit = [
            unit_mv(s.unit, s.label, options, f"{path}, signal {s.number}", said) for s in chosen
        ]
        self.mv_per_value = one_unit(unit)
        self._mv = np.array([mv / _gain(s) for mv, s in zip(unit, chosen, strict=True)])[:, None]
        if bare := [name for name, s in zip(names, chosen, strict=True) if not s.gain]:
            said.append(
                f"{', '.join(bare)} has no gain: {DEFAULT_GAIN:g} digits per {chosen[0].unit} taken, "
                "as the format says"
            )
        if any(s.skew for s in chosen):
            said.append("its signals state a skew, which is not undone")
        self._sigma = [beside[SIGMA + x] for x in names if SIGMA + x in beside]
        self._quality = beside.get(QUALITY)
        read = [*chosen, *self._sigma, *([self._quality] if self._quality else [])]
        self._files: dict[str, SignalFile] = {}
        self._first: dict[int, int] = {}  # number of a signal -> its first sample in a frame
        for name in dict.fromkeys(s.file for s in read):
            self._files[name] = self._signal_file(name)
        held = min(file.n_frames for file in self._files.values())
        n_frames = min(header.n_frames or held, held)
        if 0 < held < header.n_frames:
            said.append(f"its header says {header.n_frames} samples: {held} are there and read")
        super().__init__(path, names, sampling_hz, n_frames * chosen[0].per_frame)
        self._identify(said)
        self.warnings = tuple(said)

    def _signal_file(self, name: str) -> SignalFile:
        """One signal file, opened, and where its signals lie in a frame."""
        path = self.path
        if name == "-" or Path(name).name != name:
            raise InputError(
                f"{path} names the signal file {name!r}: it must lie beside the header"
            )
        group = [s for s in self._header.signals if s.file == name]
        forms = {s.form for s in group}
        form = group[0].form
        if len(forms) > 1:
            raise InputError(f"{path} gives {name} several formats: correct it")
        if form not in FORMATS:
            what = f"{form}, compressed with FLAC" if form in FLAC else str(form)
            raise InputError(
                f"{path}: {name} is stored in format {what}, which is not read: convert it to 16 "
                "with `xform` of the WFDB library"
            )
        at = 0
        for signal in group:
            self._first[signal.number] = at
            at += signal.per_frame
        try:
            file = self._open_files.enter_context(path.with_name(name).open("rb"))
        except FileNotFoundError as error:
            raise InputError(
                f"{path} names {name}, which is not beside it: copy it there"
            ) from error
        return SignalFile(file, form, at, group[0].prolog)

    def _identify(self, said: list[str]) -> None:
        """Start, device and provenance: of a file of ours from its comments."""
        self.started_at = self._header.started_at
        if not self._header.is_ours:
            return
        notes = self._header.notes()
        with suppress(ValueError):  # to the microsecond, with the time zone
            self.started_at = datetime.fromisoformat(notes.get("started_at", ""))
        self.device = notes.get("device", "")
        self.calibration = notes.get("calibration", "")
        self.model, self.prefilter = notes.get("model", ""), notes.get("prefilter", "")
        self.simulated = SIMULATED in self._header.comments
        self.of_recording = notes.get("source") == OF_RECORDING
        if all(lead in notes for lead in LEADS):
            self.provenance = tuple(notes[lead] for lead in self.leads)
            said += reconstructed(self.leads, self.provenance)

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        codes = self._codes(self._chosen, start, stop)
        missing = codes == np.array([INVALID[s.form] for s in self._chosen])[:, None]
        baseline = np.array([s.baseline for s in self._chosen])[:, None]
        ecg_mv = np.asarray((codes - baseline) * self._mv, np.float32)
        ecg_mv[missing] = np.nan
        return ecg_mv

    def read_sigma(self, start: int, stop: int) -> NDArray[np.float32] | None:
        """As of every recording: a file of ours has it."""
        if len(self._sigma) != len(self.leads):
            return None
        codes = self._codes(self._sigma, start, stop)
        gain = np.array([_gain(s) for s in self._sigma])[:, None]
        sigma_mv = np.asarray(codes / gain, np.float32)
        sigma_mv[codes == INVALID[16]] = np.nan
        return sigma_mv

    def read_quality(self, start: int, stop: int) -> NDArray[np.uint8] | None:
        """As of every recording: a file of ours has one signal for all leads."""
        if self._quality is None:
            return None
        codes = self._codes([self._quality], start, stop)
        return np.repeat(codes.astype(np.uint8), len(self.leads), axis=0)

    def read_markers(self) -> list[Marker]:
        """As of every recording: the annotations with a text in RECORD.atr."""
        try:
            data = self.path.with_suffix(wfdb_annotations.SUFFIX).read_bytes()
        except OSError:
            return []
        per_frame = self._chosen[0].per_frame  # annotations count frames
        return [
            Marker(line, at * per_frame)
            for at, text in wfdb_annotations.texts(data)
            if (line := printable(text).strip())
        ]

    def _codes(self, signals: list[WfdbSignal], start: int, stop: int) -> NDArray[np.int32]:
        """(n_signals, stop - start) codes."""
        n = signals[0].per_frame
        first, last = start // n, -(-stop // n)
        try:
            frames = {
                name: self._files[name].codes(first, last)
                for name in dict.fromkeys(s.file for s in signals)
            }
        except EOFError as error:
            raise InputError(
                f"{self.path}: a signal file became shorter while it was read"
            ) from error
        rows = []
        for signal in signals:
            at = self._first[signal.number]
            samples = frames[signal.file][:, at : at + n].ravel()
            rows.append(samples[start - first * n : stop - first * n])
        return np.stack(rows)

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        self._open_files.close()


def _gain(signal: WfdbSignal) -> float:
    return signal.gain or DEFAULT_GAIN


def files_of(header: Path) -> list[Path]:
    """The signal files that a header names, and the annotations; none where it cannot be read."""
    try:
        signals = read_header(header).signals
    except (InputError, OSError):
        return []
    found = [header.with_name(Path(name).name) for name in dict.fromkeys(s.file for s in signals)]
    notes = header.with_suffix(wfdb_annotations.SUFFIX)
    return [*found, *([notes] if notes.is_file() else [])]
