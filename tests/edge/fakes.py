"""Stand-ins for tests of the live path: a reconstructor without a model, a device without a port."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, LEADS, provenance
from edge.samples import TwelveLeadBlock
from firmware_bridge.events import StreamInfo
from firmware_bridge.source import Link, Source
from firmware_bridge.transports.memory import MemoryTransport
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder


class FakeReconstructor:
    """Fake: all twelve leads are the first input lead; keeps hops and indices as the real one does."""

    sampling_hz = 250.0
    hop = 4
    leads = INPUT_LEADS
    moments = np.eye(len(INDEPENDENT_LEADS))  # of which no mistake can be told

    def __init__(self) -> None:
        self.skipped: list[int] = []
        self.pushed: list[int] = []
        self._held = np.empty((3, 0), np.float32)
        self._quality = np.empty((3, 0), np.uint8)
        self._next = 0

    def push(
        self,
        ecg_mv: NDArray[np.float32],
        valid: NDArray[np.bool_] | None = None,
        quality: NDArray[np.uint8] | None = None,
    ) -> TwelveLeadBlock:
        """Whole hops of what was pushed so far."""
        self.pushed.append(ecg_mv.shape[1])
        flags = np.zeros(ecg_mv.shape, np.uint8) if quality is None else quality
        self._held = np.hstack([self._held, ecg_mv])
        self._quality = np.hstack([self._quality, flags])
        n_samples = self._held.shape[1] // self.hop * self.hop
        rows = [0] * len(LEADS)
        block = TwelveLeadBlock(
            self._held[rows, :n_samples],
            np.zeros((len(LEADS), n_samples), np.float32),
            self._quality[rows, :n_samples],
            self._next,
            self.sampling_hz,
            provenance(),
        )
        self._held, self._quality = self._held[:, n_samples:], self._quality[:, n_samples:]
        self._next += n_samples
        return block

    def flush(self) -> TwelveLeadBlock:
        """Nothing: it has no look-ahead."""
        nothing = np.empty((len(LEADS), 0))
        return TwelveLeadBlock(
            nothing, nothing, nothing.astype(np.uint8), self._next, self.sampling_hz, provenance()
        )

    def skip(self, n_samples: int) -> None:
        """Drop what is held; the index jumps."""
        self.skipped.append(n_samples)
        self._next += self._held.shape[1] + n_samples
        self._held, self._quality = self._held[:, :0], self._quality[:, :0]


class ListSink:
    """Keeps blocks; fails on the block of index `fail_at`, or on close."""

    def __init__(self, fail_at: int | None = None, error: Exception | None = None) -> None:
        self.blocks: list[TwelveLeadBlock] = []
        self.closed = 0
        self._fail_at = fail_at
        self._error = error

    def write(self, block: TwelveLeadBlock) -> None:
        """Keep a block."""
        if self._error is not None and len(self.blocks) == self._fail_at:
            raise self._error
        self.blocks.append(block)

    def close(self) -> None:
        """Count closings."""
        self.closed += 1
        if self._error is not None and self._fail_at is None:
            raise self._error

    def __enter__(self) -> ListSink:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def ecg_mv(self) -> NDArray[np.float32]:
        """All blocks side by side."""
        return np.hstack([block.ecg_mv for block in self.blocks])


class MemoryDevice:
    """A wearable at 250 Hz whose wire is memory: `say` packets, then `transport.end()` or `.lose()`."""

    def __init__(
        self, leads: Sequence[str] = ("II", "V1", "V5"), sampling_hz: float = 250.0
    ) -> None:
        self.info = StreamInfo(tuple(leads), sampling_hz, 1000.0, 16, config_id=1)
        self.transport = MemoryTransport()
        self.source = Source(
            Link(self.transport, WireDecoder(), "wire"), name="memory:", stall_s=5.0, peer_s=3.0
        )
        self.encoder = WireEncoder(self.info)
        self.next_sample = 0

    def counts(self, n_samples: int) -> NDArray[np.int32]:
        """The next samples: channel c counts up from 1000 * c."""
        index = np.arange(self.next_sample, self.next_sample + n_samples)
        return (index + 1000 * np.arange(len(self.info.leads))[:, None]).astype(np.int32)

    def frame(self, n_samples: int, lead_off: int = 0) -> bytes:
        """The frame of the next samples; not sent."""
        tick_us = round(self.next_sample * 1e6 / self.info.sampling_hz)
        data = self.encoder.samples(self.counts(n_samples), tick_us, lead_off)
        self.next_sample += n_samples
        return data

    def say_info(self, **changes: object) -> None:
        """Send stream info, of another stream from here on where there are `changes`."""
        self.info = dataclasses.replace(self.info, **changes)  # type: ignore[arg-type]
        self.encoder = WireEncoder(
            self.info, sequence=self.encoder.sequence, first_sample=self.encoder.first_sample
        )
        assert self.transport.feed(self.encoder.stream_info())

    def say(self, n_samples: int, n_frames: int = 1, lead_off: int = 0) -> None:
        """Send frames of `n_samples` each."""
        for _ in range(n_frames):
            assert self.transport.feed(self.frame(n_samples, lead_off))
