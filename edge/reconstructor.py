"""The sans-I/O heart: conditioned leads in, hop by hop, twelve leads out, whatever the chunking.

Within a push the output keeps step with the input: a long gap is NaN and flagged, and resets the state.
`skip` is for the gap whose samples nobody has: the index jumps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.bundle import Bundle, load_bundle
from edge.engines.base import Engine
from edge.engines.registry import open_engine
from edge.errors import InputError
from edge.leads import LEADS, provenance, twelve_from
from edge.patient.patient import Patient, load_patient
from edge.patient.patient_map import PatientMap
from edge.quality import Quality
from edge.samples import TwelveLeadBlock, fitting, millivolts
from edge.signal.alignment import LookAhead
from edge.signal.anchor import anchor_from_moments
from edge.signal.conditioning import Conditioner, Conditioning
from edge.signal.held import Bits, Flags, Held
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
MAX_STEP_S = 60.0  # longer input is worked off in pieces of this length, which bounds the memory


class Reconstructor:
    """Three measured leads in, twelve out, one hop at a time, all state inside.

    >>> r = Reconstructor.open()
    >>> block = r.push(np.zeros((3, 10)))
    >>> block.n_samples, block.first_sample
    (8, 0)
    """

    def __init__(
        self,
        engine: Engine,
        conditioning: Conditioning | None = None,
        skipped: dict[str, str] | None = None,
        patient: Patient | None = None,
    ) -> None:
        m = engine.manifest
        self.engine = engine
        self.skipped = skipped or {}
        """Engines that `auto` passed over, and why."""
        self.patient = patient
        """The calibration in use, if any."""
        if patient is not None:
            patient.check_bundle(engine.bundle)
        self._moments = m.moments if patient is None else patient.moments
        self._patient_map = None if patient is None else PatientMap(patient, m.hop)
        self.conditioning = conditioning or m.conditioning
        self.leads = m.input_leads
        self.provenance = provenance(m.input_leads, m.output_leads)
        self._conditioner = Conditioner(self.conditioning, m.sampling_hz, len(self.leads), m.hop)
        self._presence = Presence(m.sampling_hz, len(self.leads), m.hop)
        self._anchors: dict[bytes, NDArray[np.float32]] = {}
        self._all_on = np.ones(len(self.leads), bool)
        self._anchor_all_on = self._anchor(self._all_on)
        self._rows_in = np.array([LEADS.index(name) for name in m.input_leads])
        # The twelve leads from those reconstructed and measured, and their sigma from the former's.
        self._twelve = twelve_from((*m.output_leads, *m.input_leads))
        self._twelve_sigma = np.abs(self._twelve[:, : len(m.output_leads)])
        n_out, n_in = len(m.output_leads), len(m.input_leads)
        self._look_ahead = LookAhead(n_out, n_in, m.lookahead) if m.lookahead else None
        self._hop, self._sampling_hz = m.hop, m.sampling_hz  # looked up at every hop
        self._piece = round(MAX_STEP_S * m.sampling_hz) // m.hop * m.hop
        self._nothing = Held(np.empty((len(self.leads), 0), np.float32), None, None)
        self._held = self._nothing
        self.reset()

    @classmethod
    def open(
        cls,
        model: str | Path | Bundle | None = None,
        engine: str = "auto",
        *,
        patient: str | Path | Patient | None = None,
        mains_hz: float | Literal["bundle"] | None = "bundle",
        lowpass_hz: float | None = None,
        say: Callable[[str], None] | None = None,
    ) -> Reconstructor:
        """Load a bundle (the one that ships, by default) into an engine (the best present).

        `patient` is a calibration made with this bundle, or its file. `mains_hz` moves the notch, to 60 Hz
        say, or removes it with None; it stands where the bundle says.
        `lowpass_hz` adds a low-pass, 40 Hz for monitoring. `say` hears of what takes long: the first build of
        an engine. Raises BundleError, EngineError, InputError, PatientError.
        """
        bundle = model if isinstance(model, Bundle) else load_bundle(model)
        if patient is not None and not isinstance(patient, Patient):
            patient = load_patient(patient)
        if patient is not None:
            patient.check_bundle(bundle)
        conditioning = replace(bundle.manifest.conditioning, lowpass_hz=lowpass_hz)
        if mains_hz != "bundle":
            conditioning = replace(conditioning, mains_hz=mains_hz)
        choice = open_engine(bundle, engine, say)
        return cls(choice.engine, conditioning, choice.skipped, patient)

    @property
    def bundle(self) -> Bundle:
        """The model file in use."""
        return self.engine.bundle

    @property
    def sampling_hz(self) -> float:
        """Rate of input and output."""
        return self._sampling_hz

    @property
    def hop(self) -> int:
        """New samples per step of the decoder."""
        return self._hop

    @property
    def lookahead(self) -> int:
        """Future samples that an output needs."""
        return self.engine.manifest.lookahead

    @property
    def receptive_field(self) -> int:
        """Samples that an output of the decoder depends on."""
        return self.engine.manifest.receptive_field

    @property
    def algorithmic_latency_s(self) -> float:
        """Hop plus look-ahead: what no faster machine takes away."""
        return (self.hop + self.lookahead) / self.sampling_hz

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()

    def __enter__(self) -> Reconstructor:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def reset(self) -> None:
        """Forget the stream; the next sample is number 0."""
        self._restart_stream()
        self._first_sample = 0

    def skip(self, n_samples: int) -> None:
        """Declare `n_samples` that nobody has: the state is reset and the index jumps over them.

        Samples held back for a hop that will not be completed, or for a look-ahead, are counted as skipped
        too: `flush` gives them before. Raises InputError for a negative number.
        """
        if n_samples < 0:
            raise InputError(f"cannot skip {n_samples} samples: the stream runs forward")
        self._first_sample += n_samples + self._held.n_samples
        if self._look_ahead is not None:
            self._first_sample += self._look_ahead.waiting
        self._restart_stream()

    def push(
        self,
        ecg_mv: ArrayLike,
        valid: ArrayLike | None = None,
        quality: ArrayLike | None = None,
    ) -> TwelveLeadBlock:
        """The next samples in, every hop they complete out; less than a hop is held back.

        `ecg_mv` is (n_leads, n) mV in the order of `leads`, any n >= 0; a non-finite sample is missing.
        `valid`, broadcastable to it, is False where a sample is missing; `quality`, the same, carries
        bits that are known already (CLIPPED, say) into the output. Raises InputError for other shapes.
        """
        samples = millivolts(ecg_mv)
        if samples.ndim != 2 or samples.shape[0] != len(self.leads):
            raise InputError(
                f"expected ({len(self.leads)}, n) samples in mV, rows {', '.join(self.leads)};"
                f" got shape {samples.shape}"
            )
        # `None` is the common case, nothing missing and nothing known: a hop then costs little.
        absent: Flags = ~np.isfinite(samples)
        if valid is not None:
            absent |= ~fitting(valid, samples.shape, "valid").astype(bool)
        missing = absent if np.count_nonzero(absent) else None
        bits: Bits | None = None
        if quality is not None:
            bits = fitting(quality, samples.shape, "quality").astype(np.uint8)
        if self._held.n_samples:
            samples, missing, bits = self._held.before(samples, missing, bits)
        whole = samples.shape[1] // self._hop * self._hop
        if whole < samples.shape[1]:
            self._held = Held(
                samples[:, whole:].copy(),
                None if missing is None else missing[:, whole:].copy(),
                None if bits is None else bits[:, whole:].copy(),
            )
        else:
            self._held = self._nothing

        if self._look_ahead is not None and whole:
            self._last = samples[:, whole - 1 : whole].copy()
        ecg = np.empty((len(LEADS), whole), np.float32)
        sigma, flags = np.empty_like(ecg), np.zeros(ecg.shape, np.uint8)
        for start in range(0, whole, self._piece):
            at = slice(start, min(start + self._piece, whole))
            known = self._advance(
                samples[:, at],
                None if missing is None else missing[:, at],
                None if bits is None else bits[:, at],
                ecg[:, at],
                sigma[:, at],
            )
            if known is not None:
                self._spread(known, flags[:, at])
        if self._look_ahead is not None:
            before = self._look_ahead.taken(whole)
            whole -= before
            ecg, sigma, flags = ecg[:, before:], sigma[:, before:], flags[:, before:]
        first = self._first_sample
        self._first_sample += whole
        return TwelveLeadBlock(ecg, sigma, flags, first, self._sampling_hz, self.provenance)

    def flush(self) -> TwelveLeadBlock:
        """What the look-ahead holds back, as if the last sample went on; the next sample begins a new state.

        Empty without a look-ahead: less than a hop is all that is held back then, and stays.
        """
        if self._look_ahead is None or not (self._look_ahead.waiting or self._held.n_samples):
            return self.push(self._nothing.samples)
        real = self._look_ahead.waiting + self._held.n_samples
        last = self._held.samples[:, -1:] if self._held.n_samples else self._last
        short = -self._held.n_samples % self._hop
        block = self.push(np.repeat(last, short + self._look_ahead.n_samples, axis=1)).first(real)
        self._restart_stream()
        self._first_sample = block.first_sample + real
        return block

    def whole(self, ecg_mv: ArrayLike) -> TwelveLeadBlock:
        """A whole recording of whole hops, (n_leads, n) mV, from a reset: as many samples out as in."""
        self.reset()
        block, tail = self.push(ecg_mv), self.flush()
        return block.then(tail) if tail.n_samples else block

    def _restart_stream(self) -> None:
        self._conditioner.reset()
        self._presence.reset()
        self.engine.reset()
        if self._patient_map is not None:
            self._patient_map.reset()
        if self._look_ahead is not None:
            self._look_ahead.reset()
        self._held = self._nothing
        self._off = np.zeros(len(self.leads), bool)
        self._was_off = False

    def _advance(
        self,
        samples: NDArray[np.float32],
        missing: Flags | None,
        bits: Bits | None,
        ecg: NDArray[np.float32],
        sigma: NDArray[np.float32],
    ) -> Bits | None:
        """Whole hops into ecg and sigma; returns the quality bits of the inputs, None for all clean."""
        if missing is not None and not np.count_nonzero(missing):
            missing = None
        filled, off, noisy = self._presence.push(samples, missing)
        if np.count_nonzero(off) or self._was_off:
            settling = self._decode_runs(filled, off, ecg, sigma)
        else:
            settling = self._decode(filled, None, ecg, sigma)
        for flag, hops in ((_NOISY, noisy), (_LEAD_OFF, off), (_SETTLING, settling)):
            if np.count_nonzero(hops):
                bits = _with(bits, np.where(np.repeat(hops, self._hop, axis=1), flag, _CLEAN))
        if missing is not None:
            held = missing & ~np.repeat(off, self._hop, axis=1)
            bits = _with(bits, np.where(held, _INTERPOLATED, _CLEAN))
            bits = _with(bits, np.where(missing.all(0), _GAP, _CLEAN))
        if self._look_ahead is not None:
            bits = self._look_ahead.align_bits(bits, samples.shape[1])
        return bits

    def _decode_runs(
        self,
        filled: NDArray[np.float32],
        off: Flags,
        ecg: NDArray[np.float32],
        sigma: NDArray[np.float32],
    ) -> Flags:
        """As `_decode`, where the leads that are off change from hop to hop."""
        settling = np.zeros(off.shape, bool)
        for hops in runs(off):
            at = slice(hops.start * self._hop, hops.stop * self._hop)
            now_off = off[:, hops.start]
            if now_off.all():
                self._conditioner.reset()
                self.engine.reset()
                if self._patient_map is not None:
                    self._patient_map.reset()
                ecg[:, at] = sigma[:, at] = np.nan
                if self._look_ahead is not None:
                    sigma[:, at] = 0.0
                    leads, lost = self._look_ahead.align_nothing(at.stop - at.start)
                    np.matmul(self._twelve, leads, out=ecg[:, at])
                    self._blank(lost, ecg[:, at], sigma[:, at])
            else:
                self._conditioner.restart(self._off & ~now_off)
                settling[:, hops] = self._decode(filled[:, at], now_off, ecg[:, at], sigma[:, at])
            self._off = now_off
        self._was_off = bool(self._off.any())
        return settling

    def _decode(
        self,
        filled: NDArray[np.float32],
        off: Flags | None,
        ecg: NDArray[np.float32],
        sigma: NDArray[np.float32],
    ) -> Flags:
        """Hops of one set of present leads; fills ecg and sigma, returns (n_leads, n_hops) settling."""
        conditioned, residual, settling = self._conditioner.push(filled)
        on, anchor = self._all_on, self._anchor_all_on
        if off is not None:
            conditioned[off] = residual[off] = 0.0
            on = ~off
            anchor = self._anchor(on)
        n_out, n = len(anchor), filled.shape[1]
        decoded, log_sigma = self.engine.step(
            residual.reshape(1, len(on), -1, self._hop).transpose(0, 1, 3, 2),
            on[None, :, None, None],
            anchor[None, :, :, None, None],
        )
        # The eight independent leads; what lies below the residual branch's band the anchor maps alone.
        leads = np.empty((n_out + len(on), n), np.float32)
        # In float64, so that the order in which a product of n columns is added up cannot show.
        slow = np.matmul(anchor, conditioned - residual, dtype=np.float64)
        leads[:n_out] = slow + decoded.transpose(0, 2, 1).reshape(n_out, n)
        leads[n_out:] = conditioned
        lost = None
        if self._look_ahead is not None:
            predicted = np.matmul(anchor, conditioned, dtype=np.float64)
            if off is not None:
                conditioned[off] = np.nan
            leads, lost = self._look_ahead.align(leads[:n_out] - predicted, predicted, conditioned)
        bounded = np.minimum(log_sigma.transpose(0, 2, 1).reshape(n_out, n), MAX_LOG_SIGMA)
        if self._patient_map is not None:
            self._patient_map.apply(on, leads, bounded)
        np.matmul(self._twelve, leads, out=ecg)
        # Of I and II one at least is measured: each lead's sigma is that of one reconstructed lead.
        np.matmul(self._twelve_sigma, np.exp(bounded, out=bounded), out=sigma)
        if lost is not None:
            self._blank(lost, ecg, sigma)
        elif off is not None:
            rows = self._twelve[:, n_out:][:, off].any(1)
            ecg[rows] = sigma[rows] = np.nan
        return settling

    def _blank(self, lost: Flags, ecg: NDArray[np.float32], sigma: NDArray[np.float32]) -> None:
        """NaN where a lead rests on one of the eight that is `lost`, (8, n)."""
        if np.count_nonzero(lost):
            rests = np.abs(self._twelve) @ lost > 0
            ecg[rests] = sigma[rests] = np.nan

    def _anchor(self, present: NDArray[np.bool_]) -> NDArray[np.float32]:
        key = present.tobytes()
        if key not in self._anchors:
            m = self.engine.manifest
            self._anchors[key] = anchor_from_moments(
                self._moments, m.input_leads, m.output_leads, present
            )
        return self._anchors[key]

    def _spread(self, bits: Bits, flags: NDArray[np.uint8]) -> None:
        """A measured lead has its own bits, a reconstructed one those of all inputs."""
        flags[:] = np.bitwise_or.reduce(bits, axis=0)
        flags[self._rows_in] = bits
        flags[2:6] = flags[0] | flags[1]


def _with(bits: Bits | None, more: Bits) -> Bits:
    return more if bits is None else bits | more
