"""Whole recordings: the same reconstructor, fed in pieces, at any rate, in bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.bundle import load_bundle
from edge.engines.registry import OFFLINE
from edge.errors import InputError
from edge.leads import INPUT_LEADS, LEADS, lead_indices, lead_names
from edge.misplacement_watch import MisplacementWatch
from edge.patient.patient import Patient, load_patient
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock, millivolts
from edge.signal.einthoven import contradiction
from edge.signal.plausibility import implausible_unit
from edge.signal.resampling import FILE_DELAY_S, RateConverter

PIECE_S = 30.0
MIN_HZ, MAX_HZ = 50.0, 8000.0  # below, no QRS is left; above, it is no ECG recording


def reconstruct(
    ecg_mv: ArrayLike,
    sampling_hz: float = 250.0,
    leads: Sequence[str] = INPUT_LEADS,
    model: str | Path | None = None,
    engine: str = "auto",
    patient: str | Path | Patient | None = None,
) -> NDArray[np.float32]:
    """Twelve leads of a whole recording; equal to pushing it through a `Reconstructor`.

    Parameters
    ----------
    ecg_mv : (n_leads, n) array of numbers, mV
        The measured leads. A sample that is masked, or not finite, is missing.
    sampling_hz : float
        Rate of the recording, 50 to 8000 Hz. It is converted to the decoder's and back with zero delay.
    leads : sequence of str
        Names of the rows, as in `edge.LEADS`: those that are measured, any of the twelve. With a calibration,
        or a model of three leads, rows that these do not take are passed over.
    model, engine, patient
        As for `Reconstructor.open`; `auto` is ONNX Runtime, for a minute at a time as fast as any.

    Returns
    -------
    (12, n) float32 array, mV
        In the order of `edge.LEADS`, at `sampling_hz`.

    Warns
    -----
    UserWarning
        For values that cannot be millivolts, and for limb leads that contradict each other; it says what
        they may be.

    Raises
    ------
    InputError
        For a wrong shape, rate or lead name; it says what was given and what is accepted.
    BundleError, EngineError, PatientError
        From opening the model, the engine and the calibration.
    """
    samples = millivolts(ecg_mv)
    leads = lead_names(leads)
    if not leads:
        raise InputError(f"no lead is measured: name one or more of {', '.join(LEADS)}")
    if samples.ndim != 2 or samples.shape[0] != len(leads):
        turned = ": transpose it" if samples.ndim == 2 and samples.shape[1] == len(leads) else ""
        raise InputError(
            f"expected ({len(leads)}, n) samples in mV, rows {', '.join(map(str, leads))}; "
            f"got shape {samples.shape}{turned}"
        )
    sampling_hz = check_rate(sampling_hz)
    bundle = load_bundle(model)
    if patient is not None and not isinstance(patient, Patient):
        patient = load_patient(patient)
    used = leads if bundle.manifest.any_leads else bundle.manifest.input_leads
    if patient is not None:
        used = patient.input_leads
    rows = input_rows(leads, used)
    engine = OFFLINE if engine == "auto" else engine
    with Reconstructor.open(bundle, engine, leads=used, patient=patient) as reconstructor:
        piece = max(1, round(PIECE_S * sampling_hz))
        _warn_of_unit(samples[rows, :piece], sampling_hz)
        starts = range(0, samples.shape[1], piece)
        looked_at = (contradiction(samples[rows, i : i + piece], sampling_hz, used) for i in starts)
        if contradicts := next(filter(None, looked_at), None):
            warnings.warn(str(contradicts), UserWarning, stacklevel=2)
        pieces = (samples[rows, i : i + piece] for i in starts)
        out = np.empty((len(LEADS), samples.shape[1]), np.float32)
        watch = MisplacementWatch(used, reconstructor.moments, sampling_hz, _warn)
        for block in map(watch.follow, reconstruct_pieces(reconstructor, pieces, sampling_hz)):
            out[:, block.first_sample : block.first_sample + block.n_samples] = block.ecg_mv
    return out


def _warn(line: str) -> None:
    warnings.warn(line, UserWarning, stacklevel=4)  # where `reconstruct` was called


def _warn_of_unit(ecg_mv: NDArray[np.float32], sampling_hz: float) -> None:
    doubt = implausible_unit(ecg_mv, sampling_hz)
    if doubt is not None:
        factor = f": multiply them by {doubt.unit_mv:g}" if doubt.unit_mv else ": convert them"
        warnings.warn(f"{doubt}{factor}", UserWarning, stacklevel=3)


def reconstruct_pieces(
    reconstructor: Reconstructor, pieces: Iterable[NDArray[np.float32]], sampling_hz: float
) -> Iterator[TwelveLeadBlock]:
    """Blocks at `sampling_hz` from consecutive (n_leads, n) mV pieces of a recording, as long in all as it.

    The last hop is completed by holding the last sample, and cut again.
    """
    check_rate(sampling_hz)
    r = reconstructor
    if sampling_hz == r.sampling_hz:
        yield from _whole_hops(r, pieces)
        return
    down = RateConverter(sampling_hz, r.sampling_hz, len(r.leads), FILE_DELAY_S)
    n = len(LEADS)
    up = RateConverter(r.sampling_hz, sampling_hz, 2 * n, FILE_DELAY_S)  # twelve leads, their sigma
    n_in = n_out = 0

    def at_decoder_rate() -> Iterator[NDArray[np.float32]]:
        nonlocal n_in
        for piece in pieces:
            n_in += piece.shape[1]
            yield down.push(piece)[0]
        yield down.flush()[0]

    def back(ecg: NDArray[np.float32], bits: NDArray[np.uint8]) -> TwelveLeadBlock:
        nonlocal n_out
        first, n_out = n_out, n_out + ecg.shape[1]
        sigma = np.maximum(ecg[n:], 0.0)  # beside a sudden change the filter rings
        return TwelveLeadBlock(ecg[:n], sigma, bits[:n], first, sampling_hz, r.provenance)

    for block in _whole_hops(r, at_decoder_rate()):
        both = np.concatenate([block.ecg_mv, block.sigma_mv])
        yield back(*up.push(both, np.concatenate([block.quality, block.quality])))
    last = back(*up.flush())
    yield last.first(n_in - last.first_sample)


def _whole_hops(
    r: Reconstructor, pieces: Iterable[NDArray[np.float32]]
) -> Iterator[TwelveLeadBlock]:
    total, last = 0, None
    for piece in pieces:
        if piece.shape[1]:
            total, last = total + piece.shape[1], piece[:, -1:]
            yield r.push(piece)
    short = -total % r.hop
    if r.lookahead:
        yield r.flush()
    elif last is not None and short:
        yield r.push(np.repeat(last, short, axis=1)).first(r.hop - short)


def input_rows(given: Sequence[str], needed: Sequence[str] = INPUT_LEADS) -> list[int]:
    """Rows of `given` that hold the decoder's inputs.

    Raises InputError for a name that is no lead, a name given twice, or an input that is not there.
    """
    lead_indices(given, LEADS)
    absent = [lead for lead in needed if lead not in given]
    if absent:
        raise InputError(
            f"lead {', '.join(absent)} is missing: given {', '.join(given) or 'none'},"
            f" needed {', '.join(needed)}"
        )
    return [list(given).index(lead) for lead in needed]


def check_rate(sampling_hz: float) -> float:
    """`sampling_hz`, a number of any type, if an ECG can have it. Raises InputError else."""
    try:
        if not isinstance(sampling_hz, SupportsFloat) or np.ndim(sampling_hz):
            raise TypeError
        hz = float(sampling_hz)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"a sampling rate is a number of Hz, not {sampling_hz!r}") from error
    if not MIN_HZ <= hz <= MAX_HZ:
        raise InputError(
            f"a sampling rate of {hz:g} Hz is not accepted:"
            f" give one from {MIN_HZ:g} to {MAX_HZ:g} Hz"
        )
    return hz
