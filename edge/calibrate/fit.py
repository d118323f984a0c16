"""From two seconds or more of a 12-lead reference to a patient's calibration: the fit.

The moments of the reference, shrunk towards the population's, give anchors for any set of inputs. With these
the reference's own input leads run through the decoder, once for every set; a fit maps leads and predictions,
at TAPS, to what the predictions lack: the most likely map where the maps of other patients are the prior
(empirical Bayes; `edge.calibrate.prior`). Everything is fitted above HIGHPASS_HZ by zero phase (a projection,
no filter that would have to settle); a causal high-pass shifts the phase and costs 10 uV.
All constants are from PTB-XL fold 9, 2 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.calibrate.prior import Features, Prior, prior_of
from edge.calibrate.reference import (
    MAX_UNEXPLAINED,
    check_leads,
    check_noise,
    check_order,
    check_signals,
    refuse,
)
from edge.errors import InputError
from edge.lead_subsets import classes_of, completed
from edge.leads import INDEPENDENT_LEADS, LEADS, lead_indices, lead_names, twelve_from
from edge.offline import check_rate
from edge.patient.patient import TAPS, OutputMap, Patient, Reference, mask_names
from edge.reconstructor import Reconstructor
from edge.samples import millivolts
from edge.signal.conditioning import Conditioner
from edge.signal.resampling import FILE_DELAY_S, RateConverter

MAX_S = 60.0  # a minute: more adds nothing, and the fit's memory is bounded
SKIP_S = 0.25  # the decoder's start, where its state is still empty
HIGHPASS_HZ = 1.0  # cosines below are projected out: in 2 s lower ones cannot be told from drift
ANCHOR_SHARE = 0.25  # of the reference in the moments; with a ridge 0 cost 0.2 uV, 0.8 cost 0.5
RIDGE = (
    0.002  # of the mean power of the regressors, for RIDGE_S: of a first fit, which finds the noise
)
RIDGE_S = 2.0
CORRELATED = 20.0  # samples of what a fit leaves count as one; 14 or 28 costs 0.05 uV
SIGMA_CORRELATED = 10.0  # as CORRELATED, for sigma
CHANGES = 1.26  # after its reference a heart is no longer quite the same
MOST_FOUND = 0.9  # of the samples: more says that the reference is too short
LEAST_SIGMA_MV = 0.005
_TWELVE = twelve_from(INDEPENDENT_LEADS)

Array = NDArray[np.float64]


def calibrate(
    reconstructor: Reconstructor,
    ecg_mv: ArrayLike,
    sampling_hz: float,
    leads: Sequence[str] = LEADS,
    name: str = "reference",
    trust_order: bool = False,
) -> Patient:
    """A patient's calibration for the model in `reconstructor`, whose stream is reset.

    `ecg_mv` is (n_leads, n) mV, 2 s or more of the twelve leads or of the eight independent ones, of which
    the first minute is used. `trust_order` takes leads that seem exchanged or inverted as they are: a heart
    may be unusual. Raises InputError for a shape, rate or lead name that cannot be, and
    ReferenceRefusedError, with the reason, for a reference that no calibration can rest on.
    """
    given = millivolts(ecg_mv)
    leads = lead_names(leads)
    lead_indices(leads)
    if given.ndim != 2 or given.shape[0] != len(leads):
        raise InputError(
            f"expected ({len(leads)}, n) samples in mV, rows {', '.join(leads)}; got {given.shape}"
        )
    check_leads(leads)
    sampling_hz = check_rate(sampling_hz)
    given = given[:, : round(MAX_S * sampling_hz)]
    check_signals(given, sampling_hz, leads)
    r = reconstructor
    m = r.bundle.manifest
    ecg = given[lead_indices(INDEPENDENT_LEADS, leads)]
    if sampling_hz != r.sampling_hz:
        converter = RateConverter(sampling_hz, r.sampling_hz, len(ecg), FILE_DELAY_S)
        ecg = np.concatenate([converter.push(ecg)[0], converter.flush()[0]], 1)
    ecg = ecg[:, : ecg.shape[1] // r.hop * r.hop]
    check_noise(ecg, r.sampling_hz, r.hop)

    truth = Conditioner(r.conditioning, r.sampling_hz, len(ecg), r.hop).push(ecg)[0]
    reference = reference_moments(truth, r.sampling_hz)
    if not trust_order:
        check_order(reference, m.moments)
    seconds = ecg.shape[1] / r.sampling_hz
    about = Reference(
        name=name[:200],
        seconds=round(seconds, 3),
        sampling_hz=sampling_hz,
        leads=tuple(leads),
        made_at=datetime.now().isoformat(timespec="seconds"),
    )
    anchors = Patient(
        bundle_sha256=r.bundle.sha256,
        bundle_name=m.name,
        input_leads=r.leads,
        output_leads=_open_leads(r),
        sigma_leads=m.sigma_leads,
        reference=about,
        quality={},
        moments=shrunk(reference, m.moments),
        maps={},
    )
    if not anchors.output_leads:
        raise refuse(
            f"{', '.join(r.leads)} leave no lead open",
            "run without a calibration: all that is given is known",
        )
    anchored = Reconstructor(r.engine, r.conditioning, patient=anchors)
    measured = (_TWELVE @ ecg)[lead_indices(r.leads)]
    target = truth[lead_indices(anchors.output_leads, INDEPENDENT_LEADS)]
    fits = {n: _fit(anchored, n, measured, target) for n in mask_names(len(measured))}
    r.reset()
    quality = next(iter(fits.values()))[1]
    unexplained = quality["unexplained"]
    if not isinstance(unexplained, float) or unexplained > MAX_UNEXPLAINED:
        raise refuse(f"a fit leaves {unexplained:.0%} of it unexplained: noise, or no ECG")
    return replace(anchors, quality=quality, maps={n: fit[0] for n, fit in fits.items()})


def _open_leads(r: Reconstructor) -> tuple[str, ...]:
    """The independent leads that do not follow from those measured."""
    return tuple(
        lead
        for lead, source in zip(LEADS, r.provenance, strict=True)
        if lead in INDEPENDENT_LEADS and source.is_estimate
    )


def reference_moments(conditioned: NDArray[np.floating], sampling_hz: float) -> Array:
    """(8, 8) second moments of a conditioned reference, (8, n) mV, above HIGHPASS_HZ."""
    seen = above(conditioned, sampling_hz)
    return np.asarray(seen @ seen.T / seen.shape[1])


def shrunk(reference: Array, population: Array) -> Array:
    """The patient's (8, 8) moments: the population's at this amplitude, and a share of the reference's."""
    scale = float(np.trace(reference) / np.trace(population))
    return (1 - ANCHOR_SHARE) * scale * population + ANCHOR_SHARE * reference


