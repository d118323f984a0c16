"""The virtual twin of an OpenBCI Ganglion with firmware 2 or 3: commands in, notifications out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.devices.ganglion import (
    CHANNELS,
    CYCLE,
    NANOVOLTS_PER_LSB,
    NOTIFICATION_BYTES,
    PROFILE,
    SAMPLING_HZ,
    SHORT_CYCLE,
    TEXT,
    TEXT_END,
)
from firmware_bridge.devices.lead_map import LeadMap
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.simulators.board import VirtualBoard
from firmware_bridge.simulators.recording import Signal
from firmware_bridge.simulators.twins import Setup, board

VERSIONS = ("2.0.1", "3.0.2", "3.1.0")
"""The last stands for a firmware 3 that sends 100 packets in a cycle, as OpenBCI's repair of 3.0 does."""


class VirtualGanglion(VirtualBoard):
    """A Ganglion that was just connected to, and waits. `accelerometer` sends 18 bits instead of 19."""

    profile = PROFILE

    def __init__(
        self,
        signal: Signal,
        lead_map: LeadMap,
        *,
        version: str = "3.0.2",
        bursts_hz: float = 25.0,
        clock_ppm: float = 0.0,
        accelerometer: bool = False,
    ) -> None:
        if version not in VERSIONS:
            raise SourceSpecError(f"firmware {version}: simulated are {', '.join(VERSIONS)}")
        if signal.sampling_hz != SAMPLING_HZ:
            raise SourceSpecError(
                f"a Ganglion samples at {SAMPLING_HZ:g} Hz and the signal is at "
                f"{signal.sampling_hz:g}: give one at that rate"
            )
        super().__init__(
            signal, lead_map, NANOVOLTS_PER_LSB, bursts_hz=bursts_hz, clock_ppm=clock_ppm
        )
        self.sent_counts: list[list[int]] = []
        """What each sample is to be read as, per channel: the format drops low bits."""
        self._version = version
        self._cycle = SHORT_CYCLE if version == "3.1.0" else CYCLE
        self._bits = 18 if accelerometer else 19
        self._last = [0] * CHANNELS  # as measured
        self._heard = [0] * CHANNELS  # as a host of firmware 2 has summed it
        self._half: list[int] = [0] * CHANNELS

    def subscribed(self) -> bytes:
        """Wait for `b`: a board that is connected to resets itself."""
        self.started = False
        return b""

    def values(self) -> dict[str, bytes]:
        """Nothing is read of it."""
        return {}

    def start(self) -> None:
        """Start a cycle."""
        super().start()
        self._half = [0] * CHANNELS

    def encode(self, counts: NDArray[np.int32]) -> bytes:
        """The notifications that these samples complete, one after the other."""
        sent = []
        for i, sample in enumerate(counts.T.tolist()):
            # Firmware 2 and 3.0 send after even samples, so that the first packet of a cycle has one only.
            place = (self.next_sample + i) % self._cycle
            values = self._values(sample, place)
            if place % 2 == (self._cycle == SHORT_CYCLE):
                sent.append(self._packet(place // 2, sample, values))
            self._half = values
        return b"".join(sent)

    def _values(self, sample: list[int], place: int) -> list[int]:
        """What of a sample goes over the air; the sign is put into the lowest bit."""
        if self._version[0] == "3":
            kept = [value >> (24 - self._bits) for value in sample]
            values = [value & ~1 | (value < 0) for value in kept]
            self.sent_counts.append([value << (24 - self._bits) for value in values])
            return values
        deltas = [last - value for last, value in zip(self._last, sample, strict=True)]
        deltas = [delta & ~1 | (delta < 0) for delta in deltas]
        self._last = sample
        if place == 0:
            self._heard = sample
        else:
            self._heard = [a - b for a, b in zip(self._heard, deltas, strict=True)]
        self.sent_counts.append(self._heard)
        return deltas

    def _packet(self, k: int, sample: list[int], values: list[int]) -> bytes:
        if self._version[0] == "2" and k == 0:
            raw = b"".join(value.to_bytes(3, "big", signed=True) for value in sample)
            return (b"\0" + raw).ljust(NOTIFICATION_BYTES, b"\0")
        packed = 0
        for value in self._half + values:
            packed = packed << self._bits | value & ((1 << self._bits) - 1)
        packed <<= (NOTIFICATION_BYTES - 1) * 8 - 8 * self._bits
        number = k + (100 if self._bits == 19 else 0)
        return bytes([number]) + packed.to_bytes(NOTIFICATION_BYTES - 1, "big")

    def receive(self, data: bytes) -> bytes:
        """Obey `b` and `s`, and say the version on `v`."""
        answer = b""
        for command in data:
            if command == ord("b"):
                self.start()
            elif command == ord("s"):
                self.started = False
                answer += _text("stop running\n")
            elif command == ord("v"):
                self.started = False
                answer += _text(f"OpenBCI Ganglion v{self._version}\n")
        return answer


def _text(text: str) -> bytes:
    """Text in notifications, here always full ones."""
    size = NOTIFICATION_BYTES - 1
    pieces = [text[i : i + size].encode().ljust(size) for i in range(0, len(text), size)]
    numbers = [TEXT] * (len(pieces) - 1) + [TEXT_END]
    return b"".join(bytes([n]) + piece for n, piece in zip(numbers, pieces, strict=True))


def twin(setup: Setup) -> VirtualGanglion:
    """As `simulate` asks for it."""
    return board(VirtualGanglion, setup, SAMPLING_HZ, CHANNELS)
