"""The twelve leads, how they follow from each other, and where each output lead comes from.

Einthoven: III = II - I. Goldberger: aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
INDEPENDENT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
DERIVED_LEADS = ("III", "aVR", "aVL", "aVF")
INPUT_LEADS = ("II", "V1", "V5")
RECONSTRUCTED_LEADS = ("I", "V2", "V3", "V4", "V6")
_LIMB_LEADS = LEADS[:6]

# Rows III, aVR, aVL, aVF; columns I, II.
LIMB_FROM_I_II = np.array([[-1.0, 1.0], [-0.5, -0.5], [1.0, -0.5], [-0.5, 1.0]], np.float32)


class Provenance(str, Enum):
    """Where a lead of the output comes from."""

    MEASURED = "measured"
    DERIVED = "derived"
    DERIVED_FROM_RECONSTRUCTED = "derived from reconstructed I"
    DERIVED_FROM_RECONSTRUCTED_II = "derived from reconstructed II"
    DERIVED_FROM_RECONSTRUCTED_LIMB = "derived from reconstructed I and II"
    RECONSTRUCTED = "reconstructed"

    @property
    def is_estimate(self) -> bool:
        """Whether the lead rests on what the decoder made up: it has a sigma."""
        return self not in (Provenance.MEASURED, Provenance.DERIVED)

    def __str__(self) -> str:
        return self.value


def lead_names(leads: object) -> tuple[str, ...]:
    """The names of rows as a tuple. Raises InputError for what has no order, or no names."""
    if isinstance(leads, Iterable) and not isinstance(leads, str | bytes | Set | Mapping):
        names = tuple(leads)
        if all(isinstance(name, str) for name in names):
            return names
    raise InputError(
        f"leads are a sequence of names in the order of the rows, as in ('I', 'II'), not {leads!r:.60}"
    )


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


def provenance(measured: Sequence[str] = INPUT_LEADS) -> tuple[Provenance, ...]:
    """Provenance of each of LEADS, given which of them are measured.

    Two limb leads give the other four. With one, the first of I and II that is not measured is reconstructed;
    with none both are.
    """
    n_limb = sum(name in measured for name in _LIMB_LEADS)
    made = [name for name in _LIMB_LEADS[:2] if name not in measured][: max(0, 2 - n_limb)]
    limb = {
        (): Provenance.DERIVED,
        ("I",): Provenance.DERIVED_FROM_RECONSTRUCTED,
        ("II",): Provenance.DERIVED_FROM_RECONSTRUCTED_II,
        ("I", "II"): Provenance.DERIVED_FROM_RECONSTRUCTED_LIMB,
    }[tuple(made)]
    return tuple(
        Provenance.MEASURED
        if name in measured
        else Provenance.RECONSTRUCTED
        if name in made or name not in _LIMB_LEADS
        else limb
        for name in LEADS
    )


def twelve_from(rows: Sequence[str]) -> NDArray[np.float32]:
    """The (12, 8) float32 matrix that makes all LEADS of the independent ones, given in the order `rows`.

    Its rows have at most two entries that are not zero, so the identities hold to the last bit.
    """
    columns = lead_indices(INDEPENDENT_LEADS, rows)
    matrix = np.zeros((len(LEADS), len(rows)), np.float32)
    for lead, column in zip(INDEPENDENT_LEADS, columns, strict=True):
        matrix[LEADS.index(lead), column] = 1.0
    matrix[2:6, columns[:2]] = LIMB_FROM_I_II
    return matrix
