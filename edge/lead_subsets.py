"""What any subset of the twelve leads says of the eight independent ones, in NumPy alone.

The 4,095 subsets are 511 classes of what is known: no limb lead, one of six, or two of them and so all six;
times 2^6 chest leads. A class is a number below N_CLASSES: 64 times the state of the limb leads (0 none,
1 to 6 the one of LEADS, 7 all), plus a bit for each chest lead. Class 0 knows nothing.

What the decoder is given for a class, and what of `anchor` stays an input of its graph:

- `known` says which of the twelve leads follow from those measured, and `completed` makes them all. So the
  graph's `ecg` and `mask` have twelve rows in the order of LEADS, and {I, II}, {II, III} or all six limb
  leads are one and the same to it.
- `anchor_of` is the (8, 12) least-squares map of the population, or of a patient, and stays a float32 input
  of the graph as it is for II, V1, V5: the graph's `ecg_mv` is anchor times leads plus the INT8 residual.
  The graph of an any-lead decoder differs from today's in the width of its two ends only.
- `assembled` acts after the graph, in the reconstructor: with the projection P onto what is left open and the
  measured leads' part M^+, ecg = P @ ecg_mv + M^+ @ leads. Whatever the residual says, what is measured
  comes out as it went in, and no product has to be subtracted first. P is a choice of rows (what is measured
  is written over), but for a single limb lead other than I and II, where it has a 2x2 block.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, LEADS, lead_indices, twelve_from
from edge.signal.anchor import RIDGE

N_LIMB, N_CHEST = 6, 6
ALL_LIMB = N_LIMB + 1
N_CLASSES = (ALL_LIMB + 1) << N_CHEST
TWELVE: NDArray[np.float64] = twelve_from(INDEPENDENT_LEADS).astype(np.float64)
"""(12, 8): all LEADS of INDEPENDENT_LEADS."""
INDEPENDENT_ROWS = lead_indices(INDEPENDENT_LEADS)
_CHEST_BITS = 1 << np.arange(N_CHEST)


def class_of(leads: Sequence[str]) -> int:
    """The class of some leads by name. Raises InputError for an unknown lead or one given twice."""
    present = np.zeros(len(LEADS), bool)
    present[lead_indices(leads)] = True
    return int(classes_of(present))


def classes_of(present: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(..., 12) which of LEADS are measured -> (...) classes."""
    limb = present[..., :N_LIMB]
    n = limb.sum(-1)
    state = np.where(n > 1, ALL_LIMB, np.where(n == 1, 1 + limb.argmax(-1), 0))
    return np.asarray((state << N_CHEST) + present[..., N_LIMB:] @ _CHEST_BITS, np.intp)


def every_subset() -> NDArray[np.bool_]:
    """(4095, 12): each non-empty subset of LEADS."""
    return np.array(
        [[s >> row & 1 for row in range(len(LEADS))] for s in range(1, 1 << len(LEADS))], bool
    )


def known(which: int) -> NDArray[np.bool_]:
    """(12,) which of LEADS follow from what a class measures."""
    state, chest = which >> N_CHEST, (which & _CHEST_BITS) > 0
    limb = np.full(N_LIMB, state == ALL_LIMB) | (np.arange(N_LIMB) == state - 1)
    return np.concatenate([limb, chest])


def completed(present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(12, 12) map from measured leads to all that are known of them; columns not `present` are zero.

    What is measured stays itself. The other limb leads follow from the first two that are measured: of more,
    those that contradict each other would break the identities.
    """
    matrix = np.diag(present.astype(np.float64))
    limb = np.flatnonzero(present[:N_LIMB])
    if len(limb) > 1:
        einthoven, two = TWELVE[:N_LIMB, :2], limb[:2]
        derived = np.flatnonzero(~present[:N_LIMB])
        matrix[np.ix_(derived, two)] = _exact(einthoven[derived] @ np.linalg.inv(einthoven[two]))
    return matrix


def measurement(which: int) -> tuple[list[int], NDArray[np.float64]]:
    """Independent rows of LEADS that hold what a class knows, and the (n, 8) matrix that measures them."""
    rows = np.flatnonzero(known(which)).tolist()
    if which >> N_CHEST == ALL_LIMB:
        rows = [row for row in rows if row < 2 or row >= N_LIMB]
    return rows, TWELVE[rows]


def projection(which: int) -> NDArray[np.float64]:
    """(8, 8) onto what a class leaves open: I - M^+ M."""
    _, m = measurement(which)
    return np.eye(len(INDEPENDENT_LEADS)) - np.linalg.pinv(m) @ m


def restored(which: int) -> NDArray[np.float64]:
    """(8, 12) map from the known leads to their part of the independent ones: M^+."""
    rows, m = measurement(which)
    matrix = np.zeros((len(INDEPENDENT_LEADS), len(LEADS)))
    matrix[:, rows] = np.linalg.pinv(m)
    return matrix


def anchor_of(moments: NDArray[np.float64], which: int) -> NDArray[np.float64]:
    """(8, 12) map of least squared error from the known leads to the independent ones.

    `moments` as in `edge.signal.anchor`. The known leads come out as they went in, whatever the ridge.
    """
    rows, m = measurement(which)
    anchor = np.zeros((len(INDEPENDENT_LEADS), len(LEADS)))
    if rows:
        power = m @ moments @ m.T
        power += RIDGE * np.trace(power) / len(rows) * np.eye(len(rows))
        anchor[:, rows] = np.linalg.solve(power, m @ moments).T
    return projection(which) @ anchor + restored(which)


def assembled(present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(12, 8 + 12) map of the decoder's eight leads, then the measured ones of LEADS, to all twelve.

    Rows of measured leads choose them, so they come out as they went in, even where limb leads contradict
    each other.
    """
    which = int(classes_of(present))
    complete = completed(present)
    both = np.concatenate([projection(which), restored(which) @ complete], 1)
    twelve: NDArray[np.float64] = TWELVE @ both
    certain = known(which)
    twelve[certain, : len(INDEPENDENT_LEADS)] = 0.0
    twelve[certain, len(INDEPENDENT_LEADS) :] = complete[certain]
    return _exact(twelve)


def sigma_of(which: int) -> NDArray[np.float64]:
    """(12, 12) map of the decoder's sigmas to those of LEADS: 0 for what is known.

    With one limb lead known, one direction is open: the errors of the others are multiples of each other, and
    so are their sigmas. The first of I and II that is open sets them.
    """
    certain = known(which)
    matrix = np.diag((~certain).astype(np.float64))
    if 0 < which >> N_CHEST < ALL_LIMB:
        open_limb = TWELVE[:N_LIMB] @ projection(which)[:, :2]  # of rank 1
        size = np.abs(open_limb).max(1)
        first = int(np.flatnonzero(~certain[:2])[0])
        matrix[:N_LIMB] = 0.0
        matrix[:N_LIMB, first] = np.where(certain[:N_LIMB], 0.0, size / size[first])
    return matrix


def _exact(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without what rounding left of zeros, halves and ones."""
    return np.asarray(np.round(matrix, 12) + 0.0)


def label(which: int) -> str:
    """A class by the leads of `measurement`, as a reader knows it: I+II+V2."""
    return "+".join(LEADS[row] for row in measurement(which)[0])
