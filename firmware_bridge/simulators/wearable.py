"""A virtual wearable without I/O: a signal in, frames with the time at which each is due out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import StreamInfo
from firmware_bridge.simulators.recording import Signal
from firmware_bridge.wire import spec
from firmware_bridge.wire.decoder import CommandDecoder
from firmware_bridge.wire.encoder import WireEncoder

FORMATS = ("wire", "csv")


def stream_info(
    sampling_hz: float,
    leads: Sequence[str] = ("II", "V1", "V5"),
    *,
    sample_bits: int = 24,
    session: int = 0,
) -> StreamInfo:
    """What a virtual wearable says of itself: at 24 bits 50 nV per LSB (+-419 mV), at 16 bits 1 uV."""
    return StreamInfo(
        leads=tuple(leads),
        sampling_hz=sampling_hz,
        nanovolts_per_lsb=50.0 if sample_bits == 24 else 1000.0,
        sample_bits=sample_bits,
        config_id=1,
        session=session,
        device="virtual wearable",
        firmware="simulated",
    )


@dataclass(frozen=True, slots=True)
class DueFrame:
    """Bytes that the device sends in one go."""

    data: bytes
    first_sample: int
    n_samples: int
    due_s: float
    """When the last of its samples has been taken, in seconds of host time after the start."""


class VirtualWearable:
    """Says `signal` in frames, as the device that `info` describes would.

    `frames_hz` frames per second, fewer samples in each where the format has no room for all;
    `clock_ppm` is how much the device's crystal runs fast, and its samples and ticks with it. Stream info
    precedes the first frame and then every second of device time. `lead_off` may be set at any time.

    Raises SourceSpecError where signal and info do not fit, EncodeError where the format cannot carry it.
    """

    def __init__(
        self,
        signal: Signal,
        info: StreamInfo | None = None,
        *,
        frames_hz: float = 25.0,
        clock_ppm: float = 0.0,
        format: str = "wire",
    ) -> None:
        self.info = info if info is not None else stream_info(signal.sampling_hz)
        missing = [lead for lead in self.info.leads if lead not in signal.leads]
        if missing:
            raise SourceSpecError(f"the signal has no lead {missing[0]}: {', '.join(signal.leads)}")
        if self.info.sampling_hz != signal.sampling_hz:
            raise SourceSpecError(
                f"the signal is at {signal.sampling_hz:g} Hz and the device at "
                f"{self.info.sampling_hz:g}: use one rate"
            )
        if format not in FORMATS:
            raise SourceSpecError(f"unknown format {format!r}: use {' or '.join(FORMATS)}")
        if not 1 <= frames_hz <= 1000:
            raise SourceSpecError(f"{frames_hz:g} frames per second: use 1 to 1000")
        self.format = format
        self.lead_off = 0
        """Bit i set: the electrode of channel i is off, in the frames made from now on."""
        self._signal = signal
        self._rows = [signal.leads.index(lead) for lead in self.info.leads]
        self._encoder = WireEncoder(self.info)
        self._frame_samples = min(
            max(1, round(self.info.sampling_hz / frames_hz)), self._encoder.max_samples
        )
        self._host_hz = self.info.sampling_hz * (1.0 + clock_ppm * 1e-6)
        self._next_sample = 0
        self._next_info = 0
        self._counts: NDArray[np.int32] | None = None  # of the next frame
        self._commands = CommandDecoder()

    def next_due_s(self) -> float | None:
        """When the next frame is due, in seconds of host time after the start; None at the end."""
        if self._counts is None:
            self._counts = self._converted(self._signal.read(self._frame_samples)[self._rows])
        n_samples = self._counts.shape[1]
        return (self._next_sample + n_samples) / self._host_hz if n_samples else None

    def next_frame(self) -> DueFrame | None:
        """The next frame, with the stream info in front when its turn has come; None at the end.

        Make it when it is due, not before: answers to commands are numbered in the same sequence.
        """
        due_s = self.next_due_s()
        if due_s is None or self._counts is None:
            return None
        counts, self._counts = self._counts, None
        first_sample = self._next_sample
        self._next_sample += counts.shape[1]
        say_info = first_sample >= self._next_info
        if say_info:
            self._next_info += round(self.info.sampling_hz * spec.STREAM_INFO_PERIOD_S)
        make = self._csv_lines if self.format == "csv" else self._wire_frames
        data = make(first_sample, counts, say_info)
        return DueFrame(data, first_sample, counts.shape[1], due_s)

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the host; the answer: stream info for each command that is understood."""
        if self.format == "csv":
            return b""
        commands = self._commands.receive_data(data)
        return b"".join(self._encoder.stream_info() for _ in commands)

    def _converted(self, ecg_mv: NDArray[np.float32]) -> NDArray[np.int32]:
        rail = 1 << (self.info.sample_bits - 1)
        exact = np.rint(ecg_mv.astype(np.float64) * (1e6 / self.info.nanovolts_per_lsb))
        return np.clip(exact, -rail, rail - 1).astype(np.int32)

    def _wire_frames(self, first_sample: int, counts: NDArray[np.int32], say_info: bool) -> bytes:
        # The first delimiter ends whatever the line held before the device booted.
        boot = spec.DELIMITER if first_sample == 0 else b""
        info = self._encoder.stream_info() if say_info else b""
        # Samples and ticks come from one crystal, so in device time the rate is exact.
        tick_us = round(first_sample * 1e6 / self.info.sampling_hz)
        return boot + info + self._encoder.samples(counts, tick_us, self.lead_off)

    def _csv_lines(self, first_sample: int, counts: NDArray[np.int32], say_info: bool) -> bytes:
        """Millivolts with four decimals, as `devices.csv_lines` expects; a header line as stream info."""
        lines = [",".join(self.info.leads)] if say_info else []
        for row in (counts.T * (self.info.nanovolts_per_lsb * 1e-6)).tolist():
            fields = ["" if self.lead_off >> i & 1 else f"{mv:.4f}" for i, mv in enumerate(row)]
            lines.append(",".join(fields))
        return ("\r\n".join(lines) + "\r\n").encode()
