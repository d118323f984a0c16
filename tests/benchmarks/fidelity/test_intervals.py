"""Intervals: coverage counted sample by sample, and the score that rewards knowing where errors are."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fidelity.intervals import Interval, fit_interval, interval_score, interval_scores
from benchmarks.fidelity.intervals import interval_summary as summed
from benchmarks.fidelity.segments import NO_BEAT, SEGMENTS

LEADS = ("I", "V2", "V3", "V4", "V6")


def normal(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors whose size differs from segment to segment, their sigma, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(NO_BEAT, 3, (6, 4000)).astype(np.int8)
    size = np.array([0.01, 0.2, 0.05, 0.02])[labels + 1][:, None]  # none, QRS, ST-T, baseline
    sigma = np.broadcast_to(size, (6, 5, 4000)).copy()
    return rng.normal(size=sigma.shape) * sigma, sigma, labels


def test_honest_sigma_covers_each_segment_and_beats_a_constant() -> None:
    errors, sigma, labels = normal()
    interval = fit_interval(errors, sigma)
    assert interval.k == pytest.approx(1.645, abs=0.02)
    found = summed(interval_scores(errors, sigma, labels, interval), interval, LEADS)
    assert found["covered"] == pytest.approx(0.9, abs=1e-3)
    for segment in SEGMENTS:
        assert found["by_segment"][segment]["covered"] == pytest.approx(0.9, abs=0.01)
    assert found["better_than_constant"] > 0.2


def test_a_constant_covers_on_average_and_fails_in_the_qrs() -> None:
    errors, sigma, labels = normal()
    flat = np.ones_like(sigma)
    interval = fit_interval(errors, flat)
    found = summed(interval_scores(errors, flat, labels, interval), interval, LEADS)
    assert found["covered"] == pytest.approx(0.9, abs=1e-3)
    assert found["by_segment"]["QRS"]["covered"] < 0.8
    assert found["by_segment"]["baseline"]["covered"] > 0.98
    assert found["better_than_constant"] == pytest.approx(0, abs=0.01)


def test_shares_of_samples_are_of_those_with_a_segment() -> None:
    errors, sigma, labels = normal()
    interval = Interval(1.0, np.ones(5))
    found = summed(interval_scores(errors, sigma, labels, interval), interval, LEADS)
    assert sum(s["share_of_samples"] for s in found["by_segment"].values()) == pytest.approx(1)
    by_hand = (np.abs(errors) <= sigma).transpose(0, 2, 1)[labels == 0].mean()
    assert found["by_segment"]["QRS"]["covered"] == pytest.approx(by_hand)


def test_the_score_is_width_and_twenty_times_what_lies_outside() -> None:
    errors = np.array([[[0.1, -0.3]]])
    assert interval_score(errors, np.full_like(errors, 0.2)) == pytest.approx(
        1e3 * (0.4 + 20 * 0.1 / 2)
    )


def test_what_was_not_predicted_is_not_covered() -> None:
    errors, sigma, labels = normal()
    scores = interval_scores(errors, np.zeros_like(sigma), labels, Interval(1.0, np.ones(5)))
    assert scores["covered"].max() == 0 and scores["within"].max() == 0
