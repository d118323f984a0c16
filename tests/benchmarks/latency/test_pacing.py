"""Pacing by a clock that the test turns: due times, misses, lateness; and what counts as growth."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.latency.pacing import back_to_back, growth, paced, summary
from benchmarks.report import samples_needed
from benchmarks.timing import collection_off
from tests.benchmarks.pages import written_pages

PERIOD_NS = 16_000_000


class Clock:
    """Nanoseconds that pass only in `sleep` and in a step."""

    def __init__(self, steps_ns: list[int], oversleeps_ns: int = 0) -> None:
        self.now, self.steps, self.oversleeps = 0, iter(steps_ns), oversleeps_ns
        self.begun: list[int] = []

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9) + self.oversleeps

    def step(self) -> None:
        self.begun.append(self.now)
        self.now += next(self.steps)


def run(clock: Clock, n: int) -> dict:  # type: ignore[type-arg]
    return paced(clock.step, n, PERIOD_NS / 1e9, 0.0, clock.sleep, clock)


def test_steps_begin_when_they_are_due() -> None:
    clock = Clock([50_000] * 5, oversleeps_ns=70_000)
    found = run(clock, 4)
    warmed, *begun = clock.begun
    assert np.diff(begun).tolist() == [PERIOD_NS] * 3
    assert warmed == 0
    assert found["deadline_misses"] == 0
    assert found["max"] == found["min"] == 50
    assert found["woken_late"]["max"] == 70
    assert found["jitter"]["max"] == 0
    assert found["period_ms"] == 16


def test_a_slow_step_misses_and_the_next_begins_late_but_the_schedule_stays() -> None:
    clock = Clock([50_000, 50_000, 40_000_000, 50_000, 50_000, 50_000])
    found = run(clock, 5)
    assert found["deadline_misses"] == 2  # 40 ms are late by themselves, and they hold up the next
    assert found["max"] == 40_000
    assert found["woken_late"]["max"] == pytest.approx((40_000_000 - PERIOD_NS) / 1e3)
    assert found["jitter"]["max"] == pytest.approx((40_000_000 - 50_000) / 1e3)
    assert clock.begun[-1] - clock.begun[1] == 4 * PERIOD_NS


def test_the_spread_needs_as_many_samples_as_p99() -> None:
    few, enough = (
        summary(np.linspace(1, 2, n)) for n in (samples_needed(99) - 1, samples_needed(99))
    )
    assert few["p99"] is None
    assert few["p99_over_p50"] is None
    assert enough["p99_over_p50"] == pytest.approx(enough["p99"] / enough["p50"])


def test_back_to_back_counts_no_call_of_the_warm_up() -> None:
    calls = []
    found = back_to_back(lambda: calls.append(1), 10, 0.0)
    assert found["n"] == 10
    assert len(calls) == 11


def test_growth_is_what_the_steps_leave() -> None:
    taken = 0

    def leaks() -> None:
        nonlocal taken
        taken += 512

    found = growth(leaks, lambda: (1 << 30) - taken, steps=1000)
    assert found["device_mb"] == pytest.approx(0.512)
    assert found["steps"] == 1000
    assert growth(lambda: None, lambda: 1 << 30, steps=10)["device_mb"] == 0


def test_growth_of_the_host_is_seen() -> None:
    kept = []
    with collection_off():  # what earlier tests left would shrink the process meanwhile
        found = growth(lambda: kept.append(written_pages(4_000_000)), lambda: 0, steps=16, settle=1)
    assert found["host_mb"] == pytest.approx(64, abs=16)
