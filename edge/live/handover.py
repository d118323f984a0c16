"""From the acquisition thread to the inference thread: a ring of samples with the story of each packet."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic_ns

import numpy as np
from numpy.typing import NDArray

from edge.live.ring import Reader, Ring
from edge.samples import SampleBlock
from firmware_bridge.transports.base import Transport
from firmware_bridge.wall_time import arrival_time

RING_S = 8.0  # a disk may stall inference this long before a sample is lost; 160 kB at 500 Hz
TAKE_S = 1.0  # most of one take: bounds the memory of a push, and how long it may last


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What the ring itself does not hold about one block."""

    end: int  # absolute ring index just after the block
    next_sample: int  # stream index just after the block
    n_samples: int
    arrival_ns: int
    acquired_ns: int
    stored_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Contiguous samples of one or more blocks, ready for inference."""

    ecg_mv: NDArray[np.float32]
    """(n_leads, n) float32 mV, n >= 1; NaN where nothing was measured."""
    quality: NDArray[np.uint8]
    """(n_leads, n) uint8."""
    first_sample: int
    """Stream index of the first column."""
    sampling_hz: float
    lost: int
    """Samples overwritten unread since the run before."""
    oldest_arrival_ns: int
    """Arrival of the first of its packets: latency counted from here is never understated."""
    arrival_ns: int
    """Arrival of the last of its packets."""
    acquired_ns: int
    """Host time at which the device took the last sample."""
    stored_ns: int
    """When the first of its packets was in the ring."""

    def until(self, seconds: float) -> Run | None:
        """What of it lies in the first `seconds` of the stream: itself where all does, None without any."""
        left = round(seconds * self.sampling_hz) - self.first_sample
        if left >= self.ecg_mv.shape[1]:
            return self
        if left <= 0:
            return None
        return replace(self, ecg_mv=self.ecg_mv[:, :left], quality=self.quality[:, :left])


class Handover:
    """One thread puts, one takes; what is overwritten unread is counted in samples, and reported."""

    def __init__(self, ring_s: float = RING_S) -> None:
        self.samples_overrun = 0
        """Samples overwritten unread since the start."""
        self._ring_s = ring_s
        self._sampling_hz = 0.0
        self._ring: Ring | None = None
        self._reader: Reader | None = None
        self._stamps: deque[_Stamp] = deque()
        self._started = threading.Event()

    def put(self, block: SampleBlock) -> None:
        """Store a block, (n_leads, n) with n >= 1; never waits. All have the same leads and sampling rate."""
        ring = self._ring
        if ring is None:
            ring = Ring(len(block.ecg_mv), max(1, round(self._ring_s * block.sampling_hz)))
            # A block has at least one sample, so whichever stamp falls out, its samples are gone too.
            self._stamps = deque(maxlen=ring.capacity)
            self._sampling_hz = block.sampling_hz
            self._ring, self._reader = ring, ring.reader()
        with ring.condition:
            first = ring.write(block.ecg_mv, block.quality)
            self._stamps.append(
                _Stamp(
                    first + block.n_samples,
                    block.first_sample + block.n_samples,
                    block.n_samples,
                    block.arrival_ns,
                    block.acquired_ns,
                    monotonic_ns(),
                )
            )
        self._started.set()

    def has_room(self, n_samples: int) -> bool:
        """Whether `n_samples` more would overwrite nothing unread; also when the ring is empty."""
        ring, reader = self._ring, self._reader
        if ring is None or reader is None or reader.available == 0:
            return True
        return reader.available + n_samples <= ring.capacity

    def close(self) -> None:
        """Say that nothing more comes, from the putting thread; what is stored can still be taken."""
        if self._ring is not None:
            self._ring.close()
        self._started.set()

    def take(self, timeout_s: float) -> Run | None:
        """Wait up to `timeout_s` for samples and take the longest contiguous run, at most `TAKE_S`.

        None when nothing came in time, or when nothing more will come.
        """
        self._started.wait(timeout_s)
        ring, reader = self._ring, self._reader
        if ring is None or reader is None or not reader.wait(timeout_s):
            return None
        lost = 0
        with ring.condition:
            while self._stamps:
                stamps = self._contiguous(TAKE_S * self._sampling_hz)
                read = reader.read(stamps[-1].end)
                lost += read.lost
                n_samples = read.ecg_mv.shape[1]
                if n_samples == 0:
                    continue
                oldest = next(stamp for stamp in stamps if stamp.end > read.first_sample)
                newest = stamps[-1]
                self.samples_overrun += lost
                return Run(
                    read.ecg_mv,
                    read.quality,
                    newest.next_sample - n_samples,
                    self._sampling_hz,
                    lost,
                    oldest.arrival_ns,
                    newest.arrival_ns,
                    newest.acquired_ns,
                    oldest.stored_ns,
                )
        return None

    def _contiguous(self, limit: float) -> list[_Stamp]:
        """Take the stamps of the next run: no jump of the stream index inside, at most `limit` samples."""
        stamps = [self._stamps.popleft()]
        total = stamps[0].n_samples
        while self._stamps:
            stamp = self._stamps[0]
            total += stamp.n_samples
            if total > limit or stamp.next_sample - stamp.n_samples != stamps[-1].next_sample:
                break
            stamps.append(self._stamps.popleft())
        return stamps


def start_of(block: SampleBlock, transport: Transport) -> datetime | None:
    """When the device took the first sample of the stream's first block."""
    lasting = timedelta(seconds=(block.n_samples - 1) / block.sampling_hz)
    last_at = arrival_time(transport, block.acquired_ns or block.arrival_ns)
    return None if last_at is None else last_at - lasting
