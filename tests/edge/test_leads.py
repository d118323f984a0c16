"""Lead names, identities and provenance."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import InputError
from edge.leads import (
    DERIVED_LEADS,
    INDEPENDENT_LEADS,
    INPUT_LEADS,
    LEADS,
    RECONSTRUCTED_LEADS,
    Provenance,
    lead_indices,
    provenance,
    twelve_from_eight,
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
    twelve = dict(zip(LEADS, twelve_from_eight(eight), strict=True))
    one, two = twelve["I"], twelve["II"]
    assert np.array_equal(twelve["III"], two - one)
    assert np.array_equal(twelve["aVR"], -(one + two) / 2)
    assert np.array_equal(twelve["aVL"], one - two / 2)
    assert np.array_equal(twelve["aVF"], two - one / 2)
    for name, row in zip(INDEPENDENT_LEADS, eight, strict=True):
        assert np.array_equal(twelve[name], row)


def test_identities_are_those_of_the_simulator() -> None:
    truth = EcgSimulator(250.0, seed=1).read(1000)
    again = twelve_from_eight(truth[lead_indices(INDEPENDENT_LEADS)])
    np.testing.assert_allclose(again, truth, atol=1e-6)


def test_a_missing_lead_stays_missing() -> None:
    eight = np.ones((8, 3), np.float32)
    eight[INDEPENDENT_LEADS.index("II"), 1] = np.nan
    missing = np.isnan(twelve_from_eight(eight))
    assert missing[lead_indices(("II", "III", "aVR", "aVL", "aVF")), 1].all()
    assert missing.sum() == 5


def test_twelve_from_eight_says_which_rows_it_wants() -> None:
    with pytest.raises(InputError, match=r"\(8, n\) rows I, II, V1.*got \(3, 5\)"):
        twelve_from_eight(np.zeros((3, 5), np.float32))
    with pytest.raises(InputError):
        twelve_from_eight(np.zeros(8, np.float32))


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
    sources = provenance(("I", "II", "V2"), ("V1", "V3", "V4", "V5", "V6"))
    assert sources[LEADS.index("aVF")] is Provenance.DERIVED
    assert sources[LEADS.index("I")] is Provenance.MEASURED
