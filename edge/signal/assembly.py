"""From what an engine made of some samples to twelve leads: the arithmetic, in arrays made once.

For one stream, or for many side by side: then every array has a leading axis of streams. Either way a
stream's numbers come from products of the same shapes, so its company does not show in the last bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.signal.amplitude import widen

MAX_LOG_SIGMA = math.log(1.0)  # mV: the size of a QRS; a decoder that is less sure has no idea


class Assembly:
    """The arrays of `n` samples; fill `filtered`, then `decode`, then `twelve`."""

    def __init__(
        self,
        n_decoded: int,
        n_measured: int,
        n_sigmas: int,
        n: int,
        n_streams: int | None = None,
        sigma_amplitude: float = 0.0,
    ) -> None:
        self._sigma_amplitude = sigma_amplitude
        streams = () if n_streams is None else (n_streams,)
        self._product = np.dot if n_streams is None else np.matmul
        rows = n_decoded + n_measured
        every = np.zeros((*streams, rows + n_measured, n), np.float32)
        self.leads = every[..., :rows, :]
        """(n_decoded + n_measured, n) mV: the decoded leads, then the conditioned ones."""
        self.decoded = self.leads[..., :n_decoded, :]
        self.filtered = every[..., n_decoded:, :].reshape(*streams, 2, n_measured, n)
        """(2, n_measured, n) mV: the conditioned leads and what the residual branch sees."""
        self.conditioned = self.filtered[..., 0, :, :]
        self.residual = self.filtered[..., 1, :, :]
        self.log_sigma = np.zeros((*streams, n_sigmas, n), np.float32)
        self._below = np.zeros((*streams, n_measured, n), np.float32)
        self._below64 = np.zeros(self._below.shape)
        self._slow = np.zeros((*streams, n_decoded, n))
        self._decoded64 = np.zeros(self._slow.shape)
        self._given, self._bounded = self._decoded64[..., None], self.log_sigma[..., None]
        self._most = np.full(self._bounded.shape, MAX_LOG_SIGMA, np.float32)

    def decode(
        self,
        anchor: NDArray[np.float64],
        decoded: NDArray[np.float32],
        log_sigma: NDArray[np.float32],
    ) -> None:
        """Fill `decoded` and `log_sigma` with what the engine made, (n_decoded, n, 1) and (n_sigmas, n, 1).

        What lies below the residual branch's band the anchor maps alone. It is summed in float64, so that no
        order of terms shows.
        """
        np.subtract(self.conditioned, self.residual, self._below)
        self._below64[...] = self._below
        self._product(anchor, self._below64, self._slow)
        self._given[...] = decoded
        np.add(self._slow, self._decoded64, self._slow)
        self.decoded[...] = self._slow
        np.fmin(log_sigma, self._most, self._bounded)  # several times faster than np.minimum
        if self._sigma_amplitude:
            widen(self.log_sigma, self._decoded64, self._sigma_amplitude)

    def twelve(
        self,
        twelve: NDArray[np.float32],
        sigma: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """All twelve leads and their sigma, (12, n) mV in arrays of their own, by these two maps."""
        np.exp(self.log_sigma, self.log_sigma)
        return self._product(twelve, self.leads), self._product(sigma, self.log_sigma)
