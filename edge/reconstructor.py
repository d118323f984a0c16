"""The sans-I/O heart: conditioned leads in, hop by hop, twelve leads out, whatever the chunking.

Within a push the output keeps step with the input: a long gap is NaN and flagged, and resets the state.
`skip` is for the gap whose samples nobody has: the index jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.bundle import Bundle, load_bundle
from edge.engines.base import Engine
from edge.engines.registry import open_engine
from edge.lead_set import Flags, LeadSet, checked_leads
from edge.leads import LEADS
from edge.patient.patient import Patient, load_patient
from edge.patient.patient_map import PatientMap
from edge.samples import TwelveLeadBlock, millivolts
from edge.signal.conditioning import Conditioning
from edge.signal.held import Bits
from edge.stream_ends import StreamEnds, cut
from edge.stream_state import StreamState
from firmware_bridge.closing import Closing

MAX_STEP_S = 60.0  # longer input is worked off in pieces of this length, which bounds the memory


class Reconstructor(Closing):
    """Some measured leads in, twelve out, one hop at a time, all state inside.

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
        leads: Sequence[str] | None = None,
    ) -> None:
        m = engine.manifest
        self.engine = engine
        self.skipped = skipped or {}
        """Engines that `auto` passed over, and why."""
        self.patient = patient
        """The calibration in use, if any."""
        self.conditioning = conditioning or m.conditioning
        self._hop, self._sampling_hz = m.hop, m.sampling_hz
        self._piece = round(MAX_STEP_S * m.sampling_hz) // m.hop * m.hop
        self.measure(leads)

    @classmethod
    def open(
        cls,
        model: str | Path | Bundle | None = None,
        engine: str = "auto",
        *,
        leads: Sequence[str] | None = None,
        patient: str | Path | Patient | None = None,
        mains_hz: float | Literal["bundle"] | None = "bundle",
        lowpass_hz: float | None = None,
        say: Callable[[str], None] | None = None,
    ) -> Reconstructor:
        """Load a bundle into an engine.

        Parameters
        ----------
        model : path or Bundle, optional
            The decoder; by default the bundle that ships.
        engine : str
            `onnxruntime`, `c`, `tensorrt`, `torch`, or `auto` for the fastest that works here.
        leads : sequence of str, optional
            The leads that are measured, any of `edge.LEADS`, in the order of the rows of `push`; by default
            those of the calibration, or II, V1, V5.
        patient : path or Patient, optional
            A calibration of one person, made with this bundle by `leadlift calibrate`.
        mains_hz : float, None or "bundle"
            Centre of the mains notch in Hz; None removes it, "bundle" leaves it where the bundle has it.
        lowpass_hz : float, optional
            Corner of an additional low-pass in Hz, 40 for monitoring.
        say : callable, optional
            Is told in a line of what takes long, such as the first build of an engine.

        Returns
        -------
        Reconstructor
            Open; close it, or use it as a context manager.

        Raises
        ------
        BundleError, EngineError, InputError, PatientError
        """
        bundle = model if isinstance(model, Bundle) else load_bundle(model)
        if patient is not None and not isinstance(patient, Patient):
            patient = load_patient(patient)
        if patient is not None:  # before an engine is built
            patient.checked_leads(bundle, leads)
        checked_leads(bundle.manifest, leads)
        conditioning = replace(bundle.manifest.conditioning, lowpass_hz=lowpass_hz)
        if mains_hz != "bundle":
            conditioning = replace(conditioning, mains_hz=mains_hz)
        choice = open_engine(bundle, engine, say)
        return cls(choice.engine, conditioning, choice.skipped, patient, leads)

    @property
    def bundle(self) -> Bundle:
        """The model file in use."""
        return self.engine.bundle

    @property
    def takes_any_leads(self) -> bool:
        """Whether the model takes any of the twelve leads, not just its own."""
        return self.engine.manifest.any_leads

    @property
    def sampling_hz(self) -> float:
        """Rate of input and output."""
        return self._sampling_hz

    @property
    def moments(self) -> NDArray[np.float64]:
        """(8, 8) second moments of INDEPENDENT_LEADS in mV^2: the patient's, or the population's."""
        return self._lead_set.moments

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

    def __repr__(self) -> str:
        leads, hz = ", ".join(self.leads), self.sampling_hz
        return f"<Reconstructor {leads} at {hz:g} Hz, hop {self.hop}, engine {self.engine.name}>"

    def measure(self, leads: Sequence[str] | None) -> None:
        """From here on these leads are measured, in the order of the rows of `push`; the stream is reset.

        For another wearable on the same engine: a lead that is off for a while is a missing sample of `push`.
        Raises InputError and PatientError, as `open` does.
        """
        m, moments, patient_map = self.engine.manifest, None, None
        if self.patient is not None:
            leads = self.patient.checked_leads(self.bundle, leads)
            moments, patient_map = self.patient.moments, PatientMap(self.patient, m, leads)
        self._lead_set = LeadSet(m, leads, moments)
        self.leads = self._lead_set.measured
        """The measured leads, in the order of the rows of `push`."""
        self.provenance = self._lead_set.provenance
        self._stream = StreamState(self._lead_set, m, self.conditioning, patient_map)
        self._ends = StreamEnds(self._stream, m.sampling_hz, m.hop)
        self._one_hop = (len(self.leads), self._hop)
        self.engine.reset()

    def reset(self) -> None:
        """Forget the stream; the next sample is number 0."""
        self._ends.reset()
        self.engine.reset()

    def skip(self, n_samples: int) -> None:
        """Declare `n_samples` per lead that nobody has: the state is reset and the index jumps over them.

        Samples that are held back for a hop, or for a look-ahead, are counted as skipped too: `flush` gives
        those of a look-ahead before. Raises InputError for a negative number.
        """
        self._ends.skip(n_samples)
        self.engine.reset()

    def push(
        self,
        ecg_mv: ArrayLike,
        valid: ArrayLike | None = None,
        quality: ArrayLike | None = None,
    ) -> TwelveLeadBlock:
        """The next samples in, every hop that they complete out; less than a hop is held back.

        Parameters
        ----------
        ecg_mv : (n_leads, n) array of numbers, mV
            Measured leads in the order of `leads`, any n >= 0. A sample that is not finite is missing.
        valid : array of bool, optional
            Broadcastable to `ecg_mv`; False where a sample is missing.
        quality : array of uint8, optional
            Broadcastable to `ecg_mv`; `edge.Quality` bits that are known already, such as CLIPPED.

        Returns
        -------
        TwelveLeadBlock
            (12, m) mV, sigma and quality; m is a multiple of `hop` and may be 0.

        Raises
        ------
        InputError
            For another shape, or what is no array of numbers.
        """
        samples = millivolts(ecg_mv)
        if isinstance(quality, np.ndarray) and quality.shape == samples.shape:
            quality = quality if np.count_nonzero(quality) else None  # all clean
        if (
            valid is None
            and quality is None
            and samples.shape == self._one_hop
            and (rows := self._ends.take_hop(samples)) is not None
        ):  # the common case live
            on = self._lead_set.all_present
            made = self.engine.step(rows, on.mask, on.engine_anchor)
            clean = np.zeros((len(LEADS), self._hop), np.uint8)
            return self._ends.give(*self._stream.finish_hop(*made), clean)
        hops = self._ends.take(samples, valid, quality)
        whole = hops[0].shape[1]
        ecg = np.empty((len(LEADS), whole), np.float32)
        sigma, flags = np.empty_like(ecg), np.zeros(ecg.shape, np.uint8)
        for start in range(0, whole, self._piece):
            at = slice(start, start + self._piece)
            self._advance(*cut(at, *hops), ecg[:, at], sigma[:, at], flags[:, at])
        return self._ends.give(ecg, sigma, flags)

    def flush(self) -> TwelveLeadBlock:
        """What the look-ahead holds back, as if the last sample went on; the next sample begins a new state.

        Empty without a look-ahead: less than a hop is all that is held back then, and stays.
        """
        samples, real = self._ends.tail()
        block = self._ends.end(self.push(samples), real)
        if real:
            self.engine.reset()
        return block

    def whole(self, ecg_mv: ArrayLike) -> TwelveLeadBlock:
        """A whole recording of whole hops, (n_leads, n) mV, from a reset: as many samples out as in."""
        self.reset()
        block, tail = self.push(ecg_mv), self.flush()
        return block.then(tail) if tail.n_samples else block

    def _advance(
        self,
        samples: NDArray[np.float32],
        missing: Flags | None,
        bits: Bits | None,
        ecg: NDArray[np.float32],
        sigma: NDArray[np.float32],
        flags: NDArray[np.uint8],
    ) -> None:
        """Whole hops into ecg, sigma and, where they are not zero, flags."""
        stream, engine = self._stream, self.engine
        piece = stream.begin(samples, missing, bits)
        for hops in stream.prepare(piece):
            if isinstance(hops, slice):
                engine.reset()
                stream.nothing(ecg[:, hops], sigma[:, hops])
                continue
            present = hops.present
            decoded, log_sigma = engine.step(hops.ecg, present.mask, present.engine_anchor)
            stream.finish(hops, decoded, log_sigma, ecg[:, hops.at], sigma[:, hops.at])
        known = stream.known(piece)
        if known is not None:
            self._lead_set.spread(known, flags)


open_reconstructor = Reconstructor.open
"""`edge.open`: Reconstructor.open under a name that a module can have."""
