"""One hop of one stream, or of many as one, around a step of an engine's batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from edge.engines.base import Batch
from edge.lead_set import Flags
from edge.leads import LEADS
from edge.signal.held import Bits
from edge.stream_group import Member, StreamGroup
from edge.stream_state import StreamState

Array = NDArray[np.float32]
Made = tuple[Array, Array, NDArray[np.uint8]]
"""Twelve leads, their sigma and quality of one hop."""


class PlainHop:
    """A hop of a stream that takes it by `StreamState.take_hop`."""

    def __init__(self, stream: StreamState, ecg: Array) -> None:
        self._stream, self.ecg = stream, ecg
        on = stream.leads.all_present
        self.mask, self.anchor = on.mask, on.engine_anchor

    def finish(self, decoded: Array, log_sigma: Array) -> list[Made]:
        """Of the hop, from what the engine made of `ecg`."""
        ecg, sigma = self._stream.finish_hop(decoded[0], log_sigma[0])
        return [(ecg, sigma, np.zeros(ecg.shape, np.uint8))]


class PlainHops:
    """A hop of each of some streams of a group, finite, each of which fits."""

    def __init__(self, group: StreamGroup, members: list[Member], samples: Array) -> None:
        self._group, self._selection = group, group.take_hops(members, samples)
        self.ecg, self.anchor = self._selection.ecg, self._selection.anchors
        self.mask = group.mask

    def finish(self, decoded: Array, log_sigma: Array) -> list[Made]:
        """Of each stream's hop, from what the engine made of `ecg`."""
        return [*zip(*self.finish_all(decoded, log_sigma), strict=True)]

    def finish_all(self, decoded: Array, log_sigma: Array) -> Made:
        """The same as arrays with the streams first, (n, 12, hop)."""
        ecg, sigma = self._group.finish_hops(self._selection, decoded, log_sigma)
        return ecg, sigma, np.zeros(ecg.shape, np.uint8)


class MarkedHop:
    """A hop of one stream with whatever is the matter with it."""

    def __init__(
        self, stream: StreamState, samples: Array, missing: Flags | None, bits: Bits | None
    ) -> None:
        self._stream = stream
        missing = ~np.isfinite(samples) if missing is None else missing
        self._piece = stream.begin(samples, missing, bits)
        self._runs = stream.prepare(self._piece)
        self._hops = next(self._runs)
        self.is_off = isinstance(self._hops, slice)
        """Whether no lead is on: the engine's state is to be reset, and `finish` needs nothing of it."""
        if not isinstance(self._hops, slice):
            on = self._hops.present
            self.ecg, self.mask, self.anchor = self._hops.ecg, on.mask, on.engine_anchor

    def finish(self, decoded: Array | None = None, log_sigma: Array | None = None) -> list[Made]:
        """Of the hop, from what the engine made of `ecg`."""
        stream = self._stream
        ecg = np.empty((len(LEADS), self._piece.filled.shape[1]), np.float32)
        sigma, flags = np.empty_like(ecg), np.zeros(ecg.shape, np.uint8)
        if isinstance(self._hops, slice):
            stream.nothing(ecg, sigma)
        else:
            assert decoded is not None and log_sigma is not None
            stream.finish(self._hops, decoded[0], log_sigma[0], ecg, sigma)
        next(self._runs, None)  # what follows upon the hop
        known = stream.known(self._piece)
        if known is not None:
            stream.leads.spread(known, flags)
        return [(ecg, sigma, flags)]


HopJob = PlainHop | PlainHops | MarkedHop


def decoded_together(
    batch: Batch, jobs: Sequence[HopJob], numbers: Sequence[list[int]]
) -> Iterator[tuple[Array, Array]]:
    """What an engine's batch makes of all these hops, of the slots `numbers`, in one step; job by job."""
    if len(jobs) == 1:
        [job], [every] = jobs, numbers
        yield batch.step(every, job.ecg, job.mask, job.anchor)
        return
    ecg = np.concatenate([job.ecg for job in jobs])
    anchor = np.concatenate([job.anchor for job in jobs])
    masks = zip(jobs, numbers, strict=True)
    mask = np.concatenate([np.repeat(job.mask, len(of_job), 0) for job, of_job in masks])
    decoded, log_sigma = batch.step([*chain(*numbers)], ecg, mask, anchor)
    first = 0
    for of_job in numbers:
        at = slice(first, first + len(of_job))
        yield decoded[at], log_sigma[at]
        first = at.stop
