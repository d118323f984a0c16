"""SSIM of one lead against its truth, and AUP, the mean of it over all subsets of the twelve leads.

Both are defined here and nowhere else: another window alone moves one output from .72 to .89 (PROTOCOL.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity.scores import Array
from edge.lead_subsets import N_CLASSES, classes_of, every_subset, known

WINDOW, K1, K2 = 51, 0.01, 0.03
MOST_LEADS = 7  # of a subset: eight would leave nothing open
SSIM_DEFINITION = (
    f"SSIM: one-dimensional, uniform window of {WINDOW} samples that lie within the record, K {K1} and {K2}, "
    "sample covariance, L the range of the true lead, on what is scored"
)
AUP_DEFINITION = (
    f"AUP_S(n): mean of SSIM, clipped to 0..1, over the subsets of n of twelve leads, the records and the "
    "leads missing from the subset, all of one weight (the area under its quantile curve); AUP_M(n): the "
    "same of MSE / (range of the true lead)^2. `unknown`: of the missing leads those that do not follow "
    f"from the subset; `with derivable`: all. Mean over n = 1..{MOST_LEADS}"
)


class Local(NamedTuple):
    """What SSIM needs of a truth, (..., n_samples): made once for all that is compared with it."""

    mean: Array
    variance: Array
    size: Array
    """(...) range"""


def local_of(truth: Array) -> Local:
    """Means and variances of the windows."""
    mean = _windows(truth)
    return Local(mean, _unbiased(_windows(truth * truth) - mean * mean), np.ptp(truth, axis=-1))


def ssim(truth: Array, predicted: Array, of: Local | None = None) -> Array:
    """Mean structural similarity over the last axis; NaN where the truth is flat.

    Signals are (..., n_samples) of one unit, WINDOW samples or more; `of` is `local_of` the truth.
    """
    of = local_of(truth) if of is None else of
    c1, c2 = ((np.square(k * of.size))[..., None] for k in (K1, K2))
    t, p = of.mean, _windows(predicted)
    tp = _unbiased(_windows(truth * predicted) - t * p)
    pp = _unbiased(_windows(predicted * predicted) - p * p)
    with np.errstate(divide="ignore", invalid="ignore"):
        map_ = (2 * t * p + c1) * (2 * tp + c2) / ((t * t + p * p + c1) * (of.variance + pp + c2))
    return np.where(of.size > 0, map_.mean(-1), np.nan)


def _windows(x: Array) -> Array:
    """Means over the windows that lie within the record."""
    from scipy.ndimage import uniform_filter1d

    edge = WINDOW // 2
    return np.asarray(uniform_filter1d(x, WINDOW, axis=-1)[..., edge : x.shape[-1] - edge])


def _unbiased(variance: Array) -> Array:
    return WINDOW / (WINDOW - 1) * variance


def relative_mse(truth: Array, predicted: Array) -> Array:
    """MSE over the squared range of the truth, of (..., n_samples); NaN where the truth is flat."""
    size = np.ptp(truth, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.square(predicted - truth).mean(-1) / np.square(size)
    return np.where(size > 0, found, np.nan)


def missing_leads(derivable: bool) -> NDArray[np.float64]:
    """(MOST_LEADS, N_CLASSES, 12): in how many subsets of n leads and of this class each lead is missing.

    Without the `derivable` ones: those that follow from the subset are not counted as missing.
    """
    subsets = every_subset()
    size, classes = subsets.sum(1), classes_of(subsets)
    follows = np.stack([known(which) for which in range(N_CLASSES)])
    missing = ~subsets if derivable else ~follows[classes]
    counts = np.zeros((MOST_LEADS, N_CLASSES, subsets.shape[1]))
    few = size <= MOST_LEADS
    np.add.at(counts, (size[few] - 1, classes[few]), missing[few].astype(np.float64))
    return counts


def aup(by_class: Mapping[int, NDArray[np.floating]], derivable: bool) -> Array:
    """(MOST_LEADS, n_records) area of each n and record: the mean over subsets and missing leads.

    `by_class` has for each class with an unknown lead the values (n_records, 12); NaN counts for nothing.
    """
    counts = missing_leads(derivable)
    n_records = len(next(iter(by_class.values())))
    total, weight = np.zeros((MOST_LEADS, n_records)), np.zeros((MOST_LEADS, n_records))
    for which, values in by_class.items():
        defined = np.isfinite(values)
        total += counts[:, which] @ np.where(defined, values, 0.0).T
        weight += counts[:, which] @ defined.T.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(total, weight))
