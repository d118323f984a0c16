"""What the tests of other makers' boards share: known signals through a twin, and events put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.devices.lead_map import LeadMap, lead_map
from firmware_bridge.events import Corrupt, Decoder, Event, Gap, Samples
from firmware_bridge.simulators.board import VirtualBoard
from firmware_bridge.simulators.recording import Recording

WIRED = "1:II,2:V1,3:V5"
LEADS = ("II", "V1", "V5")


def wired(n_channels: int, text: str = WIRED, reference: str = "") -> LeadMap:
    """The map of a board's channels."""
    return lead_map(text, n_channels, reference)


def noise(sampling_hz: float, n_samples: int, seed: int = 1, scale_mv: float = 1.0) -> Recording:
    """Three leads of seeded noise, in which every sample can be told from every other."""
    ecg_mv = np.random.default_rng(seed).normal(0, scale_mv, (3, n_samples)).astype(np.float32)
    return Recording(ecg_mv, sampling_hz, LEADS)


def stream(board: VirtualBoard) -> bytes:
    """All that a board says of its finite signal, from its start."""
    board.receive(b"b")
    pieces = []
    while (frame := board.next_frame()) is not None:
        pieces.append(frame.data)
    return b"".join(pieces)


def decode(decoder: Decoder, pieces: Sequence[bytes]) -> list[Event]:
    """All events of a decoder that is given the pieces in turn."""
    return [event for piece in pieces for event in decoder.receive_data(piece)]


def of(kind: type, events: Sequence[Event]) -> list:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def placed(events: Sequence[Event]) -> dict[int, tuple[int, ...]]:
    """Each sample's counts by its index; also checks that gaps are told exactly where samples are not."""
    found: dict[int, tuple[int, ...]] = {}
    expected: int | None = None
    for event in events:
        if isinstance(event, Gap):
            assert expected is None or event.first_sample == expected
            expected = event.first_sample + event.n_samples
        elif isinstance(event, Samples):
            assert expected is None or event.first_sample == expected
            expected = event.first_sample + event.counts.shape[1]
            for i, sample in enumerate(event.counts.T.tolist()):
                found[event.first_sample + i] = tuple(sample)
    return found


def summary(events: Sequence[Event]) -> list[tuple]:
    """Events as values that compare, with neighbouring samples run together, however they were cut."""
    said: list[tuple] = []
    for event in events:
        if isinstance(event, Samples):
            rows = [
                (Samples, event.first_sample + i, *sample)
                for i, sample in enumerate(event.counts.T.tolist())
            ]
            said += rows
        else:
            said.append((type(event), *astuple(event)))
    return said


def corrupt_bytes(events: Sequence[Event]) -> int:
    """Bytes that were told to be no frame."""
    return sum(event.n_bytes for event in of(Corrupt, events))


def counts_of(recording: NDArray[np.float32], nanovolts_per_lsb: float) -> NDArray[np.int32]:
    """What millivolts are to be read as."""
    return np.rint(recording.astype(np.float64) * 1e6 / nanovolts_per_lsb).astype(np.int32)
