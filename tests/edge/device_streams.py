"""A device with a clock of its own over a link, decoded and ingested by the real thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from edge.live.ingest import Ingest
from edge.samples import SampleBlock
from firmware_bridge.events import Event, Gap, StreamInfo
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder

RATE_HZ = 250.0
INFO = StreamInfo(("II", "V1", "V5"), RATE_HZ, 1000.0, 24, config_id=1)
EPOCH_NS = 40_000_000_000_000
US_PER_SAMPLE = 1e6 / RATE_HZ


class Device:
    """Makes frames of a ramp; `at_us` is its own clock, which begins at `boot_us` when it boots."""

    def __init__(
        self, *, session: int = 1, sequence: int = 0, first_sample: int = 0, boot_us: float = 0.0
    ) -> None:
        self.info = replace(INFO, session=session)
        self.boot_us = boot_us - first_sample * US_PER_SAMPLE
        self.encoder = WireEncoder(self.info, sequence=sequence, first_sample=first_sample)

    @property
    def at_us(self) -> float:
        """Device time of the next sample, never wrapped."""
        return self.boot_us + self.encoder.first_sample * US_PER_SAMPLE

    def say_info(self) -> bytes:
        return self.encoder.stream_info()

    def frame(self, n_samples: int = 10) -> bytes:
        """The next samples; each is its own index, modulo 4096."""
        index = np.arange(self.encoder.first_sample, self.encoder.first_sample + n_samples)
        counts = np.tile(index % 4096, (3, 1)).astype(np.int32)
        return self.encoder.samples(counts, round(self.at_us) % 2**32)

    def sleep(self, seconds: float) -> None:
        """Take no samples for a while; the tick goes on."""
        self.boot_us += seconds * 1e6

    def skip(self, n_samples: int, n_frames: int = 0) -> None:
        """Take samples that are never sent."""
        self.encoder.first_sample += n_samples
        self.encoder.sequence += n_frames


class Host:
    """Decoder, ingest and clock, and what came out of them."""

    def __init__(self) -> None:
        self.decoder = WireDecoder()
        self.ingest = Ingest(INFO.leads)
        self.events: list[Event] = []
        self.blocks: list[SampleBlock] = []

    def hear(self, data: bytes, arrival_ns: float = EPOCH_NS) -> None:
        """Take bytes that were read at `arrival_ns`."""
        for event in self.decoder.receive_data(data):
            self.events.append(event)
            block = self.ingest.push(event, round(arrival_ns))
            if block is not None:
                self.blocks.append(block)

    @property
    def told_lost(self) -> int:
        """Samples that the decoder's gaps tell."""
        return sum(event.n_samples for event in self.events if isinstance(event, Gap))


def contiguous(blocks: Iterable[SampleBlock]) -> bool:
    """Whether blocks follow each other without overlap, gaps allowed."""
    end = 0
    for block in blocks:
        if block.first_sample < end:
            return False
        end = block.first_sample + block.n_samples
    return True
