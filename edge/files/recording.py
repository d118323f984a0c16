"""What every recording that is written shares: its metadata, its timeline and its errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import InputError, SinkError
from edge.leads import LEADS, Provenance
from edge.marker import Marker
from edge.samples import SampleBlock, TwelveLeadBlock
from firmware_bridge.closing import Closing
from firmware_bridge.new_file import NewFile, stamped
from firmware_bridge.wall_time import wall_time

if TYPE_CHECKING:
    from edge.expected import Card

MODEL = "model: "
"""Before the name of the model, in an annotation or a comment."""
SIGMA, QUALITY = "sigma ", "quality"
"""Names of the signals beside the leads: `sigma V2`, a standard deviation, and the OR of the quality bits."""
MAX_GAP_FILL_S = 24 * 3600.0
"""A jump of the sample index beyond a day is a corrupt index, not a gap: it is not filled."""


CALIBRATION = "patient calibration"
"""What the words of a patient calibration begin with."""
OF_RECORDING = "recording"
"""The source of what was made of another recording, and can be made again; its name may name a patient."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a sink says about the recording beside its samples. No patient data, by design."""

    prefilter: str = ""
    """Filters applied, in EDF's words: `HP:0.05Hz N:50Hz`."""
    device: str = ""
    """The wearable, as it names itself."""
    calibration: str = ""
    """The patient calibration that was applied; empty for none."""
    model: str = ""
    """Name and hash of the model that reconstructs, as `edge.live.description.model_in_words` says them."""
    simulated: bool = False
    """The signal is simulated; every sink says so."""
    started_at: datetime | None = None
    """Local time of the first sample, with its time zone; None where nobody knows it."""
    card: Card | None = None
    """What the decoder is expected to give of each set of leads; None where that was not measured, and with a
    calibration, which makes it better."""
    source: str = ""
    """Where the samples came from, as the user named it (`serial:/dev/ttyACM0`), or OF_RECORDING."""


MetadataSource = Metadata | Callable[[], Metadata]
"""What is known now, or what tells it once the first samples are there."""


@dataclass(slots=True)
class Timeline:
    """Places blocks on one time axis that starts with the first block and never runs backwards."""

    sampling_hz: float
    end: int = 0
    """Position just after the last sample placed, in samples since the first one."""
    _next_index: int | None = None

    def place(self, block: TwelveLeadBlock | SampleBlock) -> tuple[int, bool]:
        """Place `block`: (samples missing before it, whether the stream began anew before it).

        An index that goes back, or jumps by more than a day, is a stream that began anew: how long
        the break was is not known, so none is made up and the block follows on directly.
        """
        missing = 0 if self._next_index is None else block.first_sample - self._next_index
        restarted = missing < 0 or missing > MAX_GAP_FILL_S * self.sampling_hz
        if restarted:
            missing = 0
        self.end += missing + block.n_samples
        self._next_index = block.first_sample + block.n_samples
        return missing, restarted

    def sample_at(self, position: int) -> int:
        """The sample of the stream at a position: what `position_of` takes."""
        return position - self.end + (self._next_index or 0)

    def position_of(self, sample: int) -> int:
        """Where a sample of the stream lies, by the index of the last block; below 0 before the first."""
        return sample - (self._next_index or 0) + self.end


