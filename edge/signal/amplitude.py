"""Sigma that grows with what is shown: an error is a share of the amplitude, beside what the decoder says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, lead_indices

_ROWS = lead_indices(INDEPENDENT_LEADS)
_LIMB = slice(2, 6)  # III, aVR, aVL, aVF, up to their signs
_OF_I = np.array([[-1], [0.5], [1], [-0.5]], np.float32)
_OF_II = np.array([[1], [0.5], [-0.5], [1]], np.float32)


def widen(log_sigma: NDArray[np.float32], decoded: NDArray[np.floating], share: float) -> None:
    """Add, in place, the share of each lead's amplitude to its sigma, as the root of the sum of squares.

    `log_sigma` (..., 12, n) of mV, rows LEADS; `decoded` (..., 8, n) mV, INDEPENDENT_LEADS above the corner
    of the residual branch: baseline wander makes nothing less sure.
    """
    shown = np.empty_like(log_sigma)
    shown[..., _ROWS, :] = decoded
    # No product of matrices: its last bit would depend on how many samples come at once.
    shown[..., _LIMB, :] = _OF_I * shown[..., :1, :] + _OF_II * shown[..., 1:2, :]
    shown *= np.float32(share)
    variance = np.exp(2 * log_sigma)
    variance += np.square(shown, out=shown)
    np.log(variance, out=log_sigma)
    log_sigma *= np.float32(0.5)
