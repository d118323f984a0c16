"""What look-ahead costs: leads that are known at once, and their flags, wait for those that are not yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Delay:
    """A delay line of whole samples, the same however it is fed."""

    def __init__(self, n_rows: int, n_samples: int, fill: float, dtype: type) -> None:
        self.n_samples = n_samples
        self._fill = fill
        self._held: NDArray[Any] = np.full((n_rows, n_samples), fill, dtype)

    def reset(self) -> None:
        """Forget what it holds: `fill` comes out first."""
        self._held[:] = self._fill

    def push(self, values: NDArray[Any]) -> NDArray[Any]:
        """(n_rows, n) in, what came n_samples before out, of the same shape."""
        n = values.shape[1]
        joined = np.concatenate([self._held, values], 1)
        self._held = joined[:, n:].copy()
        return joined[:, :n]


class LookAhead:
    """Brings the eight independent leads to one time where the decoder answers late.

    At sample t the decoder gives its residual for t - n_samples: the anchor's prediction and the
    measured leads of then are added here. A lead that was off then is missing now, whatever it is now.
    """

    def __init__(self, n_outputs: int, n_inputs: int, n_samples: int) -> None:
        self.n_samples = n_samples
        self._n_outputs, self._n_inputs = n_outputs, n_inputs
        self._leads = Delay(n_outputs + n_inputs, n_samples, np.nan, np.float32)
        self._bits = Delay(n_inputs, n_samples, 0, np.uint8)
        self.reset()

    def reset(self) -> None:
        """A stream begins: until n_samples are there, nothing comes out."""
        self._leads.reset()
        self._bits.reset()
        self.to_come = self.n_samples
        """Samples that must go in before the first comes out."""

    @property
    def waiting(self) -> int:
        """Samples that went in and have not come out."""
        return self.n_samples - self.to_come

    def taken(self, n: int) -> int:
        """How many of the next n results lie before the stream's first sample."""
        before = min(self.to_come, n)
        self.to_come -= before
        return before

    def align(
        self, residual: NDArray[np.floating], predicted: NDArray[Any], measured: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The eight leads of n_samples ago, outputs first, zero where missing; and where that is.

        `residual` (n_outputs, n) mV as the decoder gives it now, `predicted` (n_outputs, n) by the anchor
        now, `measured` (n_inputs, n) now, NaN where a lead is off.
        """
        now = np.concatenate([predicted.astype(np.float32), measured])
        leads = self._leads.push(now).copy()
        leads[: self._n_outputs] += residual
        missing = np.isnan(leads)
        leads[missing] = 0.0
        return leads, missing

    def align_nothing(self, n: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """As `align`, for n samples at which no lead is on."""
        nothing = np.full((self._n_outputs, n), np.nan, np.float32)
        return self.align(nothing, nothing, np.full((self._n_inputs, n), np.nan, np.float32))

    def align_bits(self, bits: NDArray[np.uint8] | None, n: int) -> NDArray[np.uint8] | None:
        """The inputs' quality bits of n_samples ago; None for all clean."""
        now = np.zeros((self._n_inputs, n), np.uint8) if bits is None else bits
        then: NDArray[np.uint8] = self._bits.push(now)
        return then if np.count_nonzero(then) else None
