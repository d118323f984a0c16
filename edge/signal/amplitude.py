"""Sigma that grows with what is shown: an error is a share of the amplitude, beside what the decoder says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, lead_indices

_ROWS = lead_indices(INDEPENDENT_LEADS)


def widen(log_sigma: NDArray[np.float32], decoded: NDArray[np.float32], share: np.float32) -> None:
    """Add, in place, the share of each lead's amplitude to its sigma, as the root of the sum of squares.

    `log_sigma` (12, n) of mV, rows LEADS; `decoded` (8, n) mV, INDEPENDENT_LEADS above the corner of the
    residual branch: baseline wander makes nothing less sure.
    """
    shown = np.empty_like(log_sigma)
    shown[_ROWS] = decoded
    i, ii = shown[0], shown[1]
    shown[2], shown[3], shown[4], shown[5] = ii - i, (i + ii) / 2, i - ii / 2, ii - i / 2
    shown *= share
    variance = np.exp(2 * log_sigma)
    variance += np.square(shown, out=shown)
    np.log(variance, out=log_sigma)
    log_sigma *= np.float32(0.5)
