"""Conditioning and presence of many streams, a hop of some of them at once: the same bits as alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edge.signal.conditioning import BLOCK_HOPS, Conditioner, Conditioning, block_map
from edge.signal.presence import NOISY_BLOCK_HOPS, Presence

Rows = NDArray[np.intp]
"""(n,) streams by number."""


class Conditioners:
    """The open blocks of `n_streams` side by side, so that one product filters them all."""

    def __init__(
        self, spec: Conditioning, sampling_hz: float, n_leads: int, hop: int, n_streams: int
    ) -> None:
        self._spec, self._sampling_hz, self._n_leads, self._hop = spec, sampling_hz, n_leads, hop
        rows, rest = block_map(spec, sampling_hz, hop)
        self._n_states = len(rest)
        self._outputs = np.ascontiguousarray(rows[: 2 * BLOCK_HOPS * hop])
        self._z = np.zeros((rows.shape[1], n_streams, n_leads))

    def open(self, row: int) -> Conditioner:
        """The conditioner of stream `row`, whose block stands here."""
        z = self._z[:, row]
        return Conditioner(self._spec, self._sampling_hz, self._n_leads, self._hop, z)

    def push_hop(
        self,
        rows: Rows,
        conditioners: Sequence[Conditioner],
        ecg_mv: NDArray[np.float32],
        out: NDArray[np.float32],
    ) -> None:
        """`Conditioner.push_hop` of the streams `rows`: (n, n_leads, hop) into (n, 2, n_leads, hop)."""
        n, hop, n_leads = len(rows), self._hop, self._n_leads
        if not columns_stand_alone(*self._outputs.shape, n_leads, n, hop):
            for conditioner, samples, filtered in zip(conditioners, ecg_mv, out, strict=True):
                conditioner.push_hop(samples, filtered)
            return
        filled = np.array([conditioner.filled for conditioner in conditioners])
        at = (self._n_states + filled * hop)[:, None] + np.arange(hop)
        self._z[at, rows[:, None]] = ecg_mv.swapaxes(1, 2)
        blocks = self._z[:, rows].reshape(len(self._z), n * n_leads)
        made = np.dot(self._outputs, blocks).reshape(2, BLOCK_HOPS, hop, n, n_leads)
        out[...] = made[:, filled, :, np.arange(n)].swapaxes(2, 3)
        for conditioner in conditioners:
            conditioner.count_hop()


class Presences:
    """The open blocks of `n_streams` in one array."""

    def __init__(self, sampling_hz: float, n_leads: int, hop: int, n_streams: int) -> None:
        self._sampling_hz, self._n_leads, self._hop = sampling_hz, n_leads, hop
        self._blocks = np.zeros((n_streams, n_leads, NOISY_BLOCK_HOPS * hop), np.float32)

    def open(self, row: int) -> Presence:
        """The presence of stream `row`, whose block stands here."""
        return Presence(self._sampling_hz, self._n_leads, self._hop, self._blocks[row])

    def push_hop(
        self, rows: Rows, presences: Sequence[Presence], ecg_mv: NDArray[np.float32]
    ) -> None:
        """`Presence.push_hop` of each of the streams `rows`: (n, n_leads, hop) finite mV."""
        filled = np.array([presence.filled for presence in presences])
        at = filled[:, None] + np.arange(self._hop)
        self._blocks[rows[:, None], :, at] = ecg_mv.swapaxes(1, 2)
        for presence in presences:
            presence.count_hop()


@cache
def columns_stand_alone(n_rows: int, n_inner: int, n_leads: int, n_streams: int, hop: int) -> bool:
    """Whether a product over many streams has the bits of a hop's of each alone on this machine."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n_rows, n_inner))
    columns = rng.normal(size=(n_inner, n_streams, n_leads))
    both = np.arange(hop) + np.array([[0], [n_rows // 2]])
    hops = [(both + at).ravel() for at in range(0, n_rows // 2, hop)]
    whole = np.dot(rows, columns.reshape(n_inner, -1)).reshape(n_rows, n_streams, n_leads)
    return all(
        np.array_equal(np.dot(rows[at], columns[:, stream]), whole[at, stream])
        for stream in range(n_streams)
        for at in hops
    )
