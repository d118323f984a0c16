"""What the virtual twins of other makers' boards share: a signal, a clock, channels, start and stop."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.devices.lead_map import RAIL, LeadMap
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.simulators.recording import Signal
from firmware_bridge.simulators.wearable import DueFrame, clock_rate


class VirtualBoard(ABC):
    """Samples `signal` on the channels that `lead_map` wires, in bursts, while it is started.

    Unwired channels are at zero. A subclass says how counts are written (`encode`) and which commands there
    are (`receive`). `clock_ppm` is how much the board's crystal runs fast.
    """

    def __init__(
        self,
        signal: Signal,
        lead_map: LeadMap,
        nanovolts_per_lsb: float,
        *,
        bursts_hz: float = 25.0,
        clock_ppm: float = 0.0,
        started: bool = False,
    ) -> None:
        if not 1 <= bursts_hz <= 1000:
            raise SourceSpecError(f"{bursts_hz:g} frames per second: use 1 to 1000")
        absent = [lead for lead in lead_map.leads if lead not in signal.leads]
        if absent:
            raise SourceSpecError(f"the signal has no lead {absent[0]}: {', '.join(signal.leads)}")
        self.started = started
        self._signal = signal
        self._rows = [signal.leads.index(lead) for lead in lead_map.leads]
        # What the channels have to hold for the leads to come out: exact for every map there is.
        self._channels = np.linalg.pinv(lead_map.weights)
        self._counts_per_mv = 1e6 / nanovolts_per_lsb
        self._burst = max(1, round(signal.sampling_hz / bursts_hz))
        self._clock = clock_rate(clock_ppm)
        self._taken = 0  # samples' time that has passed since the board was switched on
        self.next_sample = 0
        """Samples since the last start."""

    @abstractmethod
    def encode(self, counts: NDArray[np.int32]) -> bytes:
        """(n_channels, n) counts as the board sends them."""

    @abstractmethod
    def receive(self, data: bytes) -> bytes:
        """Take what the host sends; the board's answer."""

    def start(self) -> None:
        """Sample from now on, counting from zero."""
        self.started = True
        self.next_sample = 0

    def next_due_s(self) -> float | None:
        """When the next burst is due, in seconds of host time after the start."""
        return (self._taken + self._burst) / self._signal.sampling_hz / self._clock

    def next_frame(self) -> DueFrame | None:
        """The next burst, empty while the board is stopped; None at the end of the signal."""
        due_s = self.next_due_s()
        self._taken += self._burst
        first = self.next_sample
        if due_s is None or not self.started:
            return DueFrame(b"", first, 0, due_s or 0.0)
        ecg_mv = self._signal.read(self._burst)[self._rows]
        n = ecg_mv.shape[1]
        if n == 0:
            return None
        exact = np.rint(self._channels @ ecg_mv.astype(np.float64) * self._counts_per_mv)
        data = self.encode(np.clip(exact, -RAIL - 1, RAIL).astype(np.int32))
        self.next_sample += n
        return DueFrame(data, first, n, due_s)
