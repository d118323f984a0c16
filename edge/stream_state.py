"""The state of one stream between two pushes, and what is done to its samples before and after the engine.

    samples -> hold -> begin -> prepare -> Hops -> (an engine's step) -> finish -> twelve leads
                                                                      -> known  -> quality bits

No engine is called here: one engine may step many streams, each with a state of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Manifest
from edge.lead_set import Flags, LeadSet, Present
from edge.patient.patient_map import PatientMap
from edge.quality import Quality
from edge.signal.alignment import LookAhead
from edge.signal.amplitude import widen
from edge.signal.conditioning import Conditioner, Conditioning
from edge.signal.held import Bits, Held
from edge.signal.presence import Presence, runs

_CLEAN, _INTERPOLATED, _GAP, _NOISY, _LEAD_OFF, _SETTLING = (
    np.uint8(bit)
    for bit in (
        Quality.OK,
        Quality.INTERPOLATED,
        Quality.GAP,
        Quality.NOISY,
        Quality.LEAD_OFF,
        Quality.SETTLING,
    )
)
MAX_LOG_SIGMA = math.log(1.0)  # mV: the size of a QRS; a decoder that is less sure has no idea


@dataclass(slots=True)
class Piece:
    """Whole hops of a stream and what is known of them, while they are worked off."""

    filled: NDArray[np.float32]
    """(n_measured, n) mV, short gaps held."""
    missing: Flags | None
    off: Flags
    """(n_measured, n_hops), as `noisy` and `settling`."""
    noisy: Flags
    settling: Flags | None
    """None where nothing settles."""
    some_off: bool
    """Whether `off` is True anywhere."""
    bits: Bits | None


@dataclass(slots=True)
class Hops:
    """Hops at which the same leads are on, as an engine takes them."""

    at: slice
    """Their samples in the piece."""
    off: Flags | None
    """(n_measured,), None for all on."""
    present: Present
    conditioned: NDArray[np.float32]
    residual: NDArray[np.float32]
    ecg: NDArray[np.float32]
    """`residual` as an engine takes it, (1, n_inputs, hop, frames) mV."""


class StreamState:
    """Filters, gaps, lead-off, look-ahead and a patient's map of one stream."""

    def __init__(
        self,
        leads: LeadSet,
        manifest: Manifest,
        conditioning: Conditioning,
        patient_map: PatientMap | None = None,
    ) -> None:
        self.leads = leads
        n = leads.n_measured
        self._hop = manifest.hop
        self._conditioner = Conditioner(conditioning, manifest.sampling_hz, n, manifest.hop)
        self._presence = Presence(manifest.sampling_hz, n, manifest.hop)
        self._patient_map = patient_map
        self.look_ahead = (
            LookAhead(leads.n_decoded, n, manifest.lookahead) if manifest.lookahead else None
        )
        self._sigma_amplitude = np.float32(manifest.sigma_amplitude)
        self._nothing = Held(np.empty((n, 0), np.float32), None, None)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._presence.reset()
        self._forget_signal()
        if self.look_ahead is not None:
            self.look_ahead.reset()
        self.held = self._nothing
        """Samples that do not fill a hop yet."""
        self._off = np.zeros(self.leads.n_measured, bool)
        self._was_off = False

    def hold(
        self, samples: NDArray[np.float32], missing: Flags | None, bits: Bits | None
    ) -> tuple[NDArray[np.float32], Flags | None, Bits | None]:
        """What was held and then these samples, up to the last whole hop; the rest is held."""
        if self.held.n_samples:
            samples, missing, bits = self.held.before(samples, missing, bits)
        whole = samples.shape[1] // self._hop * self._hop
        if whole == samples.shape[1]:
            self.held = self._nothing
            return samples, missing, bits
        self.held = Held(
            samples[:, whole:].copy(),
            None if missing is None else missing[:, whole:].copy(),
            None if bits is None else bits[:, whole:].copy(),
        )
        return (
            samples[:, :whole],
            None if missing is None else missing[:, :whole],
            None if bits is None else bits[:, :whole],
        )

    def begin(
        self, samples: NDArray[np.float32], missing: Flags | None, bits: Bits | None
    ) -> Piece:
        """Find gaps, lead-off and noise in whole hops, (n_measured, n) mV."""
        if missing is not None and not np.count_nonzero(missing):
            missing = None
        filled, off, noisy = self._presence.push(samples, missing)
        return Piece(filled, missing, off, noisy, None, bool(np.count_nonzero(off)), bits)

    def prepare(self, piece: Piece) -> Iterator[Hops | slice]:
        """The piece as runs of hops with the same leads on, conditioned; finish each before the next.

        A slice stands for samples at which no lead is on: the engine's state is to be reset there, and
        `nothing` gives the output.
        """
        if not (self._was_off or piece.some_off):
            n = piece.filled.shape[1]
            settled = n == self._hop and not self._conditioner.is_settling
            hops, settling = self._conditioned(piece.filled, None, slice(0, n))
            piece.settling = None if settled else settling
            yield hops
            return
        piece.settling = np.zeros(piece.off.shape, bool)
        for part in runs(piece.off):
            at = slice(part.start * self._hop, part.stop * self._hop)
            now_off = piece.off[:, part.start]
            if now_off.all():
                self._forget_signal()
                yield at
            else:
                self._conditioner.restart(self._off & ~now_off)
                hops, piece.settling[:, part] = self._conditioned(piece.filled[:, at], now_off, at)
                yield hops
            self._off = now_off
        self._was_off = bool(self._off.any())

    def finish(
        self,
        hops: Hops,
        decoded: NDArray[np.float32],
        log_sigma: NDArray[np.float32],
        ecg: NDArray[np.float32],
        sigma: NDArray[np.float32],
    ) -> None:
        """What the engine made of `hops`, (n_decoded, hop, frames), into (12, n) `ecg` and `sigma`."""
        present, conditioned = hops.present, hops.conditioned
        n_out, n = self.leads.n_decoded, conditioned.shape[1]
        # The decoded leads; what lies below the residual branch's band the anchor maps alone.
        leads = np.empty((n_out + len(conditioned), n), np.float32)
        slow = present.anchor @ (conditioned - hops.residual)
        leads[:n_out] = slow + decoded.transpose(0, 2, 1).reshape(n_out, n)
        leads[n_out:] = conditioned
        lost = None
        if self.look_ahead is not None:
            predicted = present.anchor @ conditioned
            if hops.off is not None:
                conditioned[hops.off] = np.nan
            leads, lost = self.look_ahead.align(leads[:n_out] - predicted, predicted, conditioned)
        bounded = np.minimum(log_sigma.transpose(0, 2, 1).reshape(-1, n), MAX_LOG_SIGMA)
        if self._sigma_amplitude:
            above = decoded.transpose(0, 2, 1).reshape(n_out, n)
            widen(bounded, above, self._sigma_amplitude)
        if self._patient_map is not None:
            if present.projection is not None:
                leads[:n_out] = present.projection @ leads
            self._patient_map.apply(present.on, leads, bounded)
        np.matmul(present.twelve, leads, out=ecg)
        np.matmul(present.sigma, np.exp(bounded, out=bounded), out=sigma)
        if lost is not None:
            self.leads.blank(lost, ecg, sigma)
        elif present.blank is not None:
            ecg[present.blank] = sigma[present.blank] = np.nan

    def nothing(self, ecg: NDArray[np.float32], sigma: NDArray[np.float32]) -> None:
        """Samples at which no lead is on, into (12, n) `ecg` and `sigma`."""
        ecg[:] = sigma[:] = np.nan
        if self.look_ahead is not None:
            sigma[:] = 0.0
            leads, lost = self.look_ahead.align_nothing(ecg.shape[1])
            np.matmul(self.leads.all_present.twelve, leads, out=ecg)
            self.leads.blank(lost, ecg, sigma)

    def known(self, piece: Piece) -> Bits | None:
        """The quality bits of the measured leads, (n_measured, n); None where all are clean."""
        bits, n = piece.bits, piece.filled.shape[1]
        if np.count_nonzero(piece.noisy):
            bits = self._flagged(bits, piece.noisy, _NOISY)
        if piece.some_off:
            bits = self._flagged(bits, piece.off, _LEAD_OFF)
        if piece.settling is not None and np.count_nonzero(piece.settling):
            bits = self._flagged(bits, piece.settling, _SETTLING)
        if piece.missing is not None:
            held = piece.missing & ~np.repeat(piece.off, self._hop, axis=1)
            bits = _with(bits, np.where(held, _INTERPOLATED, _CLEAN))
            bits = _with(bits, np.where(piece.missing.all(0), _GAP, _CLEAN))
        if self.look_ahead is not None:
            bits = self.look_ahead.align_bits(bits, n)
        return bits

    def _flagged(self, bits: Bits | None, hops: Flags, flag: np.uint8) -> Bits:
        return _with(bits, np.where(np.repeat(hops, self._hop, axis=1), flag, _CLEAN))

    def _conditioned(
        self, filled: NDArray[np.float32], off: Flags | None, at: slice
    ) -> tuple[Hops, Flags]:
        conditioned, residual, settling = self._conditioner.push(filled)
        present = self.leads.all_present
        if off is not None:
            conditioned[off] = residual[off] = 0.0
            present = self.leads.present(~off)
        ecg = self.leads.engine_rows(present, residual)
        return Hops(at, off, present, conditioned, residual, ecg), settling

    def _forget_signal(self) -> None:
        """What the filters and the patient's map remember of the signal."""
        self._conditioner.reset()
        if self._patient_map is not None:
            self._patient_map.reset()


def _with(bits: Bits | None, more: Bits) -> Bits:
    return more if bits is None else bits | more
