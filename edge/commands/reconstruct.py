"""`leadlift reconstruct`: a recording of three leads into one of twelve, in bounded memory."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.commands.common import Subparsers, add_model_options, open_reconstructor, prefilter, usage
from edge.errors import InputError
from edge.leads import lead_indices
from edge.samples import TwelveLeadBlock

if TYPE_CHECKING:
    from edge.reconstructor import Reconstructor
    from edge.records import Record
    from edge.sinks import Sink

BLOCK_S = 20.0  # long enough that the cost per block vanishes; 0.4 MB at 250 Hz


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
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Reconstruct INPUT into OUTPUT."""
    from edge.records import open_record
    from edge.sinks import Metadata, open_sink

    reconstructor = open_reconstructor(arguments)
    with usage():
        leads = _leads(arguments.leads, reconstructor.leads)
        _refuse_to_overwrite(Path(arguments.input.partition("#")[0]), Path(arguments.output))
    with open_record(arguments.input, leads) as record:
        if record.sampling_hz != reconstructor.sampling_hz:
            raise InputError(
                f"{arguments.input} is at {record.sampling_hz:g} Hz and this model takes "
                f"{reconstructor.sampling_hz:g} Hz: resample the recording first"
            )
        with usage():
            sink = open_sink(
                f"file:{arguments.output}",
                reconstructor.sampling_hz,
                metadata=Metadata(prefilter=prefilter(reconstructor.conditioning)),
            )
        with sink:
            _stream(record, lead_indices(leads, reconstructor.leads), reconstructor, sink)
        minutes = record.n_samples / record.sampling_hz / 60
        print(f"{arguments.output}: {record.n_samples} samples ({minutes:.1f} min) in 12 leads")
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


def _stream(record: Record, rows: list[int], reconstructor: Reconstructor, sink: Sink) -> None:
    n_inputs = len(reconstructor.leads)
    step = round(BLOCK_S * record.sampling_hz)
    for start in range(0, record.n_samples, step):
        stop = min(start + step, record.n_samples)
        ecg_mv = np.full((n_inputs, stop - start), np.nan, np.float32)
        ecg_mv[rows] = record.read(start, stop)
        sink.write(reconstructor.push(ecg_mv))
    sink.write(_tail(reconstructor, ecg_mv[:, -1:], record.n_samples))


def _tail(
    reconstructor: Reconstructor, last_mv: NDArray[np.float32], n_samples: int
) -> TwelveLeadBlock:
    """The samples that still wait for a whole hop, completed by holding the last one, then cut."""
    block = reconstructor.push(
        np.repeat(last_mv, reconstructor.hop - 1 + reconstructor.lookahead, 1)
    )
    n_wanted = max(0, n_samples - block.first_sample)
    return replace(
        block,
        ecg_mv=block.ecg_mv[:, :n_wanted],
        sigma_mv=block.sigma_mv[:, :n_wanted],
        quality=block.quality[:, :n_wanted],
    )
