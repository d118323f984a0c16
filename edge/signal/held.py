"""What a reconstructor holds back: samples that do not fill a hop yet, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Held:
    """Samples that do not fill a hop yet."""

    samples: NDArray[np.float32]
    missing: Flags | None
    bits: Bits | None

    @property
    def n_samples(self) -> int:
        """Per lead."""
        return int(self.samples.shape[1])

    def before(
        self, samples: NDArray[np.float32], missing: Flags | None, bits: Bits | None
    ) -> tuple[NDArray[np.float32], Flags | None, Bits | None]:
        """These samples and then those, with what is known of either."""
        ours, theirs = self.samples.shape, samples.shape
        if self.missing is not None or missing is not None:
            parts = (_or_zeros(self.missing, ours, bool), _or_zeros(missing, theirs, bool))
            missing = np.concatenate(parts, 1)
        if self.bits is not None or bits is not None:
            known = (_or_zeros(self.bits, ours, np.uint8), _or_zeros(bits, theirs, np.uint8))
            bits = np.concatenate(known, 1)
        return np.concatenate([self.samples, samples], 1), missing, bits


def _or_zeros(value: NDArray[Any] | None, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    return np.zeros(shape, dtype) if value is None else value
