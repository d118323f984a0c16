"""What the calibrations of other patients look like: the prior of a patient's map, by what is measured.

For each class of leads (`edge.lead_subsets`) the mean and the covariance over patients of the weights that
fit ten seconds of each; one covariance for all outputs. `quantize.calibration_prior` makes the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.lead_subsets import INDEPENDENT_ROWS, N_CLASSES, known, measurement
from edge.leads import LEADS, lead_indices
from edge.patient.patient import TAPS

FILE = Path(__file__).with_name("prior.npz")
FLOOR = 1e-4  # of the variance of a weight: none is certain

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """What a map weighs at each of TAPS, for one class."""

    known: tuple[str, ...]
    """Independent leads that hold what is measured."""
    open: tuple[str, ...]
    """Independent leads that are predicted."""

    @classmethod
    def of(cls, which: int) -> Features:
        """Those of a class."""
        certain = known(which)
        return cls(
            tuple(LEADS[row] for row in measurement(which)[0]),
            tuple(LEADS[row] for row in INDEPENDENT_ROWS if not certain[row]),
        )

    def __len__(self) -> int:
        return len(self.known) + len(self.open)


@dataclass(frozen=True)
class Prior:
    """A Gaussian over the weights of each output, in information form."""

    precision: Array
    """(n, n) with n = n_taps * n_features; for each tap the known leads, then the open ones."""
    linear: Array
    """(n_outputs, n) precision times mean."""

    def without(self, features: Features, outputs: tuple[str, ...]) -> Prior:
        """For these outputs alone, given that the predictions of the other open leads weigh nothing."""
        kept = [one in features.known or one in outputs for one in features.known + features.open]
        every = np.flatnonzero(np.tile(kept, len(TAPS)))
        rows = lead_indices(outputs, features.open)
        return Prior(self.precision[every][:, every], self.linear[rows][:, every])


def prior_of(which: int) -> Prior:
    """The prior of a class that leaves something open."""
    means, factors = _stored()[which]
    n = len(TAPS) * len(Features.of(which))
    lower = np.zeros((n, n))
    lower[np.tril_indices(n)] = factors
    precision = lower @ lower.T
    return Prior(precision, means.reshape(-1, n).astype(np.float64) @ precision)


Packed = tuple[NDArray[np.float16], NDArray[np.float16]]
"""Of a class the means and the lower factor of the precision, their rows end to end."""


def packed(weights: NDArray[np.floating]) -> Packed:
    """Of patients' weights, (n_patients, n_outputs, n)."""
    mean = weights.mean(0)
    spread = (weights - mean).reshape(-1, weights.shape[2])
    covariance = spread.T @ spread / len(spread) + FLOOR * np.eye(weights.shape[2])
    lower = np.linalg.cholesky(np.linalg.inv(covariance))
    return mean.ravel().astype(np.float16), lower[np.tril_indices(len(lower))].astype(np.float16)


def write_priors(file: Path, priors: Mapping[int, Packed]) -> None:
    """All of them, each array as one."""
    means, factors = zip(*priors.values(), strict=True)
    np.savez(
        file,
        classes=np.array(list(priors), np.int16),
        means=np.concatenate(means),
        factors=np.concatenate(factors),
    )


@cache
def _stored() -> dict[int, Packed]:
    with np.load(FILE, allow_pickle=False) as stored:
        classes, means, factors = (stored[name] for name in ("classes", "means", "factors"))
    found, mean_at, factor_at = {}, 0, 0
    for which in classes.tolist():
        features = Features.of(which)
        n = len(TAPS) * len(features)
        mean_to, factor_to = mean_at + len(features.open) * n, factor_at + n * (n + 1) // 2
        found[which] = means[mean_at:mean_to], factors[factor_at:factor_to]
        mean_at, factor_at = mean_to, factor_to
    return found


def open_classes() -> list[int]:
    """Every class that leaves an independent lead open."""
    return [which for which in range(1, N_CLASSES) if not known(which)[INDEPENDENT_ROWS].all()]
