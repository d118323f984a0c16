"""Conditioning: the right filters, the same to the last bit however cut, quick to settle."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.errors import InputError
from edge.signal.conditioning import (
    BATCH_BLOCKS,
    BLOCK_HOPS,
    SETTLING_S,
    Conditioner,
    Conditioning,
    sections,
)
from edge.signal.filters import biquad, highpass1
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.signals import ROWS, cuts, pieces, three_leads

RATE, HOP = 250.0, 4
DATA = Path(os.environ.get("LEADLIFT_DATA", "../shared/data"))
SETTLED = math.ceil(SETTLING_S * RATE / HOP) * HOP
N = 3 * BLOCK_HOPS * HOP * BATCH_BLOCKS // 4  # the path of whole blocks, and what is left over
SPECS = [
    Conditioning(),
    Conditioning(mains_hz=60.0, lowpass_hz=40.0),
    Conditioning(mains_hz=None, residual_highpass_hz=0.67),
]


@pytest.fixture
def signal() -> Any:
    """scipy.signal, the reference."""
    return pytest.importorskip("scipy.signal", reason="scipy is the reference: '.[test]'")


def sos(cascade: list[tuple[float, ...]]) -> np.ndarray:
    return np.array([[b0, b1, b2, 1.0, a1, a2] for b0, b1, b2, a1, a2 in cascade])


def filtered(signal: Any, cascade: np.ndarray, x: np.ndarray) -> np.ndarray:
    """scipy's result, from the steady state of the first sample."""
    state = signal.sosfilt_zi(cascade)[:, None, :] * x[None, :, :1]
    return signal.sosfilt(cascade, x, axis=1, zi=state)[0]


def transfer(section: tuple[float, ...], hz: float) -> complex:
    z = np.exp(-2j * np.pi * hz / RATE) ** np.arange(3)
    b, a = np.split(sos([section])[0], 2)
    return complex(b @ z / (a @ z))


def test_designs_are_scipys(signal: Any) -> None:
    for order, kind, hz, section in (
        (1, "highpass", 0.05, highpass1(0.05, RATE)),
        (2, "highpass", 0.5, biquad("highpass", 0.5, RATE)),
        (2, "lowpass", 40.0, biquad("lowpass", 40.0, RATE)),
    ):
        expected = signal.butter(order, hz, kind, fs=RATE, output="sos")
        np.testing.assert_allclose(sos([section]), expected, atol=1e-9)
    # The cookbook's Q is that of the analogue notch; the bilinear transform makes it narrower.
    w = 2 * math.pi * 50.0 / RATE
    digital_q = w / (2 * math.atan(math.sin(w) / (2 * 25.0)))
    b, a = signal.iirnotch(50.0, digital_q, fs=RATE)
    np.testing.assert_allclose(sos([biquad("notch", 50.0, RATE, 25.0)])[0], [*b, *a], atol=1e-9)


def test_response_at_the_corners() -> None:
    half_power = pytest.approx(math.sqrt(0.5), rel=1e-6)
    assert abs(transfer(highpass1(0.05, RATE), 0.05)) == half_power
    assert abs(transfer(biquad("highpass", 0.5, RATE), 0.5)) == half_power
    assert abs(transfer(biquad("lowpass", 40.0, RATE), 40.0)) == half_power
    notch = biquad("notch", 50.0, RATE, 25.0)
    assert abs(transfer(notch, 50.0)) < 1e-9
    assert abs(transfer(notch, 40.0)) > 0.99
    assert abs(transfer(notch, 0.0)) == pytest.approx(1.0)


