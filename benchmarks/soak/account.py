"""What arrived, told apart from the live path's own account: the decoder's samples, laid beside the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.events import Event, Samples
from firmware_bridge.wire.decoder import WireDecoder


class Tap:
    """The decoder of the wire format, and a note of each sample packet that it gives."""

    def __init__(self) -> None:
        self.packets: list[Samples] = []
        self._decoder = WireDecoder()

    def receive_data(self, data: bytes) -> list[Event]:
        """As the decoder."""
        events = self._decoder.receive_data(data)
        self.packets += [event for event in events if isinstance(event, Samples)]
        return events


class Account:
    """Every sample of the truth: whether it arrived, and how many the stream must call lost."""

    def __init__(
        self, packets: Sequence[Samples], session_starts: Sequence[int], codes: NDArray[np.int32]
    ) -> None:
        """`codes`: (n_leads, n), the truth. Sessions come in their order."""
        self.arrived = np.zeros(codes.shape[1], bool)
        self.wrong = 0
        """Samples with another value than the truth's, in channels whose electrode is on."""
        self.lost = 0
        """Samples between the first that arrived and the last, of each session, that did not."""
        self.again = 0
        """Samples that arrived twice: the decoder tells copies."""
        session, ends = -1, [0] * len(session_starts)
        for packet in packets:
            session = _unwrapped(packet.session, max(session, 0))
            first = session_starts[session] + packet.first_sample
            at = slice(first, first + packet.counts.shape[1])
            self.again += int(self.arrived[at].sum())
            self.arrived[at] = True
            on = [not packet.lead_off >> row & 1 for row in range(len(packet.counts))]
            self.wrong += int((packet.counts[on] != codes[on, at]).sum())
            ends[session] = max(ends[session], at.stop)
        self.begins = int(np.argmax(self.arrived)) if self.arrived.any() else 0
        for start, end in zip(session_starts, ends, strict=True):
            self.lost += int((~self.arrived[max(start, self.begins) : end]).sum())


def _unwrapped(session: int, newest: int) -> int:
    """The number of a session that is sent modulo 256; sessions only go on."""
    return newest + (session - newest) % 256


def spans(there: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, stop) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
