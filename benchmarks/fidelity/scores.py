"""The scores of PROTOCOL.md: per record and lead, summaries over records, intervals over patients.

All arrays are (n_records, n_leads, n_samples) in mV unless said otherwise; a score is (n_records, n_leads).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.data import SCORE_HIGHPASS_HZ, SCORED_S, zero_phase_highpass

FROM_S, TO_S = SCORED_S
EDGE_S = 0.08  # PROTOCOL.md: 2,500 samples are scored to 2,480, and 2,450 (larger folds) to 2,430
COVERAGE = 0.9
RESAMPLES = 2000
ENDS = (2.5, 97.5)  # percentiles of a 95 % interval
METRICS = ("r", "rmse_uv", "mae_uv", "r2", "variance_ratio", "slope")

Array = NDArray[np.float64]
Summary = dict[str, float | list[float] | int]


def window(n_samples: int, sampling_hz: float, from_s: float = FROM_S) -> slice:
    """The samples of a record that count: not its beginning, and not its last EDGE_S."""
    last = min(round(TO_S * sampling_hz), n_samples - round(EDGE_S * sampling_hz))
    return slice(round(from_s * sampling_hz), last)


def scoring(records: Mapping[str, Sized], seed: int) -> dict[str, Any]:
    """What every report says of how records were scored."""
    return {
        "highpass_hz": SCORE_HIGHPASS_HZ,
        "scored_s": [FROM_S, TO_S],
        "bootstrap": f"{RESAMPLES} resamples of patients, seed {seed}",
        "records_per_domain": {name: len(some) for name, some in records.items()},
    }


def scored(ecg_mv: NDArray[np.floating], sampling_hz: float, counts: slice | None = None) -> Array:
    """Zero-phase high-passed at 0.5 Hz over the whole record, then cut to what counts."""
    if counts is None:
        counts = window(ecg_mv.shape[-1], sampling_hz)
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


class Bootstrap:
    """Draws of patients, not of records, made once for all values of a data set."""

    def __init__(self, patients: Sequence[str], seed: int = 0, resamples: int = RESAMPLES) -> None:
        _, patient = np.unique(np.asarray(patients), return_inverse=True)
        n = int(patient.max()) + 1
        drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples)
        self._weights = drawn[:, patient].astype(np.float64)  # (resamples, n_records)

    def mean(self, values: Array) -> list[float]:
        """95 % interval of the mean over records; a value that is not finite is none."""
        return _pair(self._means(values[:, None])[:, 0])

    def ratio(self, numerators: Array, denominators: Array) -> list[float]:
        """95 % interval of the sum of one over the sum of the other, (n_records,) each."""
        return _pair(self._ratios(numerators[:, None], denominators[:, None])[:, 0])

    def median(self, values: Array) -> list[float]:
        """95 % interval of the median over records."""
        kept = np.isfinite(values)
        if not kept.any():
            return [float("nan")] * 2
        order = np.argsort(values[kept])
        until = np.cumsum(self._weights[:, kept][:, order], axis=1)
        at = (until < until[:, -1:] / 2).sum(1)
        return _pair(np.percentile(values[kept][order][at], ENDS))

    def summary(self, values: Array) -> Summary:
        """Of one value per record: mean with its interval, median, quartiles, and how many are defined."""
        return self.summaries(values[:, None])[0]

    def summaries(self, values: Array) -> list[Summary]:
        """As `summary`, of each column of (n_records, n)."""
        return [
            _summary(column[np.isfinite(column)], _pair(ends))
            for column, ends in zip(values.T, self._means(values).T, strict=True)
        ]

    def _means(self, values: Array) -> Array:
        defined = np.isfinite(values)
        return self._ratios(np.where(defined, values, 0.0), defined.astype(np.float64))

    def _ratios(self, numerators: Array, denominators: Array) -> Array:
        """(2, n) ends, of (n_records, n)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = (self._weights @ numerators) / (self._weights @ denominators)
        if np.isfinite(found).all():
            return np.asarray(np.percentile(found, ENDS, axis=0))
        columns = [column[np.isfinite(column)] for column in found.T]
        nothing = [np.nan, np.nan]
        return np.array([np.percentile(c, ENDS) if len(c) else nothing for c in columns]).T


def _pair(ends: Array) -> list[float]:
    return [float(end) for end in ends]


def _summary(kept: Array, mean_95: list[float]) -> Summary:
    if not len(kept):
        return {"n": 0, "mean": float("nan"), "median": float("nan")}
    low, median, high = np.percentile(kept, [25, 50, 75])
    return {
        "n": len(kept),
        "mean": float(kept.mean()),
        "mean_95": mean_95,
        "median": float(median),
        "quartiles": [float(low), float(high)],
    }


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
