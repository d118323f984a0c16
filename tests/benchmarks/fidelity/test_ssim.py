"""SSIM and AUP against their definitions, spelled out with loops."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fidelity.ssim import (
    K1,
    K2,
    MOST_LEADS,
    SSIM_DEFINITION,
    WINDOW,
    aup,
    relative_mse,
    ssim,
)
from edge.lead_subsets import class_of, classes_of, every_subset, known
from edge.leads import LEADS

RNG = np.random.default_rng(12)


def by_loops(truth: np.ndarray, predicted: np.ndarray) -> float:
    size = truth.max() - truth.min()
    c1, c2 = (K1 * size) ** 2, (K2 * size) ** 2
    found = []
    for at in range(len(truth) - WINDOW + 1):
        t, p = truth[at : at + WINDOW], predicted[at : at + WINDOW]
        covariance = np.cov(t, p)
        found.append(
            (2 * t.mean() * p.mean() + c1)
            * (2 * covariance[0, 1] + c2)
            / ((t.mean() ** 2 + p.mean() ** 2 + c1) * (np.trace(covariance) + c2))
        )
    return float(np.mean(found))


def test_ssim_is_its_definition() -> None:
    truth = np.cumsum(RNG.normal(size=(2, 3, 200)), axis=-1)
    predicted = 0.7 * truth + RNG.normal(size=truth.shape)
    found = ssim(truth, predicted)
    assert found.shape == (2, 3)
    assert found[1, 2] == pytest.approx(by_loops(truth[1, 2], predicted[1, 2]), rel=1e-9)
    assert ssim(truth, truth) == pytest.approx(np.ones((2, 3)))
    assert f"window of {WINDOW} samples" in SSIM_DEFINITION


def test_a_flat_truth_has_neither() -> None:
    flat, wave = np.zeros((1, 100)), RNG.normal(size=(1, 100))
    assert np.isnan(ssim(flat, wave)).all()
    assert np.isnan(relative_mse(flat, wave)).all()
    assert (ssim(wave, flat) < 0.2).all()


def test_relative_mse_knows_no_unit() -> None:
    truth, predicted = RNG.normal(size=(2, 4, 100))
    expected = np.mean((predicted - truth) ** 2, -1) / (truth.max(-1) - truth.min(-1)) ** 2
    assert relative_mse(truth, predicted) == pytest.approx(expected)
    assert relative_mse(1e3 * truth, 1e3 * predicted) == pytest.approx(expected)


@pytest.mark.parametrize("derivable", [False, True])
def test_aup_is_the_mean_over_subsets_and_missing_leads(derivable: bool) -> None:
    values = {which: RNG.random((2, 12)) for which in range(1, 511)}
    values[class_of(("II", "V2"))][0, 3] = np.nan
    found = aup(values, derivable)
    assert found.shape == (MOST_LEADS, 2)
    subsets = every_subset()
    for n in (1, 2, 5):
        pooled: list[float] = []
        for present in subsets[subsets.sum(1) == n]:
            which = int(classes_of(present))
            missing = ~present if derivable else ~known(which)
            pooled += values[which][0, missing].tolist()
        assert found[n - 1, 0] == pytest.approx(np.nanmean(pooled))


def test_what_is_derivable_counts_only_where_asked() -> None:
    values = {which: np.where(known(which), 1.0, 0.0)[None] for which in range(1, 511)}
    assert aup(values, derivable=False)[:, 0].tolist() == [0.0] * MOST_LEADS
    alone, two = aup(values, derivable=True)[:2, 0]
    assert alone == 0
    # 15 of 66 pairs are limb leads, and 4 of the 10 leads missing from each follow from them.
    assert two == pytest.approx(15 * 4 / (66 * (len(LEADS) - 2)))