@pytest.mark.parametrize("spec", SPECS)
def test_filters_are_scipys_to_1e_9(signal: Any, spec: Conditioning) -> None:
    x = three_leads(N, seed=3).astype(np.float64)
    main, residual = (sos(part) for part in sections(spec, RATE))
    conditioned, seen, settling = Conditioner(spec, RATE, 3, HOP).push(x)
    expected = filtered(signal, main, x)
    # What the mean of the first 2 s shows of the baseline is taken out, little by little.
    p, n = -main[0, 4], SETTLED
    sums = np.cumsum(np.pad(expected[:, :n], ((0, 0), (1, 0))), axis=1)
    known = np.repeat(sums[:, :-1:HOP], HOP, axis=1)  # at the begin of each hop
    known = np.concatenate([known, np.repeat(sums[:, -1:], x.shape[1] - n, axis=1)], axis=1)
    taken = known * (1 - p) / (1 - p**n) * p ** np.arange(x.shape[1])
    z = p ** -np.arange(3.0)  # what decays with p is multiplied by the transfer function there
    share = (residual[0, :3] @ z) / (residual[0, 3:] @ z)
    expected_seen = filtered(signal, residual, expected) - share * taken
    # The output is float32; its rounding is what may differ, and that of the sum.
    assert (conditioned == (expected - taken).astype(np.float32)).mean() > 0.8
    np.testing.assert_allclose(conditioned, expected - taken, rtol=2**-22, atol=1e-7)
    np.testing.assert_allclose(seen, expected_seen, rtol=2**-22, atol=1e-7)
    assert conditioned.dtype == seen.dtype == np.float32
    assert settling.shape == (3, N // HOP)


def in_pieces(conditioner: Conditioner, x: np.ndarray, at: list[int]) -> list[np.ndarray]:
    """Push whole hops cut at the hops `at`; the three results joined."""
    parts = [
        conditioner.push(x[:, part.start * HOP : part.stop * HOP])
        for part in pieces(x.shape[1] // HOP, at)
    ]
    return [np.concatenate(results, axis=1) for results in zip(*parts, strict=True)]


@settings(max_examples=40)
@given(
    at=cuts(N // HOP),
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, N), st.sampled_from([-300, -3, 2, 60, 300])),
        max_size=3,
    ),
    rail=st.none() | st.tuples(st.integers(0, 2), st.integers(0, N)),
)
@example(at=[0, 1, 40, 41, 200], steps=[(0, 700, 300), (0, 720, -300)], rail=(1, 100))
def test_any_chunking_gives_the_same_bits(
    at: list[int], steps: list[tuple[int, int, int]], rail: tuple[int, int] | None
) -> None:
    x = three_leads(N, seed=1)
    for lead, start, mv in steps:
        x[lead, start:] += mv
    if rail is not None:
        x[rail[0], rail[1] :] = 375.0
    whole = Conditioner(SPECS[0], RATE, 3, HOP).push(x)
    cut = in_pieces(Conditioner(SPECS[0], RATE, 3, HOP), x, at)
    for one, other in zip(whole, cut, strict=True):
        assert one.tobytes() == np.ascontiguousarray(other).tobytes()


def test_starts_in_the_steady_state_of_its_first_sample() -> None:
    x = three_leads(1000)
    x += 300.0 - x[:, :1]
    conditioned, seen, settling = Conditioner(SPECS[0], RATE, 3, HOP).push(x)
    assert np.abs(conditioned[:, 0]).max() < 1e-6
    assert np.abs(seen[:, 0]).max() < 1e-6
    assert np.abs(conditioned).max() < 5.0
    at_rest = Conditioner(SPECS[0], RATE, 3, HOP).push(np.full((3, 1000), -300.0))[0]
    assert np.abs(at_rest).max() < 1e-6
    flagged = math.ceil(SETTLING_S * RATE / HOP)
    assert settling[:, :flagged].all()
    assert not settling[:, flagged:].any()


