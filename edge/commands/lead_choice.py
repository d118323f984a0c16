"""Which leads of a recording are measured: those asked for, else II, V1, V5, else what it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edge.commands.read_options import warn
from edge.errors import InputError, MissingLeadsError
from edge.files.record import ReadOptions, Record
from edge.files.records import open_record
from edge.leads import INPUT_LEADS, LEADS, Provenance


def open_measured(path: str, options: ReadOptions, needed: Sequence[str] | None) -> Record:
    """A recording with the leads that are measured as its rows.

    `needed` are those of a calibration, or of a model that takes no others; with None the recording's own are
    taken where it lacks one of II, V1, V5, and that is said. Raises InputError, as `open_record`.
    """
    asked = options.leads
    if asked is not None:
        return _opened(path, options, asked)
    try:
        record = _opened(path, options, INPUT_LEADS if needed is None else needed)
    except MissingLeadsError as error:
        if needed is None:
            return _with_its_own(path, options, error)
        if error.has_others:
            raise InputError(
                f"{error.what}; a calibration or model takes {', '.join(needed)}: give a recording that has "
                "them, or go without it"
            ) from error
        raise
    if needed is None and any("reconstructed" in source for source in record.provenance):
        record.close()
        return _as_measured(path, options)
    return record


def check_asked(
    asked: Sequence[str] | Mapping[str, str] | None, needed: Sequence[str] | None
) -> None:
    """Raise InputError where `--leads` names others than a calibration, or a model of some leads, takes."""
    if asked is not None and needed is not None and set(asked) != set(needed):
        raise InputError(
            f"--leads {','.join(asked)}: this calibration or model takes {', '.join(needed)}: name these, "
            "or go without it"
        )


def _as_measured(path: str, options: ReadOptions) -> Record:
    """A file of ours with the leads that were measured: no estimate is taken for one."""
    with _opened(path, options, None) as record:
        sources = dict(zip(record.leads, record.provenance, strict=False))
    measured = [lead for lead in LEADS if sources.get(lead) == Provenance.MEASURED.value]
    made = [lead for lead in INPUT_LEADS if "reconstructed" in sources.get(lead, "")]
    if not measured:  # it says so itself, as a warning
        return _opened(path, options, INPUT_LEADS)
    warn(
        [f"measured leads: {', '.join(measured)} ({path} has only estimates of {', '.join(made)})"]
    )
    return _opened(path, options, measured)


def _with_its_own(path: str, options: ReadOptions, lacking: MissingLeadsError) -> Record:
    """Raises `lacking` where it names no lead at all, InputError where something else is wrong with it."""
    try:
        record = _opened(path, options, None)
    except MissingLeadsError:
        raise lacking from None
    lacks = [lead for lead in INPUT_LEADS if lead not in record.leads]
    has = [lead for lead in LEADS if lead in record.leads]
    warn([f"measured leads: {', '.join(has)} ({path} has no {', '.join(lacks)})"])
    return record


def _opened(
    path: str, options: ReadOptions, leads: Sequence[str] | Mapping[str, str] | None
) -> Record:
    said = replace(options, leads=leads)
    return open_record(path, said.leads, sampling_hz=said.sampling_hz, unit=said.unit)
