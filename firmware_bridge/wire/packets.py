"""What the frames carry, as frozen values that encode and parse themselves by the tables of `spec`.

`encode_frame` and `parse_frame` join them to header, CRC and COBS. Encoding refuses what the format cannot
carry with EncodeError (the caller's fault); parsing refuses nonsense with FrameError (the peer's).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import EncodeError
from firmware_bridge.events import StreamInfo
from firmware_bridge.wire import spec
from firmware_bridge.wire.fields import (
    lead_codes,
    leads_of,
    pack,
    take_text,
    text,
    unpack,
    unpack_all,
)
from firmware_bridge.wire.framing import FrameError, SenselessError, unwrap, wrap
from firmware_bridge.wire.reconstructed import ReconstructedPacket, ReconstructionPacket
from firmware_bridge.wire.spec import FrameType


@dataclass(frozen=True, slots=True, eq=False)
class SamplePacket:
    """Samples as one frame carries them, counters still modulo 2^32."""

    config_id: int
    first_sample: int
    tick_us: int
    lead_off: int
    counts: NDArray[np.int32]
    """(n_channels, n_samples) int32 converter codes."""
    sample_bits: int
    """16 or 24."""

    @property
    def frame_type(self) -> FrameType:
        """The frame type for this sample width."""
        return FrameType.SAMPLES_INT16 if self.sample_bits == 16 else FrameType.SAMPLES_INT24

    @property
    def n_samples(self) -> int:
        """Samples per channel."""
        return int(self.counts.shape[1])

    def encode(self) -> bytes:
        """The payload. Raises EncodeError for a shape or count that does not fit."""
        if self.sample_bits not in (16, 24):
            raise EncodeError(f"{self.sample_bits}-bit samples: the format has 16 and 24")
        if self.counts.ndim != 2 or not 1 <= self.counts.shape[0] <= spec.MAX_CHANNELS:
            raise EncodeError(
                f"counts of shape {self.counts.shape}: expected (n_channels, n_samples) "
                f"with 1 to {spec.MAX_CHANNELS} channels"
            )
        channels, count = self.counts.shape
        limit = spec.max_samples(channels, self.sample_bits)
        if not 1 <= count <= limit:
            raise EncodeError(f"{count} samples in one frame: send 1 to {limit} at a time")
        if self.lead_off >> channels:
            raise EncodeError(
                f"lead-off mask {self.lead_off:#x} names more than {channels} channels"
            )
        rail = 1 << (self.sample_bits - 1)
        if self.counts.min() < -rail or self.counts.max() >= rail:
            raise EncodeError(
                f"counts beyond {self.sample_bits} bits: clip them as a converter does"
            )
        wide = np.ascontiguousarray(self.counts.T, dtype="<i4")
        narrow = wide.view(np.uint8).reshape(-1, 4)[:, : self.sample_bits // 8]
        fixed = (self.config_id, self.first_sample, self.tick_us, count, self.lead_off, channels)
        return pack(self.frame_type, *fixed) + narrow.tobytes()

    @classmethod
    def parse(cls, frame_type: FrameType, payload: bytes) -> SamplePacket:
        """Read a payload. Raises FrameError if its length or a field makes no sense."""
        (config_id, first_sample, tick_us, count, lead_off, channels), rest = unpack(
            frame_type, payload
        )
        bits = spec.SAMPLE_BITS[frame_type]
        if not 1 <= channels <= spec.MAX_CHANNELS:
            raise FrameError(f"{channels} channels: the format has 1 to {spec.MAX_CHANNELS}")
        if count == 0:
            raise FrameError("a sample frame without samples")
        if lead_off >> channels:
            raise FrameError(f"lead-off mask {lead_off:#x} names more than {channels} channels")
        expected = count * channels * bits // 8
        if len(rest) != expected:
            raise FrameError(
                f"declares {count} x {channels} samples, {expected} bytes, and has {len(rest)}"
            )
        if bits == 16:
            flat = np.frombuffer(rest, "<i2").astype(np.int32)
        else:
            wide = np.zeros((count * channels, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(rest, np.uint8).reshape(-1, 3)
            flat = (wide.view("<i4")[:, 0] >> 8).astype(np.int32, copy=False)
        counts = np.ascontiguousarray(flat.reshape(count, channels).T)
        return cls(config_id, first_sample, tick_us, lead_off, counts, bits)


@dataclass(frozen=True, slots=True)
class InfoPacket:
    """What the device says of its stream."""

    frame_type: ClassVar[FrameType] = FrameType.STREAM_INFO
    config_id: int
    sample_bits: int
    rate_millihertz: int
    nanovolts_per_lsb: float
    leads: tuple[str, ...]
    device: str = ""
    firmware: str = ""

    @classmethod
    def from_stream_info(cls, info: StreamInfo) -> InfoPacket:
        """The packet that says what `info` says; its session goes into the header."""
        return cls(
            config_id=info.config_id,
            sample_bits=info.sample_bits,
            rate_millihertz=round(info.sampling_hz * 1000),
            nanovolts_per_lsb=info.nanovolts_per_lsb,
            leads=info.leads,
            device=info.device,
            firmware=spec.SIMULATED if info.simulated else info.firmware,
        )

    def stream_info(self, session: int) -> StreamInfo:
        """The event for this packet, received in `session`."""
        return StreamInfo(
            leads=self.leads,
            sampling_hz=self.rate_millihertz / 1000,
            nanovolts_per_lsb=self.nanovolts_per_lsb,
            sample_bits=self.sample_bits,
            config_id=self.config_id,
            session=session,
            device=self.device,
            firmware=self.firmware,
            simulated=self.firmware == spec.SIMULATED,
        )

    def encode(self) -> bytes:
        """The payload. Raises EncodeError for what the format cannot carry."""
        codes = lead_codes(self.leads)
        problem = self._problem()
        if problem:
            raise EncodeError(problem)
        fixed = (self.config_id, self.sample_bits, self.rate_millihertz, self.nanovolts_per_lsb)
        texts = text(self.device) + text(self.firmware)
        return pack(self.frame_type, *fixed, len(codes)) + codes + texts

    @classmethod
    def parse(cls, frame_type: FrameType, payload: bytes) -> InfoPacket:
        """Read a payload. Raises FrameError if its length or a field makes no sense."""
        (config_id, bits, rate, nanovolts, channels), rest = unpack(frame_type, payload)
        codes, rest = rest[:channels], rest[channels:]
        if len(codes) != channels:
            raise FrameError(f"declares {channels} channels and names {len(codes)} leads")
        leads = leads_of(codes)
        device, rest = take_text(rest, "device")
        firmware, rest = take_text(rest, "firmware")
        if rest:
            raise FrameError(f"stream info is {len(rest)} bytes longer than it declares")
        packet = cls(config_id, bits, rate, nanovolts, leads, device, firmware)
        problem = packet._problem()
        if problem:
            raise FrameError(problem)
        return packet

    def _problem(self) -> str | None:
        """What both directions refuse, in words."""
        if not 1 <= len(self.leads) <= spec.MAX_CHANNELS:
            return f"{len(self.leads)} channels: the format has 1 to {spec.MAX_CHANNELS}"
        if len(set(self.leads)) != len(self.leads):
            return f"a lead is named twice in {', '.join(self.leads)}"
        if self.sample_bits not in (16, 24):
            return f"{self.sample_bits}-bit samples: the format has 16 and 24"
        if self.rate_millihertz <= 0:
            return "a sampling rate of zero"
        if not (math.isfinite(self.nanovolts_per_lsb) and self.nanovolts_per_lsb > 0):
            return f"{self.nanovolts_per_lsb} nanovolts per LSB"
        return None


@dataclass(frozen=True, slots=True)
class BatteryPacket:
    """Charge of the device's battery."""

    frame_type: ClassVar[FrameType] = FrameType.BATTERY
    percent: int

    def encode(self) -> bytes:
        """The payload. Raises EncodeError for a charge outside 0 to 100."""
        if not 0 <= self.percent <= 100:
            raise EncodeError(f"a battery at {self.percent} %: give 0 to 100")
        return pack(self.frame_type, self.percent)

    @classmethod
    def parse(cls, frame_type: FrameType, payload: bytes) -> BatteryPacket:
        """Read a payload. Raises FrameError if its length or a field makes no sense."""
        (percent,) = unpack_all(frame_type, payload)
        if percent > 100:
            raise FrameError(f"a battery at {percent} %")
        return cls(percent)


