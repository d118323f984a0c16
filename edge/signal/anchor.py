"""The anchor: the least-squares linear map from the measured leads to the reconstructed ones.

It follows in closed form from the 8x8 second-moment matrix of the independent leads, for any subset of
the inputs, so a lead that is off changes the map and nothing has to be stored per subset.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, lead_indices

RIDGE = (
    1e-6  # of the mean input power: keeps the solve regular when two inputs carry the same signal
)


def anchor_from_moments(
    moments: NDArray[np.float64],
    inputs: Sequence[str],
    outputs: Sequence[str],
    present: Sequence[bool] | NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """The (n_outputs, n_inputs) float32 map of least squared error.

    `moments` is the (8, 8) second-moment matrix E[x x^T] of INDEPENDENT_LEADS in mV^2. Inputs that are
    not `present` get a zero column; with none present the map is zero.
    """
    rows, columns = (
        lead_indices(outputs, INDEPENDENT_LEADS),
        lead_indices(inputs, INDEPENDENT_LEADS),
    )
    on = np.ones(len(columns), bool) if present is None else np.asarray(present, bool)
    anchor = np.zeros((len(rows), len(columns)))
    used = [column for column, is_on in zip(columns, on, strict=True) if is_on]
    if used:
        # float64: in float32 the normal equations of millions of samples lose the map.
        power = np.asarray(moments, np.float64)[np.ix_(used, used)]
        power = power + RIDGE * np.trace(power) / len(used) * np.eye(len(used))
        anchor[:, on] = np.linalg.solve(
            power, np.asarray(moments, np.float64)[np.ix_(used, rows)]
        ).T
    return anchor.astype(np.float32)
