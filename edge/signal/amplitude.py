"""Sigma that grows with what is shown: an error is a share of the amplitude, beside what the decoder says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, twelve_from

# Two halves or ones a row: the products are exact and no order of the sum shows, whatever comes at once.
_TWELVE = twelve_from(INDEPENDENT_LEADS).astype(np.float64)
_HALF = np.array(0.5, np.float32)


class Widening:
    """What a share of each lead's amplitude adds to its sigma, for `n` samples at a time.

    All arrays are made once, and no operation mixes types: NumPy then takes half as long for a hop.
    """

    def __init__(self, n: int, share: float) -> None:
        self._share = np.array(share * share)
        self._added, self._given = np.empty((len(_TWELVE), n)), np.empty((len(_TWELVE), n))

    def widen(self, log_sigma: NDArray[np.float32], decoded: NDArray[np.float64]) -> None:
        """Add, in place, the share of each lead's amplitude to its sigma, as the root of the sum of squares.

        `log_sigma` (12, n) of mV, rows LEADS; `decoded` (8, n) mV, INDEPENDENT_LEADS above the corner of the
        residual branch: baseline wander makes nothing less sure.
        """
        added, given = self._added, self._given
        _TWELVE.dot(decoded, added)
        np.multiply(added, added, added)
        np.multiply(added, self._share, added)
        np.add(log_sigma, log_sigma, log_sigma)
        given[...] = np.exp(log_sigma, log_sigma)
        np.add(added, given, added)
        log_sigma[...] = np.log(added, added)
        np.multiply(log_sigma, _HALF, log_sigma)
