"""Which leads are there: short gaps held, longer ones and flat lines off, noise noticed.

Everything is decided per hop and from counts, so the outcome does not depend on the chunking.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

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


class Kept(NamedTuple):
    """What a Presence keeps from block to block, always in the same arrays."""

    block: NDArray[np.float32]
    """(n_leads, samples) of the open block."""
    value: NDArray[np.float32]
    """(n_leads,) the last sample that was looked at for flat lines."""
    flat_for: NDArray[np.int64]
    """(n_leads,) hops."""
    rough: NDArray[np.int64]
    """(n_leads, blocks) rough hops in each of the last blocks."""


class Presence:
    """Follows, per lead, how long samples have been missing, constant or noisy."""

    def __init__(
        self,
        sampling_hz: float,
        n_leads: int,
        hop: int,
        kept: Kept | None = None,
    ) -> None:
        """`kept` are the arrays to take, where others look after them."""
        self.hop, self.n_leads = hop, n_leads
        self._max_fill = round(GAP_FILL_S * sampling_hz)
        self._flat_hops = math.ceil(FLAT_S * sampling_hz / hop)
        self._window = math.ceil(NOISY_WINDOW_S * sampling_hz / hop / NOISY_BLOCK_HOPS)  # blocks
        self.kept = kept or Kept(
            np.zeros((n_leads, NOISY_BLOCK_HOPS * hop), np.float32),
            np.zeros(n_leads, np.float32),
            np.zeros(n_leads, np.int64),
            np.zeros((n_leads, self._window), np.int64),
        )
        """Its arrays; `resume` where others have changed them."""
        self._block, self._value, self._flat_for, self._rough = self.kept
        self.reset()

    def reset(self) -> None:
        """Forget the signal; a lead is off until its first sample."""
        self._value[:] = np.nan
        self._missing_for = np.full(self.n_leads, self._max_fill)
        self._flat_for[:] = 0
        self._off: Flags = np.zeros(self.n_leads, bool)
        self._block[:] = 0.0
        self.filled = 0
        """Samples in the open block."""
        self._rough[:] = 0
        self._is_noisy: Flags = np.zeros((self.n_leads, 1), bool)
        self._some_flat = False  # whether `_flat_for` is above 0 anywhere
        self._seen = 0  # samples in the block that have been looked at for flat lines
        self.plain = (
            False  # whether a finite hop could be off or noisy in no lead, up to the block's end
        )

    def resume(self, filled: int) -> None:
        """Go on after others kept its arrays while it was `plain`; so many hops are in the open block."""
        self.filled = filled * self.hop
        self._some_flat = bool(self._flat_for.any())

    @property
    def is_looked_at(self) -> bool:
        """Whether some hops of the open block have been looked at for flat lines."""
        return self._seen > 0

    def push(
        self, samples: NDArray[np.float32], missing: Flags | None
    ) -> tuple[NDArray[np.float32], Flags, Flags]:
        """Whole hops, at least one, (n_leads, n): the samples with gaps held, what is off, what is noisy.

        `missing` is None when nothing is. A lead is off from the hop in which it has been missing for over
        100 ms, or constant for 2 s, until the first hop that is whole again. Both results are
        (n_leads, n_hops).
        """
        self._catch_up()
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
        flat = self._flat(samples[:, self.hop - 1 :: self.hop])
        if flat is not None:
            lost = flat if lost is None else lost | flat
        off = self._latch((self.n_leads, samples.shape[1] // self.hop), lost, gone)
        noisy = self._noisy(samples)
        self._seen = self.filled
        self.plain = not (
            missing is not None
            or np.count_nonzero(self._off)
            or np.count_nonzero(self._is_noisy)
            or self._soon_flat()
        )
        return samples, off, noisy

    def push_hop(self, samples: NDArray[np.float32]) -> None:
        """Take one hop of finite samples, (n_leads, hop), as `push` does, while this is `plain`."""
        self._block[:, self.filled : self.filled + self.hop] = samples
        self.count_hop()

    def count_hop(self) -> None:
        """One more hop, a `plain` one, stands in the open block."""
        self.filled += self.hop
        if self.filled == self._block.shape[1]:
            self._catch_up()
            self._judge(self.roughness(self._block))
            self.plain = self.plain and not np.count_nonzero(self._is_noisy)
            self.filled = self._seen = 0

    def _catch_up(self) -> None:
        """Look for flat lines in the hops that `push_hop` took: within a block none comes to its end."""
        if self._seen < self.filled:
            self._flat(self._block[:, self._seen + self.hop - 1 : self.filled : self.hop])
            self._seen = self.filled
            self.plain = self.plain and not self._soon_flat()

    def _soon_flat(self) -> bool:
        """Whether a lead may be off as constant before the next block ends."""
        return self._some_flat and bool(self._flat_for.max() + NOISY_BLOCK_HOPS >= self._flat_hops)

    def _flat(self, ends: NDArray[np.float32]) -> Flags | None:
        """Per hop, by its last sample, whether a lead has been constant for long; None where none has."""
        before = self._value[:, None]
        constant = ends == (
            before if ends.shape[1] == 1 else np.concatenate([before, ends[:, :-1]], 1)
        )
        self._value[:] = ends[:, -1]
        self._some_flat = bool(np.count_nonzero(constant))
        if not self._some_flat:
            self._flat_for[:] = 0
            return None
        flat_for = run_lengths(constant, self._flat_for)
        self._flat_for[:] = flat_for[:, -1]
        return flat_for >= self._flat_hops

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
        if self.filled + n < size:
            self._block[:, self.filled : self.filled + n] = samples
            self.filled += n
            return (
                self._is_noisy
                if n == self.hop
                else np.repeat(self._is_noisy, n // self.hop, axis=1)
            )
        joined = np.concatenate([self._block[:, : self.filled], samples], 1)
        n_blocks = joined.shape[1] // size
        before = self._is_noisy
        verdicts = self._judge(self.roughness(joined[:, : n_blocks * size]))
        per_hop = np.repeat(np.concatenate([before, verdicts], 1), NOISY_BLOCK_HOPS, axis=1)
        first, self.filled = self.filled, joined.shape[1] - n_blocks * size
        self._block[:, : self.filled] = joined[:, n_blocks * size :]
        return per_hop[:, first // self.hop :][:, : n // self.hop]

    def roughness(self, blocks: NDArray[np.float32]) -> NDArray[np.int64]:
        """Rough hops of each row in whole blocks end to end: (n_rows, n_blocks)."""
        # Bends over the ends of hops are made, too, and left: whole rows at once are faster than hops.
        bend = blocks[:, 2:] - 2 * blocks[:, 1:-1]
        bend += blocks[:, :-2]
        np.abs(bend, bend)
        size = sum((bend[:, i :: self.hop] for i in range(1, self.hop - 2)), bend[:, :: self.hop])
        rough = (size > NOISY_MV * (self.hop - 2)).reshape(len(blocks), -1, NOISY_BLOCK_HOPS)
        return np.asarray(np.add.reduce(rough, -1))

    def _judge(self, rough: NDArray[np.int64]) -> Flags:
        """Whether a lead was noisy up to the end of each of these blocks."""
        every = np.concatenate([self._rough, rough], 1)
        if rough.shape[1] == 1:
            recent = every[:, 1:].sum(1, keepdims=True)
        else:
            total = np.cumsum(every, axis=1)
            recent = total[:, self._window :] - total[:, : -self._window]
        self._rough[:] = every[:, -self._window :]
        verdicts = self.noisy(recent)
        self._is_noisy = verdicts[:, -1:]
        return verdicts

    def noisy(self, rough: NDArray[np.int64]) -> Flags:
        """Whether so many rough hops in the window are noise."""
        verdicts: Flags = rough > NOISY_SHARE * self._window * NOISY_BLOCK_HOPS
        return verdicts


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
