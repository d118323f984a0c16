"""Streams of frames for the decoder's tests, and how to compare what it says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from itertools import pairwise

import numpy as np

from firmware_bridge.events import Event, ReconstructedLeads, Samples, StreamInfo
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder

INFO = StreamInfo(
    leads=("II", "V1", "V5"),
    sampling_hz=500.0,
    nanovolts_per_lsb=50.0,
    sample_bits=24,
    config_id=3,
    session=7,
    device="test",
    firmware="1",
)


def counts(first_sample: int, n_samples: int, channels: int = 3) -> np.ndarray:
    """A ramp from which the place of each sample can be read, (channels, n_samples) int32."""
    index = np.arange(first_sample, first_sample + n_samples) % 2**20
    return (index + (np.arange(channels)[:, None] << 20) - 2**21).astype(np.int32)


def sample_frame(encoder: WireEncoder, n_samples: int = 4, lead_off: int = 0) -> bytes:
    """The next frame of a device that takes 500 samples per second."""
    at = encoder.first_sample
    return encoder.samples(counts(at, n_samples), at * 2000, lead_off)


def device_frames(n_frames: int, n_samples: int = 4, encoder: WireEncoder | None = None):
    """Frames as a device sends them: the stream info first and every tenth, then samples."""
    encoder = encoder or WireEncoder(INFO)
    return [
        encoder.stream_info() if i % 10 == 0 else sample_frame(encoder, n_samples)
        for i in range(n_frames)
    ]


def key(event: Event) -> tuple:
    """The event as a value that compares."""
    if isinstance(event, Samples):
        at = (event.first_sample, event.tick_us, event.lead_off, event.sequence)
        where = (event.session, event.config_id, event.counts.shape, event.counts.tobytes())
        return (Samples, *at, *where)
    if isinstance(event, ReconstructedLeads):
        at = (event.first_sample, event.tick_us, event.sequence, event.session, event.config_id)
        arrays = (event.counts, event.sigma_mv, event.quality)
        return (ReconstructedLeads, *at, *((a.shape, a.tobytes()) for a in arrays))
    return (type(event), *astuple(event))


def decode(pieces: Sequence[bytes]) -> list[Event]:
    """All events of a new decoder that is given the pieces in turn."""
    decoder = WireDecoder()
    return [event for piece in pieces for event in decoder.receive_data(piece)]


def of(kind: type, events: Sequence[Event]) -> list:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    """The stream in pieces, cut at `places` modulo its length."""
    ends = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[a:b] for a, b in pairwise(ends)]
