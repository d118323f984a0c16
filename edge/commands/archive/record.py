"""One record of a folder, in a worker: made whole beside the outputs, then given its name, exactly once."""

from __future__ import annotations

import argparse
import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.archive.inputs import Task
from edge.commands.common import one_line, open_reconstructor
from edge.commands.lead_choice import open_measured
from edge.commands.one_recording import begin, needed_leads, write_twelve
from edge.commands.read_options import warn, warn_of
from edge.errors import BundleError, EngineError, InputError, LeadliftError, SinkError
from edge.files.formats import all_files, writer_for
from edge.files.record import ReadOptions, Record
from edge.files.records import open_record
from edge.leads import LEADS, Provenance
from edge.notices import LOG
from firmware_bridge.new_file import publish

if TYPE_CHECKING:
    from edge.files.recording import Metadata
    from edge.reconstructor import Reconstructor

WORK = ".leadlift"
"""In the folder of the outputs: what is not whole yet."""
MADE = ".made"
"""Ending of a file that names the run which made a record, until that run has been told so."""
_NEW, _AGAIN = ".new", ".again"  # a whole record that is being given its name; over an earlier one
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Settings:
    """How every record of a folder is reconstructed."""

    folder: Path
    """Of the outputs, absolute."""
    read: ReadOptions
    model: argparse.Namespace
    """What `open_reconstructor` takes of the command line."""
    patient: str | None
    overwrite: bool
    run: str
    """Another one in each run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a record."""

    state: str
    """`done`, `left` as an earlier run made it, or `bad`."""
    reason: str = ""
    """Why it is bad, in one line."""
    seconds: float = 0.0
    """Of signal."""
    warnings: tuple[str, ...] = ()
    stops: bool = False
    """No other record can be made, either."""


def told(settings: Settings, task: Task) -> None:
    """The outcome of a record has arrived: what is left there is of an earlier run from now on."""
    _part(settings, task).with_suffix(MADE).unlink(missing_ok=True)


_opened: list[tuple[Settings, Reconstructor, tuple[str, ...] | None]] = []


def reconstruct_task(settings: Settings, task: Task) -> Outcome:
    """Reconstruct one record; the engine is opened with the first one in this process."""
    with _heard() as said:
        try:
            reconstructor, needed = _open(settings)
            state, seconds = _make(settings, task, reconstructor, needed)
        except (LeadliftError, OSError) as error:
            cause = error.__cause__ or error
            full = isinstance(cause, OSError) and cause.errno in _FULL
            stops = full or isinstance(error, (EngineError, BundleError))
            return Outcome("bad", one_line(error), warnings=tuple(said), stops=stops)
        except Exception as error:  # whatever a file provokes: the others go on
            LOG.debug("%s", task.source, exc_info=True)
            reason = f"{type(error).__name__}: {one_line(error)}"
            return Outcome("bad", reason, warnings=tuple(said))
    return Outcome(state, seconds=seconds, warnings=tuple(said))


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What is told in here, which the process that started this one shows."""
    said: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    keeper = Keeper(logging.WARNING)
    LOG.addHandler(keeper)
    try:
        yield said
    finally:
        LOG.removeHandler(keeper)


def _open(settings: Settings) -> tuple[Reconstructor, tuple[str, ...] | None]:
    if not _opened or _opened[0][0] != settings:
        for _, old, _ in _opened:
            old.close()
        new = open_reconstructor(settings.model, settings.patient, offline=True)
        needed = needed_leads(new, calibrated=settings.patient is not None)
        _opened[:] = [(settings, new, needed)]
    _, reconstructor, needed = _opened[0]
    return reconstructor, needed


def _make(
    settings: Settings, task: Task, reconstructor: Reconstructor, needed: tuple[str, ...] | None
) -> tuple[str, float]:
    """(`done` or `left`, seconds of signal)."""
    final = settings.folder / task.output
    part = _part(settings, task)
    made_by = part.with_suffix(MADE)
    # Its worker died between the names and the report: done again, so that all of it is reported.
    untold = made_by.exists() and made_by.read_text() == settings.run
    for ending in (_NEW, _AGAIN):  # a worker that was killed as it gave the names
        if (ready := part.with_suffix(ending)).is_dir():
            _give_names(ready, final)
    shutil.rmtree(part, ignore_errors=True)
    with open_measured(task.source, settings.read, needed) as record:
        metadata = begin(reconstructor, record)
        seconds = record.n_samples / record.sampling_hz
        there = [path for path in all_files(final, written=True) if _holds_something(path)]
        ours, same = _earlier(final, record, metadata, reconstructor) if there else (False, False)
        if same and not (untold or settings.overwrite):
            return "left", seconds
        if there and not (ours or settings.overwrite):
            raise SinkError(
                f"{there[0]} exists and is no reconstruction of leadlift: move it away, or --overwrite"
            )
        warn_of(record)
        final.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir(parents=True)
        try:
            writer = writer_for(final)
            sink = writer(part / final.name, record.sampling_hz, metadata)
            warn(write_twelve(reconstructor, record, sink))
            made = list(part.iterdir())
            for path in made:
                _sync(path)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    if there:
        for path in set(there[1:]) - {final.with_name(one.name) for one in made}:
            path.unlink()  # such as the markers of an earlier one that had some
    made_by.write_text(settings.run)
    _give_names(part.rename(part.with_suffix(_AGAIN if there else _NEW)), final)
    return "done", seconds


def _part(settings: Settings, task: Task) -> Path:
    """Where a record grows; with an ending, what is known of it."""
    name = hashlib.sha256(os.fsencode(task.output)).hexdigest()[:24]
    return settings.folder / WORK / name


def _holds_something(path: Path) -> bool:
    """Whether a name is taken; a crash may leave an empty file that `publish` took the name with."""
    return os.path.lexists(path) and not (path.is_file() and path.stat().st_size == 0)


def _earlier(
    final: Path, record: Record, metadata: Metadata, reconstructor: Reconstructor
) -> tuple[bool, bool]:
    """Whether what is there is a reconstruction of ours, and whether it is whole and made alike."""
    try:
        with open_record(final) as there:
            sources = zip(there.leads, there.provenance, strict=False)
            measured = {lead for lead, source in sources if source == Provenance.MEASURED.value}
            same = (
                there.leads == LEADS
                and there.n_samples == record.n_samples
                and measured == set(reconstructor.leads)
                and (there.model, there.calibration, there.prefilter)
                == (metadata.model, metadata.calibration, metadata.prefilter)
            )
            return there.of_recording, there.of_recording and same
    except InputError:
        return False, False


def _give_names(ready: Path, final: Path) -> None:
    """Move the files of a whole record to their names, the one that is opened last."""
    main, *beside = all_files(final, written=True)
    for path in (*beside, main):
        made = ready / path.name
        if made.exists():
            empty = os.path.lexists(path) and not _holds_something(path)
            publish(made, path, overwrite=empty or ready.suffix == _AGAIN)
    ready.rmdir()


def _sync(path: Path) -> None:
    """On the disk before it has its name: what a power failure leaves is whole, or not there."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
