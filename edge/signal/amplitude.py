"""Sigma that grows with what is shown: an error is a share of the amplitude, beside what the decoder says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, twelve_from

# Two halves or ones a row: the products are exact and no order of the sum shows, whatever comes at once.
_TWELVE = twelve_from(INDEPENDENT_LEADS).astype(np.float64)
_HALF = np.float32(0.5)


def widen(log_sigma: NDArray[np.float32], decoded: NDArray[np.float64], share: float) -> None:
    """Add, in place, the share of each lead's amplitude to its sigma, as the root of the sum of squares.

    `log_sigma` (..., 12, n) of mV, rows LEADS; `decoded` (..., 8, n) mV, INDEPENDENT_LEADS above the corner
    of the residual branch: baseline wander makes nothing less sure.
    """
    variance = _TWELVE @ decoded
    variance *= variance
    variance *= share * share
    np.add(log_sigma, log_sigma, log_sigma)
    variance += np.exp(log_sigma, log_sigma)
    np.log(variance, log_sigma, casting="same_kind")
    log_sigma *= _HALF
