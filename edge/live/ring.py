"""The ring buffer between acquisition and inference: one writer, any number of readers, no silent loss.

Samples have absolute indices: 0 is the first ever written. Each reader has its own cursor, as in a log,
so that readers neither share a "new samples" count nor steal from each other. The memory is allocated
once, and every sample is stored twice, one capacity apart, so that any run of up to `capacity`
samples is contiguous in memory even where it crosses the wrap.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A copy of samples, and what was overwritten before they could be read."""

    ecg_mv: NDArray[np.float32]
    """(n_leads, n) float32 mV."""
    quality: NDArray[np.uint8]
    """(n_leads, n) uint8."""
    first_sample: int
    """Absolute index of the first column."""
    lost: int
    """Samples between the cursor and `first_sample` that were overwritten unread."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Samples in place, read-only; use them, then ask `is_valid()`."""

    ecg_mv: NDArray[np.float32]
    """(n_leads, n) float32 mV, contiguous along time, the ring's own memory."""
    quality: NDArray[np.uint8]
    first_sample: int
    lost: int
    _ring: Ring

    def is_valid(self) -> bool:
        """Whether nothing in this view has been overwritten up to now."""
        with self._ring.condition:
            return self.first_sample >= self._ring.oldest


class Ring:
    """Preallocated (n_leads, capacity) float32 mV with uint8 quality; safe between threads.

    `write` belongs to one thread; each `Reader` belongs to one thread.
    """

    def __init__(self, n_leads: int, capacity: int) -> None:
        """Raise InputError unless both sizes are at least 1."""
        if n_leads < 1 or capacity < 1:
            raise InputError(
                f"a ring of {n_leads} leads and {capacity} samples holds nothing: give both >= 1"
            )
        self.n_leads = n_leads
        self.capacity = capacity
        self.condition = threading.Condition()
        self._ecg = np.zeros((n_leads, 2 * capacity), np.float32)
        self._quality = np.zeros((n_leads, 2 * capacity), np.uint8)
        self._written = 0
        self._closed = False

    @property
    def written(self) -> int:
        """Samples ever written: the absolute index of the next one."""
        return self._written

    @property
    def oldest(self) -> int:
        """Absolute index of the oldest sample still here."""
        return max(0, self._written - self.capacity)

    @property
    def closed(self) -> bool:
        """Whether the writer has said that nothing more comes."""
        return self._closed

    def write(self, ecg_mv: NDArray[np.float32], quality: NDArray[np.uint8]) -> int:
        """Append (n_leads, n) samples and wake the readers; return the index of the first one.

        More than `capacity` at once keeps the newest; readers are told that the others are lost.
        Raises InputError for a wrong shape, and after `close()`.
        """
        if ecg_mv.ndim != 2 or ecg_mv.shape[0] != self.n_leads or quality.shape != ecg_mv.shape:
            raise InputError(
                f"the ring takes ({self.n_leads}, n) samples and as much quality, "
                f"got {ecg_mv.shape} and {quality.shape}"
            )
        n_samples = ecg_mv.shape[1]
        with self.condition:
            if self._closed:
                raise InputError("the ring is closed: open a new one to write more")
            first = self._written
            skip = max(0, n_samples - self.capacity)
            start = (first + skip) % self.capacity
            head = min(n_samples - skip, self.capacity - start)
            self._store(start, ecg_mv, quality, skip, skip + head)
            self._store(0, ecg_mv, quality, skip + head, n_samples)
            self._written = first + n_samples
            self.condition.notify_all()
        return first

    def _store(
        self, at: int, ecg_mv: NDArray[np.float32], quality: NDArray[np.uint8], lo: int, hi: int
    ) -> None:
        for offset in (at, at + self.capacity):
            self._ecg[:, offset : offset + hi - lo] = ecg_mv[:, lo:hi]
            self._quality[:, offset : offset + hi - lo] = quality[:, lo:hi]

    def close(self) -> None:
        """Say that nothing more comes; readers stop waiting and can still read what is here."""
        with self.condition:
            self._closed = True
            self.condition.notify_all()

    def reader(self, first_sample: int | None = None) -> Reader:
        """A reader at absolute index `first_sample`, by default at the next sample to be written."""
        return Reader(self, self._written if first_sample is None else first_sample)


class Reader:
    """One reader's cursor on a ring."""

    def __init__(self, ring: Ring, cursor: int) -> None:
        """Raise InputError for a cursor that lies beyond what has been written."""
        if not 0 <= cursor <= ring.written:
            raise InputError(f"no sample {cursor} in this ring: it has written {ring.written}")
        self._ring = ring
        self.cursor = cursor
        """Absolute index of the next sample to read."""
        self.lost = 0
        """Samples lost by this reader since it was made."""

    @property
    def available(self) -> int:
        """Samples written since the cursor, lost ones included."""
        return self._ring.written - self.cursor

    def wait(self, timeout_s: float, until: int | None = None) -> bool:
        """Wait until the sample before index `until` (default: one new sample) is written.

        Returns whether it is; False after `timeout_s` seconds or when the ring closes without it.
        """
        end = self.cursor + 1 if until is None else until
        ring = self._ring
        with ring.condition:
            ring.condition.wait_for(lambda: ring.written >= end or ring.closed, timeout_s)
            return ring.written >= end

    def read(self, until: int | None = None) -> Read:
        """Copy what is there from the cursor up to index `until` (default: all) and move on.

        Of that range, `lost` samples were overwritten and the rest is in the copy: the cursor always
        ends at `until`, or at the newest sample where `until` lies beyond it.
        """
        with self._ring.condition:
            span = self._span(until)
            return Read(span.ecg_mv.copy(), span.quality.copy(), span.first_sample, span.lost)

    def view(self, until: int | None = None) -> View:
        """As `read`, without the copy: ask `is_valid()` of the view after using its samples."""
        with self._ring.condition:
            return self._span(until)

    def _span(self, until: int | None) -> View:
        ring = self._ring
        end = ring.written if until is None else max(self.cursor, min(until, ring.written))
        first = min(max(self.cursor, ring.oldest), end)
        lost = first - self.cursor
        self.cursor = end
        self.lost += lost
        at = first % ring.capacity
        columns = slice(at, at + end - first)
        ecg_mv, quality = ring._ecg[:, columns], ring._quality[:, columns]
        ecg_mv.flags.writeable = quality.flags.writeable = False
        return View(ecg_mv, quality, first, lost, ring)
