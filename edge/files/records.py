"""Recordings as input: leads from EDF, BDF, NPZ, CSV and WFDB files, read in pieces of bounded memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.errors import InputError
from edge.files.formats import HEAD_BYTES, NPZ, WFDB, format_of, readable
from edge.files.record import ReadOptions, Record
from firmware_bridge.unread import why_unread

__all__ = ["ReadOptions", "Record", "n_records", "open_record", "split_pick"]

_PICK = re.compile(r"(.*\.npz)#([^/\\]*)", re.IGNORECASE | re.DOTALL)


def split_pick(path: str | Path) -> tuple[Path, str]:
    """A recording's file, and what follows the `#` of `FILE.npz#17`; any other `#` is part of the name."""
    found = _PICK.fullmatch(str(path))
    if found is None or Path(path).is_file():
        return Path(path), ""
    return Path(found[1]), found[2]


def n_records(path: Path) -> int | None:
    """How many records an NPZ file of many holds, `FILE.npz#0` and on; None for any other file."""
    from edge.files.npz_reader import n_records

    return n_records(path)


def open_record(
    path: str | Path,
    leads: Sequence[str] | Mapping[str, str] | None = None,
    *,
    sampling_hz: float | None = None,
    unit: str | None = None,
) -> Record:
    """Open a recording, whose format its content or its name tells; `FILE.npz#17` for one of many.

    Parameters
    ----------
    path
        An EDF, EDF+, BDF, NPZ or CSV file, the header of a WFDB record, or a DICOM ECG.
    leads
        Leads to read, in the order of the rows; or lead -> label of its signal in the file, `#3` for the
        third; None for every lead that the file names.
    sampling_hz
        Sampling rate, for a file that states none.
    unit
        Unit of the values (`mV`, `uV`), for a file that states none, or a wrong one.

    Returns
    -------
    Record
        Open, a context manager; its `warnings` say what was assumed.

    Raises
    ------
    InputError
        For a file that is missing, damaged beyond reading or of another kind, and for leads that it lacks.
    """
    options = ReadOptions(leads, sampling_hz, unit)
    file, pick = split_pick(path)
    if pick and not re.fullmatch(r"[0-9]{1,9}", pick):
        raise InputError(f"{path}: after # comes the number of a record, as in FILE.npz#17")
    try:
        if not file.is_file():
            raise InputError(_not_there(file))
        with file.open("rb") as start:
            head = start.read(HEAD_BYTES)
        if not head and _spool(file).is_dir():
            raise InputError(_not_there(file))
        return format_of(file, head).reader(file, options, int(pick) if pick else None)
    except OSError as error:
        raise InputError(f"cannot read {file}: {why_unread(error, file)}") from error


def _spool(file: Path) -> Path:
    """Where the writer of NPZ files keeps what it has, until it is finished."""
    return Path(f"{file}.part")


def _not_there(file: Path) -> str:
    spool = file if file.name.lower().endswith(".npz.part") else _spool(file)
    if file.suffix.lower() in (*NPZ.suffixes, ".part") and spool.is_dir():
        whole = spool.with_name(spool.name.removesuffix(".part"))
        return (
            f"{whole} was interrupted while it was recorded, or is being recorded: what there is lies in "
            f"{spool}; `leadlift repair {whole}` packs it"
        )
    header = Path(f"{file}{WFDB.suffixes[0]}")
    if not file.exists() and header.is_file():
        return f"{file} is the name of a WFDB record: give its header, {header}"
    what = "does not exist"
    if file.exists():
        what = "is a directory" if file.is_dir() else "is no regular file"
    return f"{file} {what}: give a recording, {readable()}"
