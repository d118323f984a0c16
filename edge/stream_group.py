"""Streams that measure the same leads: their states side by side, and the common hop of many at once.

What is rare (gaps, leads off, settling) is the business of each `StreamState` alone; the arrays are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Manifest
from edge.lead_set import LeadSet
from edge.patient.patient_map import PatientMap
from edge.signal.assembly import Assembly
from edge.signal.conditioning import Conditioning
from edge.signal.side_by_side import Conditioners, Presences, Rows
from edge.stream_state import StreamState

Array = NDArray[np.float32]


class StreamGroup:
    """Up to `n_streams` streams of the leads of `leads`, by row."""

    def __init__(
        self, leads: LeadSet, manifest: Manifest, conditioning: Conditioning, n_streams: int
    ) -> None:
        m, n, present = manifest, leads.n_measured, leads.all_present
        self._leads, self._manifest, self._conditioning = leads, m, conditioning
        self._conditioners = Conditioners(conditioning, m.sampling_hz, n, m.hop, n_streams)
        self._presences = Presences(m.sampling_hz, n, m.hop, n_streams)
        self._anchors = np.zeros((n_streams, *present.anchor.shape))
        self._engine_anchors = np.zeros((n_streams, *present.engine_anchor.shape[1:]), np.float32)
        self._assemblies: dict[int, Assembly] = {}
        self._free = [*range(n_streams)]
        self.mask: NDArray[np.float32] = present.mask
        """Which rows are known, as an engine takes it."""

    def open(self, leads: LeadSet, patient_map: PatientMap | None) -> tuple[int, StreamState]:
        """A row, and the stream that has it now."""
        row = self._free.pop(0)
        conditioner, presence = self._conditioners.open(row), self._presences.open(row)
        stream = StreamState(
            leads, self._manifest, self._conditioning, patient_map, conditioner, presence
        )
        self._anchors[row] = leads.all_present.anchor
        self._engine_anchors[row] = leads.all_present.engine_anchor[0]
        return row, stream

    def close(self, row: int) -> None:
        """The row is free for another stream."""
        self._free.append(row)

    def take_hops(
        self, rows: Rows, streams: Sequence[StreamState], samples: Array
    ) -> tuple[Array, Array]:
        """A hop of each of these streams, (n, n_measured, hop) finite mV; each of them is `well`.

        Returns what an engine takes: the leads and the anchors. Give what it makes of them to `finish_hops`.
        """
        assembly = self._assembly(len(rows))
        self._presences.push_hop(rows, [stream.presence for stream in streams], samples)
        conditioners = [stream.conditioner for stream in streams]
        self._conditioners.push_hop(rows, conditioners, samples, assembly.filtered)
        return self._leads.many_hop_rows(assembly.residual), self._engine_anchors[rows]

    def finish_hops(
        self, rows: Rows, streams: Sequence[StreamState], decoded: Array, log_sigma: Array
    ) -> tuple[Array, Array]:
        """Twelve leads and their sigma, (n, 12, hop) mV, of the hops that `take_hops` took."""
        assembly, present = self._assembly(len(rows)), self._leads.all_present
        assembly.decode(self._anchors[rows], decoded, log_sigma)
        for i, stream in enumerate(streams):
            if stream.is_calibrated:
                on = stream.leads.all_present
                stream.calibrate(on, assembly.leads[i], assembly.log_sigma[i])
        return assembly.twelve(present.twelve, present.sigma)

    def _assembly(self, n: int) -> Assembly:
        found = self._assemblies.get(n)
        if found is None:
            m, leads = self._manifest, self._leads
            found = Assembly(
                leads.n_decoded, leads.n_measured, len(m.sigma_leads), m.hop, n, m.sigma_amplitude
            )
            self._assemblies[n] = found
        return found