class RecordingSink(Closing, ABC):
    """Checks blocks, keeps the timeline and turns system errors into SinkError for a file format.

    After a failed write the file is closed with what it holds, and stays readable.
    """

    def __init__(
        self,
        path: str | Path,
        sampling_hz: float,
        metadata: MetadataSource,
        *,
        overwrite: bool = False,
    ) -> None:
        """Refuse what cannot be written; the file is made with the first block.

        `{time}` in the name of `path` stands for the time now; `sampling_hz` is that of every block.
        `metadata` may be a callable: it is asked at the first block. Raises SinkError for a path that
        exists, unless `overwrite`, or that can take no file.
        """
        if not (np.isfinite(sampling_hz) and sampling_hz > 0):
            raise InputError(f"sampling rate {sampling_hz} Hz: give a positive number")
        self.output = NewFile(stamped(str(path)), overwrite=overwrite)
        self.target = str(self.output.path)
        self.sampling_hz = sampling_hz
        self.metadata = Metadata() if callable(metadata) else metadata
        self.timeline = Timeline(sampling_hz)
        self.provenance: tuple[Provenance, ...] | None = None
        self._ask = metadata if callable(metadata) else None
        self._unmarked: list[Marker] = []
        self._opened = False
        self._closed = False
        self._failed = False
        try:
            self.output.check()
        except OSError as error:
            raise self.failure(error) from error

    def write(self, block: TwelveLeadBlock) -> None:
        """Append `block`, with the samples missing before it marked as a gap.

        Raises InputError for a block of another rate, shape or provenance, and SinkError when the
        output is closed or cannot be written; the recording so far is then closed and readable.
        """
        if self._closed:
            raise SinkError(f"{self.target} is closed: open a new sink to write more")
        self.check(block)
        self._unmarked += block.markers
        try:
            if block.n_samples:
                self._write(block)
            if self._unmarked and self.provenance is not None:
                self._mark_all()
        except (OSError, SinkError) as error:
            self._abandon()
            failure = error if isinstance(error, SinkError) else self.failure(error)
            raise failure from error

    def _write(self, block: TwelveLeadBlock) -> None:
        if self.provenance is None:
            self._start(block)
        missing, restarted = self.timeline.place(block)
        onset = self.timeline.end - block.n_samples
        if restarted:
            self._restart(onset)
        if missing:
            self._gap(missing, onset - missing)
        self._append(block, onset)

    def _mark_all(self) -> None:
        for marker in self._unmarked:
            at, text = self.timeline.position_of(marker.sample), marker.text
            if at < 0:  # of a moment before this file was begun
                text, at = f"{text} ({-at / self.sampling_hz:.3f} s before this file)", 0
            self._mark(at, text)
        self._unmarked.clear()

    def close(self) -> None:
        """Finish the file; a second call does nothing. Raises SinkError if it cannot be finished."""
        if self._closed:
            return
        self._closed = True
        if not self._opened:
            return
        try:
            self._finish()
            if not self._failed:
                self.output.keep()
        except OSError as error:
            raise self.failure(error) from error

    def counters(self) -> dict[str, int]:
        """What the format could not hold, by name."""
        return {}

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files so far: this one, once it is begun."""
        return (self.target,) if self._opened else ()

    @staticmethod
    @abstractmethod
    def size_of(n_samples: int, sampling_hz: float) -> int:
        """Bytes of a recording of `n_samples` a lead in this format, all its files, at most."""

    def _start(self, block: TwelveLeadBlock) -> None:
        if self._ask is not None:
            self.metadata = self._ask()
        if self.metadata.started_at is None and block.acquired_ns:
            lasting = timedelta(seconds=(block.n_samples - 1) / self.sampling_hz)
            started_at = wall_time(block.acquired_ns) - lasting
            self.metadata = replace(self.metadata, started_at=started_at)
        self.provenance = block.provenance
        self._open()
        self._opened = True
        self._begin(block)

    def failure(self, error: OSError) -> SinkError:
        """The one line for a system error on this output."""
        why = error.strerror or str(error)
        if not self._opened:
            return SinkError(f"cannot write {self.target}: {why}")
        part = self.output.growing
        if not part.exists():
            return SinkError(
                f"cannot write {self.target}: {why}; nothing was recorded in it, make room or "
                "choose another place"
            )
        kept = "kept" if part == self.output.path else f"kept in {part}"
        return SinkError(
            f"cannot write {self.target}: {why}; what was recorded until then is {kept}, "
            "make room or choose another place"
        )

    def _abandon(self) -> None:
        """Close after a failed write; the write's own error is the one to report."""
        self._failed = True
        try:
            self.close()
        except SinkError:
            return

    def check(self, block: TwelveLeadBlock) -> None:
        """Raise InputError for a block of another rate, shape or provenance."""
        if block.sampling_hz != self.sampling_hz:
            raise InputError(
                f"{self.target} was opened for {self.sampling_hz:g} Hz and got a block of "
                f"{block.sampling_hz:g} Hz: open one sink per rate"
            )
        if not block.ecg_mv.shape == block.sigma_mv.shape == block.quality.shape:
            raise InputError(
                f"ecg_mv {block.ecg_mv.shape}, sigma_mv {block.sigma_mv.shape} and quality "
                f"{block.quality.shape} must have one shape"
            )
        if block.ecg_mv.ndim != 2 or block.ecg_mv.shape[0] != len(LEADS):
            raise InputError(f"expected a (12, n) block, got {block.ecg_mv.shape}")
        if self.provenance is not None and block.provenance != self.provenance:
            raise InputError(
                f"the provenance of a lead changed while {self.target} was open: "
                "open a new sink for another set of measured leads"
            )

    @abstractmethod
    def _open(self) -> None:
        """Make the file, exclusively (`self.output`); nothing is written yet."""

    @abstractmethod
    def _begin(self, block: TwelveLeadBlock) -> None:
        """Write what precedes the first sample; `self.provenance` is known."""

    @abstractmethod
    def _append(self, block: TwelveLeadBlock, onset: int) -> None:
        """Append a block that follows directly on what was written, at sample `onset`."""

    @abstractmethod
    def _gap(self, n_samples: int, onset: int) -> None:
        """Mark `n_samples` that were lost from sample `onset` on."""

    @abstractmethod
    def _restart(self, onset: int) -> None:
        """Mark that the stream began anew at `onset`; the length of the break is not known."""

    @abstractmethod
    def _mark(self, onset: int, text: str) -> None:
        """Mark sample `onset` with the text of a marker; it may lie before what was written last."""

    @abstractmethod
    def _finish(self) -> None:
        """Close the file, and discard it (`self.output`) if it holds nothing."""
