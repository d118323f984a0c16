"""What a patient's outputs get: each sample once, lost ones as NaN with GAP, and where a decoder began anew.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from edge.leads import LEADS, Provenance
from edge.marker import BEGAN_ANEW, Marker
from edge.quality import Quality
from edge.samples import TwelveLeadBlock

MOST_FILLED_S = 10.0
"""A longer hole is a jump of the index, which sinks show as any long gap: it is not held in memory."""


class Ledger:
    """Follows the blocks of one patient, in order."""

    def __init__(self, sampling_hz: float, provenance: tuple[Provenance, ...]) -> None:
        self.samples_out = 0
        """Samples that were reconstructed."""
        self.samples_missing = 0
        """Samples that were not, of any cause: each once, also those of a jump."""
        self.began_anew = 0
        self._hz, self._provenance = sampling_hz, provenance
        self._next: int | None = None

    def follow(self, block: TwelveLeadBlock, *, anew: bool) -> Iterator[TwelveLeadBlock]:
        """What to write for the next block: the hole before it, if any, and itself."""
        restarted = anew and self._next is not None
        yield from self.missing_to(block.first_sample)
        late = 0 if self._next is None else max(0, self._next - block.first_sample)
        if late:  # its place was given up as lost: nothing is written twice
            block = _without(block, late)
        end = block.first_sample + block.n_samples
        self._next = end if self._next is None else max(end, self._next)
        self.samples_out += block.n_samples
        if restarted:
            self.began_anew += 1
            block = replace(block, markers=(*block.markers, Marker(BEGAN_ANEW, block.first_sample)))
        if block.n_samples or block.markers:
            yield block

    def missing_to(self, end: int) -> Iterator[TwelveLeadBlock]:
        """What to write where the samples before `end` will not come any more."""
        if self._next is None or end <= self._next:
            return
        first, n = self._next, end - self._next
        self._next = end
        self.samples_missing += n
        if n <= MOST_FILLED_S * self._hz:
            nothing = np.full((len(LEADS), n), np.nan, np.float32)
            bits = np.full(nothing.shape, Quality.GAP, np.uint8)
            yield TwelveLeadBlock(nothing, nothing, bits, first, self._hz, self._provenance)


def _without(block: TwelveLeadBlock, n: int) -> TwelveLeadBlock:
    return replace(
        block,
        ecg_mv=block.ecg_mv[:, n:],
        sigma_mv=block.sigma_mv[:, n:],
        quality=block.quality[:, n:],
        first_sample=block.first_sample + min(n, block.n_samples),
    )
