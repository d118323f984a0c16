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
- `projection` and `restored` act after the graph, in the reconstructor: ecg = projection @ ecg_mv +
  restored @ leads. Whatever the residual says, what is measured comes out as it went in, and no product
  has to be subtracted first. The projection is a choice of rows (what is measured is written over), but for
  a single limb lead other than I and II, where it is a 2x2 block.
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

    Two limb leads or more give all six, by least squares where more than two are there and contradict
    each other.
    """
    matrix = np.diag(present.astype(np.float64))
    limb = np.flatnonzero(present[:N_LIMB])
    if len(limb) > 1:
        einthoven = TWELVE[:N_LIMB, :2]
        matrix[:N_LIMB, limb] = einthoven @ np.linalg.pinv(einthoven[limb])
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


def label(which: int) -> str:
    """A class by the leads of `measurement`, as a reader knows it: I+II+V2."""
    return "+".join(LEADS[row] for row in measurement(which)[0])
