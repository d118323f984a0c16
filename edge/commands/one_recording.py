"""One recording into one of twelve leads, in bounded memory: what a file and a folder of files share."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.commands.durations import lasting
from edge.commands.expectation import doubt
from edge.commands.read_options import warn, warn_of_unit
from edge.errors import InputError
from edge.leads import LEADS
from edge.marker import Marker, mended
from edge.misplacement_watch import MisplacementWatch
from edge.progress import progress
from edge.quality import Quality
from edge.samples import TwelveLeadBlock
from edge.signal.einthoven import Contradiction, contradiction
from edge.signal.plausibility import ImplausibleUnit, implausible_unit
from edge.signal.presence import FLAT_S

if TYPE_CHECKING:
    from edge.files.record import Record
    from edge.files.recording import Metadata
    from edge.reconstructor import Reconstructor
    from edge.sinks.base import Sink

PIECE_S = 30.0  # long enough that the cost per piece vanishes; 0.1 MB in, 0.8 MB out at 250 Hz


def needed_leads(reconstructor: Reconstructor, *, calibrated: bool) -> tuple[str, ...] | None:
    """The leads that a calibration, or a model of some leads, takes; None where any are taken."""
    fixed = calibrated or not reconstructor.takes_any_leads
    return tuple(reconstructor.leads) if fixed else None


def begin(reconstructor: Reconstructor, record: Record) -> Metadata:
    """Set the reconstructor to the leads of `record`; what the output is to say of itself.

    Raises InputError for a rate that is not accepted, and for a record without a signal.
    """
    from edge.files.recording import OF_RECORDING, Metadata
    from edge.live.description import model_in_words, prefilter
    from edge.offline import check_rate

    reconstructor.measure(record.leads)
    check_rate(record.sampling_hz)
    _refuse_silence(record)
    patient = reconstructor.patient
    return Metadata(
        prefilter=prefilter(reconstructor.conditioning),
        calibration="" if patient is None else patient.in_words(),
        model=model_in_words(reconstructor.bundle),
        device=record.device,
        simulated=record.simulated,
        started_at=record.started_at,
        source=OF_RECORDING,
    )


def write_twelve(reconstructor: Reconstructor, record: Record, sink: Sink) -> list[str]:
    """Write the whole of `record` to `sink` and close it; what is left to warn of, a line each."""
    from edge.offline import reconstruct_pieces

    r, hz = reconstructor, record.sampling_hz
    if line := doubt(r):
        warn([line])
    measured = [LEADS.index(lead) for lead in r.leads]
    off = np.zeros(len(measured), np.int64)
    with sink, progress(f"reconstructing {record.path.name}", record.n_samples) as work:
        watch = MisplacementWatch(r.leads, r.moments, hz, lambda line: warn([line]))
        blocks = map(watch.follow, reconstruct_pieces(r, _pieces(record), hz))
        for block in with_markers(blocks, record.read_markers()):
            sink.write(block)
            work.done = block.first_sample + block.quality.shape[1]
            off += (block.quality[measured] & Quality.LEAD_OFF != 0).sum(1)
    return [
        f"{lead} is missing or flat for {lasting(n_off / hz)}: the reconstructed leads lack it there"
        for lead, n_off in zip(r.leads, off, strict=True)
        if n_off
    ]


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
    contradicts: Contradiction | None = None
    for start in range(0, record.n_samples, step):
        ecg_mv = record.read(start, min(start + step, record.n_samples))
        if doubt is None:
            doubt = implausible_unit(ecg_mv, record.sampling_hz)
            warn_of_unit(record, doubt)
        if contradicts is None:
            contradicts = contradiction(ecg_mv, record.sampling_hz, record.leads)
            if contradicts is not None:
                warn([f"{record.path}: {contradicts}"])
        yield ecg_mv
