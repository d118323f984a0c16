"""What a bundle's graph is given for II, V1, V5 of a record, as the reconstructor that ships gives it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.lead_set import LeadSet
from edge.leads import INDEPENDENT_LEADS, lead_indices
from edge.signal.conditioning import Conditioner
from quantize.data import zero_phase_highpass

Array = NDArray[np.float32]


class Given(NamedTuple):
    """One record, mV."""

    ecg: Array
    """(1, n_inputs, hop, frames)"""
    mask: Array
    """The same shape."""
    anchor: Array
    """(1, n_outputs, n_inputs, 1, 1)"""
    truth: Array
    """(n_open, n): the leads that are not measured, as they are scored."""
    base: Array
    """(n_open, n): them by the anchor alone, as they are scored."""


class BundleFeed:
    """Conditions records for one bundle; the default leads are measured and all are on."""

    def __init__(self, bundle: Bundle) -> None:
        self.manifest = m = bundle.manifest
        self._leads = LeadSet(m)
        self._rows = lead_indices(self._leads.measured, INDEPENDENT_LEADS)
        open_leads = [lead for lead in m.output_leads if lead not in self._leads.measured]
        self.open_rows = lead_indices(open_leads, m.output_leads)
        """Rows of the graph's `ecg_mv` that are not measured."""
        self._truth = lead_indices(open_leads, INDEPENDENT_LEADS)

    def given(self, ecg_mv: Array, sampling_hz: float) -> Given:
        """From (8, n) mV, rows INDEPENDENT_LEADS, whole hops."""
        m, present = self.manifest, self._leads.all_present
        conditioner = Conditioner(m.conditioning, sampling_hz, len(ecg_mv), m.hop)
        conditioned, residual, _ = conditioner.push(ecg_mv)
        ecg = np.ascontiguousarray(self._leads.engine_rows(present, residual[self._rows]))
        mask = np.broadcast_to(present.mask, ecg.shape).astype(np.float32)
        by_anchor = (present.anchor @ conditioned[self._rows])[self.open_rows]
        truth, base = (
            zero_phase_highpass(one, sampling_hz).astype(np.float32)
            for one in (ecg_mv[self._truth], by_anchor)
        )
        return Given(ecg, mask, present.engine_anchor, truth, base)
