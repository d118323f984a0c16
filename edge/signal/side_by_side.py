"""Conditioning and presence of many streams, a hop of some of them at once: the same bits as alone.

A stream is taken here while it is plain: nothing missing, off, noisy, settling or beyond a step rule. What
ends that is found at the end of a block; the stream's own Conditioner and Presence then look at it, in the
same arrays. Until `release` the counters here stand for those of a stream that was taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.signal.conditioning import BLOCK_HOPS, Conditioner, Conditioning, block_map, in_groups
from edge.signal.presence import NOISY_BLOCK_HOPS, Kept, Presence

Rows = NDArray[np.intp]
"""(n,) streams by number."""
NOWHERE: Rows = np.empty(0, np.intp)


class Places:
    """Where a hop of the streams `rows` stands in flat arrays, as indices for the first hop of a block."""

    def __init__(self, rows: Rows, n_leads: int, hop: int) -> None:
        self.rows = rows
        self._lead = rows[:, None, None] * n_leads + np.arange(n_leads)[:, None]
        self._sample = np.arange(hop)

    def of_columns(self, first: int, n_columns: int) -> Rows:
        """(n, n_leads, hop) in an array (samples, streams * leads) whose first sample is row `first`."""
        return self._lead + (first + self._sample) * n_columns

    def of_rows(self, n_samples: int) -> Rows:
        """(n, n_leads, hop) in an array (streams, leads, n_samples)."""
        return self._lead * n_samples + self._sample


class Conditioners:
    """The open blocks of `n_streams` side by side, so that one product filters them all."""

    def __init__(
        self, spec: Conditioning, sampling_hz: float, n_leads: int, hop: int, n_streams: int
    ) -> None:
        self._spec, self._sampling_hz, self._n_leads, self._hop = spec, sampling_hz, n_leads, hop
        self._one_map, rest = block_map(spec, sampling_hz, hop)
        self._n_states = len(rest)
        self._map = np.ascontiguousarray(
            self._one_map[_used(len(self._one_map), self._n_states, hop)]
        )
        self._one = Conditioner(spec, sampling_hz, n_leads, hop)
        # In whole groups a stream's own Conditioner sees columns of the next ones, too; the last, spare ones.
        n_columns = in_groups((n_streams - 1) * n_leads + in_groups(n_leads))
        self._columns = np.zeros((self._map.shape[1], n_columns))
        self._z = self._columns[:, : n_streams * n_leads].reshape(-1, n_streams, n_leads)
        self._flat = self._columns.reshape(-1)
        self.filled = np.zeros(n_streams, np.intp)
        """Hops in the open block of each stream that was taken."""
        self.widen(1)

    def widen(self, width: int) -> None:
        """The first `width` streams are filtered from here on."""
        self.stands_alone = _filters_stand_alone(
            len(self._one_map), len(self._z), self._n_states, self._hop, self._n_leads, width
        )
        """Whether that has the bits of each stream alone, on this machine."""
        wanted = width * self._n_leads
        self._blocks = self._columns[:, : in_groups(wanted)]
        self._made = np.zeros((len(self._map), in_groups(wanted)))
        states = self._made[-self._n_states :, :wanted]  # after the last hop
        self._after = states.reshape(-1, width, self._n_leads)
        n = BLOCK_HOPS * self._hop
        second_half = self._made[n // 2 : n, :wanted]
        self._looked_at = second_half.reshape(-1, self._hop, width, self._n_leads)

    def open(self, row: int) -> Conditioner:
        """The conditioner of stream `row`, whose block stands here."""
        first = row * self._n_leads
        columns = self._columns[:, first : first + in_groups(self._n_leads)]
        return Conditioner(self._spec, self._sampling_hz, self._n_leads, self._hop, columns)

    def places(self, places: Places) -> tuple[Rows, Rows]:
        """Where a hop goes, and where both its outputs come from, (2, n_leads, n, hop)."""
        to = places.of_columns(self._n_states, self._columns.shape[1])
        first = (0, BLOCK_HOPS * self._hop)
        made = np.array([places.of_columns(at, self._made.shape[1]) for at in first])
        return to, np.ascontiguousarray(made.swapaxes(1, 2))

    def push_hop(
        self, rows: Rows, places: tuple[Rows, Rows], ecg_mv: NDArray[Any], out: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """A hop of the streams `rows`, (n, n_leads, hop) mV, into `out` (2, n_leads, n, hop).

        Returns (n,) whose block has ended.
        """
        filled = self.filled[rows]
        to, made = places
        self._flat[to + (filled * (self._hop * self._columns.shape[1]))[:, None, None]] = ecg_mv
        self._map.dot(self._blocks, self._made)
        at = made + (filled * (self._hop * self._made.shape[1]))[:, None]
        self._made.take(at, None, out, "clip")
        filled += 1
        self.filled[rows] = filled
        return np.asarray(filled == BLOCK_HOPS)

    def end_blocks(self, rows: Rows) -> Rows:
        """Begin a new block, after `push_hop`, of those `rows` that no step rule looks at.

        Returns where in `rows` the others are.
        """
        still = self._one.no_step(np.add.reduce(self._looked_at.take(rows, 2), 1))
        others = NOWHERE
        if np.count_nonzero(still) < still.size:
            plain = still.all((0, 2))
            others, rows = np.flatnonzero(~plain), rows[plain]
        self._z[: self._n_states, rows] = self._after[:, rows]
        self._z[self._n_states :, rows] = 0.0
        self.filled[rows] = 0
        return others


class Presences:
    """What Presence keeps, of `n_streams`, and their open blocks."""

    def __init__(self, sampling_hz: float, n_leads: int, hop: int, n_streams: int) -> None:
        self._sampling_hz, self._n_leads, self._hop = sampling_hz, n_leads, hop
        one = Presence(sampling_hz, n_leads, hop)
        self._one = one
        self._kept = Kept(*(np.array([array] * n_streams) for array in one.kept))
        self._flat = self._kept.block.reshape(-1)
        self.filled = np.zeros(n_streams, np.intp)
        """Hops in the open block of each stream that was taken."""
        self._looked_at = np.zeros(n_streams, bool)  # in part: its own Presence is to end the block

    def take(self, row: int, presence: Presence) -> None:
        """Count the hops of stream `row` from here on."""
        self.filled[row] = presence.filled // self._hop
        self._looked_at[row] = presence.is_looked_at

    def open(self, row: int) -> Presence:
        """The presence of stream `row`, whose arrays stand here."""
        kept = Kept(*(array[row] for array in self._kept))
        return Presence(self._sampling_hz, self._n_leads, self._hop, kept)

    def places(self, places: Places) -> Rows:
        """Where a hop goes."""
        return places.of_rows(NOISY_BLOCK_HOPS * self._hop)

    def push_hop(self, rows: Rows, places: Rows, ecg_mv: NDArray[Any]) -> NDArray[np.bool_]:
        """A hop of the streams `rows`, (n, n_leads, hop) finite mV. Returns (n,) whose block has ended."""
        filled = self.filled[rows]
        self._flat[places + (filled * self._hop)[:, None, None]] = ecg_mv
        filled += 1
        self.filled[rows] = filled
        return np.asarray(filled == NOISY_BLOCK_HOPS)

    def end_blocks(self, rows: Rows) -> Rows:
        """Begin a new block of those `rows` that are neither constant anywhere nor noisy.

        Returns where in `rows` the others are.
        """
        kept, n = self._kept, len(rows)
        blocks, recent = kept.block.take(rows, 0), kept.rough.take(rows, 0)
        ends = blocks[:, :, self._hop - 1 :: self._hop]
        recent[:, :, :-1] = recent[:, :, 1:]
        recent[:, :, -1] = self._one.roughness(blocks.reshape(-1, blocks.shape[2])).reshape(n, -1)
        looks = (
            ends[:, :, 1:] == ends[:, :, :-1],
            ends[:, :, 0] == kept.value.take(rows, 0),
            self._one.noisy(np.add.reduce(recent, 2)),
            self._looked_at.take(rows),
        )
        others = NOWHERE
        if any(map(np.count_nonzero, looks)):
            plain = ~np.any([look.reshape(n, -1).any(1) for look in looks], 0)
            others, rows, recent, ends = (
                np.flatnonzero(~plain),
                rows[plain],
                recent[plain],
                ends[plain],
            )
        kept.value[rows] = ends[:, :, -1]
        kept.flat_for[rows] = 0
        kept.rough[rows] = recent
        self.filled[rows] = 0
        return others


class Product:
    """A map put to the columns of many streams, with the bits of each stream's product alone."""

    def __init__(self, map_: NDArray[Any], n_columns: int, n_streams: int) -> None:
        """Of up to `n_streams`, each with `n_columns`."""
        self._map, self._n = map_, n_columns
        at_once = _stands_alone(
            map_.tobytes(), map_.dtype.name, map_.shape[1], n_columns, n_streams
        )
        self.of = map_.dot if at_once else self._one_by_one

    def _one_by_one(self, columns: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        n = self._n
        parts = [
            self._map.dot(columns[:, at : at + n].copy()) for at in range(0, columns.shape[1], n)
        ]
        return np.concatenate(parts, 1, out)


@cache
def _stands_alone(map_: bytes, dtype: str, n_inner: int, n_columns: int, n_streams: int) -> bool:
    """Whether on this machine a product over many columns has the bits of that over a stream's alone.

    It is certain where a row adds two exact products at most, and looked at in any case.
    """
    rows = np.frombuffer(map_, dtype).reshape(-1, n_inner)
    columns = np.random.default_rng(0).normal(size=(n_inner, n_streams * n_columns)).astype(dtype)
    whole = rows.dot(columns)
    return all(
        np.array_equal(
            rows.dot(columns[:, at : at + n_columns].copy()), whole[:, at : at + n_columns]
        )
        for at in range(0, whole.shape[1], n_columns)
    )


def _used(n_rows: int, n_states: int, hop: int) -> Rows:
    """Rows of a block's map: both outputs of every sample, and the states after the last hop, at the end."""
    last = range(n_rows - in_groups(n_states), n_rows)
    return np.array([*range(2 * BLOCK_HOPS * hop), *last], np.intp)


@cache
def _filters_stand_alone(
    n_rows: int, n_inner: int, n_states: int, hop: int, n_leads: int, n_streams: int
) -> bool:
    """Whether the conditioners' product has the bits of the hops, and of the blocks, of each stream alone."""
    rng, n_alone = np.random.default_rng(0), in_groups(n_leads)
    one_map = rng.normal(size=(n_rows, n_inner))
    columns = rng.normal(size=(n_inner, in_groups((n_streams - 1) * n_leads + n_alone)))
    used, n = _used(n_rows, n_states, hop), BLOCK_HOPS * hop
    whole = one_map[used].dot(columns[:, : in_groups(n_streams * n_leads)])
    hops = [np.r_[at : at + hop, n + at : n + at + hop] for at in range(0, n, hop)]
    for first in range(0, n_streams * n_leads, n_leads):
        here, alone = whole[:, first : first + n_leads], columns[:, first : first + n_alone]
        if not np.array_equal(one_map.dot(alone)[used, :n_leads], here):
            return False
        if not all(
            np.array_equal(one_map[rows].dot(alone)[:, :n_leads], here[rows]) for rows in hops
        ):
            return False
    return True


def stacked(samples: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(n, n_leads, hop) of the hops of n streams, all of one shape; not to be written."""
    shape = (len(samples), *samples[0].shape)
    try:  # a third of the time, where each lies in one piece
        return np.frombuffer(b"".join(samples), np.float32).reshape(shape)  # type: ignore[arg-type]
    except (BufferError, TypeError, ValueError):
        return np.concatenate(samples).reshape(shape)
