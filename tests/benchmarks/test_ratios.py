"""Ratios of what was timed in turn, and points of a distribution that its count can tell."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.ratios import in_words, interval, ratio, spread

RNG = np.random.default_rng(1)


def test_an_interval_holds_the_median() -> None:
    ratios = RNG.normal(3.0, 0.2, 200)
    low, high = interval(ratios)
    assert 2.9 < low < np.median(ratios) < high < 3.1


def test_what_disturbs_a_round_falls_on_both() -> None:
    stall = np.where(np.arange(50) % 3, 1, 10)[:, None]
    ours, other = (stall * RNG.normal(mean, 1, (50, 8)) for mean in (100, 400))
    found = ratio(ours, other)
    assert found["ratio"] == pytest.approx(0.25, rel=0.02)
    low, high = found["interval"]
    assert low <= found["ratio"] <= high
    assert high - low < 0.01  # the stalls, of ten times, are in neither end
    assert found["rounds"] == 50
    assert in_words({"interval": (0.1234, 0.5)}) == "0.123 to 0.5"


def test_one_beside_itself_is_one() -> None:
    one = np.arange(1, 13).reshape(4, 3)
    assert ratio(one, one) == {
        "ratio": 1.0,
        "interval": (1.0, 1.0),
        "ratio_of_medians": 1.0,
        "rounds": 4,
    }


@pytest.mark.parametrize(
    ("n", "last"), [(20, 70), (64, 90), (700, 99), (7000, 99.9), (70_000, 99.99)]
)
def test_a_curve_ends_where_its_count_ends(n: int, last: float) -> None:
    found = spread(RNG.exponential(1, n))
    percent, us = found["ecdf"]["percent"], found["ecdf"]["us"]
    assert percent[0] == 0
    assert percent[-1] == last
    assert len(us) == len(percent)
    assert us == sorted(us)
    assert us[0] == pytest.approx(found["min"], rel=1e-4)


def test_nothing_timed_is_no_curve() -> None:
    assert spread(np.array([]))["ecdf"] == {"percent": [], "us": []}
