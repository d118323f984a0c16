"""The ring buffer against a plain list, and between two threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import InputError
from edge.live.ring import Ring


def counted(first: int, n_samples: int, n_leads: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Samples whose values are their absolute indices."""
    index = np.arange(first, first + n_samples)
    ecg_mv = (index + 1000 * np.arange(n_leads)[:, None]).astype(np.float32)
    return ecg_mv, (ecg_mv.astype(np.int64) % 256).astype(np.uint8)


step = st.tuples(
    st.sampled_from(["write", "read", "view", "read_until"]),
    st.integers(0, 1),
    st.integers(0, 25),
)


@given(capacity=st.integers(1, 12), steps=st.lists(step, max_size=60))
def test_every_reader_sees_what_a_list_would_hold(
    capacity: int, steps: list[tuple[str, int, int]]
) -> None:
    ring = Ring(2, capacity)
    readers = [ring.reader(), ring.reader()]
    history: list[int] = []
    cursors, lost = [0, 0], [0, 0]
    for action, who, n_samples in steps:
        if action == "write":
            assert ring.write(*counted(len(history), n_samples)) == len(history)
            history.extend(range(len(history), len(history) + n_samples))
            continue
        reader = readers[who]
        until = cursors[who] + n_samples if action == "read_until" else None
        end = len(history) if until is None else min(until, len(history))
        expected = [i for i in history[cursors[who] : end] if i >= len(history) - capacity]
        lost_now = end - cursors[who] - len(expected)
        got = reader.view(until) if action == "view" else reader.read(until)
        cursors[who] = end
        lost[who] += lost_now
        assert got.lost == lost_now
        assert got.first_sample == end - len(expected)
        ecg_mv, quality = counted(got.first_sample, len(expected))
        np.testing.assert_array_equal(got.ecg_mv, ecg_mv)
        np.testing.assert_array_equal(got.quality, quality)
        assert (reader.cursor, reader.lost) == (cursors[who], lost[who])
        assert reader.available == len(history) - cursors[who]


@given(capacity=st.integers(1, 12), before=st.integers(0, 40), after=st.integers(0, 15))
def test_a_view_says_whether_it_was_overwritten(capacity: int, before: int, after: int) -> None:
    ring = Ring(2, capacity)
    reader = ring.reader()
    ring.write(*counted(0, before))
    view = reader.view()
    assert view.is_valid()
    held = view.ecg_mv.copy()
    ring.write(*counted(before, after))
    assert view.is_valid() == (view.first_sample >= before + after - capacity)
    if view.is_valid():
        np.testing.assert_array_equal(view.ecg_mv, held)


def test_a_view_shares_memory_across_the_wrap_and_is_read_only() -> None:
    ring = Ring(2, 8)
    ring.write(*counted(0, 6))
    reader = ring.reader(first_sample=4)
    ring.write(*counted(6, 5))
    view = reader.view()
    np.testing.assert_array_equal(view.ecg_mv[0], np.arange(4, 11))
    assert np.shares_memory(view.ecg_mv, ring._ecg)
    assert view.ecg_mv.strides[1] == view.ecg_mv.itemsize
    with pytest.raises(ValueError, match="read-only"):
        view.ecg_mv[0, 0] = 1


def test_copies_are_independent_of_the_ring() -> None:
    ring = Ring(2, 4)
    reader = ring.reader()
    ring.write(*counted(0, 4))
    copy = reader.read()
    ring.write(*counted(4, 4))
    np.testing.assert_array_equal(copy.ecg_mv[0], np.arange(4))


def test_wait_is_bounded_and_ends_on_close() -> None:
    ring = Ring(2, 4)
    reader = ring.reader()
    assert not reader.wait(0.0)
    ring.write(*counted(0, 2))
    assert reader.wait(0.0)
    assert reader.wait(0.0, until=2)
    assert not reader.wait(0.0, until=3)
    ring.close()
    assert not reader.wait(60.0, until=3)
    assert reader.read().ecg_mv.shape == (2, 2)


def test_two_threads_lose_nothing_that_is_not_counted() -> None:
    ring = Ring(2, 64)
    reader = ring.reader()
    total = 20_000

    def write_all() -> None:
        done = 0
        while done < total:
            n_samples = min(1 + done % 37, total - done)
            ring.write(*counted(done, n_samples))
            done += n_samples
        ring.close()

    writer = threading.Thread(target=write_all)
    writer.start()
    seen = lost = 0
    while reader.wait(10.0):
        got = reader.read()
        n_samples = got.ecg_mv.shape[1]
        assert got.first_sample == seen + lost + got.lost
        np.testing.assert_array_equal(got.ecg_mv, counted(got.first_sample, n_samples)[0])
        seen, lost = seen + n_samples, lost + got.lost
    writer.join(10.0)
    assert ring.closed
    assert seen + lost == total
    assert reader.lost == lost


def test_wrong_use_says_what_is_accepted() -> None:
    with pytest.raises(InputError, match="holds nothing"):
        Ring(3, 0)
    ring = Ring(3, 4)
    with pytest.raises(InputError, match=r"takes \(3, n\)"):
        ring.write(*counted(0, 2))
    with pytest.raises(InputError, match="no sample 1"):
        ring.reader(first_sample=1)
    ring.close()
    with pytest.raises(InputError, match="closed"):
        ring.write(*counted(0, 2, n_leads=3))
