"""The device clock against simulated links whose true delay is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.live.clock import DeviceClock, lower_hull

LEAST_DELAY_NS = 3e6
EPOCH_NS = 7_000_000_000_000


def link(
    drift: float, seconds: float, burst: int, jitter_s: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ticks (us), true host times plus least delay (ns) and arrivals (ns) of 25 packets per second.

    `burst` packets arrive together, when the last of them is sent; each burst is late by an
    exponential of mean `jitter_s`, in order.
    """
    rng = np.random.default_rng(seed)
    tick_us = 40_000.0 * np.arange(int(25 * seconds))
    soonest = EPOCH_NS + tick_us * 1000.0 * (1.0 + drift) + LEAST_DELAY_NS
    sent_with = np.minimum((np.arange(len(tick_us)) // burst + 1) * burst, len(tick_us)) - 1
    late = rng.exponential(jitter_s * 1e9, len(tick_us))
    arrival = np.maximum.accumulate((soonest + late)[sent_with])
    return tick_us, soonest, arrival


def follow(clock: DeviceClock, ticks: np.ndarray, arrivals: np.ndarray) -> np.ndarray:
    """What the clock said of each packet's tick right after seeing it."""
    said = np.empty(len(ticks))
    for i, (tick, arrival) in enumerate(zip(ticks, arrivals, strict=True)):
        clock.observe(float(tick), int(arrival))
        said[i] = clock.host_ns(float(tick))
    return said


@pytest.mark.parametrize("ppm", [20, 200, -100])
@pytest.mark.parametrize(("burst", "jitter_s"), [(1, 0.0), (1, 0.004), (5, 0.001), (8, 0.004)])
def test_drift_is_found_under_bursts_and_jitter(ppm: int, burst: int, jitter_s: float) -> None:
    clock = DeviceClock()
    tick_us, soonest, arrival = link(ppm * 1e-6, 120, burst, jitter_s, seed=burst)
    said = follow(clock, tick_us, arrival)
    error_ms = np.abs(said - soonest)[25 * 60 :] * 1e-6
    assert np.percentile(error_ms, 99) < 2.0
    assert clock.drift_ppm == pytest.approx(ppm, abs=10)
    assert clock.jumps == 0


def test_two_milliseconds_after_a_minute_of_bursts_at_100_ppm() -> None:
    errors = []
    for seed in range(5):
        tick_us, soonest, arrival = link(100e-6, 90, burst=10, jitter_s=0.005, seed=seed)
        said = follow(DeviceClock(), tick_us, arrival)
        errors.append(np.abs(said - soonest)[25 * 60 :] * 1e-6)
    assert np.percentile(errors, 99) < 2.0


def test_jitter_is_the_spread_of_the_delays() -> None:
    clock = DeviceClock()
    tick_us, _, arrival = link(0.0, 120, burst=1, jitter_s=0.004, seed=1)
    follow(clock, tick_us, arrival)
    assert clock.jitter_s == pytest.approx(0.004 * np.log(20), rel=0.3)


@given(
    points=st.lists(
        st.tuples(st.integers(0, 10**8), st.integers(0, 10**9)), min_size=1, max_size=200
    )
)
def test_the_line_is_never_above_an_arrival_of_the_window(points: list[tuple[int, int]]) -> None:
    clock = DeviceClock(window_s=1e6)
    tick = 0
    seen = []
    for step_us, late_ns in points:
        tick += step_us % 700_000
        seen.append((tick, tick * 1000 + late_ns % 90_000_000))
        clock.observe(*seen[-1])
    assert clock.fit is not None
    assert all(clock.fit.host_ns_at(t) <= arrival + 1e5 for t, arrival in seen)


def test_memory_is_bounded_and_old_delays_are_forgotten() -> None:
    clock = DeviceClock(window_s=10.0)
    tick_us, soonest, arrival = link(0.0, 60, burst=1, jitter_s=0.0, seed=1)
    step = 5e6 * (tick_us > 30e6)  # the link becomes 5 ms slower for good
    said = follow(clock, tick_us, arrival + step)
    assert said[-1] == pytest.approx(soonest[-1] + 5e6, abs=1e5)
    assert len(clock._points) <= 22


def test_a_jump_begins_anew() -> None:
    clock = DeviceClock()
    clock.observe(0, EPOCH_NS)
    clock.observe(10_000_000, EPOCH_NS + 2_000_000_000)  # ten device seconds in two: host slept
    assert clock.jumps == 1
    assert clock.host_ns(10_000_000) == EPOCH_NS + 2_000_000_000
    clock.observe(0, EPOCH_NS + 3_000_000_000)  # ticks begin again
    assert clock.jumps == 2
    assert clock.host_ns(0) == EPOCH_NS + 3_000_000_000


def test_before_any_packet_nothing_is_claimed() -> None:
    clock = DeviceClock()
    assert clock.fit is None
    assert (clock.host_ns(5), clock.drift_ppm, clock.jitter_s) == (0, 0.0, 0.0)


def test_lower_hull_of_a_square_and_its_middle() -> None:
    assert lower_hull([(0, 1), (1, 0), (2, 0.2), (3, 0), (4, 1)]) == [
        (0, 1),
        (1, 0),
        (3, 0),
        (4, 1),
    ]
