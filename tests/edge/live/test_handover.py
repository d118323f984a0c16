"""The handover between the two threads of the runtime: runs, gaps, overruns."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.live.handover import Handover, Run
from edge.samples import SampleBlock

RATE_HZ = 100.0


def block(first: int, n_samples: int) -> SampleBlock:
    """Samples that hold their stream index, arrived at 1000 + index."""
    ecg_mv = np.arange(first, first + n_samples, dtype=np.float32) + np.zeros((3, 1), np.float32)
    return SampleBlock(
        ecg_mv,
        first,
        RATE_HZ,
        np.zeros(ecg_mv.shape, np.uint8),
        arrival_ns=1000 + first,
        acquired_ns=500 + first,
    )


def taken(handover: Handover) -> Run:
    run = handover.take(0.0)
    assert run is not None
    return run


@given(
    sizes=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([0, 0, 0, 7]), st.booleans()), max_size=60
    )
)
def test_every_sample_is_taken_once_or_counted_as_lost(
    sizes: list[tuple[int, int, bool]],
) -> None:
    handover = Handover(ring_s=1.0)
    put: list[int] = []
    got: list[int] = []
    lost = next_sample = 0

    def take_all() -> None:
        nonlocal lost
        while (run := handover.take(0.0)) is not None:
            n_samples = run.ecg_mv.shape[1]
            expected = np.arange(run.first_sample, run.first_sample + n_samples)
            np.testing.assert_array_equal(run.ecg_mv, np.tile(expected, (3, 1)))
            assert set(expected) <= set(put)
            assert 1000 <= run.oldest_arrival_ns <= 1000 + run.first_sample
            assert run.oldest_arrival_ns <= run.arrival_ns
            lost += run.lost
            got.extend(expected)

    for n_samples, gap, take in sizes:
        next_sample += gap
        handover.put(block(next_sample, n_samples))
        put.extend(range(next_sample, next_sample + n_samples))
        next_sample += n_samples
        if take:
            take_all()
    take_all()
    assert len(got) + lost == len(put)
    assert got == sorted(set(got))
    assert got[-100:] == put[-100:]  # what one ring holds is always there
    assert handover.samples_overrun == lost


def test_packets_that_follow_each_other_are_one_run() -> None:
    handover = Handover()
    for first in (0, 10, 25):
        handover.put(block(first, 10))
    run = taken(handover)
    assert (run.first_sample, run.ecg_mv.shape, run.lost) == (0, (3, 20), 0)
    assert (run.oldest_arrival_ns, run.arrival_ns, run.acquired_ns) == (1000, 1010, 510)
    assert run.sampling_hz == RATE_HZ
    assert taken(handover).first_sample == 25
    assert handover.take(0.0) is None


def test_a_backlog_is_taken_in_pieces_of_a_second() -> None:
    handover = Handover()
    for first in range(0, 250, 10):
        handover.put(block(first, 10))
    assert [taken(handover).ecg_mv.shape[1] for _ in range(3)] == [100, 100, 50]


def test_close_ends_the_waiting_and_keeps_the_rest() -> None:
    empty = Handover()
    empty.close()
    assert empty.take(60.0) is None
    handover = Handover()
    handover.put(block(0, 10))
    handover.close()
    assert taken(handover).ecg_mv.shape[1] == 10
    assert handover.take(60.0) is None


def test_a_slow_taker_between_threads_knows_exactly_what_it_lost() -> None:
    handover = Handover(ring_s=0.5)
    total = 6000

    def put_all() -> None:
        for first in range(0, total, 4):
            handover.put(block(first, 4))
        handover.close()

    putter = threading.Thread(target=put_all)
    putter.start()
    seen = lost = 0
    while (run := handover.take(10.0)) is not None:
        assert run.first_sample == seen + lost + run.lost
        assert run.ecg_mv[0, 0] == run.first_sample
        seen, lost = seen + run.ecg_mv.shape[1], lost + run.lost
    putter.join(10.0)
    assert seen + lost == total
