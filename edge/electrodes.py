"""Which electrodes a set of leads needs, and which sets so many electrodes can measure.

The counting rule. A limb lead is a difference of limb electrodes: I, II and III need two of RA, LA, LL; aVR,
aVL and aVF need all three, and so do any two limb leads, which give all six. V1 to V6 are measured against
Wilson's terminal, the mean of RA, LA and LL: each chest electrode gives one lead, and the three limb
electrodes have to be there. So two electrodes measure one limb lead, three all six, and each one more a
chest lead. A right-leg drive (RL) is an electrode on the body that measures nothing.

A patch between two spots on the chest measures neither a limb nor a V lead: it has another reference than
the decoder learned. Worn near V2, say, it may resemble V2, but what is expected then was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from edge.leads import LEADS, lead_indices

LIMB_ELECTRODES = ("RA", "LA", "LL")
CHEST_LEADS = LEADS[6:]
_OF_ONE_LEAD = {"I": ("RA", "LA"), "II": ("RA", "LL"), "III": ("LA", "LL")}
MOST_ELECTRODES = len(LIMB_ELECTRODES) + len(CHEST_LEADS)
"""That measure: with a right-leg drive these are the ten of a 12-lead ECG."""


def electrodes_of(leads: Sequence[str]) -> tuple[str, ...]:
    """The electrodes that measure these leads, without a right-leg drive.

    Raises InputError for an unknown lead or one given twice.
    """
    present = [LEADS[row] for row in sorted(lead_indices(leads))]
    chest = tuple(lead for lead in present if lead in CHEST_LEADS)
    limb = [lead for lead in present if lead not in CHEST_LEADS]
    if not chest and len(limb) < 2:
        return _OF_ONE_LEAD.get(limb[0], LIMB_ELECTRODES) if limb else ()
    return (*LIMB_ELECTRODES, *chest)


def sets_of(n: int) -> list[tuple[str, ...]]:
    """All that `n` measuring electrodes can measure at most, by the leads that the others follow from."""
    if n < 2 or n > MOST_ELECTRODES:
        return []
    if n == 2:
        return [(lead,) for lead in _OF_ONE_LEAD]
    chosen = combinations(CHEST_LEADS, n - len(LIMB_ELECTRODES))
    return [("I", "II", *chest) for chest in chosen]
