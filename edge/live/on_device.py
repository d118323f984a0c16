"""Leads that the device reconstructed itself: taken in, and passed through as what their provenance says.

Reconstruction      -> which leads, whence, by which model
ReconstructedLeads  -> blocks of 24 rows, twelve leads and their sigma -> ring -> TwelveLeadBlock
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.leads import LEADS, Provenance
from edge.live.arrival_rate import ArrivalRate
from edge.live.ingest import Ingest
from edge.live.stream_reconstructor import StreamReconstructor
from edge.offline import check_rate
from edge.samples import SampleBlock, TwelveLeadBlock
from firmware_bridge.errors import PeerError
from firmware_bridge.events import Event, ReconstructedLeads, Reconstruction, Samples, StreamInfo
from firmware_bridge.wire.spec import NO_VALUE

NAME = "device"
"""As a report names the engine that did it."""
_TWELVE = len(LEADS)


class ReconstructedIngest(Ingest):
    """As `Ingest`, of a device that reconstructs: its blocks have twelve leads, then the sigma of each.

    The samples of its measured leads, if it sends them, too, are passed over.
    """

    def __init__(self, before: Ingest, said: Reconstruction) -> None:
        """Go on from `before`, which has taken no samples. Raises PeerError for what cannot be shown."""
        super().__init__(measured_leads(said))
        self.counters, self.notices, self.clock = before.counters, before.notices, before.clock
        self.info, self.battery_percent = before.info, before.battery_percent
        self._rate = ArrivalRate(said.sampling_hz)
        self._announced(said)
        self.tell(
            f"the device reconstructs leads itself, by {said.model or 'a model without a name'}: they are "
            "shown as it sends them, nothing is decoded here"
        )

    @property
    def sampling_hz(self) -> float:
        """Rate of the reconstructed leads."""
        return self.said.sampling_hz

    def push(self, event: Event, arrival_ns: int) -> SampleBlock | None:
        """See Ingest."""
        if isinstance(event, ReconstructedLeads):
            return self._samples(event, arrival_ns, self.said)
        if isinstance(event, Reconstruction):
            old = self.said
            if (event.leads, event.provenance, event.sampling_hz) != (
                *(old.leads, old.provenance),
                old.sampling_hz,
            ):
                raise PeerError(
                    "the device changed which leads it reconstructs, or their rate, while streaming: start "
                    "again to record the new stream"
                )
            self._announced(event)
        elif isinstance(event, StreamInfo):
            self.info = event
        elif not isinstance(event, Samples):
            return super().push(event, arrival_ns)
        return None

    def _announced(self, said: Reconstruction) -> None:
        missing = [lead for lead in LEADS if lead not in said.leads]
        if missing:
            raise PeerError(
                f"the device reconstructs {', '.join(said.leads)} and not {', '.join(missing)}: leadlift "
                "shows all twelve; let its firmware send them all, or its measured leads alone"
            )
        scale = said.nanovolts_per_lsb
        if not (scale > 0 and math.isfinite(scale) and said.sampling_hz > 0):
            raise PeerError(
                f"the device says that a count of its leads is {scale} nV, at {said.sampling_hz} Hz: check "
                "its firmware"
            )
        check_rate(said.sampling_hz)
        self.said = said
        """What the device last said of its reconstruction."""
        self._order = [said.leads.index(lead) for lead in LEADS]

    def _converted(
        self, packet: ReconstructedLeads, info: Reconstruction, n_samples: int
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The newest `n_samples`: (24, n) mV and quality bits, NaN where there is no value."""
        newest = slice(packet.counts.shape[1] - n_samples, None)
        counts, sigma_mv = (a[self._order, newest] for a in (packet.counts, packet.sigma_mv))
        ecg_mv = (counts * (info.nanovolts_per_lsb * 1e-6)).astype(np.float32)
        ecg_mv[counts == NO_VALUE] = np.nan
        self.leads_off = tuple(
            lead for lead in self.leads if (counts[LEADS.index(lead)] == NO_VALUE).all()
        )
        quality = np.repeat(packet.quality[self._order, None], n_samples, axis=1)
        return np.concatenate([ecg_mv, sigma_mv]), np.concatenate([quality, quality])

    def _doubt(self, ecg_mv: NDArray[np.float32], arrival_ns: int, info: Reconstruction) -> None:
        self._doubt_rate(arrival_ns)


class OnDevice:
    """In place of a reconstructor: what the device made of its leads goes through as it is."""

    engine = SimpleNamespace(name=NAME)
    hop = 1

    def __init__(self, said: Reconstruction, instead_of: StreamReconstructor) -> None:
        """Raises InputError where the run asks for what a device that reconstructs leaves no room for."""
        self.sampling_hz = instead_of.sampling_hz
        if said.sampling_hz != self.sampling_hz:
            raise InputError(
                f"the device reconstructs at {said.sampling_hz:g} Hz, the outputs of this run are at "
                f"{self.sampling_hz:g} Hz: give the model that the device has with --model"
            )
        if getattr(instead_of, "patient", None) is not None:
            raise InputError(
                "the device reconstructs leads itself, so the calibration cannot be applied: run without "
                "--patient, or let the device send its measured leads alone"
            )
        self.said = said
        self.leads = measured_leads(said)
        self.moments = instead_of.moments
        self._next = 0

    def push(
        self,
        ecg_mv: NDArray[np.float32],
        valid: NDArray[np.bool_] | None = None,
        quality: NDArray[np.uint8] | None = None,
    ) -> TwelveLeadBlock:
        """(24, n) mV, leads and then their sigma, as they are."""
        flags = np.zeros(ecg_mv.shape, np.uint8) if quality is None else quality
        first, self._next = self._next, self._next + ecg_mv.shape[1]
        return as_twelve(self.said, SampleBlock(ecg_mv, first, self.sampling_hz, flags))

    def skip(self, n_samples: int) -> None:
        """A gap: the index jumps."""
        self._next += n_samples

    def flush(self) -> TwelveLeadBlock:
        """Nothing is held back."""
        return self.push(np.empty((2 * _TWELVE, 0), np.float32))


def as_twelve(said: Reconstruction, block: SampleBlock) -> TwelveLeadBlock:
    """A block of `ReconstructedIngest`, leads and then their sigma, as what it is."""
    by_name = dict(zip(said.leads, said.provenance, strict=True))
    return TwelveLeadBlock(
        block.ecg_mv[:_TWELVE],
        block.ecg_mv[_TWELVE:],
        block.quality[:_TWELVE],
        block.first_sample,
        block.sampling_hz,
        tuple(Provenance(by_name[lead]) for lead in LEADS),
    )


def in_time(ingest: Ingest) -> bool:
    """Whether no samples came before the device said that it reconstructs; else it is told what follows."""
    if ingest.counters.samples_in:
        ingest.tell(
            "the device says late that it reconstructs leads itself: this run decodes its measured ones; "
            "start again to record what it made"
        )
    return not ingest.counters.samples_in


def measured_leads(said: Reconstruction) -> tuple[str, ...]:
    """The leads that the device measures, in the order of LEADS."""
    return tuple(lead for lead in LEADS if _whence(said, lead) is Provenance.MEASURED)


def estimates(said: Reconstruction) -> tuple[str, ...]:
    """The leads that rest on what the device's decoder made up, in the order of LEADS."""
    return tuple(lead for lead in LEADS if (whence := _whence(said, lead)) and whence.is_estimate)


def _whence(said: Reconstruction, lead: str) -> Provenance | None:
    found = dict(zip(said.leads, said.provenance, strict=True)).get(lead)
    return None if found is None else Provenance(found)
