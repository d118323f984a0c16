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
from edge.stream_ends import StreamEnds, cut
from edge.stream_group import StreamGroup
from firmware_bridge.closing import Closing

DEFAULT_SLOTS = 64
TOGETHER = 3  # well streams of the same leads from which on their arrays are worked on as one

Hop = tuple[NDArray[np.float32], Flags | None, Bits | None]
"""Samples, and what is missing and known of them; None where nothing is, or was not looked for yet."""


@dataclass(eq=False)
class Slot:
    """A patient's place, while taken."""

    number: int
    """Of the engine's batch."""
    row: int
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
        row, stream = group.open(lead_set, patient_map)
        ends = StreamEnds(stream, m.sampling_hz, m.hop)
        number = self._free.pop(0)
        self._batch.reset(number)
        one_hop = (len(measured), m.hop)
        self._taken[name] = Slot(
            number, row, group, ends, measured, lead_set.provenance, patient, one_hop
        )

    def leave(self, name: str) -> None:
        """A patient's slot is free again. Raises InputError for who has not joined."""
        slot = self._slot(name)
        del self._taken[name]
        slot.group.close(slot.row)
        self._free.append(slot.number)
        if all(other.group is not slot.group for other in self._taken.values()):
            del self._groups[slot.leads]

    def reset(self, name: str) -> None:
        """Forget a patient's stream; the next sample is number 0."""
        slot = self._slot(name)
        slot.ends.reset()
        self._batch.reset(slot.number)

    def skip(self, name: str, n_samples: int) -> None:
        """As `Reconstructor.skip`, of one patient."""
        slot = self._slot(name)
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
        known = {}
        for name, (slot, samples) in given.items():
            if valid or quality or samples.shape != slot.one_hop or slot.ends.aligns:
                known[name] = self._known(
                    name, slot, samples, (valid or {}).get(name), (quality or {}).get(name)
                )
        for name, (slot, samples) in given.items():
            if name in known:
                slot.waiting = self._whole_hops(slot, samples, *known[name])
            else:
                slot.waiting = [(samples, None, None)]
        slots = [slot for slot, _ in given.values()]
        ready = [slot for slot in slots if slot.waiting]
        while ready:
            self._step(ready)
            ready = [slot for slot in ready if slot.waiting]
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

    def _step(self, ready: Sequence[Slot]) -> None:
        """The next hop of each of these slots."""
        jobs: list[tuple[HopJob, list[Slot]]] = []
        together: dict[StreamGroup, list[Slot]] = {}
        for slot in ready:
            _, missing, bits = slot.waiting[0]
            if missing is None and bits is None and slot.ends.stream.well:
                together.setdefault(slot.group, []).append(slot)
            else:
                jobs.append((MarkedHop(slot.ends.stream, *slot.waiting.pop(0)), [slot]))
        for group, slots in together.items():
            jobs += _well(group, slots)
        steps = []
        for job, slots in jobs:
            if isinstance(job, MarkedHop) and job.is_off:
                self._batch.reset(slots[0].number)
                slots[0].made += job.finish()
            else:
                steps.append((job, slots))
        if not steps:
            return
        numbers = [slot.number for _, slots in steps for slot in slots]
        if len(steps) == 1:
            job = steps[0][0]
            ecg, mask, anchor = job.ecg, job.mask, job.anchor
        else:
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


def _well(group: StreamGroup, slots: list[Slot]) -> Iterator[tuple[HopJob, list[Slot]]]:
    """The hops of streams that are well: together where they are many, and all finite."""
    hops = [slot.waiting.pop(0) for slot in slots]
    if len(slots) >= TOGETHER:
        samples = np.stack([hop[0] for hop in hops])
        if np.isfinite(samples).all():
            rows, streams = [slot.row for slot in slots], [slot.ends.stream for slot in slots]
            yield PlainHops(group, rows, streams, samples), slots
            return
    for slot, hop in zip(slots, hops, strict=True):
        stream = slot.ends.stream
        rows_of_one = stream.take_hop(hop[0])
        if rows_of_one is None:
            yield MarkedHop(stream, *hop), [slot]
        else:
            yield PlainHop(stream, rows_of_one), [slot]


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
