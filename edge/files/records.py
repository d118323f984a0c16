"""Recordings as input: leads from EDF, NPZ and CSV files, read in pieces of bounded memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.errors import InputError
from edge.files.record import ReadOptions, Record

__all__ = ["ReadOptions", "Record", "open_record"]


def open_record(
    path: str | Path,
    leads: Sequence[str] | Mapping[str, str] | None = None,
    *,
    sampling_hz: float | None = None,
    unit: str | None = None,
) -> Record:
    """Open a recording: `FILE.edf`, `FILE.csv`, `FILE.npz`, or `FILE.npz#17` for one of many.

    `leads` picks and orders the rows, or maps leads to the file's own labels; None takes every lead that the
    file has. `sampling_hz` and `unit` stand in for what the file does not say. Raises InputError
    for a file that is missing, truncated or of another kind, and for leads that it lacks.
    """
    options = ReadOptions(leads, sampling_hz, unit)
    name, _, pick = (
        str(path).partition("#") if ".npz#" in str(path).lower() else (str(path), "", "")
    )
    if pick and not pick.isdecimal():
        raise InputError(f"{path}: after # comes the number of a record, as in FILE.npz#17")
    file = Path(name)
    if not file.is_file():
        what = "is a directory" if file.is_dir() else "does not exist"
        raise InputError(f"{file} {what}: give a recording ending in .edf, .npz or .csv")
    try:
        match file.suffix.lower():
            case ".edf":
                from edge.files.edf_reader import EdfRecord

                return EdfRecord(file, options)
            case ".npz":
                from edge.files.npz_reader import NpzRecord

                return NpzRecord(file, options, int(pick) if pick else None)
            case ".csv":
                from edge.files.csv_reader import CsvRecord

                return CsvRecord(file, options)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    raise InputError(f"cannot tell the format of {file}: use .edf, .npz or .csv")
