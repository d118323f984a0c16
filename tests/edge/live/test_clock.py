"""The device clock against simulated links whose true delay is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.live.clock import DeviceClock, lower_hull
from firmware_bridge.events import Samples
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import frame_samples

LEAST_DELAY_NS = 3e6
EPOCH_NS = 7_000_000_000_000


def link(
    drift: float, seconds: float, burst: int, jitter_s: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ticks (us), true host times plus least delay (ns) and arrivals (ns) of 25 packets per second.

    The device's clock runs fast by `drift`.
    `burst` packets arrive together, when the last of them is sent; each burst is late by an
    exponential of mean `jitter_s`, in order.
    """
    rng = np.random.default_rng(seed)
    tick_us = 40_000.0 * np.arange(int(25 * seconds))
    soonest = EPOCH_NS + tick_us * 1000.0 / (1.0 + drift) + LEAST_DELAY_NS
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


@pytest.mark.parametrize("ppm", [150, -150])
def test_a_wearable_whose_clock_runs_fast_has_a_positive_drift(ppm: int) -> None:
    wearable, clock = VirtualWearable(EcgSimulator(), clock_ppm=ppm), DeviceClock()
    decoder = WireDecoder()
    for _ in range(500):
        frame = wearable.next_frame()
        assert frame is not None
        for event in decoder.receive_data(frame.data):
            if isinstance(event, Samples):
                clock.observe(event.tick_us, EPOCH_NS + round(frame.due_s * 1e9))
    assert clock.drift_ppm == pytest.approx(ppm, abs=1)
    assert clock.fit is not None and clock.fit.drift == pytest.approx(ppm * 1e-6, abs=1e-6)
    one_s = clock.host_ns(20e6) - clock.host_ns(19e6)  # of ticks, which a fast clock reaches sooner
    assert one_s == pytest.approx(1e9 / (1 + ppm * 1e-6), abs=1e3)


def events_every(interval_ms: float, seconds: float, lengths: Sequence[int], seed: int) -> float:
    """p99 of the error in ms after a minute, over BLE connection events of which some are missed.

    Packets of so many samples at 250 Hz, in turn; the device's clock is 100 ppm slow.
    """
    rng = np.random.default_rng(seed)
    n = int(seconds * 250 / np.mean(lengths))
    tick_us = 4_000.0 * np.cumsum(np.resize(lengths, n))
    taken = EPOCH_NS + tick_us * 1000.0 / (1 - 100e-6)
    begin, interval = taken[0] - rng.uniform(0, interval_ms * 1e6), interval_ms * 1e6
    wanted = np.ceil((taken - begin) / interval).astype(int)
    held = np.flatnonzero(rng.random(wanted[-1] + 1000) >= 0.05)
    arrival = begin + held[np.searchsorted(held, wanted)] * interval + rng.exponential(3e5, n)
    arrival = np.maximum.accumulate(arrival)
    said = follow(DeviceClock(), tick_us, arrival)
    error_ms = np.abs(said - taken - (arrival - taken).min()) * 1e-6
    return float(np.percentile(error_ms[tick_us > 60e6], 99))


@pytest.mark.parametrize("interval_ms", [7.5, 15, 20, 30, 40, 45])
def test_frames_of_many_lengths_are_dated_within_two_milliseconds(interval_ms: float) -> None:
    """20 and 40 ms are the hard ones: whole sampling periods, so that the delays are 4 ms apart."""
    lengths = [frame_samples(sequence, 7, 13) for sequence in range(4500)]
    worst = max(events_every(interval_ms, 180, lengths, seed) for seed in range(5))
    assert worst < 2.0


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
