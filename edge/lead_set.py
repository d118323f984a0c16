"""What a set of measured leads implies: where each of the twelve comes from, identities, anchors, flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.leads import LEADS, provenance, twelve_from
from edge.signal.anchor import anchor_from_moments

Flags = NDArray[np.bool_]


class Present(NamedTuple):
    """The measured leads that are on, and what follows: made once for each set of them."""

    on: Flags
    """(n_measured,)"""
    anchor: NDArray[np.float64]
    """(n_reconstructed, n_measured): float32 values, in float64 so that no sum depends on its order."""
    mask: NDArray[Any]
    """`on` as an engine takes it, (1, n_measured, 1, 1)."""
    engine_anchor: NDArray[np.float32]
    """`anchor` as an engine takes it, (1, n_reconstructed, n_measured, 1, 1)."""


class LeadSet:
    """The leads that a decoder takes and those that it reconstructs; shared by all streams that have them.

    Eight rows stand for the independent leads everywhere here: first the reconstructed ones, then the
    measured ones.
    """

    def __init__(
        self,
        measured: Sequence[str],
        reconstructed: Sequence[str],
        moments: NDArray[np.float64],
    ) -> None:
        """`moments` is the (8, 8) second-moment matrix in mV^2 that the anchors follow from."""
        self.measured, self.reconstructed = tuple(measured), tuple(reconstructed)
        self.provenance = provenance(measured, reconstructed)
        self.n_measured, self.n_reconstructed = len(self.measured), len(self.reconstructed)
        self.rows = np.array([LEADS.index(name) for name in measured])
        """Rows of the measured leads among the twelve."""
        self.twelve = twelve_from((*reconstructed, *measured))
        """(12, 8) float32: all leads from the independent ones."""
        self.twelve_sigma = np.abs(self.twelve[:, : self.n_reconstructed])
        """(12, n_reconstructed): of I and II one at least is measured, so each lead has one sigma."""
        self._moments = moments
        self._present: dict[bytes, Present] = {}
        self.all_present = self.present(np.ones(self.n_measured, bool))

    def present(self, on: Flags) -> Present:
        """What follows where the measured leads `on` are on, the others off."""
        key = on.tobytes()
        if key not in self._present:
            anchor = anchor_from_moments(self._moments, self.measured, self.reconstructed, on)
            self._present[key] = Present(
                on.copy(),
                anchor.astype(np.float64),
                on.copy()[None, :, None, None],
                anchor[None, :, :, None, None],
            )
        return self._present[key]

    def blank(self, lost: Flags, ecg: NDArray[np.float32], sigma: NDArray[np.float32]) -> None:
        """NaN in `ecg` and `sigma` (12, n) where a lead rests on one of the eight that is `lost` (8, n)."""
        if np.count_nonzero(lost):
            rests = np.abs(self.twelve) @ lost > 0
            ecg[rests] = sigma[rests] = np.nan

    def blank_off(self, off: Flags, ecg: NDArray[np.float32], sigma: NDArray[np.float32]) -> None:
        """NaN in the rows that rest on a measured lead that is `off` (n_measured,)."""
        rows = self.twelve[:, self.n_reconstructed :][:, off].any(1)
        ecg[rows] = sigma[rows] = np.nan

    def spread(self, bits: NDArray[np.uint8], flags: NDArray[np.uint8]) -> None:
        """Quality `bits` of the measured leads into `flags` of the twelve.

        A measured lead has its own bits, a reconstructed one those of all, a derived one those of I and II.
        """
        flags[:] = np.bitwise_or.reduce(bits, axis=0)
        flags[self.rows] = bits
        flags[2:6] = flags[0] | flags[1]
