"""Which leads are there: short gaps held, longer ones and flat lines off, noise noticed.

Everything is decided per hop and from counts, so the outcome does not depend on the chunking.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge.quality import GAP_FILL_S

FLAT_S = (
    2.0  # no heart beats slower than 30 a minute and leaves the converter on one code in between
)
NOISY_MV = 0.15  # mean |second difference| in a hop; an ECG exceeds it in its QRS alone
NOISY_BLOCK_HOPS = (
    8  # noise is judged once per block, for the hops of the next: a hop is to cost little
)
NOISY_WINDOW_S = 1.0
NOISY_SHARE = 0.4  # of the hops in the window

Flags = NDArray[np.bool_]


class Presence:
    """Follows, per lead, how long samples have been missing, constant or noisy."""

    def __init__(self, sampling_hz: float, n_leads: int, hop: int) -> None:
        self.hop, self.n_leads = hop, n_leads
        self._max_fill = round(GAP_FILL_S * sampling_hz)
        self._flat_hops = math.ceil(FLAT_S * sampling_hz / hop)
        self._window = math.ceil(NOISY_WINDOW_S * sampling_hz / hop / NOISY_BLOCK_HOPS)  # blocks
        self.reset()

    def reset(self) -> None:
        """Forget the signal; a lead is off until its first sample."""
        self._value: NDArray[np.float32] = np.full(self.n_leads, np.nan, np.float32)
        self._missing_for = np.full(self.n_leads, self._max_fill)
        self._flat_for = np.zeros(self.n_leads, np.int64)
        self._off: Flags = np.zeros(self.n_leads, bool)
        self._block = np.zeros((self.n_leads, NOISY_BLOCK_HOPS * self.hop), np.float32)
        self._filled = 0  # samples in the block so far
        self._rough: NDArray[np.int64] = np.zeros((self.n_leads, self._window), np.int64)
        self._is_noisy: Flags = np.zeros((self.n_leads, 1), bool)

    def push(
        self, samples: NDArray[np.float32], missing: Flags | None
    ) -> tuple[NDArray[np.float32], Flags, Flags]:
        """Whole hops, at least one, (n_leads, n): the samples with gaps held, what is off, what is noisy.

        `missing` is None when nothing is. A lead is off from the hop in which it has been missing for over
        100 ms, or constant for 2 s, until the first hop that is whole again. Both results are
        (n_leads, n_hops).
        """
        if missing is None:
            self._missing_for[:] = 0
            lost = gone = None
        else:
            samples = self._hold(samples, missing)
            missing_for = run_lengths(missing, self._missing_for)
            self._missing_for = missing_for[:, -1]
            lost = self._any_in_hop(missing_for > self._max_fill)
            gone = self._any_in_hop(missing)
        # A flat line is constant at the ends of hops; that is all that needs looking at.
        ends = samples[:, self.hop - 1 :: self.hop]
        before = self._value[:, None]
        constant = ends == (
            before if ends.shape[1] == 1 else np.concatenate([before, ends[:, :-1]], 1)
        )
        self._value = ends[:, -1].copy()
        if np.count_nonzero(constant):
            flat_for = run_lengths(constant, self._flat_for)
            self._flat_for = flat_for[:, -1]
            flat = flat_for >= self._flat_hops
            lost = flat if lost is None else lost | flat
        else:
            self._flat_for[:] = 0
        off = self._latch(constant.shape, lost, gone)
        return samples, off, self._noisy(samples)

    def _any_in_hop(self, values: Flags) -> Flags:
        result: Flags = np.any(values.reshape(self.n_leads, -1, self.hop), axis=2)
        return result

    def _hold(self, samples: NDArray[np.float32], missing: Flags) -> NDArray[np.float32]:
        last = np.maximum.accumulate(np.where(missing, -1, np.arange(samples.shape[1])), axis=1)
        held = np.take_along_axis(samples, np.maximum(last, 0), 1)
        before = np.nan_to_num(self._value)
        return np.where(last >= 0, held, before[:, None]).astype(np.float32)

    def _latch(self, shape: tuple[int, ...], lost: Flags | None, gone: Flags | None) -> Flags:
        """Off once lost, on once whole, else as before."""
        if lost is None:
            self._off[:] = False
            return np.zeros(shape, bool)
        whole = ~lost if gone is None else ~(lost | gone)
        event = np.maximum.accumulate(np.where(lost | whole, np.arange(shape[1]), -1), axis=1)
        latest = np.take_along_axis(lost, np.maximum(event, 0), 1)
        off: Flags = np.where(event >= 0, latest, self._off[:, None])
        self._off = off[:, -1].copy()
        return off

    def _noisy(self, samples: NDArray[np.float32]) -> Flags:
        """Per hop, whether the blocks before its own were noisy."""
        n, size = samples.shape[1], self._block.shape[1]
        if self._filled + n < size:
            self._block[:, self._filled : self._filled + n] = samples
            self._filled += n
            return (
                self._is_noisy
                if n == self.hop
                else np.repeat(self._is_noisy, n // self.hop, axis=1)
            )
        joined = np.concatenate([self._block[:, : self._filled], samples], 1)
        n_blocks = joined.shape[1] // size
        hops = joined[:, : n_blocks * size].reshape(
            self.n_leads, n_blocks, NOISY_BLOCK_HOPS, self.hop
        )
        bend = np.abs(hops[..., 2:] - 2 * hops[..., 1:-1] + hops[..., :-2])
        rough = (bend.sum(-1) > NOISY_MV * (self.hop - 2)).sum(-1)
        self._rough = np.concatenate([self._rough, rough], 1)
        total = np.cumsum(self._rough, axis=1)
        recent = total[:, self._window :] - total[:, : -self._window]
        self._rough = self._rough[:, -self._window :]
        verdicts = recent > NOISY_SHARE * self._window * NOISY_BLOCK_HOPS
        per_hop = np.repeat(np.concatenate([self._is_noisy, verdicts], 1), NOISY_BLOCK_HOPS, axis=1)
        first, self._filled = self._filled, joined.shape[1] - n_blocks * size
        self._is_noisy = verdicts[:, -1:]
        self._block[:, : self._filled] = joined[:, n_blocks * size :]
        return per_hop[:, first // self.hop :][:, : n // self.hop]


def run_lengths(values: Flags, before: NDArray[np.int64]) -> NDArray[np.int64]:
    """At each sample, for how many samples up to it `values` has been true, on top of `before`."""
    index = np.arange(values.shape[1])
    last_false = np.maximum.accumulate(np.where(values, -1, index), axis=1)
    return np.where(last_false >= 0, index - last_false, index + 1 + before[:, None])


def runs(off: NDArray[np.bool_]) -> Iterator[slice]:
    """Runs of hops in which the same leads are off; `off` is (n_leads, n_hops)."""
    changes = np.flatnonzero((off[:, 1:] != off[:, :-1]).any(0)) + 1
    edges = [0, *changes.tolist(), off.shape[1]]
    for start, stop in itertools.pairwise(edges):
        if stop > start:
            yield slice(start, stop)
