"""What a folder holds to reconstruct: a task for each record, and why any other file is none."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge.commands.outputs import folded
from edge.errors import InputError
from edge.files.formats import DICOM, EDF, HEAD_BYTES, NPZ, WFDB, all_files, format_of
from edge.files.records import n_records
from firmware_bridge.new_file import TIME

NUMBER_DIGITS = 6  # of a record of many: names sort, and stay when records are added
_NUMBERS = re.compile(rb"^[^\n]*?[-+0-9.eE]+[ \t]*[,;\t][ \t]*[-+]?[0-9.]+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Task:
    """One record to reconstruct."""

    source: str
    """As `open_record` takes it: a file, or `FILE.npz#17`."""
    output: Path
    """Relative to the folder of the outputs."""
    n_bytes: float
    """Its share of the input, for the time left."""


@dataclass(slots=True)
class Found:
    """What a folder holds."""

    tasks: list[Task] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """File -> why it cannot be reconstructed."""
    passed_over: dict[str, str] = field(default_factory=dict)
    """File -> why it is no recording."""
    n_records: int = 0
    """Those of `tasks`, and those that are refused."""


def find_records(folder: Path, output: Path, suffix: str | None = None) -> Found:
    """Every record of every file under `folder`, in the order of names; `output` in it is not searched.

    `suffix` is that of the outputs; with None they have the format of the input, or EDF+ where that is not
    written. Links to folders are not followed, and what is hidden is left alone.
    """
    found = Found()
    files = list(_files(folder, output))
    parts = {
        part
        for path in files
        if path.suffix.lower() in (*WFDB.suffixes, *DICOM.suffixes)
        for part in _beside(path)
    }
    for path in files:
        if path in parts:
            continue
        try:
            with path.open("rb") as start:
                head = start.read(HEAD_BYTES)
            size = path.stat().st_size
        except OSError as error:
            found.refused[str(path)] = f"cannot read it: {error.strerror or error}"
            continue
        try:
            form = format_of(path, head)
        except InputError as error:
            zipped = head.startswith(b"\x1f\x8b")  # what is in it may be a recording
            (found.refused if zipped else found.passed_over)[str(path)] = str(error)
            continue
        if path.suffix.lower() == ".txt" and head and not _NUMBERS.search(head):
            found.passed_over[str(path)] = "a text without columns of numbers"
            continue
        ending = suffix or (form if form.writer is not None else EDF).suffixes[0]
        name = path.relative_to(folder).with_suffix("")
        if TIME in str(name):
            found.refused[str(path)] = f"{TIME} in a name stands for the time: rename it"
            continue
        many = n_records(path) if form is NPZ else None
        if many is None:
            found.tasks.append(Task(str(path), name.with_name(name.name + ending), size))
            continue
        for number in range(many):
            made = name / f"{number:0{NUMBER_DIGITS}d}{ending}"
            found.tasks.append(Task(f"{path}#{number}", made, size / many))
    found.n_records = len(found.tasks) + len(found.refused)
    _refuse_clashes(found, output)
    return found


def _files(folder: Path, output: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise InputError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    for here, folders, names in os.walk(folder, onerror=fail):
        at = Path(here)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not name.lower().endswith(".npz.part")
            # the outputs of an earlier run are no inputs
            and os.path.realpath(at / name) != os.path.realpath(output)
        )
        yield from (
            at / name
            for name in sorted(names)
            if not name.startswith(".") and (at / name).is_file()
        )


def _beside(path: Path) -> list[Path]:
    """The other files of a record, the markers of a WFDB record among them."""
    parts = all_files(path, written=False)[1:]
    if path.suffix.lower() in WFDB.suffixes:
        parts += [path.with_suffix(ending) for ending in (".dat", ".atr")]
    return parts


def _refuse_clashes(found: Found, folder: Path) -> None:
    """Two records that would be written to one file are neither of them written."""
    by_name: defaultdict[str, list[Task]] = defaultdict(list)
    for task in found.tasks:
        for path in all_files(task.output, written=True):
            by_name[folded(folder / path)].append(task)
    refused: set[str] = set()
    for tasks in by_name.values():
        first = tasks[0]
        if len(tasks) > 1 and first.source not in refused:
            others = " and ".join(task.source for task in tasks[1:])
            found.refused[first.source] = (
                f"it and {others} would become {folder / first.output}: rename one, or move it"
            )
        if len(tasks) > 1:
            refused |= {task.source for task in tasks}
    found.tasks = [task for task in found.tasks if task.source not in refused]
