"""`leadlift repair`: a whole file from what an interrupted recording left, beside the original."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from edge.commands.common import Subparsers, usage
from edge.commands.outputs import add_overwrite_option, check_outputs
from edge.errors import InputError, SinkError
from firmware_bridge.new_file import NewFile, part_of, stamped

T = TypeVar("T")
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
        help="OUT.npz or its OUT.npz.part, or an .edf with a wrong number of records; it is only read",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="file to make (default: OUT.npz, or NAME.repaired.edf)",
    )
    add_overwrite_option(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Repair FILE into a new one, or say that there is nothing to repair."""
    from edge.files.formats import EDF, HEAD_BYTES, NPZ, format_of
    from edge.files.records import open_record

    file = Path(arguments.file)
    named = Path(stamped(arguments.output)) if arguments.output else None
    with usage():
        inputs = {"the input": file if file.is_file() else None}
        check_outputs([("the recording", named)], inputs, overwrite=arguments.overwrite)
    spool = file if file.name.lower().endswith(NPZ.suffixes[0] + PART) else Path(f"{file}{PART}")
    whole = Path(str(spool)[: -len(PART)])
    if spool.is_dir() and (file == spool or not file.is_file() or file.stat().st_size == 0):
        return _pack(spool, named or whole, arguments.overwrite)
    with usage():
        if not file.is_file():
            raise InputError(
                f"{file} does not exist, nor does {spool}: give what is to be repaired"
            )
    try:
        with file.open("rb") as start:
            form = format_of(file, start.read(HEAD_BYTES))
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    if form is EDF:
        return _mend(file, named or file.with_suffix(".repaired.edf"), arguments.overwrite)
    with open_record(file) as record:
        minutes = record.n_samples / record.sampling_hz / 60
    print(f"{file} is whole ({minutes:.1f} min): nothing to repair")
    return 0


def _pack(spool: Path, output: Path, overwrite: bool) -> int:
    from edge.files.repair import pack_spool

    if spool == part_of(output) and output.is_file() and output.stat().st_size == 0:
        output.unlink()  # what the recording that was killed left of its name
    n_samples = _make(output, lambda target: pack_spool(spool, target), overwrite)
    print(f"{output}: {n_samples} samples, packed from {spool}, which can be removed now")
    return 0


def _mend(file: Path, output: Path, overwrite: bool) -> int:
    from edge.files.repair import mend_edf

    if not mend_edf(file, None):
        print(f"{file} is whole: nothing to repair")
        return 0
    mended = _make(output, lambda target: mend_edf(file, target), overwrite)
    print(f"{output}: {file} with {', '.join(mended)}")
    return 0


def _make(output: Path, write: Callable[[BinaryIO], T], overwrite: bool) -> T:
    """What `write` returns, having filled the new file `output`; there is none if it fails."""
    new = NewFile(output, overwrite=overwrite)
    try:
        with new.create() as target:
            made = write(target)
        new.keep()
    except OSError as error:
        raise SinkError(f"cannot write {output}: {error.strerror or error}") from error
    finally:
        new.discard()
    return made
