"""A wrong rate is told from arrivals; bursts, pauses, jitter and drift are not taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.live.arrival_rate import ArrivalRate

PACKET = 10


def arrivals(hz: float, seconds: float, packet: int = PACKET) -> NDArray[np.float64]:
    """When each packet of `packet` samples is complete, in seconds."""
    return np.arange(1, int(seconds * hz / packet) + 1) * packet / hz


def fed(
    declared_hz: float, at_s: NDArray[np.float64], packet: int = PACKET
) -> tuple[ArrivalRate, list[float]]:
    """The estimator after all packets, and when it doubted."""
    rate = ArrivalRate(declared_hz)
    doubted = [
        float(at)
        for i, at in enumerate(at_s)
        if rate.observe((i + 1) * packet, round((100.0 + at) * 1e9))
    ]
    return rate, doubted


@pytest.mark.parametrize("true_hz", [500.0, 100.0, 255.0, 244.0])
@pytest.mark.parametrize("jitter_s", [0.0, 0.02])
def test_a_wrong_rate_is_told_once_and_soon(true_hz: float, jitter_s: float) -> None:
    at = arrivals(true_hz, 30.0)
    late = np.random.default_rng(1).exponential(jitter_s or 1e-9, at.shape)
    rate, doubted = fed(250.0, np.maximum.accumulate(at + late))
    assert len(doubted) == 1
    assert 4.0 <= doubted[0] < 8.0
    assert rate.hz == pytest.approx(true_hz, rel=0.005)


def burst_at_start(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(at, 3.0)  # three seconds waited in a buffer


def bursts_of_a_second(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ceil(at)


def connection_events(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ceil(at / 0.06) * 0.06


def stalls(at: NDArray[np.float64]) -> NDArray[np.float64]:
    late = np.zeros_like(at)
    for start in (2.0, 5.5, 9.0, 13.0):  # the host does not look for a second
        late = np.where((at > start) & (at < start + 1), start + 1 - at, late)
    return at + late


def pause(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(at > 6.0, at + 2.0, at)  # the sketch stood still, and counts no lines meanwhile


def outage(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(at > 3.0, at + 8.0, at)


def wifi(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum.accumulate(at + np.random.default_rng(2).exponential(0.1, at.shape))


def drift(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return at * 1.0005


@pytest.mark.parametrize(
    "how",
    [burst_at_start, bursts_of_a_second, connection_events, stalls, pause, outage, wifi, drift],
)
@pytest.mark.parametrize("seconds", [6.0, 20.0, 90.0])
def test_what_transports_do_is_no_wrong_rate(how, seconds: float) -> None:  # type: ignore[no-untyped-def]
    rate, doubted = fed(250.0, how(arrivals(250.0, seconds)))
    assert doubted == []
    if rate.hz is not None:
        assert rate.hz == pytest.approx(250.0, rel=0.02)


def drained(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The device had a second's worth when the link came up, which takes half as much again."""
    return np.maximum(at / 1.5, at - 1.0)


def begins_slowly(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(at < 1.0, at * 2.0, at + 1.0)


@pytest.mark.parametrize(
    "how",
    [
        *(burst_at_start, drained, begins_slowly, bursts_of_a_second, connection_events),
        *(stalls, pause, outage, wifi, drift),
    ],
)
@pytest.mark.parametrize("seconds", [0.1, 1.6, 2.0, 2.5, 3.0, 3.5, 4.5, 6.5, 9.0, 20.0])
def test_what_transports_do_is_no_wrong_rate_at_the_end_of_a_short_stream(  # type: ignore[no-untyped-def]
    how, seconds: float
) -> None:
    at_s = how(arrivals(250.0, 20.0))
    assert fed(250.0, at_s[at_s <= seconds])[0].at_end() is None


@pytest.mark.parametrize("seconds", [2.1, 3.0, 4.2])
@pytest.mark.parametrize("true_hz", [500.0, 1000.0, 100.0])
@pytest.mark.parametrize("how", [arrivals, connection_events, wifi])
def test_a_factor_of_two_is_told_at_the_end_of_a_short_stream(how, true_hz, seconds) -> None:  # type: ignore[no-untyped-def]
    at_s = arrivals(true_hz, 20.0)
    at_s = at_s if how is arrivals else how(at_s)
    rate, doubted = fed(250.0, at_s[at_s <= seconds])
    assert doubted == []
    assert rate.at_end() == pytest.approx(true_hz, rel=0.2)
    assert fed(true_hz, at_s[at_s <= seconds])[0].at_end() is None


def test_what_was_told_is_not_told_again_at_the_end() -> None:
    rate, doubted = fed(250.0, arrivals(500.0, 8.0))
    assert len(doubted) == 1
    assert rate.at_end() is None


def test_what_comes_after_a_pause_is_not_judged_at_the_end() -> None:
    at = arrivals(250.0, 20.0)
    at = np.where(
        at < 2.0, at, np.maximum(at, 5.0 + (at - 2.0) / 2)
    )  # what waited comes twice as fast
    assert fed(250.0, at[at <= 7.5])[0].at_end() is None


def test_lost_samples_count_as_arrived() -> None:
    rate = ArrivalRate(250.0)
    generator = np.random.default_rng(3)
    doubted = [
        rate.observe((i + 1) * PACKET, round(at * 1e9))
        for i, at in enumerate(arrivals(250.0, 20.0))
        if generator.random() > 0.3
    ]
    assert not any(doubted)
    assert rate.hz == pytest.approx(250.0, rel=0.005)


def test_a_device_that_begins_anew_is_measured_anew() -> None:
    rate = ArrivalRate(250.0)
    for start in (0.0, 5.0):
        for i, at in enumerate(arrivals(250.0, 5.0)):
            assert not rate.observe((i + 1) * PACKET, round((start + at) * 1e9))
    assert rate.hz == pytest.approx(250.0, rel=0.005)
    assert ArrivalRate(250.0).hz is None
