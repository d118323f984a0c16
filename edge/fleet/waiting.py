"""Samples of one patient that wait for the shard: bounded, the oldest make room and are counted. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.samples import SampleBlock


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Samples without a hole, to be pushed as one."""

    ecg_mv: NDArray[np.float32]
    """(n_leads, n) mV."""
    quality: NDArray[np.uint8] | None
    """(n_leads, n) bits; None where none is set."""
    first_sample: int
    arrival_ns: int
    """Of the oldest of the samples."""
    acquired_ns: int
    """Of the last sample; 0 where unknown."""

    @property
    def end(self) -> int:
        """Index just after the last sample."""
        return self.first_sample + int(self.ecg_mv.shape[1])


class Waiting:
    """A queue of blocks in order, of at most `most` samples."""

    def __init__(self, most: int) -> None:
        self.samples_shed = 0
        """Samples that made room for newer ones."""
        self._most = most
        self._blocks: deque[SampleBlock] = deque()
        self._n = 0

    def __len__(self) -> int:
        """Samples that wait."""
        return self._n

    def put(self, block: SampleBlock) -> None:
        """Add the next block, which may begin after a hole. Never waits."""
        self._blocks.append(block)
        self._n += block.n_samples
        while self._n > self._most and len(self._blocks) > 1:
            oldest = self._blocks.popleft()
            self._n -= oldest.n_samples
            self.samples_shed += oldest.n_samples

    def take(self, most: int, hop: int) -> Run | None:
        """The oldest samples without a hole, at most about `most`, in whole hops while more may follow.

        None where there is not a hop.
        """
        taken: list[SampleBlock] = []
        n = end = 0
        while self._blocks and n < most and (not taken or self._blocks[0].first_sample == end):
            taken.append(self._blocks.popleft())
            end = taken[-1].first_sample + taken[-1].n_samples
            n += taken[-1].n_samples
        if not taken:
            return None
        self._n -= n
        ecg_mv = np.concatenate([block.ecg_mv for block in taken], 1)
        quality = np.concatenate([block.quality for block in taken], 1)
        first, last = taken[0], taken[-1]
        before_a_hole = self._blocks and self._blocks[0].first_sample != end
        whole = n if before_a_hole else n // hop * hop
        behind_ns = round((n - whole) / last.sampling_hz * 1e9)
        if whole < n:
            rest = replace(
                last,
                ecg_mv=ecg_mv[:, whole:],
                quality=quality[:, whole:],
                first_sample=end - (n - whole),
            )
            self._blocks.appendleft(rest)
            self._n += n - whole
        if not whole:
            return None
        bits = quality[:, :whole]
        return Run(
            ecg_mv[:, :whole],
            bits if bits.any() else None,
            first.first_sample,
            first.arrival_ns,
            last.acquired_ns - behind_ns if last.acquired_ns else 0,
        )
