"""Braille traces: nothing narrow is lost, nothing missing is drawn."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sinks.traces import SCALES_MV, TraceRing, braille, scale_mv, sweep
from tests.edge.sinks.blocks import ecg


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 900), max_size=8), gap=st.integers(0, 4000), at=st.integers(0, 7)
)
def test_ring_holds_the_last_seconds_by_index(sizes: list[int], gap: int, at: int) -> None:
    ring = TraceRing(250.0)
    whole = np.full((12, ring.ecg_mv.shape[1]), np.nan, np.float32)
    for i, size in enumerate(sizes):
        missing = gap if i == at else 0
        part = ecg(size, i)
        ring.append(part, missing)
        whole = np.concatenate([whole, np.full((12, missing), np.nan, np.float32), part], axis=1)
    n = ring.ecg_mv.shape[1]
    assert ring.end == whole.shape[1] - n
    np.testing.assert_array_equal(
        ring.ecg_mv[:, np.arange(ring.end - n, ring.end) % n], whole[:, -n:]
    )


def test_one_sample_wide_spike_is_drawn() -> None:
    ring = TraceRing(250.0)
    signal = np.zeros((12, 750), np.float32)
    signal[4, 501] = 1.0
    ring.append(signal)
    swept = sweep(ring, 30, 3.0)
    assert np.nanmax(swept[1, 4]) == 1.0
    assert np.nanmax(swept[1, 3]) == 0.0


def test_newest_column_does_not_move_what_is_drawn() -> None:
    ring = TraceRing(250.0)
    signal = ecg(1000)
    ring.append(signal[:, :900])
    before = sweep(ring, 30, 3.0)
    ring.append(signal[:, 900:912])  # one column of dots more
    after = sweep(ring, 30, 3.0)
    same = np.isfinite(before[0]) & np.isfinite(after[0])
    assert same.sum() > 12 * 50
    unchanged = (before[0] == after[0]) | ~same
    assert (
        np.count_nonzero(~unchanged.all(axis=0)) <= 1
    )  # where the sweep's end meets older columns


def test_missing_samples_are_blank() -> None:
    ring = TraceRing(250.0)
    signal = np.zeros((12, 750), np.float32)
    signal[6] = np.nan
    ring.append(signal)
    swept = sweep(ring, 20, 3.0)
    assert np.isnan(swept[:, 6]).all()
    assert set("".join(braille(swept[0, 6], swept[1, 6], 4, 2.0))) == {"\u2800"}
    assert set("".join(braille(swept[0, 5], swept[1, 5], 4, 2.0))) != {"\u2800"}


def test_dots_are_where_the_values_are() -> None:
    rising = np.linspace(-1, 1, 8, dtype=np.float32)
    # Eight columns of dots, eight rows of dots: the diagonal from bottom left to top right.
    assert braille(rising, rising, 2, 2.0) == ["⠀⠀⡠⠊", "⡠⠊⠀⠀"]


def test_value_beyond_the_scale_stays_in_its_pane() -> None:
    high = np.array([0, 9, 0, 0], np.float32)
    assert [len(row) for row in braille(high * 0, high, 3, 0.5)] == [2, 2, 2]


def test_scale_holds_the_tallest_lead() -> None:
    swept = np.zeros((2, 12, 40), np.float32)
    assert scale_mv(swept) == SCALES_MV[0]
    swept[1, 7, 3] = 1.7
    assert scale_mv(swept) == 2.0
    swept[1, 7, 3] = 300.0
    assert scale_mv(swept) == SCALES_MV[-1]
    assert scale_mv(np.full((2, 12, 40), np.nan, np.float32)) == SCALES_MV[0]
