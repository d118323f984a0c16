"""Follows the blocks of a stream, flags what comes after leads were found misplaced, and says so once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.leads import LEADS, lead_indices
from edge.quality import Quality
from edge.samples import TwelveLeadBlock
from edge.signal.misplacement import MisplacementCheck


class MisplacementWatch:
    """For live streams and recordings alike; the flag begins at the same sample whatever the blocks."""

    def __init__(
        self,
        leads: Sequence[str],
        moments: NDArray[np.floating],
        sampling_hz: float,
        say: Callable[[str], object],
    ) -> None:
        """`leads` are measured; `moments` (8, 8) mV^2 are those that the anchors follow from.

        `say` is called with a line when something is found.
        """
        self._check = MisplacementCheck(leads, moments, sampling_hz)
        self._rows = lead_indices(tuple(leads), LEADS)
        self._say = say
        self.found = False
        """Whether leads were found misplaced."""

    def follow(self, block: TwelveLeadBlock) -> TwelveLeadBlock:
        """The block, with MISPLACED in the quality of all leads from the sample on at which it was found."""
        start = 0
        if not self._check.decided:
            quality = block.quality[self._rows]
            measured = block.ecg_mv[self._rows]
            if np.count_nonzero(quality):
                measured = np.where(quality == 0, measured, np.nan)
            found = self._check.push(measured)
            start, self.found = self._check.used, found is not None
            if found is not None:
                self._say(str(found))
        if not self.found or start == block.n_samples:
            return block
        flagged = block.quality.copy()
        flagged[:, start:] |= np.uint8(Quality.MISPLACED)
        return replace(block, quality=flagged)
