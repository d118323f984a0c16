"""Streams that measure the same leads: their states side by side, and the common hop of many at once.

What is rare (gaps, leads off, settling) is the business of each `StreamState` alone; the arrays are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Manifest
from edge.lead_set import LeadSet
from edge.patient.patient_map import PatientMap
from edge.signal.assembly import Assembly
from edge.signal.conditioning import BLOCK_HOPS, Conditioning
from edge.signal.presence import NOISY_BLOCK_HOPS
from edge.signal.side_by_side import (
    Conditioners,
    Places,
    Presences,
    Product,
    Rows,
)
from edge.stream_state import StreamState

Array = NDArray[np.float32]
FEWEST = 3  # streams from which on their arrays are worked on as one
SHARE = 1 / 8  # of the group: all of it is filtered, whoever has a hop


@dataclass(eq=False)
class Member:
    """A stream of a group."""

    row: int
    stream: StreamState
    taken: bool = False
    """Whether the group keeps its counters: `StreamGroup.release` before its state is used alone."""

    @property
    def fits(self) -> bool:
        """Whether the group may take its next hop, if it is finite."""
        return self.taken or (self.stream.well and self.stream.conditioner.plain)


class Selection(NamedTuple):
    """Some members, and what follows from which they are."""

    members: list[Member]
    rows: Rows
    to_filter: tuple[Rows, Rows]
    to_presence: Rows
    anchors: Array
    """As an engine takes them."""
    calibrated: list[int]
    assembly: Assembly
    filtered: NDArray[np.float64]
    ecg: Array
    """(n, n_inputs, hop, 1) mV, as an engine takes it."""


class StreamGroup:
    """Up to `n_streams` streams of the leads of `leads`, by row; these have the population's anchors."""

    def __init__(
        self, leads: LeadSet, manifest: Manifest, conditioning: Conditioning, n_streams: int
    ) -> None:
        m, n, present = manifest, leads.n_measured, leads.all_present
        self._leads, self._manifest, self._conditioning = leads, m, conditioning
        self._conditioners = Conditioners(conditioning, m.sampling_hz, n, m.hop, n_streams)
        self._presences = Presences(m.sampling_hz, n, m.hop, n_streams)
        self._engine_anchors = np.zeros((n_streams, *present.engine_anchor.shape[1:]), np.float32)
        self._free = [*range(n_streams)]
        self._width = 0
        self._last: Selection | None = None
        self.all_taken = True
        """Whether all members of the last hop go on side by side."""
        self.mask: NDArray[np.float32] = present.mask
        """Which rows are known, as an engine takes it."""

    def open(self, leads: LeadSet, patient_map: PatientMap | None) -> Member:
        """A stream of the group."""
        row = self._free.pop(self._free.index(min(self._free)))
        conditioner, presence = self._conditioners.open(row), self._presences.open(row)
        stream = StreamState(
            leads, self._manifest, self._conditioning, patient_map, conditioner, presence
        )
        self._engine_anchors[row] = leads.all_present.engine_anchor[0]
        self._last = None
        if row >= self._width:
            self._width = min(1 << row.bit_length(), len(self._engine_anchors))
            self._conditioners.widen(self._width)
            self._look()
        return Member(row, stream)

    def close(self, member: Member) -> None:
        """The row is free for another stream."""
        self._free.append(member.row)
        self._last = None

    def _look(self) -> None:
        """Which products of this width have the bits of each stream's alone."""
        present, hop, width = self._leads.all_present, self._manifest.hop, self._width
        self._anchor, self._twelve, self._sigma = (
            Product(map_, hop, width) for map_ in (present.anchor, present.twelve, present.sigma)
        )

    def takes(self, n: int) -> bool:
        """Whether so many of its streams are worked on as one."""
        return self._conditioners.stands_alone and n >= max(FEWEST, self._width * SHARE)

    def release(self, member: Member) -> None:
        """The stream's state is its own again."""
        if member.taken:
            member.taken = False
            member.stream.conditioner.resume(int(self._conditioners.filled[member.row]))
            member.stream.presence.resume(int(self._presences.filled[member.row]))

    def take_hops(self, members: list[Member], samples: Array) -> Selection:
        """A hop of each of these streams that `fits`, (n, n_measured, hop) finite mV.

        Returns what an engine takes. Give what it makes of that to `finish_hops`.
        """
        selection = self._last
        if selection is None or selection.members != members:
            self._last = selection = self._selected(members)
        for member in members:
            if not member.taken:
                self._take(member)
        rows, filtered = selection.rows, selection.filtered
        ended = self._presences.push_hop(rows, selection.to_presence, samples)
        looked_at = self._end_presences(members, rows, ended) if ended.any() else []
        ended = self._conditioners.push_hop(rows, selection.to_filter, samples, filtered)
        if ended.any():
            looked_at += self._end_blocks(members, rows, ended)
        self.all_taken = True
        for member in looked_at:
            if not (member.stream.well and member.stream.conditioner.plain):
                self.release(member)
                self.all_taken = False
        assembly = selection.assembly
        assembly.filtered.reshape(filtered.shape)[...] = filtered
        self._leads.many_hop_rows(assembly.residual, selection.ecg)
        return selection

    def finish_hops(
        self, selection: Selection, decoded: Array, log_sigma: Array
    ) -> tuple[Array, Array]:
        """Twelve leads and their sigma, (n, 12, hop) mV, of the hops that `take_hops` took."""
        assembly, n = selection.assembly, len(selection.rows)
        hop = self._manifest.hop
        assembly.predict(self._anchor.of)
        for i in selection.calibrated:
            at = slice(i * hop, (i + 1) * hop)
            assembly.predict_of(selection.members[i].stream.leads.all_present.anchor, at)
        assembly.decode(decoded[..., 0].swapaxes(0, 1), log_sigma[..., 0].swapaxes(0, 1))
        for i in selection.calibrated:
            at, stream = slice(i * hop, (i + 1) * hop), selection.members[i].stream
            leads, sigma = assembly.leads[:, at].copy(), assembly.log_sigma[:, at].copy()
            stream.calibrate(stream.leads.all_present, leads, sigma)
            assembly.leads[:, at], assembly.log_sigma[:, at] = leads, sigma
        ecg, sigma = assembly.twelve(self._twelve.of, self._sigma.of)
        return ecg.reshape(-1, n, hop).swapaxes(0, 1), sigma.reshape(-1, n, hop).swapaxes(0, 1)

    def _selected(self, members: list[Member]) -> Selection:
        m, leads, n = self._manifest, self._leads, len(members)
        rows = np.array([member.row for member in members], np.intp)
        places = Places(rows, leads.n_measured, m.hop)
        anchors = self._engine_anchors[rows]
        anchors.flags.writeable = False  # an engine may know it again and not copy it
        return Selection(
            list(members),
            rows,
            self._conditioners.places(places),
            self._presences.places(places),
            anchors,
            [i for i, member in enumerate(members) if member.stream.is_calibrated],
            Assembly(
                leads.n_decoded,
                leads.n_measured,
                len(m.sigma_leads),
                n * m.hop,
                m.sigma_amplitude,
                n,
            ),
            np.zeros((2, leads.n_measured, n, m.hop)),
            np.zeros((n, len(m.input_leads), m.hop, 1), np.float32),
        )

    def _take(self, member: Member) -> None:
        member.taken = True
        self._conditioners.filled[member.row] = member.stream.conditioner.filled
        self._presences.take(member.row, member.stream.presence)

    def _end_presences(
        self, members: list[Member], rows: Rows, ended: NDArray[np.bool_]
    ) -> list[Member]:
        """New blocks of those that `ended`; which of them their own Presence has looked at."""
        at = np.flatnonzero(ended)
        others = self._presences.end_blocks(rows[at])
        looked_at = [members[i] for i in at[others].tolist()]
        for member in looked_at:
            presence = member.stream.presence
            presence.resume(NOISY_BLOCK_HOPS - 1)
            presence.count_hop()
            self._presences.take(member.row, presence)
        return looked_at

    def _end_blocks(
        self, members: list[Member], rows: Rows, ended: NDArray[np.bool_]
    ) -> list[Member]:
        """As `_end_presences`, of the filters."""
        at = np.flatnonzero(ended)
        others = self._conditioners.end_blocks(rows[at])
        looked_at = [members[i] for i in at[others].tolist()]
        for member in looked_at:
            conditioner = member.stream.conditioner
            conditioner.resume(BLOCK_HOPS - 1)
            conditioner.count_hop()
            self._conditioners.filled[member.row] = 0
        return looked_at
