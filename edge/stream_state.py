"""The state of one stream between two pushes, and what is done to its samples before and after the engine.

    whole hops -> begin -> prepare -> Hops -> (an engine's step) -> finish -> twelve leads
                                                                 -> known  -> quality bits
    a hop at which all is well -> take_hop -> (an engine's step) -> finish_hop -> twelve leads

No engine is called here: one engine may step many streams, each with a state of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Manifest
from edge.lead_set import Flags, LeadSet, Present
from edge.patient.patient_map import PatientMap
from edge.quality import Quality
from edge.signal.alignment import LookAhead
from edge.signal.assembly import Assembly
from edge.signal.conditioning import Conditioner, Conditioning
from edge.signal.held import Bits
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
KEPT_HOPS = 64  # longest piece whose arrays are kept for the next of its length: a second


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
    assembly: Assembly
    """Holds the filtered leads, zero where off."""
    ecg: NDArray[np.float32]
    """The residual branch's as an engine takes it, (1, n_inputs, hop, frames) mV."""


class StreamState:
    """Filters, gaps, lead-off, look-ahead and a patient's map of one stream."""

    def __init__(
        self,
        leads: LeadSet,
        manifest: Manifest,
        conditioning: Conditioning,
        patient_map: PatientMap | None = None,
        conditioner: Conditioner | None = None,
        presence: Presence | None = None,
    ) -> None:
        """`conditioner` and `presence` where others look after their arrays, as StreamGroup does."""
        self.leads = leads
        n = leads.n_measured
        self._hop = manifest.hop
        self.conditioner = conditioner or Conditioner(
            conditioning, manifest.sampling_hz, n, manifest.hop
        )
        self.presence = presence or Presence(manifest.sampling_hz, n, manifest.hop)
        self._patient_map = patient_map
        self.is_calibrated = patient_map is not None
        self.look_ahead = (
            LookAhead(leads.n_decoded, n, manifest.lookahead) if manifest.lookahead else None
        )
        self._n_sigmas = len(manifest.sigma_leads)
        self._sigma_amplitude = manifest.sigma_amplitude
        self._assemblies: dict[int, Assembly] = {}
        self._one = self._assembly(manifest.hop)
        self._finite = np.ones((n, manifest.hop), bool)
        self._all_finite = self._finite.tobytes()
        self._rows = np.zeros((1, len(manifest.input_leads), manifest.hop, 1), np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.presence.reset()
        self._forget_signal()
        if self.look_ahead is not None:
            self.look_ahead.reset()
        self._off = np.zeros(self.leads.n_measured, bool)
        self._was_off = False

    @property
    def well(self) -> bool:
        """Whether no lead is off, noisy or soon flat, nothing settles and nothing is to be aligned."""
        return (
            not (self._was_off or self.conditioner.is_settling or self.look_ahead is not None)
            and self.presence.plain
        )

    def take_hop(self, samples: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The common case: one hop, (n_measured, hop) mV, as an engine takes it, if all is well with it.

        None, and nothing taken, where samples are missing, and where this is not `well`. Give what the engine
        makes of it to `finish_hop`.
        """
        if not self.well:
            return None
        np.isfinite(samples, self._finite)
        if self._finite.tobytes() != self._all_finite:
            return None
        self.presence.push_hop(samples)
        one = self._one
        self.conditioner.push_hop(samples, one.filtered)
        self.leads.hop_rows(one.residual, self._rows)
        return self._rows

    def finish_hop(
        self, decoded: NDArray[np.float32], log_sigma: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Twelve leads and their sigma, (12, hop) mV, of the hop that `take_hop` took."""
        present, one = self.leads.all_present, self._one
        one.predict(present.anchor.dot)
        one.decode(decoded[:, :, 0], log_sigma[:, :, 0])
        if self.is_calibrated:
            self.calibrate(present, one.leads, one.log_sigma)
        return one.twelve(present.twelve.dot, present.sigma.dot)

    def begin(
        self, samples: NDArray[np.float32], missing: Flags | None, bits: Bits | None
    ) -> Piece:
        """Find gaps, lead-off and noise in whole hops, (n_measured, n) mV."""
        if missing is not None and not np.count_nonzero(missing):
            missing = None
        filled, off, noisy = self.presence.push(samples, missing)
        return Piece(filled, missing, off, noisy, None, bool(np.count_nonzero(off)), bits)

    def prepare(self, piece: Piece) -> Iterator[Hops | slice]:
        """The piece as runs of hops with the same leads on, conditioned; finish each before the next.

        A slice stands for samples at which no lead is on: the engine's state is to be reset there, and
        `nothing` gives the output.
        """
        if not (self._was_off or piece.some_off):
            n = piece.filled.shape[1]
            settled = n == self._hop and not self.conditioner.is_settling
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
                self.conditioner.restart(self._off & ~now_off)
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
        present, assembly = hops.present, hops.assembly
        assembly.predict(present.anchor.dot)
        assembly.decode(_in_time(decoded), _in_time(log_sigma))
        lost = None
        leads = assembly.leads
        if self.look_ahead is not None:
            conditioned = assembly.conditioned
            predicted = present.anchor @ conditioned
            residual = assembly.decoded - predicted
            if hops.off is not None:
                conditioned[hops.off] = np.nan
            leads[...], lost = self.look_ahead.align(residual, predicted, conditioned)
        self.calibrate(present, leads, assembly.log_sigma)
        ecg[:], sigma[:] = assembly.twelve(present.twelve.dot, present.sigma.dot)
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
        assembly = self._assembly(filled.shape[1])
        *filtered, settling = self.conditioner.push(filled)
        assembly.conditioned[...], assembly.residual[...] = filtered
        present = self.leads.all_present
        if off is not None:
            assembly.filtered[:, off] = 0.0
            present = self.leads.present(~off)
        ecg = self.leads.engine_rows(present, assembly.residual)
        return Hops(at, off, present, assembly, ecg), settling

    def _assembly(self, n: int) -> Assembly:
        found = self._assemblies.get(n)
        if found is None:
            leads = self.leads
            found = Assembly(
                leads.n_decoded,
                leads.n_measured,
                self._n_sigmas,
                n,
                self._sigma_amplitude,
            )
            if n <= KEPT_HOPS * self._hop:
                self._assemblies[n] = found
        return found

    def calibrate(
        self, present: Present, leads: NDArray[np.float32], log_sigma: NDArray[np.float32]
    ) -> None:
        """Put the patient's map, if there is one, to the rows of an Assembly."""
        if self._patient_map is None:
            return
        if present.projection is not None:
            leads[: self.leads.n_decoded] = present.projection @ leads
        self._patient_map.apply(present.on, leads, log_sigma)

    def _forget_signal(self) -> None:
        """What the filters and the patient's map remember of the signal."""
        self.conditioner.reset()
        if self._patient_map is not None:
            self._patient_map.reset()


def _in_time(made: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, hop, frames) as an engine gives it, as (rows, n)."""
    return made.transpose(0, 2, 1).reshape(len(made), -1)


def _with(bits: Bits | None, more: Bits) -> Bits:
    return more if bits is None else bits | more
