"""Gaps by time stamps: found where samples are missing, and nowhere else, however the stamps are made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.devices.sample_times import Placed, SampleTimes

HZ = 250.0
N = 6000


def stamps(n: int = N, hz: float = HZ) -> NDArray[np.float64]:
    return 1000.0 + np.arange(n) / hz


def place(times: NDArray[np.float64], piece: int, hz: float = HZ) -> list[Placed]:
    placer = SampleTimes(hz)
    placed = []
    for start in range(0, len(times), piece):
        part = times[start : start + piece]
        placed += placer.place(part, np.arange(start, start + len(part))[:, None])
    placed += placer.ended()
    assert placer.held == 0
    rows = np.concatenate([part.rows for part in placed])
    assert rows[:, 0].tolist() == list(range(len(times))), "every sample once, in order"
    return placed


def gaps(placed: list[Placed]) -> list[tuple[int, int]]:
    return [(int(part.rows[0, 0]), part.missing) for part in placed if part.missing]


def bursts(times: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Stamped when a burst of `n` arrives, a little late at random."""
    random = np.random.default_rng(3)
    number = np.arange(len(times)) // n
    last = np.minimum((number + 1) * n - 1, len(times) - 1)
    return times[last] + random.exponential(0.003, number[-1] + 1)[number]


@settings(max_examples=20)  # each up to 6,000 pieces: a second or two on a slow machine
@given(
    piece=st.sampled_from([1, 3, 16, 250]),
    at=st.integers(300, N - 900),
    n=st.sampled_from([1, 2, 20, 500]),
)
def test_what_is_missing_is_found_where_it_is(piece: int, at: int, n: int) -> None:
    times = np.delete(stamps(), slice(at, at + n))
    assert gaps(place(times, piece)) == [(at, n)]


@pytest.mark.parametrize("piece", [1, 4, 50, 250])
@pytest.mark.parametrize("off", [0.0, 5e-4, -5e-4, 0.01, -0.01])
def test_a_rate_that_is_off_is_no_gap(piece: int, off: float) -> None:
    times = 1000.0 + (stamps() - 1000.0) * (1 + off)
    assert not gaps(place(times, piece))


@pytest.mark.parametrize("missing", [0, 50, 400])
def test_bursts_that_are_stamped_as_they_arrive(missing: int) -> None:
    times = bursts(np.delete(stamps(), slice(3000, 3000 + missing)), 25)
    found = gaps(place(times, 25))
    assert len(found) == (missing > 0)
    for at, n in found:
        assert at == 3000 and abs(n - missing) <= 1  # the jitter of the stamps


def test_a_sender_that_stalls_and_catches_up_lost_nothing() -> None:
    times = stamps()
    times[4000:4250] = np.maximum(times[4000:4250], times[4250])
    assert not gaps(place(times, 1)) and not gaps(place(times, 10))


def test_pieces_that_were_late_as_a_whole_lost_nothing() -> None:
    times = stamps()
    for piece, late_s in ((60, 0.6), (61, 0.4), (62, 0.2)):
        times[piece * 50 : piece * 50 + 50] += late_s
    assert not gaps(place(times, 50))


def test_times_lie_on_the_line_of_the_earliest_stamps() -> None:
    placed = place(bursts(stamps(), 25), 25)
    last_s = np.array([part.last_s for part in placed[100:]])
    ends = np.cumsum([len(part.rows) for part in placed])[100:] - 1
    off_s = last_s - stamps()[ends]
    assert np.ptp(off_s) < 0.004  # the stamps themselves have a jitter of 15 ms


def test_what_follows_a_jump_is_given_back_at_the_end() -> None:
    placer = SampleTimes(HZ)
    first = placer.place(stamps(500), np.arange(500)[:, None])
    assert not placer.place(stamps(500)[-1] + np.array([1.004, 1.008]), np.array([[500], [501]]))
    assert placer.held == 2
    (last,) = placer.ended()
    assert (first[0].missing, last.missing, len(last.rows)) == (0, 250, 2)
