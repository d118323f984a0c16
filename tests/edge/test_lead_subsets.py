"""The lead algebra, for every one of the 4,095 subsets: exact where measured, least squares elsewhere."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import InputError
from edge.lead_subsets import (
    INDEPENDENT_ROWS,
    N_CLASSES,
    TWELVE,
    anchor_of,
    class_of,
    classes_of,
    completed,
    every_subset,
    known,
    label,
    measurement,
    projection,
    restored,
)
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, LEADS, LIMB_FROM_I_II, RECONSTRUCTED_LEADS
from edge.signal.anchor import anchor_from_moments

EVERY = every_subset()


def subsets() -> st.SearchStrategy[np.ndarray]:
    return st.integers(0, len(EVERY) - 1).map(lambda i: EVERY[i])


def moments_of(seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((8, 40))
    return x @ x.T / 40


def test_the_4095_subsets_are_511_classes() -> None:
    assert len({row.tobytes() for row in EVERY}) == 4095 and EVERY.any(1).all()
    classes = classes_of(EVERY)
    assert len(set(classes.tolist())) == 511
    assert classes.min() == 1 and classes.max() == N_CLASSES - 1
    assert [int(classes_of(present)) for present in EVERY[:50]] == classes[:50].tolist()


def test_every_subset_passes_through_exactly_and_keeps_the_identities() -> None:
    """Whatever the network says, and whatever the moments."""
    rng = np.random.default_rng(0)
    moments = moments_of(1)
    x = rng.standard_normal((8, 4))
    leads = TWELVE @ x
    maps = {c: (anchor_of(moments, c), projection(c), restored(c)) for c in range(1, N_CLASSES)}
    for present in EVERY:
        which = int(classes_of(present))
        anchor, open_part, measured_part = maps[which]
        shown = completed(present) @ (leads * present[:, None])
        np.testing.assert_allclose(shown, known(which)[:, None] * leads, atol=1e-12)
        graph = anchor @ shown + rng.standard_normal((8, 4))
        twelve = TWELVE @ (open_part @ graph + measured_part @ shown)
        np.testing.assert_allclose(twelve[present], leads[present], atol=1e-12)
        np.testing.assert_allclose((TWELVE @ anchor @ shown)[present], leads[present], atol=1e-12)
        np.testing.assert_allclose(twelve[2:6], LIMB_FROM_I_II @ twelve[:2], atol=1e-12)


@given(subsets(), st.integers(0, 1000))
def test_the_anchor_is_the_least_squares_of_what_was_measured(
    present: np.ndarray, seed: int
) -> None:
    """Against brute force over samples, dependent leads and all."""
    x = np.random.default_rng(seed).standard_normal((8, 200))
    leads = TWELVE @ x
    given_leads = leads[present]
    brute = np.linalg.lstsq(given_leads.T, x.T, rcond=1e-10)[0].T @ given_leads
    which = int(classes_of(present))
    shown = known(which)[:, None] * leads
    made = anchor_of(x @ x.T / 200, which) @ shown
    np.testing.assert_allclose(made, brute, atol=1e-3)


@given(subsets())
def test_the_residual_is_projected_onto_what_no_measured_lead_sees(present: np.ndarray) -> None:
    which = int(classes_of(present))
    p, (_, m) = projection(which), measurement(which)
    np.testing.assert_allclose(p @ p, p, atol=1e-12)
    np.testing.assert_allclose(p, p.T, atol=1e-12)
    np.testing.assert_allclose(TWELVE[present] @ p, 0, atol=1e-12)
    assert np.linalg.matrix_rank(p) == 8 - np.linalg.matrix_rank(TWELVE[present]) == 8 - len(m)
    assert np.linalg.matrix_rank(TWELVE[known(which)]) == len(m)


def test_for_the_special_set_it_is_the_anchor_of_edge() -> None:
    moments = moments_of(3)
    which = class_of(INPUT_LEADS)
    anchor = anchor_of(moments, which)
    columns = [LEADS.index(lead) for lead in INPUT_LEADS]
    rows = [INDEPENDENT_LEADS.index(lead) for lead in RECONSTRUCTED_LEADS]
    special = anchor_from_moments(moments, INPUT_LEADS, RECONSTRUCTED_LEADS)
    np.testing.assert_allclose(anchor[np.ix_(rows, columns)], special, atol=1e-6)
    assert not np.delete(anchor, columns, 1).any()
    assert (projection(which) == np.diag(~known(which)[INDEPENDENT_ROWS])).all()


def test_two_limb_leads_are_all_six() -> None:
    both = {class_of(pair) for pair in combinations(LEADS[:6], 2)}
    assert both == {class_of(LEADS[:6])}
    assert label(both.pop()) == "I+II"
    assert label(class_of(("V1", "aVF"))) == "aVF+V1"
    alone = {class_of((lead,)) for lead in LEADS[:6]}
    assert len(alone) == 6


def test_limb_leads_that_contradict_each_other_stay_and_the_first_two_give_the_rest() -> None:
    present = np.zeros(12, bool)
    present[:3] = True
    leads = np.zeros(12)
    leads[:3] = 1.0, 2.0, 1.3  # III is 1.0 by Einthoven
    shown = completed(present) @ leads
    np.testing.assert_array_equal(shown[:6], [1.0, 2.0, 1.3, -1.5, 0.0, 1.5])


@pytest.mark.parametrize("leads", [("I", "I"), ("V7",)])
def test_a_lead_that_is_none_is_one_line(leads: tuple[str, ...]) -> None:
    with pytest.raises(InputError):
        class_of(leads)
