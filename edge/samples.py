"""Blocks: contiguous samples between two stages of the live path, as frozen values.

`first_sample` counts from the start of the stream (or the last `reset()`), so a block says exactly
what is missing between it and the one before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.leads import LEADS, Provenance


@dataclass(frozen=True, slots=True, eq=False)
class SampleBlock:
    """Measured leads as they came from the device, before conditioning."""

    ecg_mv: NDArray[np.float32]
    """(n_leads, n_samples) float32 mV; NaN where nothing was measured (lead off, gap)."""
    first_sample: int
    sampling_hz: float
    quality: NDArray[np.uint8]
    """(n_leads, n_samples) uint8, `edge.Quality` bits known so far (CLIPPED, INTERPOLATED, GAP)."""
    arrival_ns: int = 0
    """`time.monotonic_ns()` when the last byte of the block arrived; 0 where there was no wire."""
    acquired_ns: int = 0
    """Host time at which the device took the last sample, by `edge.clock`; 0 where unknown."""

    @property
    def n_samples(self) -> int:
        """Samples per lead."""
        return int(self.ecg_mv.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class TwelveLeadBlock:
    """Twelve leads out: what `Reconstructor.push` returns and every sink takes."""

    ecg_mv: NDArray[np.float32]
    """(12, n_samples) float32 mV in the order of `edge.LEADS`; NaN where an input lead is off."""
    sigma_mv: NDArray[np.float32]
    """(12, n_samples) float32 mV, one standard deviation of the error; 0 where measured."""
    quality: NDArray[np.uint8]
    """(12, n_samples) uint8, `edge.Quality` bits."""
    first_sample: int
    sampling_hz: float
    provenance: tuple[Provenance, ...]
    """Where each of the twelve leads comes from."""
    arrival_ns: int = 0
    acquired_ns: int = 0

    @property
    def leads(self) -> tuple[str, ...]:
        """`edge.LEADS`."""
        return LEADS

    @property
    def n_samples(self) -> int:
        """Samples per lead; may be 0."""
        return int(self.ecg_mv.shape[1])
