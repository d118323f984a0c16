"""The queue of a patient: in order, bounded, whole hops, and every sample taken or counted."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.fleet.batch import batch_of
from edge.fleet.waiting import Run, Waiting
from edge.samples import FLOAT32, SampleBlock

HOP = 4


def block(first: int, n: int, bits: int = 0) -> SampleBlock:
    ecg = np.arange(first, first + n, dtype=np.float32) * np.ones((2, 1), np.float32)
    return SampleBlock(ecg, first, 250.0, np.full((2, n), bits, np.uint8), 1000 + first, first + n)


lengths = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30)), min_size=1, max_size=30)


@given(lengths, st.integers(20, 200), st.integers(1, 60))
def test_every_sample_is_taken_once_or_shed(
    pieces: list[tuple[int, int]], most: int, at_once: int
) -> None:
    waiting, first, put = Waiting(most), 0, []
    taken: list[float] = []
    for i, (hole, n) in enumerate(pieces):
        first += hole
        waiting.put(block(first, n))
        put += range(first, first + n)
        first += n
        assert len(waiting) <= max(most, 30)
        if i % 3 == 0:
            while (run := waiting.take(at_once, HOP)) is not None:
                assert run.ecg_mv[0].tolist() == [*range(run.first_sample, run.end)]
                taken += run.ecg_mv[0].tolist()
    assert taken == sorted(set(taken))
    assert set(taken) <= set(put)
    assert len(taken) + len(waiting) + waiting.samples_shed == len(put)


def test_a_rest_of_a_hop_waits_for_more() -> None:
    waiting = Waiting(100)
    waiting.put(block(0, 10))
    run = waiting.take(100, HOP)
    assert run is not None and run.end == 8 and run.acquired_ns == 10 - round(2 / 250 * 1e9)
    assert waiting.take(100, HOP) is None and len(waiting) == 2
    waiting.put(block(10, 2))
    run = waiting.take(100, HOP)
    assert run is not None and (run.first_sample, run.end) == (8, 12)


def test_before_a_hole_the_rest_goes_too() -> None:
    waiting = Waiting(100)
    waiting.put(block(0, 6))
    waiting.put(block(100, 8))
    ends = [run.end for run in iter(lambda: waiting.take(100, HOP), None) if run is not None]
    assert ends == [6, 108]


def test_the_oldest_make_room() -> None:
    waiting = Waiting(20)
    for first in range(0, 50, 10):
        waiting.put(block(first, 10))
    run = waiting.take(100, HOP)
    assert run is not None
    assert (run.first_sample, run.end, waiting.samples_shed) == (30, 50, 30)


@pytest.mark.parametrize("bits", [[0, 0], [8, 0], [0, 8], [8, 1]])
def test_a_batch_gives_back_what_was_put_in(bits: list[int]) -> None:
    runs: dict[str, Run] = {}
    for name, n, some in zip("ab", (8, 3), bits, strict=True):
        ecg = np.random.default_rng(n).normal(size=(1 + n % 2, n)).astype(np.float32)
        quality = np.full(ecg.shape, some, np.uint8) if some else None
        runs[name] = Run(ecg, quality, n, 0, 0)
    batch = batch_of(runs, {"a": ("I",), "b": ("I", "II")}, ["c"])
    assert batch.leaving == ["c"]
    for (name, first, leads, ecg, quality), run in zip(batch, runs.values(), strict=True):
        assert first == run.first_sample and len(leads) == len(ecg) and name in runs
        assert np.array_equal(ecg, run.ecg_mv)
        assert (quality is None) == (run.quality is None)
        assert quality is None or np.array_equal(quality, run.quality)  # type: ignore[arg-type]
    assert [*batch_of({}, {}, [])] == []


def test_what_another_process_sends_is_taken_as_fast_as_ones_own() -> None:
    """A dtype that was pickled is another object, and a `Round` takes the very one of `edge.samples`."""
    run = Run(np.zeros((3, HOP), np.float32), None, 0, 0, 0)
    batch = pickle.loads(pickle.dumps(batch_of({"a": run}, {"a": ("I", "II", "V1")}, [])))
    [(_, _, _, ecg, _)] = batch
    assert ecg.dtype is FLOAT32