def _fit(
    r: Reconstructor, mask: str, measured: NDArray[np.float32], truth: NDArray[np.float32]
) -> tuple[OutputMap, dict[str, float | dict[str, float]]]:
    """The map for the inputs in `mask`, and how well it fits its own reference."""
    patient = r.patient
    assert patient is not None
    off = np.array([bit == "0" for bit in mask])
    shown = measured.copy()
    shown[off] = np.nan
    r.reset()
    block = r.whole(shown)
    inputs, outputs = (np.array(lead_indices(one)) for one in (r.leads, patient.output_leads))
    present = np.zeros(len(LEADS), bool)
    present[inputs[~off]] = True
    features = Features.of(which := int(classes_of(present)))
    known_of = completed(present)[lead_indices(features.known)][:, inputs]
    # Derived from a lead that is off: nobody will see it.
    predicted = np.nan_to_num(block.ecg_mv[outputs].astype(np.float64))
    seen = np.concatenate([known_of @ np.where(off[:, None], 0.0, block.ecg_mv[inputs]), predicted])
    hz, seconds = r.sampling_hz, truth.shape[1] / r.sampling_hz
    x = above(np.concatenate([delayed(seen, tap) for tap in TAPS]), hz)
    lacking = above(truth - predicted, hz)
    power = np.square(above(truth, hz)).sum()

    def left(weights: Array) -> Array:
        return lacking - weights @ x

    first = left(ridge(x, lacking, RIDGE * RIDGE_S / seconds))
    unexplained = float(np.square(first).sum() / power)
    prior = prior_of(which).without(features, patient.output_leads)
    weights, found = _most_likely(x, lacking, np.square(first).mean(1), prior)
    after = np.sqrt(np.square(left(weights)).mean(1))
    factor = error_to_come(x.shape[1], float(found.mean()))
    sigmas = lead_indices(patient.sigma_leads)
    open_rows = _TWELVE[np.ix_(sigmas, lead_indices(patient.output_leads, INDEPENDENT_LEADS))]
    after_sigma = np.sqrt(np.square(open_rows @ left(weights)).mean(1))
    with np.errstate(divide="ignore"):  # what is measured has none
        log_sigma = np.log(block.sigma_mv[sigmas, round(SKIP_S * hz) :]).mean(1)
    quality: dict[str, float | dict[str, float]] = {
        "unexplained": round(unexplained, 5),
        "rms_before_uv": _microvolts(patient.output_leads, np.sqrt(np.square(lacking).mean(1))),
        "rms_after_uv": _microvolts(patient.output_leads, after),
    }
    sigma = np.maximum(factor * after_sigma, LEAST_SIGMA_MV)
    log_sigma = np.where(np.isfinite(log_sigma), log_sigma, 0.0).astype(np.float64)
    # Of the independent leads that follow from those measured, back to these.
    taps = weights.reshape(len(outputs), len(TAPS), -1)
    n_known = len(features.known)
    taps = np.concatenate([taps[..., :n_known] @ known_of, taps[..., n_known:]], -1)
    return OutputMap(taps.reshape(len(outputs), -1), sigma, log_sigma), quality


