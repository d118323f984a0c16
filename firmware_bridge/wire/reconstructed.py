"""Packets of leads that the device reconstructed itself: what they are, and their samples with sigma."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import EncodeError
from firmware_bridge.events import Reconstruction
from firmware_bridge.wire import spec
from firmware_bridge.wire.fields import lead_codes, leads_of, pack, take_text, text, unpack
from firmware_bridge.wire.framing import FrameError
from firmware_bridge.wire.spec import FrameType

MOST = (1 << 15) - 1  # counts of a value, either way


@dataclass(frozen=True, slots=True, eq=False)
class ReconstructedPacket:
    """Samples as one frame carries them, counters still modulo 2^32; all arrays (n_leads, ...)."""

    frame_type: ClassVar[FrameType] = FrameType.RECONSTRUCTED
    config_id: int
    first_sample: int
    tick_us: int
    quality: NDArray[np.uint8]
    """(n_leads,) quality bits of any of the samples."""
    values: NDArray[np.int16]
    """(n_leads, n_samples) counts; `spec.NO_VALUE` where there is none."""
    sigmas: NDArray[np.uint8]
    """(n_leads, n_samples) codes of `sigma_codes`."""

    @property
    def n_samples(self) -> int:
        """Samples per lead."""
        return int(self.values.shape[1])

    def encode(self) -> bytes:
        """The payload. Raises EncodeError for shapes or counts that do not fit."""
        shape = self.values.shape
        if len(shape) != 2 or not 1 <= shape[0] <= spec.MAX_LEADS:
            raise EncodeError(
                f"values of shape {shape}: expected (n_leads, n_samples) with 1 to {spec.MAX_LEADS} leads"
            )
        leads, count = shape
        if self.sigmas.shape != shape or self.quality.shape != (leads,):
            raise EncodeError(
                f"sigmas of shape {self.sigmas.shape}, quality {self.quality.shape}: they do not fit values "
                f"{shape}"
            )
        limit = spec.max_reconstructed(leads)
        if not 1 <= count <= limit:
            raise EncodeError(f"{count} samples in one frame: send 1 to {limit} at a time")
        fixed = (self.config_id, self.first_sample, self.tick_us, count, leads)
        parts = (
            self.quality.astype(np.uint8),
            np.ascontiguousarray(self.values.T, "<i2"),
            np.ascontiguousarray(self.sigmas.T, np.uint8),
        )
        return pack(self.frame_type, *fixed) + b"".join(part.tobytes() for part in parts)

    @classmethod
    def parse(cls, frame_type: FrameType, payload: bytes) -> ReconstructedPacket:
        """Read a payload. Raises FrameError if its length or a field makes no sense."""
        (config_id, first_sample, tick_us, count, leads), rest = unpack(frame_type, payload)
        if not 1 <= leads <= spec.MAX_LEADS:
            raise FrameError(f"{leads} leads: the format has 1 to {spec.MAX_LEADS}")
        if count == 0:
            raise FrameError("a frame of reconstructed leads without samples")
        expected = leads + 3 * count * leads
        if len(rest) != expected:
            raise FrameError(
                f"declares {count} x {leads} reconstructed samples, {expected} bytes, and has {len(rest)}"
            )
        quality = np.frombuffer(rest, np.uint8, leads)
        values = np.frombuffer(rest, "<i2", count * leads, leads).astype(np.int16)
        sigmas = np.frombuffer(rest, np.uint8, count * leads, leads + 2 * count * leads)
        return cls(
            config_id,
            first_sample,
            tick_us,
            quality.copy(),
            np.ascontiguousarray(values.reshape(count, leads).T),
            np.ascontiguousarray(sigmas.reshape(count, leads).T),
        )


@dataclass(frozen=True, slots=True)
class ReconstructionPacket:
    """What the device says of the leads that it reconstructs."""

    frame_type: ClassVar[FrameType] = FrameType.RECONSTRUCTION
    config_id: int
    rate_millihertz: int
    nanovolts_per_lsb: float
    leads: tuple[str, ...]
    provenance: tuple[str, ...]
    """Of each lead, one of `spec.PROVENANCE`."""
    model: str = ""

    @classmethod
    def from_reconstruction(cls, said: Reconstruction) -> ReconstructionPacket:
        """The packet that says what `said` says; its session goes into the header."""
        return cls(
            said.config_id,
            round(said.sampling_hz * 1000),
            said.nanovolts_per_lsb,
            said.leads,
            said.provenance,
            said.model,
        )

    def reconstruction(self, session: int) -> Reconstruction:
        """The event for this packet, received in `session`."""
        return Reconstruction(
            leads=self.leads,
            provenance=self.provenance,
            sampling_hz=self.rate_millihertz / 1000,
            nanovolts_per_lsb=self.nanovolts_per_lsb,
            config_id=self.config_id,
            session=session,
            model=self.model,
        )

    def encode(self) -> bytes:
        """The payload. Raises EncodeError for what the format cannot carry."""
        codes = lead_codes(self.leads)
        problem = self._problem()
        if problem:
            raise EncodeError(problem)
        unknown = [name for name in self.provenance if name not in spec.PROVENANCE]
        if unknown:
            raise EncodeError(f"provenance {unknown[0]!r}: use {', '.join(spec.PROVENANCE)}")
        origins = bytes(spec.PROVENANCE.index(name) + 1 for name in self.provenance)
        fixed = (self.config_id, self.rate_millihertz, self.nanovolts_per_lsb, len(codes))
        return pack(self.frame_type, *fixed) + codes + origins + text(self.model)

    @classmethod
    def parse(cls, frame_type: FrameType, payload: bytes) -> ReconstructionPacket:
        """Read a payload. Raises FrameError if its length or a field makes no sense."""
        (config_id, rate, nanovolts, n), rest = unpack(frame_type, payload)
        if len(rest) < 2 * n:
            raise FrameError(f"declares {n} leads and has {len(rest)} bytes for them")
        leads, origins = leads_of(rest[:n]), rest[n : 2 * n]
        unknown = [code for code in origins if not 1 <= code <= len(spec.PROVENANCE)]
        if unknown:
            raise FrameError(f"unknown provenance code {unknown[0]}")
        model, rest = take_text(rest[2 * n :], "model", "reconstruction")
        if rest:
            raise FrameError(f"reconstruction is {len(rest)} bytes longer than it declares")
        provenance = tuple(spec.PROVENANCE[code - 1] for code in origins)
        packet = cls(config_id, rate, nanovolts, leads, provenance, model)
        problem = packet._problem()
        if problem:
            raise FrameError(problem)
        return packet

    def _problem(self) -> str | None:
        """What both directions refuse, in words."""
        if not 1 <= len(self.leads) <= spec.MAX_LEADS:
            return f"{len(self.leads)} leads: the format has 1 to {spec.MAX_LEADS}"
        if len(set(self.leads)) != len(self.leads):
            return f"a lead is named twice in {', '.join(self.leads)}"
        if len(self.provenance) != len(self.leads):
            return f"{len(self.provenance)} provenances of {len(self.leads)} leads"
        if self.rate_millihertz <= 0:
            return "a sampling rate of zero"
        if not (math.isfinite(self.nanovolts_per_lsb) and self.nanovolts_per_lsb > 0):
            return f"{self.nanovolts_per_lsb} nanovolts per LSB"
        return None


def value_codes(ecg_mv: NDArray[np.floating], nanovolts_per_lsb: float) -> NDArray[np.int16]:
    """Values in mV as counts, saturated; what is not finite as `spec.NO_VALUE`."""
    known = np.isfinite(ecg_mv)
    counts = np.clip(np.rint(np.where(known, ecg_mv, 0.0) * (1e6 / nanovolts_per_lsb)), -MOST, MOST)
    return np.where(known, counts, spec.NO_VALUE).astype(np.int16)


def sigma_codes(sigma_mv: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Sigma in mV as codes: 0 where it is 0, or not finite; the next of what is beyond either end."""
    known = np.isfinite(sigma_mv) & (sigma_mv > 0)
    steps = np.log2(np.where(known, sigma_mv, 1.0) / spec.SIGMA_LEAST_MV) * spec.SIGMA_STEPS
    return np.where(known, np.clip(np.rint(steps), 0, 254) + 1, 0).astype(np.uint8)


def sigma_mv(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The other way: float32 mV."""
    steps = (codes.astype(np.float32) - 1) / np.float32(spec.SIGMA_STEPS)
    values = np.float32(spec.SIGMA_LEAST_MV) * np.exp2(steps)
    return np.where(codes > 0, values, np.float32(0)).astype(np.float32)