@pytest.mark.parametrize("step_mv", [-300.0, -20.0, 20.0, 300.0])
def test_settles_again_soon_after_a_step(step_mv: float) -> None:
    clean = three_leads(2000, seed=2)
    x = clean.copy()
    at = 1000
    x[1, at:] += step_mv
    expected, _, _ = Conditioner(SPECS[0], RATE, 3, HOP).push(clean)
    conditioned, _, settling = Conditioner(SPECS[0], RATE, 3, HOP).push(x)
    assert np.abs(conditioned[1, at : at + 4]).max() > 0.8 * abs(step_mv)
    after = at + round(0.2 * RATE)
    assert np.abs(conditioned[1, after:]).max() < 5.0  # without a re-start: 3 s of hundreds of mV
    assert settling[1, math.ceil(at / HOP) + 26 : (at + round(2 * RATE)) // HOP].all()
    assert not settling[1, -1]
    for other in (0, 2):
        np.testing.assert_allclose(conditioned[other], expected[other], atol=1e-6)
        assert not settling[other, at // HOP :].any()


def test_a_small_step_settles_too() -> None:
    x = np.zeros((1, 3000))
    x[:, 1000:] = 2.0
    conditioned, _, settling = Conditioner(SPECS[0], RATE, 1, HOP).push(x)
    assert np.abs(conditioned[0, 1000 + round(1.0 * RATE) :]).max() < 1e-3
    assert settling[0, (1000 + round(1.0 * RATE)) // HOP]


def test_beats_do_not_restart_the_filters() -> None:
    x = 3 * three_leads(5000, seed=4)  # tall beats
    _, _, settling = Conditioner(SPECS[0], RATE, 3, HOP).push(x)
    assert not settling[:, math.ceil(SETTLING_S * RATE / HOP) :].any()


def test_a_ramp_restarts_the_filters_once_in_a_while() -> None:
    """An electrode that comes off drifts: each start must have its time."""
    x = np.cumsum(np.full((1, 1000), 2.0), axis=1)  # 500 mV/s
    conditioned, _, _ = Conditioner(SPECS[0], RATE, 1, HOP).push(x)
    starts = np.flatnonzero(np.abs(conditioned[0]) < 1e-6)
    assert len(starts) > 3
    assert (np.diff(starts) >= 0.1 * RATE).all()


def alone(x: np.ndarray, lead: int, at: int) -> tuple[np.ndarray, np.ndarray]:
    """The error of a lead that restarts alone at `at`, beside the same lead undisturbed, once it has no flag.

    (2, n) mV of both outputs, and (n,) mV of what the undisturbed lead's mean over these 2 s makes of it; NaN
    where a step restarts it once more.
    """
    undisturbed, one_alone = (Conditioner(SPECS[0], RATE, len(x), HOP) for _ in range(2))
    one_alone.push(x[:, :at])
    one_alone.restart(np.arange(len(x)) == lead)
    *ours, settling = one_alone.push(x[:, at:])
    *theirs, again = undisturbed.push(x)
    assert settling[lead, : SETTLED // HOP].all()
    error = np.stack(
        [one[lead] - other[lead, at:] for one, other in zip(ours, theirs, strict=True)]
    )
    decay = -highpass1(SPECS[0].highpass_hz, RATE)[3]
    powers = decay ** np.arange(x.shape[1])
    mean = theirs[0][lead, at : at + SETTLED].mean(dtype=np.float64)
    left = -mean / powers[:SETTLED].mean() * powers[SETTLED : x.shape[1] - at]
    if settling[lead, SETTLED // HOP :].any() or again[lead, SETTLED // HOP :].any():
        left[:] = np.nan
    return error[:, SETTLED:], left


def first_sample_leaves(x: np.ndarray, at: int) -> float:
    """What is left after 2 s of a first sample's distance from the baseline, mV: the error without a mean."""
    undisturbed = Conditioner(SPECS[0], RATE, 1, HOP).push(x)[0]
    decay = -highpass1(SPECS[0].highpass_hz, RATE)[3]
    return float(abs(undisturbed[0, at]) * decay**SETTLED)


FASTER_MV = (
    0.02  # what the notch and the residual branch have not yet forgotten of a wrong start of 1 mV
)


@pytest.mark.parametrize("phase", range(0, 200, 20))  # of a beat: 75 a minute
def test_a_lead_that_restarts_alone_is_right_when_its_flag_ends(phase: int) -> None:
    """At whatever phase of a beat: on the R wave its baseline was half a millivolt off."""
    x = EcgSimulator(RATE, 75, baseline_mv=0.03, muscle_mv=0.01, seed=2).read(5000)[ROWS]
    for lead in range(len(x)):
        error, left = alone(x.astype(np.float64), lead, 2800 + phase)
        assert np.abs(error[0] - left).max() < FASTER_MV
        assert np.abs(error[0]).max() < 0.06
        assert np.abs(error[1]).max() < FASTER_MV


@pytest.mark.parametrize("name", ["ptbxl", "challenge2011_mobile"])
def test_real_leads_that_restart_alone_are_as_right_as_their_mean_is(name: str) -> None:
    """All that is left is what the baseline itself did meanwhile: far less than a first sample leaves."""
    file = DATA / f"{name}.npz"
    if not file.exists():
        pytest.skip(f"real recordings are not here: {file} is missing")
    with np.load(file) as found:
        records = found["ecg_uv"][::125][:8, 1:3].astype(np.float64) / 1000
    errors, before = [], []
    for record in records:
        warm = np.concatenate([record[:, ::-1], record], axis=1)
        for at in range(2500, 3500, 172):
            error, left = alone(warm, 0, at)
            if np.isfinite(left).all():
                assert np.abs(error[0] - left).max() <= FASTER_MV * np.ptp(warm[0])
                errors.append(np.abs(error[0]).max())
                before.append(first_sample_leaves(warm[:1], at))
    assert len(errors) > 20
    assert np.linalg.norm(errors) < 0.5 * np.linalg.norm(before)


def test_restart_and_reset_start_anew() -> None:
    x = three_leads(400)
    conditioner = Conditioner(SPECS[0], RATE, 3, HOP)
    fresh = [result.copy() for result in conditioner.push(x)]
    conditioner.reset()
    for one, other in zip(fresh, conditioner.push(x), strict=True):
        assert np.array_equal(one, other)
    conditioner.restart(np.array([True, False, False]))
    conditioned, _, settling = conditioner.push(x)
    np.testing.assert_allclose(conditioned[0], fresh[0][0], atol=1e-6)
    assert not np.allclose(conditioned[1], fresh[0][1], atol=1e-6)
    assert settling[0].all()


@pytest.mark.parametrize(
    "spec",
    [
        Conditioning(mains_hz=125.0),
        Conditioning(highpass_hz=0.0),
        Conditioning(lowpass_hz=-40.0),
        Conditioning(lowpass_hz=200.0),
        Conditioning(residual_highpass_hz=math.nan),
    ],
)
def test_a_corner_that_does_not_fit_is_refused(spec: Conditioning) -> None:
    with pytest.raises(InputError, match=r"filter corner .* use one between 0 and 125 Hz"):
        Conditioner(spec, RATE, 3, HOP)
