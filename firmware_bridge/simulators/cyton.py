"""The virtual twin of an OpenBCI Cyton and its dongle: commands in, answers and 33-byte packets out."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.devices.cyton import (
    CHANNELS,
    END,
    EOT,
    GAINS,
    MICROVOLTS_AT_GAIN_1,
    SAMPLING_HZ,
    START,
    WRAP,
)
from firmware_bridge.devices.lead_map import LeadMap
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.simulators.board import VirtualBoard
from firmware_bridge.simulators.recording import Signal
from firmware_bridge.simulators.twins import Setup, board

FIRMWARE = "3.1.2"
_SETTING = re.compile(rb"x([1-8])0([0-6])0[01]([01])[01]X")
BOARD_OFF = b"Failure: Communications timeout - Device failed to poll Host"


class VirtualCyton(VirtualBoard):
    """A Cyton, stopped at gain 24 as a reset leaves it. `board_on=False` is a dongle without a board."""

    def __init__(
        self,
        signal: Signal,
        lead_map: LeadMap,
        *,
        bursts_hz: float = 25.0,
        clock_ppm: float = 0.0,
        firmware: str = FIRMWARE,
        daisy: bool = False,
        board_on: bool = True,
    ) -> None:
        if signal.sampling_hz != SAMPLING_HZ:
            raise SourceSpecError(
                f"a Cyton samples at {SAMPLING_HZ:g} Hz and the signal is at "
                f"{signal.sampling_hz:g}: give one at that rate"
            )
        nanovolts = MICROVOLTS_AT_GAIN_1 * 1e3
        super().__init__(signal, lead_map, nanovolts, bursts_hz=bursts_hz, clock_ppm=clock_ppm)
        self.gains = np.full(CHANNELS, 24)
        self.srb2 = np.ones(CHANNELS, np.bool_)
        """Which P inputs are joined to the SRB2 pin."""
        self.off = np.zeros(CHANNELS, np.bool_)
        self.lose_packets = 0
        """So many of the next packets are lost on the radio."""
        self._firmware = firmware
        self._has_daisy = daisy
        self._board_on = board_on
        self._held = b""

    def encode(self, counts: NDArray[np.int32]) -> bytes:
        """Packets of one sample; the gain is the amplifier's, so the counts are at gain 1."""
        n = counts.shape[1]
        rail = 1 << 23
        counts = np.where(self.off[:, None], 0, counts)
        amplified = np.clip(counts.astype(np.int64) * self.gains[:, None], -rail, rail - 1)
        packets = np.zeros((n, 33), np.uint8)
        packets[:, 0] = START
        packets[:, 1] = (self.next_sample + np.arange(n)) % WRAP
        wide = amplified.T.astype(">i4", order="C").view(np.uint8).reshape(n, CHANNELS, 4)
        packets[:, 2:26] = wide[:, :, 1:].reshape(n, -1)
        packets[:, 32] = END
        lost, self.lose_packets = min(n, self.lose_packets), max(0, self.lose_packets - n)
        return packets[lost:].tobytes()

    def receive(self, data: bytes) -> bytes:
        """Obey `v`, `V`, `s`, `b`, `c`, `d`, channels off and their settings; ignore everything else."""
        if not self._board_on:
            return BOARD_OFF + EOT
        answers = []
        self._held += data
        while self._held:
            if self._held[:1] == b"x":
                if len(self._held) < 9:
                    break
                answers.append(self._set(self._held[:9]))
                self._held = self._held[9:]
                continue
            answers.append(self._obey(self._held[:1]))
            self._held = self._held[1:]
        return b"".join(answers)

    def _obey(self, command: bytes) -> bytes:
        if command == b"b":
            self.start()
        elif command == b"s":
            self.started = False
        elif command == b"v":
            self.started = False
            self._default()
            return self._banner()
        elif command in b"12345678":
            self.off[int(command) - 1] = True
        elif self.started:
            return b""
        elif command == b"V":
            return f"v{self._firmware}".encode() + EOT
        elif command == b"c":
            said = b"daisy removed" if self._has_daisy else b"no daisy to remove!"
            return said + EOT
        elif command == b"d":
            self._default()
            return b"updating channel settings to default" + EOT
        return b""

    def _default(self) -> None:
        self.gains[:] = 24
        self.srb2[:] = True
        self.off[:] = False

    def _set(self, command: bytes) -> bytes:
        setting = _SETTING.fullmatch(command)
        if setting is None:
            return b"Failure: Err: 9th char not X" + EOT
        channel = int(setting[1]) - 1
        self.gains[channel] = GAINS[int(setting[2])]
        self.srb2[channel] = setting[3] == b"1"
        return b"Success: Channel set for " + setting[1] + EOT

    def _banner(self) -> bytes:
        daisy = "On Daisy ADS1299 Device ID: 0x3E\n" if self._has_daisy else ""
        return (
            "OpenBCI V3 8-16 channel\nOn Board ADS1299 Device ID: 0x3E\n"
            f"{daisy}LIS3DH Device ID: 0x33\nFirmware: v{self._firmware}\n"
        ).encode() + EOT


def twin(setup: Setup) -> VirtualCyton:
    """As `simulate` asks for it."""
    return board(VirtualCyton, setup, SAMPLING_HZ, CHANNELS)
