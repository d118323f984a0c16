"""Traces as characters: nothing narrow is lost, nothing missing is drawn, whatever the terminal can show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.sinks.picture import LivePicture, Picture
from edge.sinks.traces import (
    ASCII,
    BLOCKS,
    BRAILLE,
    SCALES_MV,
    Glyphs,
    glyphs_for,
    per_dot,
    pulse,
    scale_mv,
    sweep,
    trace,
)
from tests.edge.sinks.blocks import block, ecg


def shown(signal_mv: NDArray[np.float32]) -> Picture:
    live = LivePicture(250.0)
    live.push(block(signal_mv))
    return live.snapshot()


@settings(max_examples=40, deadline=None)
@given(at=st.integers(130, 740), width=st.integers(20, 300))
def test_one_sample_wide_spike_is_drawn(at: int, width: int) -> None:
    signal = np.zeros((12, 1500), np.float32)
    signal[4, 750 + at - 130] = 1.0
    picture = shown(signal)
    swept = sweep(picture, width, per_dot(picture, width, 6.5))
    assert np.nanmax(swept[1, 4]) == 1.0
    assert np.nanmax(swept[1, 3]) == 0.0


def test_newest_column_does_not_move_what_is_drawn() -> None:
    signal = ecg(1000)
    before = sweep(shown(signal[:, :900]), 60, 12.3)
    after = sweep(shown(signal[:, :913]), 60, 12.3)  # one column of dots more
    same = np.isfinite(before[0]) & np.isfinite(after[0])
    assert same.sum() > 12 * 50
    unchanged = (before[0] == after[0]) | ~same
    assert (
        np.count_nonzero(~unchanged.all(axis=0)) <= 1
    )  # where the sweep's end meets older columns


def test_a_sweep_lasts_as_long_as_it_says() -> None:
    picture = shown(ecg(3000))
    assert per_dot(picture, 100, 2.5) * 100 == 2.5 * 250.0
    assert per_dot(picture, 10_000, 2.5) == 1.0  # no column without a sample


@pytest.mark.parametrize("glyphs", [BRAILLE, BLOCKS, ASCII])
def test_missing_samples_are_blank(glyphs: Glyphs) -> None:
    signal = np.zeros((12, 750), np.float32)
    signal[6] = np.nan
    swept = sweep(shown(signal), 40, 18.0)
    assert np.isnan(swept[:, 6]).all()
    assert set("".join(trace(swept[0, 6], swept[1, 6], 4, 2.0, glyphs))) == {" "}
    assert set("".join(trace(swept[0, 5], swept[1, 5], 4, 2.0, glyphs))) != {" "}


@pytest.mark.parametrize(
    ("glyphs", "rows", "drawn"),
    [
        (BRAILLE, 2, ["  ⡠⠊", "⡠⠊  "]),
        (BLOCKS, 4, ["      ▄▀", "    ▄▀  ", "  ▄▀    ", "▄▀      "]),
        (ASCII, 3, ["      .-'", "   .-'   ", ".-'      "]),
    ],
)
def test_dots_are_where_the_values_are(glyphs: Glyphs, rows: int, drawn: list[str]) -> None:
    n_dots = rows * glyphs.down
    rising = np.arange(n_dots, dtype=np.float32) / (n_dots - 1)
    low, high = rising.copy(), rising.copy()
    assert trace(low, high, rows, 1.0, glyphs) == drawn


@pytest.mark.parametrize(
    ("encoding", "glyphs"),
    [
        ("utf-8", BRAILLE),
        (None, BRAILLE),
        ("utf-16", BRAILLE),
        ("gb18030", BRAILLE),
        ("cp437", BLOCKS),
        ("cp850", BLOCKS),
        ("latin-1", ASCII),
        ("cp1252", ASCII),
        ("ascii", ASCII),
        ("ANSI_X3.4-1968", ASCII),
        ("no such encoding", ASCII),
    ],
)
def test_characters_are_those_that_the_stream_can_take(
    encoding: str | None, glyphs: Glyphs
) -> None:
    assert glyphs_for(encoding) is glyphs


@pytest.mark.parametrize("glyphs", [BRAILLE, BLOCKS, ASCII])
def test_the_calibration_mark_is_as_high_as_a_millivolt(glyphs: Glyphs) -> None:
    half, whole = (
        sum(any(c != " " for c in line) for line in pulse(mv, 12, 4.0, 3, glyphs)) for mv in (1, 2)
    )
    assert half <= 4 and 5 <= whole <= 7


def test_value_beyond_the_scale_stays_in_its_pane() -> None:
    high = np.array([0, 9, 0, 0], np.float32)
    assert [len(row) for row in trace(high * 0, high, 3, 0.5)] == [2, 2, 2]


def test_scale_holds_the_tallest_lead() -> None:
    swept = np.zeros((2, 12, 40), np.float32)
    assert scale_mv(swept) == SCALES_MV[0]
    swept[1, 7, 3] = 1.7
    assert scale_mv(swept) == 2.0
    swept[1, 7, 3] = 300.0
    assert scale_mv(swept) == SCALES_MV[-1]
    assert scale_mv(np.full((2, 12, 40), np.nan, np.float32)) == SCALES_MV[0]
