"""The places of a MultiReconstructor's patients, and a push of which all was well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.hop_jobs import Made
from edge.lead_set import Flags
from edge.leads import LEADS, Provenance
from edge.patient.patient import Patient
from edge.samples import FLOAT32, TwelveLeadBlock, block_of
from edge.signal.held import Bits
from edge.stream_ends import StreamEnds
from edge.stream_group import Member, StreamGroup

Array = NDArray[np.float32]
Hop = tuple[Array, Flags | None, Bits | None]
"""Samples, and what is missing and known of them; None where nothing is, or was not looked for yet."""


@dataclass(eq=False, slots=True)
class Slot:
    """A patient's place, while taken."""

    name: str
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

    def block(self) -> TwelveLeadBlock:
        """What was made in this push."""
        made, self.made = self.made, []
        if len(made) == 1:
            return self.ends.give(*made[0])
        none = np.empty((len(LEADS), 0), np.float32)
        ecg, sigma, flags = zip(*made, strict=True) if made else ((none,), (none,), (none,))
        return self.ends.give(
            np.concatenate(ecg, 1),
            np.concatenate(sigma, 1),
            np.concatenate(flags, 1).astype(np.uint8, copy=False),
        )


@dataclass(eq=False)
class Part:
    """Slots of one group."""

    group: StreamGroup
    sampling_hz: float
    members: list[Member] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """Of the engine's batch."""
    at: list[int] = field(default_factory=list)
    """Where they stand in a push."""
    slots: list[tuple[str, StreamEnds, tuple[Provenance, ...]]] = field(default_factory=list)
    """What a block needs of each."""

    def give(
        self, blocks: dict[str, TwelveLeadBlock], ecg: Array, sigma: Array, flags: NDArray[np.uint8]
    ) -> None:
        """The slots' blocks of these (n, 12, hop), by name."""
        hop, hz = ecg.shape[2], self.sampling_hz
        for (name, ends, provenance), mv, mv_off, bits in zip(
            self.slots, ecg, sigma, flags, strict=True
        ):
            first = ends.first_sample
            ends.first_sample = first + hop
            blocks[name] = block_of(mv, mv_off, bits, first, hz, provenance)


@dataclass(eq=False)
class Round:
    """Who was pushed, a hop each at which all was well: the same next time is looked at no more."""

    names: list[str]
    shapes: list[tuple[int, int]]
    parts: list[Part]

    def samples(self, ecg_mv: Mapping[str, ArrayLike]) -> list[Array] | None:
        """The same slots' hops; None if they are not that."""
        if list(ecg_mv) != self.names:
            return None
        samples: list[Any] = [*ecg_mv.values()]
        for one, shape in zip(samples, self.shapes, strict=True):
            if type(one) is not np.ndarray or one.dtype is not FLOAT32 or one.shape != shape:
                return None
        return samples


def round_of(slots: list[Slot]) -> Round | None:
    """These slots, had a hop each, if all go on side by side."""
    parts: dict[StreamGroup, Part] = {}
    for i, slot in enumerate(slots):
        if not slot.member.taken:
            return None
        part = parts.setdefault(slot.group, Part(slot.group, slot.ends.sampling_hz))
        part.members.append(slot.member)
        part.numbers.append(slot.number)
        part.at.append(i)
        part.slots.append((slot.name, slot.ends, slot.provenance))
    return Round([slot.name for slot in slots], [slot.one_hop for slot in slots], [*parts.values()])