@dataclass(frozen=True, slots=True)
class Command:
    """What the host asks of the device; each may be repeated without harm."""

    frame_type: FrameType
    """START, STOP, SET_RATE or IDENTIFY."""
    rate_millihertz: int = 0
    """The sampling rate to use, for SET_RATE alone."""

    def encode(self) -> bytes:
        """The payload. Raises EncodeError for a rate that is missing or out of place."""
        if self.frame_type < FrameType.START:
            raise EncodeError(f"{self.frame_type.name} is no command")
        sets_rate = self.frame_type is FrameType.SET_RATE
        if sets_rate != (self.rate_millihertz > 0):
            raise EncodeError(
                f"{self.frame_type.name} with a rate of {self.rate_millihertz} mHz: "
                "SET_RATE takes one above 0, other commands take none"
            )
        return pack(self.frame_type, *([self.rate_millihertz] if sets_rate else []))

    @classmethod
    def parse(cls, frame_type: FrameType, payload: bytes) -> Command:
        """Read a payload. Raises FrameError if its length or a field makes no sense."""
        values = unpack_all(frame_type, payload)
        if values == (0,):
            raise FrameError("a sampling rate of zero")
        return cls(frame_type, *values)


Packet = (
    SamplePacket | InfoPacket | BatteryPacket | ReconstructedPacket | ReconstructionPacket | Command
)

