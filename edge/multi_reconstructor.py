"""Many patients on one engine: each stream as in a Reconstructor of its own, hops of all decoded together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.errors import InputError
from edge.hop_jobs import HopJob, Made, MarkedHop, PlainHop, PlainHops
from edge.lead_set import Flags, LeadSet
from edge.leads import LEADS, Provenance
from edge.patient.patient import Patient, load_patient
from edge.patient.patient_map import PatientMap
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock, fitting, millivolts
from edge.signal.conditioning import Conditioning
from edge.signal.held import Bits
from edge.signal.side_by_side import stacked
from edge.stream_ends import StreamEnds, cut
from edge.stream_group import Member, StreamGroup
from firmware_bridge.closing import Closing

DEFAULT_SLOTS = 64

Array = NDArray[np.float32]
Hop = tuple[Array, Flags | None, Bits | None]
"""Samples, and what is missing and known of them; None where nothing is, or was not looked for yet."""


@dataclass(eq=False)
class Slot:
    """A patient's place, while taken."""

    number: int
    """Of the engine's batch."""
    member: Member
    """Of the group."""
    group: StreamGroup
    ends: StreamEnds
    leads: tuple[str, ...]
    provenance: tuple[Provenance, ...]
    patient: Patient | None
    one_hop: tuple[int, int]
    """Shape of a hop's samples."""
    waiting: list[Hop] = field(default_factory=list)
    """Hops of this push that are not decoded yet."""
    made: list[Made] = field(default_factory=list)


