"""From what an engine made of some samples to twelve leads: the arithmetic, in arrays made once.

Columns are samples: of one stream, or a hop of each of many, stream after stream. A product's columns stand
alone (`side_by_side.Product`), so a stream's company does not show in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.signal.amplitude import Widening

MAX_LOG_SIGMA = math.log(1.0)  # mV: the size of a QRS; a decoder that is less sure has no idea
_MOST = np.array(MAX_LOG_SIGMA, np.float32)


Product = Callable[..., NDArray[Any]]
"""A map put to columns, in an array of its own or in the second argument, as `matrix.dot`."""


class Assembly:
    """The arrays of `n` samples; fill `filtered`, then `decode`, then `twelve`."""

    def __init__(
        self,
        n_decoded: int,
        n_measured: int,
        n_sigmas: int,
        n: int,
        sigma_amplitude: float = 0.0,
        n_streams: int | None = None,
    ) -> None:
        """Of one stream, or of `n_streams` side by side with the same share of `n` each."""
        columns = (n,) if n_streams is None else (n_streams, n // n_streams)
        rows = n_decoded + n_measured
        every = np.zeros((rows + n_measured, n), np.float32)
        self.leads = every[:rows]
        """(n_decoded + n_measured, n) mV: the decoded leads, then the conditioned ones."""
        self.decoded = self.leads[:n_decoded]
        self.filtered = every[n_decoded:].reshape(2, n_measured, n)
        """(2, n_measured, n) mV: the conditioned leads and what the residual branch sees."""
        self.conditioned, self.residual = self.filtered
        self.log_sigma = np.zeros((n_sigmas, n), np.float32)
        self._widening = Widening(n, sigma_amplitude) if sigma_amplitude else None
        self._below = np.zeros((n_measured, n), np.float32)
        self._below64 = np.zeros(self._below.shape)
        self._decoded64 = np.zeros((n_decoded, n))
        self._slow = self._decoded64.copy()
        self._given = self._decoded64.reshape(n_decoded, *columns)
        self._bounded = self.log_sigma.reshape(n_sigmas, *columns)

    def predict(self, anchor: Product) -> None:
        """What lies below the residual branch's band, which the anchor maps alone.

        It is summed in float64, so that no order of terms shows.
        """
        np.subtract(self.conditioned, self.residual, self._below)
        self._below64[...] = self._below
        anchor(
            self._below64, self._slow
        )  # in place: what is kept for long is not to wander in memory

    def predict_of(self, anchor: NDArray[np.float64], at: slice) -> None:
        """The same of the samples `at`, by an anchor of their own, once all are predicted."""
        self._slow[:, at] = anchor.dot(self._below64[:, at].copy())

    def decode(self, decoded: NDArray[np.float32], log_sigma: NDArray[np.float32]) -> None:
        """Fill `decoded` and `log_sigma` with what the engine made, (n_decoded, n) and (n_sigmas, n).

        Of many streams (n_decoded, n_streams, hop) and (n_sigmas, n_streams, hop). `predict` comes first.
        """
        self._given[...] = decoded
        np.add(self._slow, self._decoded64, self._slow)
        self.decoded[...] = self._slow
        np.fmin(log_sigma, _MOST, self._bounded)  # several times faster than np.minimum
        if self._widening is not None:
            self._widening.widen(self.log_sigma, self._decoded64)

    def twelve(
        self, twelve: Product, sigma: Product
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """All twelve leads and their sigma, (12, n) mV in arrays of their own, by these two maps."""
        np.exp(self.log_sigma, self.log_sigma)
        return twelve(self.leads), sigma(self.log_sigma)
