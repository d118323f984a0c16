"""A sink that keeps a whole episode in arrays, and finds what no block may ever be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.soak.transport import Gates
from edge.leads import LEADS
from edge.quality import Quality
from edge.samples import TwelveLeadBlock
from firmware_bridge.closing import Closing


class Collector(Closing):
    """Blocks side by side. It is the slow sink, too."""

    def __init__(self, capacity: int, gates: Gates) -> None:
        """Room for `capacity` samples; the blocks of one episode after another come into the same arrays."""
        self.ecg_mv: NDArray[np.float32] = np.empty((len(LEADS), capacity), np.float32)
        self.sigma_mv: NDArray[np.float32] = np.empty((len(LEADS), capacity), np.float32)
        self.quality: NDArray[np.uint8] = np.empty((len(LEADS), capacity), np.uint8)
        self._gates = gates
        self.begin()

    def begin(self) -> None:
        """An episode begins."""
        self.runs: list[tuple[int, int, int]] = []
        """(stream index, first column, columns) of each run without a jump."""
        self.broken: list[str] = []
        self.n = 0
        self._next = 0

    def write(self, block: TwelveLeadBlock) -> None:
        """Take a block, when the gate is open."""
        self._gates.pass_through("sink")
        n = block.n_samples
        if not n:
            return
        if block.first_sample < self._next and self.runs:
            self.broken.append(f"block at {block.first_sample} after sample {self._next}")
        nothing = ~np.isfinite(block.ecg_mv)
        if (nothing & ~(block.quality & np.uint8(Quality.LEAD_OFF)).astype(bool)).any():
            self.broken.append(
                f"no value, and no flag of a lead that is off, at {block.first_sample}"
            )
        if self.n + n > self.ecg_mv.shape[1]:
            self.broken.append(f"more samples than the device took, at {block.first_sample}")
            return
        if block.first_sample != self._next or not self.runs:
            self.runs.append((block.first_sample, self.n, 0))
        first, column, so_far = self.runs[-1]
        self.runs[-1] = (first, column, so_far + n)
        at = slice(self.n, self.n + n)
        self.ecg_mv[:, at], self.sigma_mv[:, at] = block.ecg_mv, block.sigma_mv
        self.quality[:, at] = block.quality
        self.n += n
        self._next = block.first_sample + n

    def close(self) -> None:
        """Nothing to close."""
