"""Blocks for the sinks' tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.leads import INPUT_LEADS, provenance
from edge.samples import TwelveLeadBlock


def ecg(n_samples: int, seed: int = 0) -> NDArray[np.float32]:
    """(12, n) float32 mV of noise of the size of an ECG."""
    return np.random.default_rng(seed).normal(0, 1, (12, n_samples)).astype(np.float32)


def block(
    ecg_mv: NDArray[np.float32],
    first_sample: int = 0,
    quality: NDArray[np.uint8] | int = 0,
    sampling_hz: float = 250.0,
    measured: Sequence[str] = INPUT_LEADS,
) -> TwelveLeadBlock:
    return TwelveLeadBlock(
        ecg_mv=ecg_mv,
        sigma_mv=np.full_like(ecg_mv, 0.05),
        quality=np.broadcast_to(np.asarray(quality, np.uint8), ecg_mv.shape).copy(),
        first_sample=first_sample,
        sampling_hz=sampling_hz,
        provenance=provenance(measured),
    )
