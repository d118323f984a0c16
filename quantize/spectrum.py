"""Power in a band of frequencies: what of sharp waves a reconstruction keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BAND_HZ = (40.0, 100.0)


def band_power(ecg: Array, sampling_hz: float, band_hz: tuple[float, float] = BAND_HZ) -> Array:
    """(..., n) -> (...) power in a band, in units that cancel in a ratio."""
    window = np.hanning(ecg.shape[-1])
    power = np.square(np.abs(np.fft.rfft(ecg * window)))
    f = np.fft.rfftfreq(ecg.shape[-1], 1 / sampling_hz)
    return np.asarray(power[..., (f >= band_hz[0]) & (f < band_hz[1])].sum(-1))


def band_ratio_db(made: Array, true: Array, sampling_hz: float) -> Array:
    """(..., n) twice -> (...) power in BAND_HZ, made over true, in dB; NaN where either has none.

    0 dB is as sharp as the truth, what is below is smoother.
    """
    ours, theirs = (band_power(one, sampling_hz) for one in (made, true))
    defined = (ours > 0) & (theirs > 0)
    ratio = np.divide(ours, theirs, out=np.ones_like(ours), where=defined)
    return np.where(defined, 10 * np.log10(ratio), np.nan)
