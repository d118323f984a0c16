"""Which leads a training record shows: practical sets more often, any one to seven leads besides."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.lead_subsets import classes_of
from edge.leads import INPUT_LEADS, LEADS, lead_indices

NAMED_SETS: tuple[tuple[str, ...], ...] = (
    INPUT_LEADS,
    ("I",),
    ("II",),
    ("I", "II"),
    ("II", "V2"),
    ("I", "II", "V2"),
    ("I", "II", "V3"),
    ("V1", "V5", "aVF"),
    ("I", "II", "V2", "V5"),
    ("I", "II", "V1", "V3", "V5"),
    ("V1", "V2", "V3", "V4", "V5", "V6"),
)
"""What people wear: today's, a watch, six limb leads, a patch and more, a Holter, four or five electrodes."""
MOST_LEADS = 7  # of a random subset: eight would leave nothing open


@dataclass(frozen=True)
class Sampling:
    """Shares of the sets that are drawn; what remains are random subsets."""

    first: float = 0.25
    """Of NAMED_SETS, the first."""
    named: float = 0.4
    """Any of NAMED_SETS."""
    lead_off: float = 0.12
    """Share of all of which one more lead is off, while one is left."""

    def leaning(self, first: float) -> Sampling:
        """With this share of the first; the others share what it leaves as they did."""
        return replace(self, first=first, named=self.named * ((1 - first) / (1 - self.first)))

    def settled(self) -> Sampling:
        """For the end of training: what most people wear still more often."""
        return replace(self, first=max(self.first, 0.4), named=min(self.named, 0.3))

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """(n,) classes."""
        present = self.subsets(n, rng)
        off = (rng.random(n) < self.lead_off) & (present.sum(1) > 1)
        lost = (rng.random(present.shape) * present).argmax(1)
        present[off, lost[off]] = False
        return classes_of(present)

    def subsets(self, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """(n, 12) which leads are there before any is lost."""
        size = rng.integers(1, MOST_LEADS + 1, n)
        rank = rng.random((n, len(LEADS))).argsort(1).argsort(1)
        present = rank < size[:, None]
        kind = rng.random(n)
        which = np.where(kind < self.first, 0, rng.integers(len(NAMED_SETS), size=n))
        named = kind < self.first + self.named
        present[named] = _NAMED[which[named]]
        return np.asarray(present, np.bool_)


_NAMED = np.zeros((len(NAMED_SETS), len(LEADS)), bool)
for _row, _leads in zip(_NAMED, NAMED_SETS, strict=True):
    _row[lead_indices(_leads)] = True