def _most_likely(x: Array, y: Array, noise: Array, prior: Prior) -> tuple[Array, Array]:
    """(n_outputs, n_regressors) weights of greatest posterior density, and (n_outputs,) how many are found.

    `noise` is mV^2 of each output. Found are effective weights: 0 where the prior says it all.
    """
    gram, product = x @ x.T, y @ x.T
    weights, found = [], []
    for one, seen, precision, linear in zip(
        noise, product, prior.precision, prior.linear, strict=True
    ):
        share = CORRELATED * one
        both = np.linalg.solve(
            gram + share * precision, np.column_stack([seen + share * linear, gram])
        )
        weights.append(both[:, 0])
        found.append(np.trace(both[:, 1:]))
    return np.stack(weights), np.array(found)


def error_to_come(n_samples: int, found: float) -> float:
    """By how much the error of a map exceeds what it leaves of its own reference, with `found` weights.

    As generalised cross-validation has it (Golub, Heath and Wahba 1979), and CHANGES: with both, the k of the
    90 % interval is 1.35 for II, V1, V5 and references of 2 to 7 s, as without calibration, and 1.10 to 1.56
    for sets of 1 to 6 leads, where it is 0.91 to 1.54 without.
    """
    share = min(found * SIGMA_CORRELATED / n_samples, MOST_FOUND)
    return float(CHANGES * np.sqrt((1 + share) / (1 - share)))


def ridge(x: Array, y: Array, share: float) -> Array:
    """(n_outputs, n_regressors) weights of least squares, with a ridge in shares of the mean power."""
    gram = x @ x.T
    # The small addition keeps the solve regular where every regressor is off.
    gram += (share * np.trace(gram) / len(gram) + 1e-12) * np.eye(len(gram))
    return np.asarray(np.linalg.solve(gram, x @ y.T).T)


def above(signals: NDArray[np.floating], sampling_hz: float) -> Array:
    """Without the decoder's start, and without cosines below HIGHPASS_HZ."""
    n_all = signals.shape[1]
    kept = np.asarray(signals[:, round(SKIP_S * sampling_hz) :], np.float64)
    n = kept.shape[1]
    n_cosines = max(1, round(2 * HIGHPASS_HZ * n_all / sampling_hz))
    phase = np.pi * (np.arange(n) + 0.5) / n
    basis = np.cos(np.arange(n_cosines)[:, None] * phase)
    basis /= np.sqrt(np.square(basis).sum(1, keepdims=True))  # a DCT-II: orthogonal
    return np.asarray(kept - (kept @ basis.T) @ basis)


def delayed(signals: Array, n_samples: int) -> Array:
    """As the stream sees it: before its first sample it stood still."""
    if n_samples == 0:
        return signals
    return np.concatenate([np.repeat(signals[:, :1], n_samples, 1), signals[:, :-n_samples]], 1)


def _microvolts(leads: Sequence[str], values_mv: Array) -> dict[str, float]:
    return {lead: round(1e3 * v, 2) for lead, v in zip(leads, values_mv.tolist(), strict=True)}