_PARSERS: dict[FrameType, Callable[[FrameType, bytes], Packet]] = {
    FrameType.SAMPLES_INT16: SamplePacket.parse,
    FrameType.SAMPLES_INT24: SamplePacket.parse,
    FrameType.RECONSTRUCTED: ReconstructedPacket.parse,
    FrameType.STREAM_INFO: InfoPacket.parse,
    FrameType.BATTERY: BatteryPacket.parse,
    FrameType.RECONSTRUCTION: ReconstructionPacket.parse,
    FrameType.START: Command.parse,
    FrameType.STOP: Command.parse,
    FrameType.SET_RATE: Command.parse,
    FrameType.IDENTIFY: Command.parse,
}


@dataclass(frozen=True, slots=True)
class Header:
    """Session and sequence of a frame, counters still modulo their width."""

    session: int
    sequence: int


def encode_frame(packet: Packet, session: int = 0, sequence: int = 0) -> bytes:
    """The whole frame for `packet`, delimiter included. Raises EncodeError for what does not fit.

    The defaults are those of a host: its commands need no counters, since each may be repeated.
    """
    payload = packet.encode()
    try:
        header = spec.HEADER_STRUCT.pack(spec.VERSION, packet.frame_type, session, sequence)
    except struct.error as error:
        raise EncodeError(f"session {session}, sequence {sequence}: {error}") from error
    return wrap(header + payload)


def parse_frame(frame: bytes) -> tuple[Header, Packet]:
    """Header and packet of `frame`, given without its delimiter.

    Raises FrameError, with the reason, if COBS, CRC, version, type, length or a field is wrong.
    """
    packet = unwrap(frame)
    if packet[0] != spec.VERSION:  # first, since another version may have another header
        raise SenselessError(f"format version {packet[0]}, and this side speaks {spec.VERSION}")
    if len(packet) < spec.HEADER_STRUCT.size:
        raise FrameError(f"{len(packet)} bytes: too short for a header")
    _, number, session, sequence = spec.HEADER_STRUCT.unpack_from(packet)
    parse = _PARSERS.get(number)
    if parse is None:
        raise FrameError(f"unknown frame type {number:#04x}")
    return Header(session, sequence), parse(FrameType(number), packet[spec.HEADER_STRUCT.size :])


def read_info_frame(value: bytes) -> InfoPacket:
    """The stream info that a device has as its info characteristic. Raises FrameError for anything else."""
    _, packet = parse_frame(value.removesuffix(spec.DELIMITER))
    if not isinstance(packet, InfoPacket):
        raise FrameError("it is no stream info")
    return packet
