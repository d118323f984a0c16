"""What a set of measured leads implies: where each of the twelve comes from, identities, anchors, flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Manifest
from edge.errors import InputError
from edge.lead_subsets import (
    INDEPENDENT_ROWS,
    anchor_of,
    assembled,
    classes_of,
    completed,
    known,
    projection,
    sigma_of,
)
from edge.leads import (
    INPUT_LEADS,
    LEADS,
    Provenance,
    lead_indices,
    lead_names,
    provenance,
    twelve_from,
)
from edge.signal.anchor import anchor_from_moments

Flags = NDArray[np.bool_]


class Derived(NamedTuple):
    """Limb leads as sums of two measured ones."""

    rows: NDArray[np.intp]
    """Of the graph's `ecg`."""
    of: tuple[int, int]
    """Measured rows."""
    weights: tuple[NDArray[np.float32], NDArray[np.float32]]
    """(n_rows, 1) each."""


class Present(NamedTuple):
    """The measured leads that are on, and what follows: made once for each set of them."""

    on: Flags
    """(n_measured,)"""
    anchor: NDArray[np.float64]
    """(n_decoded, n_measured): float32 values, in float64 so that no sum depends on its order."""
    mask: NDArray[Any]
    """Which rows of the graph's `ecg` are known, as an engine takes it, (1, n_inputs, 1, 1)."""
    engine_anchor: NDArray[np.float32]
    """The anchor as an engine takes it, (1, n_decoded, n_inputs, 1, 1)."""
    derived: Derived | None
    """Rows of the graph's `ecg` that follow from measured ones."""
    twelve: NDArray[np.float32]
    """(12, n_decoded + n_measured): all leads from the decoded ones, then the measured ones."""
    sigma: NDArray[np.float32]
    """(12, n_sigmas): sigma of all leads from the decoder's."""
    projection: NDArray[np.float32] | None
    """(n_decoded, n_decoded + n_measured) the decoded leads as `twelve` makes them, where it does not choose
    rows of them: with one limb lead other than I and II."""
    blank: Flags | None
    """(12,) leads that rest on a measured one that is off; None where all are on."""


