"""Lead names, identities and provenance."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import InputError
from edge.files.lead_option import parse_leads
from edge.lead_subsets import classes_of, every_subset, known
from edge.leads import (
    DERIVED_LEADS,
    INDEPENDENT_LEADS,
    INPUT_LEADS,
    LEADS,
    RECONSTRUCTED_LEADS,
    Provenance,
    lead_indices,
    provenance,
    twelve_from,
)
from firmware_bridge.simulators.ecg import EcgSimulator


def test_names_are_pinned() -> None:
    limb, chest = ("I", "II", "III", "aVR", "aVL", "aVF"), ("V1", "V2", "V3", "V4", "V5", "V6")
    assert limb + chest == LEADS
    assert INPUT_LEADS == ("II", "V1", "V5")
    assert RECONSTRUCTED_LEADS == ("I", "V2", "V3", "V4", "V6")
    assert {*INDEPENDENT_LEADS, *DERIVED_LEADS} == set(LEADS)
    assert {*INPUT_LEADS, *RECONSTRUCTED_LEADS} == set(INDEPENDENT_LEADS)


def test_identities_are_einthovens_and_goldbergers() -> None:
    eight = np.random.default_rng(0).normal(size=(8, 500)).astype(np.float32)
    twelve = dict(zip(LEADS, twelve_from(INDEPENDENT_LEADS) @ eight, strict=True))
    one, two = twelve["I"], twelve["II"]
    assert np.array_equal(twelve["III"], two - one)
    assert np.array_equal(twelve["aVR"], -(one + two) / 2)
    assert np.array_equal(twelve["aVL"], one - two / 2)
    assert np.array_equal(twelve["aVF"], two - one / 2)
    for name, row in zip(INDEPENDENT_LEADS, eight, strict=True):
        assert np.array_equal(twelve[name], row)


def test_identities_are_those_of_the_simulator() -> None:
    truth = EcgSimulator(250.0, seed=1).read(1000)
    again = twelve_from(INDEPENDENT_LEADS) @ truth[lead_indices(INDEPENDENT_LEADS)]
    np.testing.assert_allclose(again, truth, atol=1e-6)


def test_the_matrix_takes_the_leads_in_any_order() -> None:
    rows = INPUT_LEADS + RECONSTRUCTED_LEADS
    order = lead_indices(rows, INDEPENDENT_LEADS)
    assert np.array_equal(twelve_from(rows), twelve_from(INDEPENDENT_LEADS)[:, order])
    with pytest.raises(InputError, match="unknown lead 'V6'"):
        twelve_from(rows[:-1])


def test_lead_indices() -> None:
    assert lead_indices(("V5", "I")) == [10, 0]
    assert lead_indices(("V5",), INPUT_LEADS) == [2]
    with pytest.raises(InputError, match=r"unknown lead 'avR': use names from I, II, III, aVR"):
        lead_indices(("I", "avR"))
    with pytest.raises(InputError, match="named twice in II, V1, II"):
        lead_indices(("II", "V1", "II"))


def test_provenance_says_what_is_measured_derived_and_reconstructed() -> None:
    shown = {name: str(source) for name, source in zip(LEADS, provenance(), strict=True)}
    assert {name for name, what in shown.items() if what == "measured"} == set(INPUT_LEADS)
    assert {n for n, what in shown.items() if what == "reconstructed"} == set(RECONSTRUCTED_LEADS)
    assert {shown[name] for name in DERIVED_LEADS} == {"derived from reconstructed I"}


def test_limb_leads_of_a_measured_i_are_plainly_derived() -> None:
    sources = provenance(("I", "II", "V2"))
    assert sources[LEADS.index("aVF")] is Provenance.DERIVED
    assert sources[LEADS.index("I")] is Provenance.MEASURED


@pytest.mark.parametrize(
    ("measured", "made", "then"),
    [
        ("I", "II", "derived from reconstructed II"),
        ("II", "I", "derived from reconstructed I"),
        ("aVF", "I", "derived from reconstructed I"),
        ("V1", "I II", "derived from reconstructed I and II"),
        ("III aVR", "", "derived"),
    ],
)
def test_a_lead_derived_from_an_estimate_says_from_which(
    measured: str, made: str, then: str
) -> None:
    sources = provenance(measured.split())
    for name, source in zip(LEADS[:6], sources, strict=False):
        if name in measured.split():
            assert source is Provenance.MEASURED and not source.is_estimate
        elif name in made.split():
            assert source is Provenance.RECONSTRUCTED and source.is_estimate
        else:
            assert str(source) == then and source.is_estimate == bool(made)


def test_every_subset_can_be_named_on_the_command_line_and_has_its_provenance() -> None:
    rng = np.random.default_rng(0)
    for present in every_subset():
        leads = tuple(LEADS[row] for row in rng.permutation(np.flatnonzero(present)))
        assert parse_leads(", ".join(lead.lower() for lead in leads)) == leads
        assert parse_leads(",".join(leads)) == leads
        kinds = provenance(leads)
        certain = known(int(classes_of(present)))
        for row, kind in enumerate(kinds):
            assert (kind is Provenance.MEASURED) == bool(present[row])
            assert (kind in (Provenance.MEASURED, Provenance.DERIVED)) == bool(certain[row])
