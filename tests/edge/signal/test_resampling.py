"""Rate conversion: no delay left, no aliases, nothing invented, the same however cut."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import edge
from edge.errors import InputError
from edge.signal.resampling import FILE_DELAY_S, LIVE_DELAY_S, RateConverter
from tests.edge.signals import cuts, pieces, three_leads

PAIRS = [
    (500, 250),
    (250, 500),
    (125, 250),
    (250, 1000),
    (1000, 250),
    (360, 250),
    (250, 360),
    (257, 250),
    (128, 250),
    (8000, 250),
    (250, 250),
    (250.03, 250),  # a crystal's rate, as time stamps give it
    (250, 249.98),
    (250.00625, 250),
    (999.9, 250),
    (250, 199.98),
]
N = 700


def converted(converter: RateConverter, x: np.ndarray, bits: np.ndarray | None = None) -> tuple:
    """All outputs of a whole stream, flushed: (leads, m) samples and bits."""
    parts = [converter.push(x, bits), converter.flush()]
    return tuple(np.concatenate(kind, axis=1) for kind in zip(*parts, strict=True))


def sine(hz: float, sampling_hz: float, seconds: float = 4.0) -> np.ndarray:
    t = np.arange(round(seconds * sampling_hz)) / sampling_hz
    return np.sin(2 * np.pi * hz * t + 0.3)[None].astype(np.float32)


@settings(max_examples=80)
@given(
    pair=st.sampled_from(PAIRS),
    at=cuts(N),
    gaps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, N), st.integers(1, 40)), max_size=3),
    delay_s=st.sampled_from([LIVE_DELAY_S, FILE_DELAY_S]),
)
@example(pair=(250, 500), at=[*range(N)], gaps=[(0, 0, 3)], delay_s=LIVE_DELAY_S)
@example(pair=(125, 250), at=[*range(N)], gaps=[(1, N - 3, 3)], delay_s=LIVE_DELAY_S)
@example(pair=(250, 1000), at=[*range(0, N, 2)], gaps=[], delay_s=LIVE_DELAY_S)
@example(pair=(360, 250), at=[*range(0, N, 3)], gaps=[], delay_s=FILE_DELAY_S)
def test_any_chunking_gives_the_same_bits(
    pair: tuple[float, float], at: list[int], gaps: list[tuple[int, int, int]], delay_s: float
) -> None:
    x = three_leads(N)
    for lead, start, length in gaps:
        x[lead, start : start + length] = np.nan
    bits = np.arange(3 * N).reshape(3, N).astype(np.uint8)
    whole = converted(RateConverter(*pair, delay_s=delay_s), x, bits)
    converter = RateConverter(*pair, delay_s=delay_s)
    parts = [converter.push(x[:, part], bits[:, part]) for part in pieces(N, at)]
    parts.append(converter.flush())
    cut = [np.concatenate(kind, axis=1) for kind in zip(*parts, strict=True)]
    assert whole[0].tobytes() == cut[0].tobytes()
    assert np.array_equal(whole[1], cut[1])


@pytest.mark.parametrize("pair", PAIRS)
def test_a_sine_stays_in_phase(pair: tuple[float, float]) -> None:
    """The live filter, too short at low rates to keep all of 10 Hz, still keeps its time."""
    for delay_s, gain_error, phase_s in (
        (LIVE_DELAY_S, 0.03, 100e-6),
        (FILE_DELAY_S, 0.002, 10e-6),
    ):
        out = converted(RateConverter(*pair, n_leads=1, delay_s=delay_s), sine(10.0, pair[0]))[0]
        assert out.shape[1] == pytest.approx(4 * pair[1], abs=1)
        middle = slice(round(0.2 * pair[1]), -round(0.2 * pair[1]))
        angle = 2 * np.pi * 10.0 * np.arange(out.shape[1]) / pair[1] + 0.3
        waves = np.stack([np.sin(angle), np.cos(angle)], 1)
        (in_phase, late), *_ = np.linalg.lstsq(waves[middle], out[0, middle], rcond=None)
        assert np.hypot(in_phase, late) == pytest.approx(1.0, abs=gain_error)
        assert abs(np.arctan2(late, in_phase)) / (2 * np.pi * 10.0) < phase_s


@pytest.mark.parametrize("from_hz", [500, 1000])
def test_aliases_are_rejected(from_hz: int) -> None:
    for hz in (180.0, 200.0, 240.0):  # would fold to 70, 50 and 10 Hz
        out = converted(RateConverter(from_hz, 250, 1, FILE_DELAY_S), sine(hz, from_hz))[0]
        assert np.abs(out[:, 50:-50]).max() < 0.01


def test_the_live_filter_keeps_to_its_delay() -> None:
    for from_hz, to_hz in PAIRS:
        converter = RateConverter(from_hz, to_hz)
        assert converter.delay_s <= LIVE_DELAY_S + 1e-12
        n = round(0.4 * from_hz)
        out = converter.push(np.zeros((3, n), np.float32))[0]
        due = (n / from_hz - converter.delay_s) * to_hz
        assert out.shape[1] == pytest.approx(due, abs=1)


def test_a_constant_stays_to_the_last_bit_of_float32() -> None:
    for pair in PAIRS:
        out = converted(RateConverter(*pair), np.full((3, 300), 300.0, np.float32))[0]
        np.testing.assert_allclose(out, 300.0, rtol=1e-6)


@settings(max_examples=60)
@given(pair=st.sampled_from(PAIRS), n=st.integers(0, 1000))
def test_flush_completes_the_stream_to_the_length_of_the_input(
    pair: tuple[float, float], n: int
) -> None:
    out, bits = converted(RateConverter(*pair), np.zeros((3, n), np.float32))
    assert out.shape == bits.shape == (3, math.ceil(n * Fraction(pair[1]) / Fraction(pair[0])))


@pytest.mark.parametrize("pair", [(500, 250), (250, 500), (360, 250), (250, 250)])
def test_missing_samples_are_missing_again_and_only_there(pair: tuple[float, float]) -> None:
    x = three_leads(N)
    clean = converted(RateConverter(*pair), x)[0]
    start, stop = 300, 340
    x[0, start:stop] = np.nan
    out = converted(RateConverter(*pair), x)[0]
    at = np.arange(out.shape[1]) * pair[0] / pair[1]
    nearest = np.floor(at + 0.5)
    assert np.array_equal(np.isnan(out[0]), (nearest >= start) & (nearest < stop))
    assert np.array_equal(out[1:], clean[1:])
    far = np.abs(at - 320) > 20 + LIVE_DELAY_S * pair[0] + 1
    assert np.array_equal(out[0, far], clean[0, far])


@pytest.mark.parametrize("pair", PAIRS)
def test_a_stream_that_ends_missing_ends_missing(pair: tuple[float, float]) -> None:
    x = three_leads(N)
    x[1, N - 30 :] = np.nan
    bits = np.zeros((3, N), np.uint8)
    bits[2, N - 30 :] = 8
    out, out_bits = converted(RateConverter(*pair), x, bits)
    at = np.arange(out.shape[1]) * pair[0] / pair[1]
    last = np.floor(at + 0.5) >= N - 30
    assert np.isnan(out[1, last]).all()
    assert (out_bits[2] == np.where(last, 8, 0)).all()


def test_an_infinite_sample_is_missing() -> None:
    x = three_leads(N)
    x[2, 100] = np.inf
    out = converted(RateConverter(250, 250), x)[0]
    assert np.flatnonzero(np.isnan(out[2])).tolist() == [100]


@settings(max_examples=60)
@given(
    pair=st.sampled_from(PAIRS),
    before=st.integers(0, 300),
    lost=st.integers(0, 5000),
    after=st.integers(1, 300),
)
def test_the_index_after_a_skip_is_that_of_the_time(
    pair: tuple[float, float], before: int, lost: int, after: int
) -> None:
    """Output m lies at m / to_hz, before and after; what lies in the hole is never made."""
    converter = RateConverter(*pair)
    count = converter.push(np.zeros((3, before), np.float32))[0].shape[1]
    jump = converter.skip(lost)
    assert jump >= 0
    first = count + jump
    from_s, to_s = (1 / Fraction(hz) for hz in pair)
    assert first * to_s >= (before + lost) * from_s  # no output from what was not measured
    assert first * to_s < (before + lost) * from_s + to_s
    out = [converter.push(np.full((3, after), 2.0, np.float32))[0], converter.flush()[0]]
    samples = np.concatenate(out, axis=1)
    np.testing.assert_allclose(samples, 2.0, rtol=1e-6)  # starts anew, without a trace of before
    total = math.ceil((before + lost + after) * Fraction(pair[1]) / Fraction(pair[0]))
    assert first + samples.shape[1] == total


def test_reset_starts_at_zero_again() -> None:
    converter = RateConverter(360, 250)
    x = three_leads(N)
    first = converter.push(x)[0]
    converter.reset()
    assert np.array_equal(converter.push(x)[0], first)


@pytest.mark.parametrize("pair", [(250.0, 1000.3), (999.7, 250.0), (256.4, 250.0), (250.0, 62.7)])
def test_an_odd_rate_has_a_bounded_number_of_phases(pair: tuple[float, float]) -> None:
    converter = RateConverter(*pair)
    assert len(converter._taps) <= 4096
    out = converted(converter, np.zeros((3, 500), np.float32))[0]
    assert out.shape[1] == pytest.approx(500 * pair[1] / pair[0], abs=1)


def test_memory_does_not_grow_with_the_stream() -> None:
    converter = RateConverter(360, 250)
    for _ in range(200):
        converter.push(np.zeros((3, 50), np.float32))
    assert converter._ecg.shape[1] < 100


@pytest.mark.parametrize("pair", [(0, 250), (-500, 250), (math.nan, 250), (250, math.inf)])
def test_a_rate_must_be_a_positive_number(pair: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="rates are positive numbers"):
        RateConverter(*pair)


@pytest.mark.parametrize("pair", [(1e9, 1.0), (1.0, 1e9)])
def test_a_ratio_has_a_bound(pair: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"cannot convert .* Hz to .* Hz: at most 1000 times"):
        RateConverter(*pair)


@settings(max_examples=60)
@given(from_hz=st.floats(50, 8000), to_hz=st.floats(50, 8000))
@example(from_hz=250.0000001, to_hz=250.0)
@example(from_hz=333.3333333, to_hz=250.0)
def test_any_two_rates_convert_and_a_day_ends_in_time(from_hz: float, to_hz: float) -> None:
    converter = RateConverter(from_hz, to_hz)
    day = round(86_400 * from_hz)
    last = converter.skip(day)
    assert last / to_hz == pytest.approx(day / from_hz, abs=1.01 / to_hz)


def test_a_rate_between_two_phases_is_interpolated() -> None:
    x = sine(20.0, 250.03, seconds=60.0)
    out = converted(RateConverter(250.03, 250.0, 1, FILE_DELAY_S), x)[0]
    expected = sine(20.0, 250.0, seconds=60.0)
    n = min(out.shape[1], expected.shape[1])
    assert np.abs(out[:, 50 : n - 50] - expected[:, 50 : n - 50]).max() < 1e-3


def test_there_and_back_is_as_long() -> None:
    for hz in (250.03, 249.98, 499.95, 83.333, 999.999):
        out = edge.reconstruct(three_leads(4321), hz)
        assert out.shape == (12, 4321)


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(InputError, match=r"expected \(3, n\) samples, got shape \(2, 5\)"):
        RateConverter(500, 250).push(np.zeros((2, 5), np.float32))