class LeadSet:
    """The leads that are measured and what a decoder makes of them; shared by all streams that have them."""

    def __init__(
        self,
        manifest: Manifest,
        measured: Sequence[str] | None = None,
        moments: NDArray[np.float64] | None = None,
    ) -> None:
        """`measured` in the order of the caller's rows; by default II, V1, V5, or the decoder's own.

        `moments` is the (8, 8) second-moment matrix in mV^2 that the anchors follow from, by default the
        manifest's. Raises InputError for leads that are unknown, named twice, or not what the decoder takes.
        """
        self.manifest = m = manifest
        self.measured = checked_leads(m, measured)
        self.provenance = provenance(self.measured)
        self.n_measured, self.n_decoded = len(self.measured), len(m.output_leads)
        self.rows = np.array(lead_indices(self.measured))
        """Rows of the measured leads among the twelve."""
        at = lead_indices(self.measured, m.input_leads)
        self._at = None if at == list(range(len(m.input_leads))) else np.array(at)
        self._hop_places = (np.array(at)[:, None] * m.hop + np.arange(m.hop)).ravel()
        self.moments = m.moments if moments is None else moments
        self._present: dict[bytes, Present] = {}
        self.all_present = self.present(np.ones(self.n_measured, bool))
        which = known(int(classes_of(self._among_twelve(self.all_present.on))))
        self.unknown = ~which
        """(12,) leads that the decoder makes up, or that rest on one."""
        self._derived = which.copy()
        self._derived[self.rows] = False
        self._limb_rows = np.flatnonzero(self.rows < 6)

    def present(self, on: Flags) -> Present:
        """What follows where the measured leads `on` are on, the others off."""
        key = on.tobytes()
        if key not in self._present:
            make = self._of_any if self.manifest.any_leads else self._of_inputs
            self._present[key] = made = make(on.copy())
            for given in (made.mask, made.engine_anchor):
                given.flags.writeable = False  # an engine may know it again and not copy it
        return self._present[key]

    def engine_rows(self, present: Present, leads: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n_measured, n) mV, zero where off, as an engine takes it, (1, n_inputs, hop, frames)."""
        n = leads.shape[1]
        if self._at is not None:
            rows = np.zeros((len(self.manifest.input_leads), n), np.float32)
            rows[self._at] = leads
            if present.derived is not None:
                derived, (one, other), (a, b) = present.derived
                rows[derived] = a * leads[one] + b * leads[other]
            leads = rows
        return leads.reshape(1, len(leads), -1, self.manifest.hop).transpose(0, 1, 3, 2)

    def many_hop_rows(self, leads: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """As `hop_rows` of many streams, (n_measured, n * hop), into `out` (n, n_inputs, hop, 1)."""
        rows = out[..., 0].swapaxes(0, 1)
        leads = leads.reshape(len(leads), *rows.shape[1:])
        rows[slice(None) if self._at is None else self._at] = leads
        if self.all_present.derived is not None:
            derived, (one, other), (a, b) = self.all_present.derived
            rows[derived] = a[..., None] * leads[one] + b[..., None] * leads[other]

    def hop_rows(self, leads: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """As `engine_rows` for one hop with all leads on, into `out` (1, n_inputs, hop, 1), else zero."""
        out.put(self._hop_places, leads)
        if self.all_present.derived is not None:
            rows, (one, other), (a, b) = self.all_present.derived
            out[0, rows, :, 0] = a * leads[one] + b * leads[other]

    def blank(self, lost: Flags, ecg: NDArray[np.float32], sigma: NDArray[np.float32]) -> None:
        """NaN in `ecg` and `sigma` (12, n) where a lead rests on a row of `twelve`'s that is `lost`."""
        if np.count_nonzero(lost):
            rests = np.abs(self.all_present.twelve) @ lost > 0
            ecg[rests] = sigma[rests] = np.nan

    def spread(self, bits: NDArray[np.uint8], flags: NDArray[np.uint8]) -> None:
        """Quality `bits` of the measured leads into `flags` of the twelve.

        A measured lead has its own bits, one derived from measured limb leads those of them, any other those
        of all.
        """
        flags[:] = np.bitwise_or.reduce(bits, axis=0)
        if self._derived.any():
            flags[self._derived] = np.bitwise_or.reduce(bits[self._limb_rows], axis=0)
        flags[self.rows] = bits

    def _among_twelve(self, on: Flags) -> Flags:
        present = np.zeros(len(LEADS), bool)
        present[self.rows[on]] = True
        return present

    def _of_any(self, on: Flags) -> Present:
        present = self._among_twelve(on)
        which = int(classes_of(present))
        certain, complete = known(which), completed(present)
        anchor = anchor_of(self.moments, which).astype(np.float32)
        twelve = assembled(present)
        decoded, measured = twelve[:, : self.n_decoded], twelve[:, self.n_decoded :][:, self.rows]
        both = np.concatenate([decoded, measured], 1).astype(np.float32)
        chosen = np.isin(projection(which), (0.0, 1.0)).all()
        return Present(
            on,
            (anchor.astype(np.float64) @ complete)[:, self.rows],
            certain[None, :, None, None],
            anchor[None, :, :, None, None],
            self._derived_rows(on, certain & ~present, complete),
            both,
            sigma_of(which).astype(np.float32),
            None if chosen else both[INDEPENDENT_ROWS],
            self._blank(on, both),
        )

    def _derived_rows(
        self, on: Flags, rows: Flags, complete: NDArray[np.float64]
    ) -> Derived | None:
        """The limb leads in `rows` (12,), from the first two in the order of LEADS that are on."""
        if not rows.any():
            return None
        limb = [row for row in np.argsort(self.rows).tolist() if on[row] and self.rows[row] < 6]
        weights = complete[rows].astype(np.float32)
        one, other = limb[:2]
        a, b = (weights[:, [self.rows[row]]] for row in (one, other))
        return Derived(np.flatnonzero(rows), (one, other), (a, b))

    def _of_inputs(self, on: Flags) -> Present:
        m = self.manifest
        order = lead_indices(m.input_leads, self.measured)
        anchor = anchor_from_moments(self.moments, m.input_leads, m.output_leads, on[order])
        twelve = twelve_from((*m.output_leads, *self.measured))
        return Present(
            on,
            anchor.astype(np.float64)[:, np.argsort(order)],
            on[order][None, :, None, None],
            anchor[None, :, :, None, None],
            None,
            twelve,
            np.abs(twelve[:, : self.n_decoded]),  # of I and II one is measured: each lead has one
            None,
            self._blank(on, twelve),
        )

    def _blank(self, on: Flags, twelve: NDArray[np.float32]) -> Flags | None:
        """A lead that is off, and what is derived from it unless it follows from others that are on."""
        if on.all():
            return None
        rests = self.all_present.twelve[:, self.n_decoded :][:, ~on].any(1)
        follows = ~twelve[:, : self.n_decoded].any(1)
        reconstructed = np.array([one is Provenance.RECONSTRUCTED for one in self.provenance])
        gone = np.isin(np.arange(len(LEADS)), self.rows[~on])
        return np.asarray(gone | (rests & ~follows & ~reconstructed), np.bool_)


def checked_leads(manifest: Manifest, measured: Sequence[str] | None) -> tuple[str, ...]:
    """The leads that are measured. Raises InputError for what no decoder, or not this one, takes."""
    m = manifest
    if measured is None:
        return INPUT_LEADS if m.any_leads else m.input_leads
    leads = lead_names(measured)
    lead_indices(leads)
    if not leads:
        raise InputError(f"no lead is measured: name one or more of {', '.join(LEADS)}")
    if not m.any_leads and set(leads) != set(m.input_leads):
        raise InputError(
            f"the model {m.name} takes {', '.join(m.input_leads)}, got {', '.join(leads)}: name these, or "
            "take the model that ships, which takes any leads"
        )
    return leads
