"""Realism: truth is not told from itself; smoother, smaller or noisier leads are, by each figure."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="features need torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")

from edge.lead_subsets import class_of
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.realism import (
    FRECHET_KERNELS,
    TOGETHER,
    band_power,
    features,
    frechet,
    halves,
    of_pairs,
    realism,
    told_apart,
)
from quantize.any_leads.scores import score_sets
from quantize.data import Records, zero_phase_highpass
from quantize.errors import QuantizeError
from quantize.student import Student, StudentConfig
from tests.benchmarks.synthetic import simulated_records

HZ = 250.0
WHICH = class_of(("II", "V1", "V5"))
HALF = np.arange(40) % 2 == 0


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """(40, 8, n) mV: simulated hearts, each of another size, with a little noise."""
    rng = np.random.default_rng(0)
    hearts = simulated_records(4, seconds=4.0).ecg_uv / 1000
    some = hearts[np.arange(40) % 4] * rng.uniform(0.5, 2, (40, 8, 1))
    return np.asarray(zero_phase_highpass(some + 0.01 * rng.standard_normal(some.shape), HZ))


def test_the_truth_is_not_told_from_itself(truth: np.ndarray) -> None:
    same = of_pairs(truth, truth.copy(), WHICH, HALF, HZ)
    assert list(same.r) == ["I", "V2", "V3", "V4", "V6"] and set(same.r.values()) == {1.0}
    assert set(same.variance_ratio.values()) == {1.0}
    assert set(same.spectrum_db.values()) == {0.0}
    assert same.auroc == {"I": 0.5, "V3": 0.5, TOGETHER: 0.5}
    assert same.hop_line_db == 0
    assert same.frechet == pytest.approx(0, abs=1e-4)


def test_smaller_leads_are_seen_by_each_figure(truth: np.ndarray) -> None:
    small = of_pairs(truth, truth * 0.5, WHICH, HALF, HZ)
    assert small.r["V3"] == pytest.approx(1)
    assert small.variance_ratio["V3"] == pytest.approx(0.25)
    assert small.spectrum_db["V3"] == pytest.approx(-6.02, abs=0.01)
    assert small.frechet > 0.05
    assert small.auroc[TOGETHER] > 0.6
    # What is measured passes through, whatever was made of it.
    changed = truth.copy()
    changed[:, [1, 2, 6]] = 0
    assert of_pairs(truth, changed, WHICH, HALF, HZ).frechet == pytest.approx(0, abs=1e-4)


def test_a_pattern_that_each_hop_repeats_is_seen(truth: np.ndarray) -> None:
    line = truth.copy()
    line[:, 3] += 0.01 * np.tile([1.0, 0.0, -1.0, 0.0], truth.shape[-1] // 4)
    assert of_pairs(truth, line, WHICH, HALF, HZ).hop_line_db > 6


def test_noise_that_is_missing_is_told(truth: np.ndarray) -> None:
    smooth = np.fft.irfft(np.fft.rfft(truth) * (np.fft.rfftfreq(truth.shape[-1], 1 / HZ) < 40))
    assert told_apart(truth[:, :1], smooth[:, :1], HALF) > 0.9
    ratio = band_power(smooth, HZ) / band_power(truth, HZ)
    assert ratio.max() < 0.02


def test_a_frechet_distance_is_that_of_gaussians() -> None:
    rng = np.random.default_rng(1)
    true = rng.standard_normal((20000, 2))
    true = (true - true.mean(0)) / true.std(0)
    # (mean)^2 + (1 - 2)^2 in one of two features.
    made = true * [1, 2] + [0, 3]
    assert frechet(true, made) == pytest.approx((9 + 1) / 2, rel=1e-2)


def test_features_are_the_same_each_time(truth: np.ndarray) -> None:
    one, other = (features(truth[:5], FRECHET_KERNELS) for _ in range(2))
    assert np.array_equal(one, other) and one.shape[0] == 5
    assert np.isfinite(features(np.zeros((2, 8, 500)), FRECHET_KERNELS)).all()


def test_no_patient_is_in_both_halves() -> None:
    patients = ["a", "b", "a", "c", "d", "c"]
    half = halves(patients)
    assert half[0] == half[2] and half[3] == half[5]
    assert len({p for p, h in zip(patients, half, strict=True) if h}) == 2
    with pytest.raises(QuantizeError, match="two patients"):
        halves(["a", "a"])


def test_r_and_rmse_are_those_of_the_scores(feed: AnyFeed, small: StudentConfig) -> None:
    records: Records = simulated_records(4)
    student = Student(small)
    score = next(iter(score_sets(student, records, feed, [WHICH])))
    found = next(iter(realism(student, records, feed, [WHICH])))
    assert np.mean(list(found.r.values())) == pytest.approx(score.r, abs=1e-4)
    assert np.mean(list(found.rmse_uv.values())) == pytest.approx(score.rmse_uv, abs=0.01)
    # Conditioning alone is no reconstruction: nearer to the truth than an untrained decoder.
    assert 0 < found.frechet_floor < found.frechet
    assert found.auroc_floor.keys() == found.auroc.keys()
    assert "floor" in found.line()
