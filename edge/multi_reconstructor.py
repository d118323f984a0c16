"""Many patients on one engine: each stream as in a Reconstructor of its own, hops of all decoded together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.errors import InputError
from edge.hop_jobs import HopJob, MarkedHop, PlainHop, PlainHops, decoded_together
from edge.lead_set import Flags, LeadSet
from edge.leads import Provenance
from edge.patient.patient import Patient, load_patient
from edge.patient.patient_map import PatientMap
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock, fitting, millivolts
from edge.signal.conditioning import Conditioning
from edge.signal.held import Bits
from edge.signal.side_by_side import stacked
from edge.slots import Array, Hop, Round, Slot, round_of
from edge.stream_ends import StreamEnds, cut
from edge.stream_group import StreamGroup
from firmware_bridge.closing import Closing

DEFAULT_SLOTS = 64


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
        self._round: Round | None = None

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
            group = StreamGroup(LeadSet(m, leads), m, self.conditioning, self.slots)
            self._groups[measured] = group
        member = group.open(lead_set, patient_map)
        ends = StreamEnds(member.stream, m.sampling_hz, m.hop)
        number = self._free.pop(0)
        self._batch.reset(number)
        one_hop = (len(measured), m.hop)
        self._taken[name] = Slot(
            name, number, member, group, ends, measured, lead_set.provenance, patient, one_hop
        )

    def leave(self, name: str) -> None:
        """A patient's slot is free again. Raises InputError for who has not joined."""
        slot = self._slot(name)
        del self._taken[name]
        self._round = None
        slot.group.close(slot.member)
        self._free.append(slot.number)
        if all(other.group is not slot.group for other in self._taken.values()):
            del self._groups[slot.leads]

    def reset(self, name: str) -> None:
        """Forget a patient's stream; the next sample is number 0."""
        slot = self._slot(name)
        self._own(slot)
        slot.ends.reset()
        self._batch.reset(slot.number)

    def skip(self, name: str, n_samples: int) -> None:
        """As `Reconstructor.skip`, of one patient."""
        slot = self._slot(name)
        self._own(slot)
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
        if self._round is not None and not (valid or quality):
            blocks = self._another(self._round, ecg_mv)
            if blocks is not None:
                return blocks
        self._round = None
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
        slots = [slot for slot, _ in given.values()]
        for slot, samples, what in known:
            slot.waiting = self._whole_hops(slot, samples, what)
        while hops := hops + [(slot, slot.waiting.pop(0)) for slot in slots if slot.waiting]:
            self._step(hops)
            hops = []
        if slots and not known:
            self._round = round_of(slots)
        return {slot.name: slot.block() for slot in slots}

    def _another(
        self, again: Round, ecg_mv: Mapping[str, ArrayLike]
    ) -> dict[str, TwelveLeadBlock] | None:
        """A hop of each slot that the last push was of; None, and nothing taken, if it is not that."""
        samples = again.samples(ecg_mv)
        if samples is None:
            return None
        hops = [stacked([samples[i] for i in part.at]) for part in again.parts]
        if not all(np.isfinite(of_part).all() for of_part in hops):
            return None
        jobs = [
            PlainHops(part.group, part.members, of_part)
            for part, of_part in zip(again.parts, hops, strict=True)
        ]
        found: dict[str, Any] = dict.fromkeys(again.names)
        made = decoded_together(self._batch, jobs, [part.numbers for part in again.parts])
        for part, job, made_of_part in zip(again.parts, jobs, made, strict=True):
            part.give(found, *job.finish_all(*made_of_part))
        if not all(part.group.all_taken for part in again.parts):
            self._round = None
        return found

    def flush(self, name: str) -> TwelveLeadBlock:
        """As `Reconstructor.flush`, of one patient."""
        slot = self._slot(name)
        samples, real = slot.ends.tail()
        block = slot.ends.end(self.push({name: samples})[name], real)
        if real:
            self._batch.reset(slot.number)
        return block

    def _own(self, slot: Slot) -> None:
        """The stream's state is to be changed by itself."""
        self._round = None
        slot.group.release(slot.member)

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
                valid = fitting(valid, samples.shape, "valid", np.bool_)
            if quality is not None:
                quality = fitting(quality, samples.shape, "quality", np.uint8)
                quality = quality if np.count_nonzero(quality) else None
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        return valid, quality

    def _whole_hops(
        self,
        slot: Slot,
        samples: NDArray[np.float32],
        known: tuple[ArrayLike | None, ArrayLike | None],
    ) -> list[Hop]:
        ends, hop = slot.ends, self._hop
        hops = ends.take(samples, *known)
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
        steps: list[tuple[HopJob, list[Slot]]] = []
        for job, slots in jobs:
            if isinstance(job, MarkedHop) and job.is_off:
                self._batch.reset(slots[0].number)
                slots[0].made += job.finish()
            else:
                steps.append((job, slots))
        if steps:
            numbers = [[slot.number for slot in slots] for _, slots in steps]
            made = decoded_together(self._batch, [job for job, _ in steps], numbers)
            for (job, slots), made_of_job in zip(steps, made, strict=True):
                for slot, one in zip(slots, job.finish(*made_of_job), strict=True):
                    slot.made.append(one)

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
            whole = [bool(one.all()) for one in finite]
            yield from self._together(group, [*compress(ready, whole)])
            ready = [one for one, ok in zip(ready, whole, strict=True) if not ok]
        for slot, samples in ready:
            yield self._alone(slot, samples, None, None), [slot]

    def _alone(
        self, slot: Slot, samples: Array, missing: Flags | None, bits: Bits | None
    ) -> PlainHop | MarkedHop:
        self._own(slot)
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
