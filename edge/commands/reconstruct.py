"""`leadlift reconstruct`: a recording of three leads into one of twelve, in bounded memory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.commands.common import (
    Subparsers,
    add_model_options,
    add_patient_option,
    in_words,
    open_reconstructor,
    prefilter,
    usage,
)
from edge.errors import InputError
from edge.leads import LEADS, lead_indices
from edge.quality import Quality

if TYPE_CHECKING:
    from edge.files.records import Record

PIECE_S = 30.0  # long enough that the cost per piece vanishes; 0.1 MB in, 0.8 MB out at 250 Hz


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "reconstruct", help="reconstruct a recording: three leads in, twelve leads out"
    )
    parser.add_argument("input", metavar="INPUT", help="recording: .edf, .npz, .csv or FILE.npz#17")
    parser.add_argument("output", metavar="OUTPUT", help="recording to write: .edf, .npz or .csv")
    parser.add_argument(
        "--leads",
        metavar="II,V1,V5",
        help="leads to use (default: all that the model takes); one left out is treated as off",
    )
    add_model_options(parser)
    add_patient_option(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Reconstruct INPUT into OUTPUT."""
    from edge.files.records import open_record
    from edge.offline import check_rate, reconstruct_pieces
    from edge.sinks import Metadata, open_sink

    with open_reconstructor(arguments, arguments.patient) as reconstructor:
        with usage():
            leads = _leads(arguments.leads, reconstructor.leads)
            _refuse_to_overwrite(Path(arguments.input.partition("#")[0]), Path(arguments.output))
        with open_record(arguments.input, leads) as record:
            check_rate(record.sampling_hz)
            rows = lead_indices(leads, reconstructor.leads)
            pieces = _pieces(record, rows, len(reconstructor.leads))
            metadata = Metadata(
                prefilter=prefilter(reconstructor.conditioning),
                calibration=in_words(reconstructor.patient),
            )
            with usage():
                sink = open_sink(f"file:{arguments.output}", record.sampling_hz, metadata=metadata)
            measured = [LEADS.index(lead) for lead in reconstructor.leads]
            off = np.zeros(len(measured), np.int64)
            with sink:
                for block in reconstruct_pieces(reconstructor, pieces, record.sampling_hz):
                    sink.write(block)
                    off += (block.quality[measured] & Quality.LEAD_OFF != 0).sum(1)
            minutes = record.n_samples / record.sampling_hz / 60
            print(f"{arguments.output}: {record.n_samples} samples ({minutes:.1f} min) in 12 leads")
            for lead, n_off in zip(reconstructor.leads, off, strict=True):
                if n_off:
                    lacking = f"{lead} is missing or flat for {n_off / record.sampling_hz:.1f} s"
                    print(
                        f"leadlift: warning: {lacking}: the reconstructed leads lack it there",
                        file=sys.stderr,
                    )
    return 0


def _refuse_to_overwrite(given: Path, output: Path) -> None:
    if given.exists() and output.exists() and given.samefile(output):
        raise InputError(f"{output} is the input: write the twelve leads to another file")


def _leads(asked: str | None, takes: tuple[str, ...]) -> tuple[str, ...]:
    if asked is None:
        return takes
    names = tuple(asked.split(","))
    lead_indices(names)
    beyond = [name for name in names if name not in takes]
    if beyond:
        raise InputError(f"this model takes {', '.join(takes)}, not {beyond[0]}: leave it out")
    return names


def _pieces(record: Record, rows: list[int], n_inputs: int) -> Iterator[NDArray[np.float32]]:
    """The recording as (n_inputs, n) mV in the decoder's order; leads not used are missing."""
    step = max(1, round(PIECE_S * record.sampling_hz))
    for start in range(0, record.n_samples, step):
        stop = min(start + step, record.n_samples)
        ecg_mv = np.full((n_inputs, stop - start), np.nan, np.float32)
        ecg_mv[rows] = record.read(start, stop)
        yield ecg_mv
