"""The score formulas against scipy's and NumPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, filtfilt
from scipy.stats import linregress, pearsonr

from benchmarks.fidelity.scores import (
    Bootstrap,
    covered,
    record_scores,
    scored,
    sigma_factor,
)

RNG = np.random.default_rng(7)


@given(st.integers(0, 2**32 - 1))
def test_every_score_is_the_textbook_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.1, 1, (2, 3, 200))
    predicted = 0.7 * truth + rng.normal(-0.2, 0.5, truth.shape)
    scores = record_scores(truth, predicted)
    for i, j in np.ndindex(2, 3):
        t, p = truth[i, j], predicted[i, j]
        expected = {
            "r": pearsonr(t, p).statistic,
            "rmse_uv": 1000 * np.sqrt(np.mean((p - t) ** 2)),
            "mae_uv": 1000 * np.mean(np.abs(p - t)),
            "r2": 1 - np.sum((t - p) ** 2) / np.sum((t - t.mean()) ** 2),
            "variance_ratio": np.var(p) / np.var(t),
            "slope": linregress(p, t).slope,
        }
        assert {name: values[i, j] for name, values in scores.items()} == pytest.approx(expected)


def test_a_perfect_prediction_and_a_flat_one() -> None:
    truth = RNG.normal(size=(1, 1, 100))
    perfect = record_scores(truth, truth)
    assert [perfect[m][0, 0] for m in ("r", "r2", "slope", "rmse_uv")] == pytest.approx(
        [1, 1, 1, 0]
    )
    flat = record_scores(truth, np.zeros_like(truth))
    assert np.isnan(flat["r"][0, 0]) and np.isnan(flat["slope"][0, 0])
    assert flat["variance_ratio"][0, 0] == 0
    lost = record_scores(np.zeros_like(truth), truth)
    assert np.isnan(lost["r"][0, 0]) and np.isnan(lost["r2"][0, 0])


def test_what_is_scored_is_zero_phase_and_cut() -> None:
    ecg = RNG.normal(size=(2, 2500)).cumsum(-1)
    b, a = butter(2, 0.5, "highpass", fs=250)
    expected = filtfilt(b, a, ecg)[:, 500:2480]
    shown = scored(ecg, 250.0)
    assert shown.shape == (2, 1980)
    # The two differ in how they pad the ends, which the cut leaves out all but a little of.
    assert np.abs(shown - expected)[:, 250:-250].max() < 0.05 * expected.std()


def test_a_constant_and_a_trend_score_as_nothing() -> None:
    ecg = np.stack([np.full(2500, 3.0), np.linspace(0, 1, 2500)])
    assert np.abs(scored(ecg, 250.0)).max() < 1e-3


def test_summary_is_of_the_records_that_have_a_value() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    found = Bootstrap(list("aabcd")).summary(values)
    assert (found["n"], found["mean"], found["median"]) == (4, 3.0, 3.0)
    assert found["quartiles"] == list(np.percentile([1, 2, 4, 5], [25, 75]))
    assert Bootstrap(["a"]).summary(np.array([np.nan]))["n"] == 0


def test_the_interval_is_seeded_and_draws_patients() -> None:
    values = RNG.normal(size=60)
    alone = [str(i) for i in range(60)]
    assert Bootstrap(alone, 1).mean(values) == Bootstrap(alone, 1).mean(values)
    low, high = Bootstrap(alone).mean(values)
    assert low < values.mean() < high
    expected = 1.96 * values.std() / np.sqrt(60)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.15)
    # Ten equal records of each patient are no more evidence than one.
    many = Bootstrap(np.repeat(alone, 10).tolist()).mean(np.repeat(values, 10))
    assert many == pytest.approx([low, high], abs=0.05)
    assert Bootstrap(["one"] * 60).mean(values) == pytest.approx([values.mean()] * 2)


def test_sigma_covers_what_its_factor_says() -> None:
    sigma = RNG.uniform(0.1, 2, (4, 5, 2000))
    errors = RNG.normal(size=sigma.shape) * sigma
    k = sigma_factor(errors, sigma)
    assert k == pytest.approx(1.645, abs=0.03)
    assert covered(errors, sigma, k).mean() == pytest.approx(0.9, abs=1e-3)
    assert covered(errors, np.zeros_like(sigma), k).max() == 0
    assert covered(np.full((1, 1, 4), 0.5), np.array([[[1.0, 0.1, 0.5, 0.2]]]), 2.0) == 0.5