class MultiReconstructor(Closing):
    """Reconstructs many patients at once, hop by hop: the same bits as a `Reconstructor` for each.

    Patients join, leave, stall and skip at any time, each with leads and a calibration of their own. Neither
    who else is there nor how a stream is cut shows in what comes out.

    >>> multi = MultiReconstructor.open(slots=8)
    >>> multi.join("bed-3", leads=("I", "II"))
    >>> blocks = multi.push({"bed-3": np.zeros((2, 10))})
    >>> blocks["bed-3"].n_samples, blocks["bed-3"].first_sample
    (8, 0)
    """

    def __init__(
        self,
        engine: Engine,
        slots: int = DEFAULT_SLOTS,
        conditioning: Conditioning | None = None,
        skipped: dict[str, str] | None = None,
    ) -> None:
        """The engine is this object's own from here on. Raises InputError for less than one slot."""
        self.engine = engine
        self.skipped = skipped or {}
        """Engines that `auto` passed over, and why."""
        self.slots = slots
        """How many patients there is room for."""
        self.conditioning = conditioning or engine.manifest.conditioning
        self._batch = engine.open_batch(slots)
        self._hop = engine.manifest.hop
        self._free = [*range(slots)]
        self._taken: dict[str, Slot] = {}
        self._groups: dict[tuple[str, ...], StreamGroup] = {}

    @classmethod
    def open(
        cls,
        model: str | Path | Bundle | None = None,
        engine: str = "auto",
        *,
        slots: int = DEFAULT_SLOTS,
        mains_hz: float | Literal["bundle"] | None = "bundle",
        lowpass_hz: float | None = None,
        say: Callable[[str], None] | None = None,
    ) -> MultiReconstructor:
        """Load a bundle into an engine, for up to `slots` patients; the rest is as in `Reconstructor.open`.

        Raises
        ------
        BundleError, EngineError, InputError
        """
        one = Reconstructor.open(model, engine, mains_hz=mains_hz, lowpass_hz=lowpass_hz, say=say)
        try:
            return cls(one.engine, slots, one.conditioning, one.skipped)
        except InputError:
            one.close()
            raise

    @property
    def bundle(self) -> Bundle:
        """The model file in use."""
        return self.engine.bundle

    @property
    def sampling_hz(self) -> float:
        """Rate of input and output."""
        return self.engine.manifest.sampling_hz

    @property
    def hop(self) -> int:
        """New samples per step of the decoder."""
        return self._hop

    @property
    def patients(self) -> tuple[str, ...]:
        """Who has joined, in that order."""
        return tuple(self._taken)

    def leads(self, name: str) -> tuple[str, ...]:
        """A patient's measured leads, in the order of the rows of `push`."""
        return self._slot(name).leads

    def provenance(self, name: str) -> tuple[Provenance, ...]:
        """Where each of a patient's twelve leads comes from."""
        return self._slot(name).provenance

    def __repr__(self) -> str:
        taken, engine = len(self._taken), self.engine.name
        return f"<MultiReconstructor {taken} of {self.slots} slots taken, engine {engine}>"

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()

    def join(
        self,
        name: str,
        leads: Sequence[str] | None = None,
        patient: str | Path | Patient | None = None,
    ) -> None:
        """A patient takes a free slot; the next sample is number 0.

        Parameters
        ----------
        name : str
            What the patient is called here, such as `bed-3`.
        leads : sequence of str, optional
            The leads that are measured; by default those of the calibration, or II, V1, V5.
        patient : path or Patient, optional
            A calibration of this person, made with this bundle.

        Raises
        ------
        InputError, PatientError
            For a name in use, no free slot, and as `Reconstructor.open` does.
        """
        if name in self._taken:
            raise InputError(
                f"{name!r} has joined already: let it leave first, or take another name"
            )
        if not self._free:
            raise InputError(
                f"all {self.slots} slots are taken: let a patient leave before {name!r} joins, or open with "
                "more slots"
            )
        m, moments, patient_map = self.engine.manifest, None, None
        if patient is not None:
            patient = patient if isinstance(patient, Patient) else load_patient(patient)
            leads = patient.checked_leads(self.bundle, leads)
            moments, patient_map = patient.moments, PatientMap(patient, m, leads)
        lead_set = LeadSet(m, leads, moments)
        measured = lead_set.measured
        group = self._groups.get(measured)
        if group is None:
            group = StreamGroup(lead_set, m, self.conditioning, self.slots)
            self._groups[measured] = group
        member = group.open(lead_set, patient_map)
        ends = StreamEnds(member.stream, m.sampling_hz, m.hop)
        number = self._free.pop(0)
        self._batch.reset(number)
        one_hop = (len(measured), m.hop)
        self._taken[name] = Slot(
            number, member, group, ends, measured, lead_set.provenance, patient, one_hop
        )

    def leave(self, name: str) -> None:
        """A patient's slot is free again. Raises InputError for who has not joined."""
        slot = self._slot(name)
        del self._taken[name]
        slot.group.close(slot.member)
        self._free.append(slot.number)
        if all(other.group is not slot.group for other in self._taken.values()):
            del self._groups[slot.leads]

    def reset(self, name: str) -> None:
        """Forget a patient's stream; the next sample is number 0."""
        slot = self._slot(name)
        slot.group.release(slot.member)
        slot.ends.reset()
        self._batch.reset(slot.number)

    def skip(self, name: str, n_samples: int) -> None:
        """As `Reconstructor.skip`, of one patient."""
        slot = self._slot(name)
        slot.group.release(slot.member)
        slot.ends.skip(n_samples)
        self._batch.reset(slot.number)

    def push(
        self,
        ecg_mv: Mapping[str, ArrayLike],
        valid: Mapping[str, ArrayLike] | None = None,
        quality: Mapping[str, ArrayLike] | None = None,
    ) -> dict[str, TwelveLeadBlock]:
        """The next samples of some patients in, every hop that they complete out.

        Parameters
        ----------
        ecg_mv : mapping of names to (n_leads, n) arrays of numbers, mV
            As for `Reconstructor.push`; n differs as it may, and who has nothing now is left out.
        valid, quality : mapping of names to arrays, optional
            As for `Reconstructor.push`, of any of these patients.

        Returns
        -------
        dict of TwelveLeadBlock
            By name, for each of `ecg_mv`, maybe of 0 samples.

        Raises
        ------
        InputError
            For a name that has not joined, another shape, or what is no array of numbers; then nothing is
            taken.
        """
        given = {name: (self._slot(name), _checked(name, ecg)) for name, ecg in ecg_mv.items()}
        for name in (*(valid or ()), *(quality or ())):
            if name not in given:
                raise InputError(f"samples of {name!r} are missing: `valid` or `quality` has some")
        hops: list[tuple[Slot, Hop]] = []
        known = []
        for name, (slot, samples) in given.items():
            if valid or quality or samples.shape != slot.one_hop or slot.ends.aligns:
                what = ((valid or {}).get(name), (quality or {}).get(name))
                known.append((slot, samples, self._known(name, slot, samples, *what)))
            else:
                hops.append((slot, (samples, None, None)))
        waiting = [slot for slot, _, _ in known]
        for slot, samples, what in known:
            slot.waiting = self._whole_hops(slot, samples, *what)
        while hops := hops + [(slot, slot.waiting.pop(0)) for slot in waiting if slot.waiting]:
            self._step(hops)
            hops = []
        return {name: _block(slot) for name, (slot, _) in given.items()}

    def flush(self, name: str) -> TwelveLeadBlock:
        """As `Reconstructor.flush`, of one patient."""
        slot = self._slot(name)
        samples, real = slot.ends.tail()
        block = slot.ends.end(self.push({name: samples})[name], real)
        if real:
            self._batch.reset(slot.number)
        return block

    def _slot(self, name: str) -> Slot:
        slot = self._taken.get(name)
        if slot is None:
            here = ", ".join(map(repr, self._taken)) or "nobody"
            raise InputError(f"{name!r} has not joined: `join` first; here now: {here}")
        return slot

    def _known(
        self,
        name: str,
        slot: Slot,
        samples: NDArray[np.float32],
        valid: ArrayLike | None,
        quality: ArrayLike | None,
    ) -> tuple[NDArray[np.generic] | None, NDArray[np.generic] | None]:
        """`valid` and `quality` in the shape of the samples; None where they say nothing."""
        try:
            slot.ends.check(samples)
            if valid is not None:
                valid = fitting(valid, samples.shape, "valid")
            if quality is not None:
                quality = fitting(quality, samples.shape, "quality")
                quality = quality if np.count_nonzero(quality) else None
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        return valid, quality

    def _whole_hops(
        self,
        slot: Slot,
        samples: NDArray[np.float32],
        valid: ArrayLike | None,
        quality: ArrayLike | None,
    ) -> list[Hop]:
        ends, hop = slot.ends, self._hop
        hops = ends.take(samples, valid, quality)
        return [cut(slice(at, at + hop), *hops) for at in range(0, hops[0].shape[1], hop)]

    def _step(self, hops: Sequence[tuple[Slot, Hop]]) -> None:
        """A hop of each of these slots."""
        jobs: list[tuple[HopJob, list[Slot]]] = []
        together: dict[StreamGroup, list[tuple[Slot, Array]]] = {}
        for slot, hop in hops:
            if hop[1] is None and hop[2] is None and slot.member.fits:
                together.setdefault(slot.group, []).append((slot, hop[0]))
            else:
                jobs.append((self._alone(slot, *hop), [slot]))
        for group, ready in together.items():
            jobs += self._together(group, ready)
        steps = []
        for job, slots in jobs:
            if isinstance(job, MarkedHop) and job.is_off:
                self._batch.reset(slots[0].number)
                slots[0].made += job.finish()
            else:
                steps.append((job, slots))
        if not steps:
            return
        if len(steps) == 1:
            [(job, slots)] = steps
            numbers = [slot.number for slot in slots]
            ecg, mask, anchor = job.ecg, job.mask, job.anchor
        else:
            numbers = [slot.number for _, slots in steps for slot in slots]
            ecg = np.concatenate([job.ecg for job, _ in steps])
            anchor = np.concatenate([job.anchor for job, _ in steps])
            mask = np.concatenate([np.repeat(job.mask, len(slots), 0) for job, slots in steps])
        decoded, log_sigma = self._batch.step(numbers, ecg, mask, anchor)
        first = 0
        for job, slots in steps:
            at = slice(first, first + len(slots))
            for slot, made in zip(slots, job.finish(decoded[at], log_sigma[at]), strict=True):
                slot.made.append(made)
            first = at.stop

    def _together(
        self, group: StreamGroup, ready: list[tuple[Slot, Array]]
    ) -> Iterator[tuple[HopJob, list[Slot]]]:
        """The hops of streams that fit: as one where they are many, and all finite."""
        if group.takes(len(ready)):
            samples = stacked([samples for _, samples in ready])
            finite = np.isfinite(samples)
            if np.count_nonzero(finite) == finite.size:
                slots = [slot for slot, _ in ready]
                yield PlainHops(group, [slot.member for slot in slots], samples), slots
                return
            whole = finite.all((1, 2)).tolist()
            sorted_out = [*zip(ready, whole, strict=True)]
            yield from self._together(group, [one for one, ok in sorted_out if ok])
            ready = [one for one, ok in sorted_out if not ok]
        for slot, samples in ready:
            yield self._alone(slot, samples, None, None), [slot]

    def _alone(
        self, slot: Slot, samples: Array, missing: Flags | None, bits: Bits | None
    ) -> PlainHop | MarkedHop:
        slot.group.release(slot.member)
        stream = slot.member.stream
        if missing is None and bits is None:
            rows = stream.take_hop(samples)
            if rows is not None:
                return PlainHop(stream, rows)
        return MarkedHop(stream, samples, missing, bits)


def _checked(name: str, ecg_mv: ArrayLike) -> NDArray[np.float32]:
    try:
        return millivolts(ecg_mv)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _block(slot: Slot) -> TwelveLeadBlock:
    """What was made in this push."""
    made, slot.made = slot.made, []
    if len(made) == 1:
        return slot.ends.give(*made[0])
    none = np.empty((len(LEADS), 0), np.float32)
    ecg, sigma, flags = zip(*made, strict=True) if made else ((none,), (none,), (none,))
    return slot.ends.give(
        np.concatenate(ecg, 1),
        np.concatenate(sigma, 1),
        np.concatenate(flags, 1).astype(np.uint8, copy=False),
    )
