"""Frames by the million with bits flipped and bytes deleted, seeded: what is accepted, lost and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.wire.decoders import CYTON, READ_BYTES
from edge.progress import followed
from firmware_bridge.devices.cyton import PACKET_BYTES, CytonDecoder
from firmware_bridge.events import Corrupt, Decoder, Event, Gap, Samples, StreamInfo
from firmware_bridge.simulators.cyton import VirtualCyton
from firmware_bridge.simulators.recording import Recording
from firmware_bridge.simulators.wearable import stream_info
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder

DAMAGE_PER = 20_000
FLIPS, DELETIONS = 500, 200
FRAME_SAMPLES = 10  # 250 Hz at 25 frames a second
INFO_EVERY = 25  # frames: one stream info a second
LEADS = ("II", "V1", "V5")
Block = tuple[bytes, NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]
"""Bytes; the end of each frame in them; its first sample, -1 for none; the counts, (n_leads, n)."""


@dataclass
class _Ledger:
    """What was sent, what of it was damaged, and what the decoder said of it."""

    frame_samples: int
    frames: int = 0
    samples_sent: int = 0
    frames_damaged: int = 0
    samples_received: int = 0
    samples_told_lost: int = 0
    corrupt_accepted: int = 0
    corrupt_told: int = 0
    misplaced: int = 0
    """Events whose first sample is not where the one before ended."""
    _next: int = 0
    _heard: list[int] = field(default_factory=list)
    _firsts: list[NDArray[np.int64]] = field(default_factory=list)
    _touched: list[NDArray[np.bool_]] = field(default_factory=list)

    def sent(self, firsts: NDArray[np.int64], touched: NDArray[np.bool_]) -> None:
        self.frames += len(firsts)
        self.samples_sent += int((firsts >= 0).sum()) * self.frame_samples
        self.frames_damaged += int(touched.sum())
        self._firsts.append(firsts)
        self._touched.append(touched)

    def heard(self, event: Event, truth: Callable[[int, int], NDArray[np.int32]]) -> None:
        if isinstance(event, Corrupt):
            self.corrupt_told += 1
        elif isinstance(event, Gap):
            self._place(event.first_sample, event.n_samples)
            self.samples_told_lost += event.n_samples
        elif isinstance(event, Samples):
            n = event.counts.shape[1]
            self._place(event.first_sample, n)
            self.samples_received += n
            wrong = (event.counts != truth(event.first_sample, n)).any(axis=0)
            self.corrupt_accepted += int(wrong.sum())
            self._heard += range(event.first_sample, event.first_sample + n, self.frame_samples)

    def _place(self, first_sample: int, n: int) -> None:
        self.misplaced += first_sample != self._next
        self._next = first_sample + n

    def results(self) -> dict[str, Any]:
        firsts, touched = np.concatenate(self._firsts), np.concatenate(self._touched)
        # A damaged end joins a frame to the one after it: that one is the neighbour.
        spoilt = touched | np.concatenate([[False], touched[:-1]])
        good = firsts[(firsts >= 0) & ~spoilt]
        lost = np.setdiff1d(good, np.array(self._heard, np.int64), assume_unique=True)
        untold = self.samples_sent - self.samples_received - self.samples_told_lost
        return {
            "frames": self.frames,
            "frames_damaged": self.frames_damaged,
            "samples_sent": self.samples_sent,
            "samples_received": self.samples_received,
            "samples_told_lost": self.samples_told_lost,
            "corrupt_told": self.corrupt_told,
            "corrupt_accepted": self.corrupt_accepted,
            "good_frames_lost": len(lost),
            "samples_miscounted": abs(untold) + self.misplaced,
        }


def wire_damage(frames: int, seed: int) -> dict[str, Any]:
    """Our wire format, int24; what is sent last is clean, so that the last loss can be told."""
    return _run(WireDecoder(), _wire_blocks(frames, seed), frames, FRAME_SAMPLES, seed)


def cyton_damage(frames: int, seed: int) -> dict[str, Any]:
    """The same damage to Cyton packets, for comparison."""
    return _run(CytonDecoder(CYTON), _cyton_blocks(frames, seed), frames, 1, seed)


def _run(
    decoder: Decoder, blocks: Iterator[Block], frames: int, frame_samples: int, seed: int
) -> dict[str, Any]:
    rng = np.random.default_rng((seed, 2))
    ledger = _Ledger(frame_samples)
    before = np.zeros((len(LEADS), 0), np.int32)
    begin = 0  # of `before`
    n_blocks = -(-frames // DAMAGE_PER)
    for data, ends, firsts, counts in followed(blocks, f"damaging {frames:,} frames", n_blocks):
        known = np.concatenate([before, counts], axis=1)
        known_from, begin = begin, begin + before.shape[1]

        def truth(
            first: int,
            n: int,
            known: NDArray[np.int32] = known,
            known_from: int = known_from,
        ) -> NDArray[np.int32]:
            part = known[:, max(0, first - known_from) : first - known_from + n]
            return part if part.shape[1] == n else np.full((len(known), n), 1 << 30, np.int32)

        damaged, touched = _damaged(data, ends, rng)
        ledger.sent(firsts, touched)
        for at in range(0, len(damaged), READ_BYTES):
            for event in decoder.receive_data(damaged[at : at + READ_BYTES]):
                if not isinstance(event, StreamInfo):
                    ledger.heard(event, truth)
        before = counts
    return ledger.results()


def _damaged(
    data: bytes, ends: NDArray[np.int64], rng: np.random.Generator
) -> tuple[bytes, NDArray[np.bool_]]:
    """The bytes with their share of flips and deletions, and which frames those hit.

    The first two frames of each block stay whole, as the first of a stream says where it begins, and the
    last two, so that a loss is told in the block where it happens.
    """
    share = len(ends) / DAMAGE_PER
    touched = np.zeros(len(ends), np.bool_)
    if len(ends) < 5:
        return data, touched
    low, high = int(ends[1]), int(ends[-3])
    flips = rng.integers(low, high, round(FLIPS * share))
    gone = low + rng.choice(high - low, round(DELETIONS * share), replace=False)
    changed = np.frombuffer(data, np.uint8).copy()
    np.bitwise_xor.at(changed, flips, (1 << rng.integers(0, 8, len(flips))).astype(np.uint8))
    touched[np.searchsorted(ends, np.concatenate([flips, gone]), "right")] = True
    return np.delete(changed, gone).tobytes(), touched


def _wire_blocks(frames: int, seed: int) -> Iterator[Block]:
    rng = np.random.default_rng((seed, 1))
    encoder = WireEncoder(stream_info(250.0, LEADS, session=1))
    made = 0
    while made < frames:
        sent, firsts, counts = [], [], []
        for _ in range(min(DAMAGE_PER, frames - made)):
            if made % INFO_EVERY == 0:
                firsts.append(-1)
                sent.append(encoder.stream_info())
            else:
                samples = rng.integers(-(2**23), 2**23, (3, FRAME_SAMPLES), dtype=np.int32)
                counts.append(samples)
                firsts.append(encoder.first_sample)
                sent.append(encoder.samples(samples, encoder.first_sample * 4000))
            made += 1
        ends = np.cumsum([len(frame) for frame in sent])
        yield b"".join(sent), ends, np.array(firsts), np.concatenate(counts, axis=1)


def _cyton_blocks(frames: int, seed: int) -> Iterator[Block]:
    rng = np.random.default_rng((seed, 1))
    ecg_mv = rng.normal(0, 1, (3, frames)).astype(np.float32)
    board = VirtualCyton(Recording(ecg_mv, 250.0, LEADS), CYTON, bursts_hz=1)
    board.start()
    clean = CytonDecoder(CYTON)
    pieces, counts, n = [], [], 0
    while (frame := board.next_frame()) is not None:
        pieces.append(frame.data)
        counts += [e.counts for e in clean.receive_data(frame.data) if isinstance(e, Samples)]
        n += frame.n_samples
        if n % DAMAGE_PER == 0 or n == frames:
            size = sum(part.shape[1] for part in counts)
            ends = np.arange(1, size + 1) * PACKET_BYTES
            firsts = np.arange(n - size, n)
            yield b"".join(pieces), ends, firsts, np.concatenate(counts, axis=1)
            pieces, counts = [], []
