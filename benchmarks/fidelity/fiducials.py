"""Where R waves lie, and where QRS and T begin and end: by neurokit2, of one lead at a time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from firmware_bridge.extras import install_extra

FEWEST_BEATS = 3  # neurokit2 needs some to know the rate
METHOD = "dwt"  # of neurokit2's delineation: discrete wavelets
RAISED = (ValueError, TypeError, IndexError, KeyError, ZeroDivisionError)
"""By neurokit2, of what is flat, short or noise."""
WAVES = ("ECG_R_Onsets", "ECG_R_Offsets", "ECG_T_Offsets")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fiducials:
    """The beats of one record, in samples.

    Distances are medians over its beats: in single beats the delineator is off by 30 ms and more. Truth and
    reconstruction are read at the same places.
    """

    r: NDArray[np.intp]
    """(n_beats,) R waves"""
    onset: int
    """QRS onset from R: below 0."""
    j: int
    """QRS offset from R."""
    t_end: int
    """T offset from R; `j` where no T wave was found."""


def need_neurokit() -> ModuleType:
    """The delineator. Raises BenchmarkError naming the extra without it."""
    try:
        import neurokit2
    except ImportError as error:
        raise BenchmarkError(
            f"morphology needs neurokit2 ({error}): {install_extra('morphology')}"
        ) from error
    return neurokit2  # type: ignore[no-any-return]


def fiducials(lead_ii_mv: NDArray[np.floating], sampling_hz: float) -> Fiducials | None:
    """Of (n,) mV of a true lead II; None where beats or their QRS were not found."""
    nk = need_neurokit()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = nk.ecg_peaks(lead_ii_mv, sampling_rate=sampling_hz)[1]["ECG_R_Peaks"]
        except RAISED:
            return None
    r = np.asarray(found, np.intp)
    waves = delineated(lead_ii_mv, r, sampling_hz) - r
    onset, j, t_end = (_median(wave) for wave in waves)
    if onset is None or j is None or not onset < 0 < j:
        return None
    return Fiducials(r, onset, j, j if t_end is None else max(j, t_end))


def delineated(
    lead_mv: NDArray[np.floating], r: NDArray[np.intp], sampling_hz: float
) -> NDArray[np.float64]:
    """(3, n_beats) samples of QRS onset, QRS offset and T offset around the R waves; NaN where not found."""
    nothing = np.full((len(WAVES), len(r)), np.nan)
    if len(r) < FEWEST_BEATS:
        return nothing
    nk = need_neurokit()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = nk.ecg_delineate(lead_mv, r, sampling_rate=sampling_hz, method=METHOD)[1]
        except RAISED:
            return nothing
    waves = np.array([np.asarray(found[name], np.float64) for name in WAVES])
    return waves if waves.shape == nothing.shape else nothing


def _median(distances: Array) -> int | None:
    found = distances[np.isfinite(distances)]
    return round(float(np.median(found))) if len(found) else None
