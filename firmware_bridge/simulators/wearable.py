"""A virtual wearable without I/O: a signal in, frames with the time at which each is due out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Reconstruction, StreamInfo
from firmware_bridge.simulators.recording import Signal
from firmware_bridge.wire import gatt, spec
from firmware_bridge.wire.decoder import CommandDecoder
from firmware_bridge.wire.encoder import WireEncoder, frame_samples
from firmware_bridge.wire.packets import Command, InfoPacket, encode_frame
from firmware_bridge.wire.spec import FrameType

FORMATS = ("wire", "csv")
VARIATION = 0.3  # of a frame's length, either way
MOST_PPM = 1e5  # a tenth: no crystal, nor an RC oscillator, is further off
BATTERY_PERIOD_S = 5.0  # a host that comes late need not wait long; 12 bytes cost nothing


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
        firmware=spec.SIMULATED,
        simulated=True,
    )


@dataclass(frozen=True, slots=True)
class DueFrame:
    """Bytes that the device sends in one go; without samples while it is stopped, and often empty."""

    data: bytes
    first_sample: int
    n_samples: int
    due_s: float
    """When the last of its samples has been taken, in seconds of host time after the start."""


class OwnDecoder(Protocol):
    """What a wearable that reconstructs its leads itself has in it."""

    said: Reconstruction
    """What it says of the leads that it makes."""

    def reset(self) -> None:
        """A session begins."""
        ...

    def push(
        self, ecg_mv: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """The next measured samples, NaN where off; the leads, sigma and quality that they complete."""
        ...


def clock_rate(clock_ppm: float) -> float:
    """Seconds of a device's time in one of the host's. Raises SourceSpecError for a clock that none has."""
    if not abs(clock_ppm) <= MOST_PPM:
        raise SourceSpecError(
            f"a clock that runs fast by {clock_ppm:g} ppm: use {-MOST_PPM:g} to {MOST_PPM:g}"
        )
    return 1.0 + clock_ppm * 1e-6


class VirtualWearable:
    """Says `signal` in frames, as the device that `info` describes would, and obeys its host.

    `frames_hz` frames per second, fewer samples in each where the format has no room for all; on average,
    since each has another length (see `frame_samples`), 30 % either way, unless `vary_frames` is False or
    it writes lines;
    `clock_ppm` is how much the device's crystal runs fast, and its samples and ticks with it. Stream info
    precedes the first frame and then comes every second of device time, a battery frame every 5 s and when
    the charge has changed. `lead_off` and `battery` may be set at any time.

    It samples from its boot on. Stop, start and a change of rate take effect between two frames; a signal
    that was stopped goes on where it was. `signal_at` makes the signal at another rate (a new one, from its
    beginning) or raises SourceSpecError; without it the device has one rate, and keeps it.

    With a `decoder` it sends the leads that it reconstructs, too; without `measured` those alone.

    Raises SourceSpecError where signal and info do not fit, EncodeError where the format cannot carry it.
    """

    profile = gatt.WIRE_PROFILE

    def __init__(
        self,
        signal: Signal,
        info: StreamInfo | None = None,
        *,
        frames_hz: float = 25.0,
        vary_frames: bool = True,
        clock_ppm: float = 0.0,
        format: str = "wire",
        signal_at: Callable[[float], Signal] | None = None,
        battery: int = 100,
        decoder: OwnDecoder | None = None,
        measured: bool = True,
    ) -> None:
        info = info if info is not None else stream_info(signal.sampling_hz)
        if format not in FORMATS:
            raise SourceSpecError(f"unknown format {format!r}: use {' or '.join(FORMATS)}")
        if not 1 <= frames_hz <= 1000:
            raise SourceSpecError(f"{frames_hz:g} frames per second: use 1 to 1000")
        if not 0 <= battery <= 100:
            raise SourceSpecError(f"a battery at {battery} %: use 0 to 100")
        self.format = format
        self.lead_off = 0
        """Bit i set: the electrode of channel i is off, in the frames made from now on."""
        self.battery = battery
        """Charge in percent."""
        self.sampling = True
        """Whether it takes samples; a stopped device says its stream info every second all the same."""
        self._frames_hz = frames_hz
        self._variation = VARIATION if vary_frames and format == "wire" else 0.0
        self._clock = clock_rate(clock_ppm)
        self._signal_at = signal_at
        self._decoder, self._measured = decoder, measured
        self._commands = CommandDecoder()
        self._booted = False
        self._time_s = 0.0  # device time at the end of the last frame
        self._next_info_s = 0.0
        self._next_battery_s = 0.0
        self._battery_said = battery
        self._play(signal, info)

    def _play(self, signal: Signal, info: StreamInfo) -> None:
        """Play `signal` from now on, in the session that `info` describes."""
        missing = [lead for lead in info.leads if lead not in signal.leads]
        if missing:
            raise SourceSpecError(f"the signal has no lead {missing[0]}: {', '.join(signal.leads)}")
        if info.sampling_hz != signal.sampling_hz:
            raise SourceSpecError(
                f"the signal is at {signal.sampling_hz:g} Hz and the device at "
                f"{info.sampling_hz:g}: use one rate"
            )
        self._encoder = WireEncoder(info)
        self.info = info
        """The stream info of the session at hand."""
        self._signal = signal
        self._rows = [signal.leads.index(lead) for lead in info.leads]
        most = self._encoder.max_samples
        mean = min(max(1, round(info.sampling_hz / self._frames_hz)), most)
        spread = min(round(mean * self._variation), most - mean)
        self._lengths = (mean - spread, mean + spread)
        self._frames = 0  # of this session
        self._counts: NDArray[np.int32] | None = None  # of the next frame
        self._begin_s = self._time_s  # device time of the session's first sample
        self._next_sample = 0
        self._next_reconstructed = 0
        if self._decoder is not None:
            self._decoder.reset()

    @property
    def _frame_samples(self) -> int:
        """How many samples the next frame has."""
        return frame_samples(self._frames, *self._lengths)

    def next_due_s(self) -> float | None:
        """When the next frame is due, in seconds of host time after the start; None at the end.

        A command may change it.
        """
        if not self.sampling:
            return (self._time_s + self._frame_samples / self.info.sampling_hz) / self._clock
        if self._counts is None:
            self._counts = self._converted(self._signal.read(self._frame_samples)[self._rows])
        n_samples = self._counts.shape[1]
        return self._sample_s(self._next_sample + n_samples) / self._clock if n_samples else None

    def next_frame(self) -> DueFrame | None:
        """The next frame, with the stream info in front when its turn has come; None at the end.

        Make it when it is due, not before: answers to commands are numbered in the same sequence.
        """
        due_s = self.next_due_s()
        if due_s is None:
            return None
        first_sample = self._next_sample
        say_info = self._time_s >= self._next_info_s - 1e-9
        if say_info:
            self._next_info_s += spec.STREAM_INFO_PERIOD_S
        # The first delimiter ends whatever the line held before the device booted.
        boot = b"" if self._booted or self.format == "csv" else spec.DELIMITER
        self._booted = True
        if not self.sampling or self._counts is None:
            self._time_s += self._frame_samples / self.info.sampling_hz
            return DueFrame(self._introduction() if say_info else b"", first_sample, 0, due_s)
        counts, self._counts = self._counts, None
        self._frames += 1
        self._next_sample += counts.shape[1]
        self._time_s = self._sample_s(self._next_sample)
        make = self._csv_lines if self.format == "csv" else self._wire_frames
        data = boot + make(first_sample, counts, say_info)
        return DueFrame(data, first_sample, counts.shape[1], due_s)

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the host and obey; the answer: stream info for each command understood."""
        if self.format == "csv":
            return b""
        answers = []
        for command in self._commands.receive_data(data):
            self._obey(command)
            answers.append(self._introduction())
        return b"".join(answers)

    def subscribed(self) -> bytes:
        """What a host that subscribes is sent first: stream info, and an end to what came before."""
        return spec.DELIMITER + self._introduction()

    def values(self) -> dict[str, bytes]:
        """What can be read of it, by UUID."""
        info = encode_frame(InfoPacket.from_stream_info(self.info))
        return {gatt.INFO: info, gatt.BATTERY_LEVEL: bytes([self.battery])}

    def _obey(self, command: Command) -> None:
        """Do what is not so already; a new session begins with the answer."""
        if command.frame_type is FrameType.STOP:
            self.sampling = False
        elif command.frame_type is FrameType.START and not self.sampling:
            counts = self._counts
            self._begin_session(self._signal, self.info)
            self._counts = counts
            self.sampling = True
        elif command.frame_type is FrameType.SET_RATE and self._signal_at is not None:
            if command.rate_millihertz == round(self.info.sampling_hz * 1000):
                return
            rate_hz = command.rate_millihertz / 1000
            with contextlib.suppress(SourceSpecError):  # a rate it has not: the answer says so
                config_id = (self.info.config_id + 1) % 256
                info = replace(self.info, sampling_hz=rate_hz, config_id=config_id)
                self._begin_session(self._signal_at(rate_hz), info)

    def _begin_session(self, signal: Signal, info: StreamInfo) -> None:
        self._play(signal, replace(info, session=(self.info.session + 1) % 256))
        self._next_info_s = self._time_s + spec.STREAM_INFO_PERIOD_S

    def _sample_s(self, sample: int) -> float:
        """Device time of a sample of this session, in seconds since the boot."""
        return self._begin_s + sample / self.info.sampling_hz

    def _converted(self, ecg_mv: NDArray[np.float32]) -> NDArray[np.int32]:
        rail = 1 << (self.info.sample_bits - 1)
        exact = np.rint(ecg_mv.astype(np.float64) * (1e6 / self.info.nanovolts_per_lsb))
        return np.clip(exact, -rail, rail - 1).astype(np.int32)

    def _wire_frames(self, first_sample: int, counts: NDArray[np.int32], say_info: bool) -> bytes:
        head = self._introduction() if say_info else b""
        begin_s = self._sample_s(first_sample)
        if begin_s >= self._next_battery_s - 1e-9 or self.battery != self._battery_said:
            self._next_battery_s = begin_s + BATTERY_PERIOD_S
            self._battery_said = self.battery
            head += self._encoder.battery(self.battery)
        # Samples and ticks come from one crystal, so in device time the rate is exact.
        tick_us = round(begin_s * 1e6)
        lead_off = self.lead_off
        measured = self._encoder.samples(counts, tick_us, lead_off) if self._measured else b""
        return head + measured + self._reconstructed(counts, lead_off)

    def _introduction(self) -> bytes:
        """What describes the samples of either kind."""
        info = self._encoder.stream_info()  # the first in sequence, too
        return (
            info
            if self._decoder is None
            else info + self._encoder.reconstruction(self._decoder.said)
        )

    def _reconstructed(self, counts: NDArray[np.int32], lead_off: int) -> bytes:
        """What the device's own decoder makes of its samples, in as many frames as that takes."""
        if self._decoder is None:
            return b""
        ecg_mv = (counts * (self.info.nanovolts_per_lsb * 1e-6)).astype(np.float32)
        ecg_mv[[bool(lead_off >> row & 1) for row in range(len(ecg_mv))]] = np.nan
        (made, sigma, quality), frames = self._decoder.push(ecg_mv), b""
        said = self._decoder.said
        most = spec.max_reconstructed(len(said.leads))
        for start in range(0, made.shape[1], most):
            at = slice(start, start + most)
            frames += self._encoder.reconstructed(
                said,
                made[:, at],
                sigma[:, at],
                quality[:, at],
                first_sample=self._next_reconstructed,
                tick_us=round(self._sample_s(self._next_reconstructed) * 1e6),
            )
            self._next_reconstructed += made[:, at].shape[1]
        return frames

    def _csv_lines(self, first_sample: int, counts: NDArray[np.int32], say_info: bool) -> bytes:
        """Millivolts with four decimals, as `devices.csv_lines` expects; a header line as stream info."""
        lines = [",".join(self.info.leads)] if say_info else []
        for row in (counts.T * (self.info.nanovolts_per_lsb * 1e-6)).tolist():
            fields = ["" if self.lead_off >> i & 1 else f"{mv:.4f}" for i, mv in enumerate(row)]
            lines.append(",".join(fields))
        return ("\r\n".join(lines) + "\r\n").encode()
