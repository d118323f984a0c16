"""The scores of PROTOCOL.md: per record and lead, summaries over records, intervals over patients.

All arrays are (n_records, n_leads, n_samples) in mV unless said otherwise; a score is (n_records, n_leads).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quantize.data import SCORED_S, zero_phase_highpass

FROM_S, TO_S = SCORED_S
COVERAGE = 0.9
RESAMPLES = 2000
METRICS = ("r", "rmse_uv", "mae_uv", "r2", "variance_ratio", "slope")

Array = NDArray[np.float64]


def scored(ecg_mv: NDArray[np.floating], sampling_hz: float) -> Array:
    """Zero-phase high-passed at 0.5 Hz over the whole record, then cut to what counts."""
    counts = slice(round(FROM_S * sampling_hz), round(TO_S * sampling_hz))
    return zero_phase_highpass(ecg_mv, sampling_hz)[..., counts]


def record_scores(truth: Array, predicted: Array) -> dict[str, Array]:
    """METRICS of signals as `scored` returns them; NaN where a signal without variance defines none.

    `r2` is about the mean of the truth; `variance_ratio` is predicted / true; `slope` is that of the
    truth on the prediction.
    """
    error = predicted - truth
    t = truth - truth.mean(-1, keepdims=True)
    p = predicted - predicted.mean(-1, keepdims=True)
    tt, pp, tp = ((a * b).sum(-1) for a, b in ((t, t), (p, p), (t, p)))
    squares = np.square(error).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = {
            "r": tp / np.sqrt(tt * pp),
            "rmse_uv": 1e3 * np.sqrt(squares / truth.shape[-1]),
            "mae_uv": 1e3 * np.abs(error).mean(-1),
            "r2": 1 - squares / tt,
            "variance_ratio": pp / tt,
            "slope": tp / pp,
        }
    for name, defined in (
        ("r", (tt > 0) & (pp > 0)),
        ("r2", tt > 0),
        ("variance_ratio", tt > 0),
        ("slope", pp > 0),
    ):
        scores[name][~defined] = np.nan
    return scores


def summary(
    values: Array, patients: Sequence[str], seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, float | list[float] | int]:
    """Of one value per record: mean with its 95 % interval, median, quartiles, and how many are defined."""
    defined = np.isfinite(values)
    if not defined.any():
        return {"n": 0, "mean": float("nan"), "median": float("nan")}
    kept = values[defined]
    named = [name for name, is_defined in zip(patients, defined, strict=True) if is_defined]
    low, high = np.percentile(kept, [25, 75])
    return {
        "n": len(kept),
        "mean": float(kept.mean()),
        "mean_95": patient_interval(kept, named, seed, resamples),
        "median": float(np.median(kept)),
        "quartiles": [float(low), float(high)],
    }


def patient_interval(
    values: Array, patients: Sequence[str], seed: int = 0, resamples: int = RESAMPLES
) -> list[float]:
    """95 % interval of the mean over records, from a bootstrap that draws patients, not records."""
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    n = int(patient.max()) + 1
    sums, counts = np.bincount(patient, values, n), np.bincount(patient, minlength=n)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.percentile(means, [2.5, 97.5])
    return [float(low), float(high)]


def sigma_factor(errors: Array, sigma_mv: Array, coverage: float = COVERAGE) -> float:
    """The k with which +-k sigma covers a share `coverage` of all errors given."""
    return float(np.quantile(_in_sigmas(errors, sigma_mv), coverage))


def covered(errors: Array, sigma_mv: Array, k: float) -> Array:
    """Share of samples within k sigma, per record and lead."""
    return np.asarray((_in_sigmas(errors, sigma_mv) <= k).mean(-1), np.float64)


def _in_sigmas(errors: Array, sigma_mv: Array) -> Array:
    """|error| / sigma; what has no sigma (nothing was predicted) is covered by none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(errors) / sigma_mv
    return np.where(sigma_mv > 0, ratio, np.inf)
