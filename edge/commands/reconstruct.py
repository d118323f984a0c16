"""`leadlift reconstruct`: a recording of some leads into one of twelve, in bounded memory."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.commands.common import (
    Subparsers,
    add_model_options,
    add_patient_option,
    open_reconstructor,
    usage,
)
from edge.commands.durations import lasting
from edge.commands.expectation import doubt
from edge.commands.lead_choice import check_asked, open_measured
from edge.commands.outputs import (
    add_overwrite_option,
    check_outputs,
    file_of_sink,
    is_reconstruction,
    makes_several,
)
from edge.commands.read_options import add_read_options, read_options, warn, warn_of, warn_of_unit
from edge.errors import InputError
from edge.files.formats import kept, readable
from edge.leads import LEADS
from edge.marker import Marker, mended
from edge.misplacement_watch import MisplacementWatch
from edge.progress import progress
from edge.quality import Quality
from edge.samples import TwelveLeadBlock
from edge.signal.einthoven import contradiction
from edge.signal.plausibility import ImplausibleUnit, implausible_unit
from edge.signal.presence import FLAT_S
from firmware_bridge.new_file import stamped

if TYPE_CHECKING:
    from edge.files.records import Record

PIECE_S = 30.0  # long enough that the cost per piece vanishes; 0.1 MB in, 0.8 MB out at 250 Hz


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "reconstruct", help="reconstruct a recording: a few leads in, twelve leads out"
    )
    parser.add_argument("input", metavar="INPUT", help=f"recording: {readable()}")
    parser.add_argument("output", metavar="OUTPUT", help=f"recording to write: {kept()}")
    add_read_options(
        parser,
        "leads that are measured (default: those of the calibration; II,V1,V5; or what the file has of the "
        "twelve)",
    )
    add_model_options(parser)
    add_patient_option(parser)
    add_overwrite_option(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Reconstruct INPUT into OUTPUT."""
    from edge.files.recording import OF_RECORDING
    from edge.files.records import split_pick
    from edge.live.description import model_in_words, prefilter
    from edge.offline import check_rate, reconstruct_pieces
    from edge.sinks import Metadata, open_sink
    from edge.sinks.registry import check_sink

    with usage():
        options = read_options(arguments)
        several = makes_several(f"file:{arguments.output}")
        output = arguments.output if several else stamped(arguments.output)
        check_sink(f"file:{output}")
        inputs = {
            "the input": split_pick(arguments.input)[0],
            "the calibration": arguments.patient,
            "the model": arguments.model,
        }
        what = "the reconstruction"
        made_again = None if several else {what: is_reconstruction}
        first = file_of_sink(f"file:{output}")
        replaced = check_outputs(
            [(what, first)], inputs, overwrite=arguments.overwrite, made_again=made_again
        )
    with open_reconstructor(arguments, arguments.patient, offline=True) as reconstructor:
        fixed = arguments.patient is not None or not reconstructor.takes_any_leads
        needed = reconstructor.leads if fixed else None
        with usage():
            check_asked(options.leads, needed)
        with open_measured(arguments.input, options, needed) as record:
            reconstructor.measure(record.leads)
            check_rate(record.sampling_hz)
            _refuse_silence(record)
            warn_of(record)
            patient = reconstructor.patient
            metadata = Metadata(
                prefilter=prefilter(reconstructor.conditioning),
                calibration="" if patient is None else patient.in_words(),
                model=model_in_words(reconstructor.bundle),
                device=record.device,
                simulated=record.simulated,
                started_at=record.started_at,
                source=OF_RECORDING,
            )
            with usage():
                sink = open_sink(
                    f"file:{output}",
                    record.sampling_hz,
                    metadata=metadata,
                    overwrite=what in replaced,
                )
            if line := doubt(reconstructor):
                warn([line])
            measured = [LEADS.index(lead) for lead in reconstructor.leads]
            off = np.zeros(len(measured), np.int64)
            with sink, progress(f"reconstructing {record.path.name}", record.n_samples) as work:
                pieces = _pieces(record)
                r, hz = reconstructor, record.sampling_hz
                watch = MisplacementWatch(r.leads, r.moments, hz, lambda line: warn([line]))
                blocks = map(watch.follow, reconstruct_pieces(r, pieces, hz))
                for block in with_markers(blocks, record.read_markers()):
                    sink.write(block)
                    work.done = block.first_sample + block.quality.shape[1]
                    off += (block.quality[measured] & Quality.LEAD_OFF != 0).sum(1)
            long = lasting(record.n_samples / record.sampling_hz)
            print(f"{output}: {record.n_samples} samples ({long}) in 12 leads")
            warn(
                [
                    f"{lead} is missing or flat for {lasting(n_off / record.sampling_hz)}: "
                    "the reconstructed leads lack it there"
                    for lead, n_off in zip(reconstructor.leads, off, strict=True)
                    if n_off
                ]
            )
    return 0


def with_markers(
    blocks: Iterable[TwelveLeadBlock], markers: Iterable[Marker]
) -> Iterator[TwelveLeadBlock]:
    """Blocks with the markers of the recording that they are made of, in the order of time."""
    left = deque(Marker(mended(one.text), max(0, one.sample)) for one in markers)
    block = None
    for block in blocks:
        end = block.first_sample + block.n_samples
        here: list[Marker] = []
        while left and left[0].sample < end:
            here.append(left.popleft())
        yield replace(block, markers=tuple(here))
    if left and block is not None:
        yield block.followed_by(tuple(left))


def _refuse_silence(record: Record) -> None:
    """Raise InputError for a recording in which no lead ever moves. Reads to the first that does."""
    least: float | NDArray[np.float32] = np.inf
    most: float | NDArray[np.float32] = -np.inf
    step = max(1, round(PIECE_S * record.sampling_hz))
    for start in range(0, record.n_samples, step):
        ecg_mv = record.read(start, min(start + step, record.n_samples))
        least = np.fmin(least, np.fmin.reduce(ecg_mv, axis=1))  # NaN does not count
        most = np.fmax(most, np.fmax.reduce(ecg_mv, axis=1))
        if np.any(most > least):
            return
    if np.any(most == least) and record.n_samples < FLAT_S * record.sampling_hz:
        return  # too short to tell
    leads = ", ".join(record.leads)
    raise InputError(
        f"{record.path} holds nothing to reconstruct: {leads} missing or flat throughout; look at the "
        "electrodes, and at which signal is which lead"
    )


def _pieces(record: Record) -> Iterator[NDArray[np.float32]]:
    """The recording as (n_leads, n) mV.

    Says once if the values cannot be millivolts, or limb leads contradict each other.
    """
    step = max(1, round(PIECE_S * record.sampling_hz))
    doubt: ImplausibleUnit | None = None
    for start in range(0, record.n_samples, step):
        ecg_mv = record.read(start, min(start + step, record.n_samples))
        if doubt is None:
            doubt = implausible_unit(ecg_mv, record.sampling_hz)
            warn_of_unit(record, doubt)
        if start == 0 and (found := contradiction(ecg_mv, record.sampling_hz, record.leads)):
            warn([f"{record.path}: {found}"])
        yield ecg_mv
