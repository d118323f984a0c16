"""The twelve leads, how they follow from each other, and where each output lead comes from.

Einthoven: III = II - I. Goldberger: aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
INDEPENDENT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
DERIVED_LEADS = ("III", "aVR", "aVL", "aVF")
INPUT_LEADS = ("II", "V1", "V5")
RECONSTRUCTED_LEADS = ("I", "V2", "V3", "V4", "V6")

# Rows III, aVR, aVL, aVF; columns I, II.
LIMB_FROM_I_II = np.array([[-1.0, 1.0], [-0.5, -0.5], [1.0, -0.5], [-0.5, 1.0]], np.float32)


class Provenance(str, Enum):
    """Where a lead of the output comes from."""

    MEASURED = "measured"
    DERIVED = "derived"
    DERIVED_FROM_RECONSTRUCTED = "derived from reconstructed I"
    RECONSTRUCTED = "reconstructed"

    def __str__(self) -> str:
        return self.value


def lead_indices(names: Sequence[str], among: Sequence[str] = LEADS) -> list[int]:
    """Positions of `names` in `among`.

    Raises InputError for a name that is not there, and for a name given twice.
    """
    unknown = [name for name in names if name not in among]
    if unknown:
        raise InputError(f"unknown lead {unknown[0]!r}: use names from {', '.join(among)}")
    if len(set(names)) != len(names):
        raise InputError(f"a lead is named twice in {', '.join(names)}: name each once")
    return [among.index(name) for name in names]


def provenance(
    measured: Sequence[str] = INPUT_LEADS, reconstructed: Sequence[str] = RECONSTRUCTED_LEADS
) -> tuple[Provenance, ...]:
    """Provenance of each of LEADS, given which independent leads are measured and reconstructed."""
    limb = Provenance.DERIVED_FROM_RECONSTRUCTED if "I" in reconstructed else Provenance.DERIVED
    return tuple(
        Provenance.MEASURED
        if name in measured
        else Provenance.RECONSTRUCTED
        if name in reconstructed
        else limb
        for name in LEADS
    )


def twelve_from_eight(independent_mv: NDArray[np.float32]) -> NDArray[np.float32]:
    """All LEADS, (12, n) float32 mV, from INDEPENDENT_LEADS, (8, n) mV, by the lead identities."""
    if independent_mv.ndim != 2 or independent_mv.shape[0] != 8:
        raise InputError(
            f"expected (8, n) rows {', '.join(INDEPENDENT_LEADS)}, got {independent_mv.shape}"
        )
    out = np.empty((12, independent_mv.shape[1]), np.float32)
    out[:2] = independent_mv[:2]
    out[2:6] = LIMB_FROM_I_II @ out[:2]
    out[6:] = independent_mv[2:]
    return out
