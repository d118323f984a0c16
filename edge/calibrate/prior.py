"""What the calibrations of other patients look like: the prior of a patient's map, by what is measured.

For each class of leads (`edge.lead_subsets`) the mean and the covariance over patients of the weights that
fit ten seconds of each; one covariance for all outputs, times a factor of each output.
`quantize.calibration_prior` makes the file.
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
FLOOR = 1e-4  # added to each variance, before the factor of the output: no weight is certain
SPREAD_ROUNDS = 4  # covariance and spreads in turn: then they have settled

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
    """(n_outputs, n, n), n = n_taps * n_features; for each tap the known leads, then the open ones."""
    linear: Array
    """(n_outputs, n) precision times mean."""

    def without(self, features: Features, outputs: tuple[str, ...]) -> Prior:
        """For these outputs alone, given that the predictions of the other open leads weigh nothing."""
        kept = [one in features.known or one in outputs for one in features.known + features.open]
        every = np.flatnonzero(np.tile(kept, len(TAPS)))
        rows = np.array(lead_indices(outputs, features.open))
        return Prior(self.precision[np.ix_(rows, every, every)], self.linear[np.ix_(rows, every)])


def prior_of(which: int) -> Prior:
    """The prior of a class that leaves something open."""
    means, factors, spreads = _stored()[which]
    n = len(TAPS) * len(Features.of(which))
    lower = np.zeros((n, n))
    lower[np.tril_indices(n)] = factors
    precision = lower @ lower.T / spreads.astype(np.float64)[:, None, None]
    mean = means.reshape(-1, n, 1).astype(np.float64)
    return Prior(precision, (precision @ mean)[..., 0])


Packed = tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.float16]]
"""Of a class, rows end to end: the means, the lower factor of the common precision; and of each output the
factor of its variances."""


def packed(weights: NDArray[np.floating]) -> Packed:
    """The prior of patients' weights, (n_patients, n_outputs, n): their mean, and covariance and spreads.

    These by maximum likelihood in turn (Dutilleul 1999, spreads diagonal and 1 in the mean), plus FLOOR.
    """
    mean = weights.mean(0)
    apart = weights - mean
    n_outputs, n = apart.shape[1:]
    spreads = np.ones(n_outputs)
    for _ in range(SPREAD_ROUNDS):
        even = (apart / np.sqrt(spreads)[:, None]).reshape(-1, n)
        precision = np.linalg.inv(even.T @ even / len(even) + FLOOR * np.eye(n))
        total = np.einsum("poi,ij,poj->o", apart, precision, apart, optimize=True)
        spreads = total / total.mean()
    rows = np.linalg.cholesky(precision)[np.tril_indices(n)]
    return mean.ravel().astype(np.float16), rows.astype(np.float16), spreads.astype(np.float16)


def write_priors(file: Path, priors: Mapping[int, Packed]) -> None:
    """All of them, each array as one."""
    means, factors, spreads = zip(*priors.values(), strict=True)
    np.savez(
        file,
        classes=np.array(list(priors), np.int16),
        means=np.concatenate(means),
        factors=np.concatenate(factors),
        spreads=np.concatenate(spreads),
    )


@cache
def _stored() -> dict[int, Packed]:
    with np.load(FILE, allow_pickle=False) as stored:
        classes, *arrays = (stored[name] for name in ("classes", "means", "factors", "spreads"))
    found, at = {}, [0, 0, 0]
    for which in classes.tolist():
        features = Features.of(which)
        n, n_outputs = len(TAPS) * len(features), len(features.open)
        to = [at[0] + n_outputs * n, at[1] + n * (n + 1) // 2, at[2] + n_outputs]
        means, factors, spreads = (one[a:b] for one, a, b in zip(arrays, at, to, strict=True))
        found[which], at = (means, factors, spreads), to
    return found


def open_classes() -> list[int]:
    """Every class that leaves an independent lead open."""
    return [which for which in range(1, N_CLASSES) if not known(which)[INDEPENDENT_ROWS].all()]
