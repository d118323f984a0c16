"""Area under the ROC curve, also of many weightings of the records at once: those of a bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def auroc(says: Array, is_so: NDArray[np.bool_], weights: Array | None = None) -> Array:
    """Chance that a record that is so scores above one that is not; a tie counts half.

    `says` and `is_so` are (n_records,), `weights` (..., n_records); without it each record counts once.
    Returns (...); NaN where one kind has no weight.
    """
    given = np.ones(len(says)) if weights is None else weights
    _, place = np.unique(says, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    yes, no = (
        np.add.reduceat(given[..., order] * of[order], starts, axis=-1) for of in (is_so, ~is_so)
    )
    below = np.cumsum(no, -1) - no
    pairs = yes.sum(-1) * no.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((yes * (below + no / 2)).sum(-1) / pairs)


def roc(says: Array, is_so: NDArray[np.bool_]) -> tuple[Array, Array]:
    """(n_thresholds + 1,) share of records that are not so, and of those that are, above each threshold."""
    order = np.argsort(-says, kind="stable")
    last = np.flatnonzero(np.diff(says[order], append=-np.inf))
    shares = []
    for of in (~is_so, is_so):
        above = np.cumsum(of[order])[last]
        shares.append(np.concatenate([[0.0], above / max(1, of.sum())]))
    first, second = shares
    return first, second
