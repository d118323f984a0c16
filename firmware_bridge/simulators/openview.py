"""The virtual twin of a ProtoCentral ADS1293 board: it sends OpenView frames and takes no commands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.devices.lead_map import LeadMap
from firmware_bridge.devices.openview import (
    ADC_MAX,
    CHANNELS,
    END,
    MILLIVOLTS_AT_FULL_CODE,
    PAD,
    SAMPLES_TYPE,
    SAMPLING_HZ,
    START,
)
from firmware_bridge.simulators.board import VirtualBoard
from firmware_bridge.simulators.recording import Signal
from firmware_bridge.simulators.twins import Setup, board


class VirtualOpenView(VirtualBoard):
    """An ADS1293 board whose sketch runs at the signal's rate; it streams from its boot on."""

    def __init__(
        self,
        signal: Signal,
        lead_map: LeadMap,
        *,
        bursts_hz: float = 25.0,
        clock_ppm: float = 0.0,
        adc_max: int = ADC_MAX,
    ) -> None:
        nanovolts = MILLIVOLTS_AT_FULL_CODE / adc_max * 1e6
        super().__init__(
            signal, lead_map, nanovolts, bursts_hz=bursts_hz, clock_ppm=clock_ppm, started=True
        )
        self._adc_max = adc_max

    def encode(self, counts: NDArray[np.int32]) -> bytes:
        """A frame for each sample: codes from 0 to ADCMAX, sign-extended as the sketch does it."""
        codes = np.clip(counts + self._adc_max // 2, 0, self._adc_max)
        extended = np.where(codes & 0x800000, codes - 0x1000000, codes).astype("<i4")
        head = START + (12).to_bytes(2, "little") + bytes([SAMPLES_TYPE])
        tail = bytes([PAD, END])
        return b"".join(head + extended[:, i].tobytes() + tail for i in range(codes.shape[1]))

    def receive(self, data: bytes) -> bytes:
        """Ignore what the host says."""
        return b""


def twin(setup: Setup) -> VirtualOpenView:
    """As `simulate` asks for it."""
    return board(VirtualOpenView, setup, SAMPLING_HZ, CHANNELS)
