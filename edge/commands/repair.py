"""`leadlift repair`: a whole file from what an interrupted recording left, beside the original."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from edge.commands.common import Subparsers, usage
from edge.commands.durations import lasting
from edge.commands.outputs import add_overwrite_option, check_outputs, make_file
from edge.commands.read_options import warn_of
from edge.errors import InputError
from edge.files.formats import all_files
from edge.files.records import open_record
from firmware_bridge.file_lock import is_held
from firmware_bridge.new_file import stamped
from firmware_bridge.unread import why_unread

PART = ".part"
"""What the folder of an NPZ recording ends in until the recording is finished."""


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "repair", help="make a whole file of what an interrupted recording left"
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help="OUT.npz or its OUT.npz.part, a .dcm that does not open, or an .edf with a wrong number of "
        "records; it is only read",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="file to make (default: OUT.npz, NAME.repaired.edf or .dcm), a new one",
    )
    add_overwrite_option(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Repair FILE into a new one, or say that there is nothing to repair."""
    from edge.files.formats import DICOM, EDF, HEAD_BYTES, NPZ, format_of

    file = Path(arguments.file)
    spool = file if file.name.lower().endswith(NPZ.suffixes[0] + PART) else Path(f"{file}{PART}")
    output = stamped(arguments.output or "")
    if spool.is_dir() and (file == spool or not file.is_file() or file.stat().st_size == 0):
        return _pack(spool, output or str(spool)[: -len(PART)], overwrite=arguments.overwrite)
    with usage():
        if not file.is_file():
            raise InputError(
                f"{file} does not exist, nor does {spool}: give what is to be repaired"
            )
    try:
        with file.open("rb") as start:
            form = format_of(file, start.read(HEAD_BYTES))
    except OSError as error:
        raise InputError(f"cannot read {file}: {why_unread(error, file)}") from error
    if form is EDF:
        mended = output or str(file.with_suffix(".repaired.edf"))
        return _mend(file, mended, overwrite=arguments.overwrite)
    if form is DICOM and any(_is_broken(one) for one in all_files(file, written=False)):
        mended = output or str(file.with_suffix(".repaired.dcm"))
        return _mend_dicom(file, mended, overwrite=arguments.overwrite)
    with open_record(file) as record:
        warn_of(record)
        long = lasting(record.n_samples / record.sampling_hz)
    print(f"{file} is whole ({long}): nothing to repair")
    return 0


def _pack(spool: Path, output: str, *, overwrite: bool) -> int:
    from edge.files.repair import pack_spool

    if is_held(spool):
        raise InputError(f"{spool} is being recorded now: it is packed when that ends")
    with usage():
        check_outputs([("the recording", output)], {}, overwrite=overwrite)
    n_samples = make_file(output, lambda target: pack_spool(spool, target), overwrite=overwrite)
    print(f"{output}: {n_samples} samples, packed from {spool}, which can be removed now")
    return 0


def _mend(file: Path, output: str, *, overwrite: bool) -> int:
    from edge.files.repair import mend_edf

    if not mend_edf(file, None):
        print(f"{file} is whole: nothing to repair")
        return 0
    with usage():
        check_outputs([("the recording", output)], {"FILE": file}, overwrite=overwrite)
    mended = make_file(output, lambda target: mend_edf(file, target), overwrite=overwrite)
    print(f"{output}: {file} with {', '.join(mended)}")
    return 0


def _is_broken(file: Path) -> bool:
    from edge.files.dicom_object import mended

    with file.open("rb") as opened:
        return mended(opened) is not None


def _mend_dicom(file: Path, output: str, *, overwrite: bool) -> int:
    """The leads, and what lies beside them."""
    from edge.files.dicom_codes import companion
    from edge.files.repair import mend_dicom

    with usage():
        check_outputs([("the recording", output)], {"FILE": file}, overwrite=overwrite)
    for source in reversed(all_files(file, written=False)):  # the leads take their name last
        name = output if source == file else str(companion(Path(output)))
        make_file(name, partial(mend_dicom, source), overwrite=overwrite)
    with open_record(output) as record:
        long = lasting(record.n_samples / record.sampling_hz)
    print(f"{output}: {file} with all that is there, {long}")
    return 0
