"""Leads that a device announces and never sends: off, missing or at one value from the start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SILENT_S = 5.0


class SilentLeads:
    """Says once, SILENT_S after the start of a stream, which leads have sent nothing so far."""

    def __init__(self, leads: Sequence[str], sampling_hz: float, known: Sequence[str] = ()) -> None:
        """Nothing is said of the leads `known` to be missing."""
        self._leads = tuple(leads)
        self._left = round(SILENT_S * sampling_hz)
        self._first: NDArray[np.float32] = np.full((len(self._leads), 1), np.nan, np.float32)
        self._moved = np.array([lead in known for lead in self._leads])
        self.decided = False
        """Nothing more will be said."""

    def push(self, ecg_mv: NDArray[np.float32]) -> str | None:
        """Take the next (n_leads, n) mV, NaN where off; the line, once, if a lead has sent nothing."""
        part = ecg_mv[:, : self._left]
        self._left -= part.shape[1]
        there = np.isfinite(part)
        first = np.take_along_axis(part, there.argmax(axis=1)[:, None], 1)
        self._first = np.where(np.isnan(self._first), first, self._first)
        self._moved |= (there & (part != self._first)).any(axis=1)
        self.decided = self._left == 0 or bool(self._moved.all())
        if self._moved.all() or not self.decided:
            return None
        silent = [lead for lead, moved in zip(self._leads, self._moved, strict=True) if not moved]
        others = ",".join(lead for lead in self._leads if lead not in silent)
        one = len(silent) == 1
        return (
            f"{', '.join(silent)} {'is' if one else 'are'} announced and {'has' if one else 'have'} sent "
            f"nothing for {SILENT_S:g} s: check {'its electrode' if one else 'their electrodes'}"
            + (f", or leave {'it' if one else 'them'} out with --leads {others}" if others else "")
        )
