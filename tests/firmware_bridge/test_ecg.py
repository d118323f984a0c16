"""The simulator: same signal however read, lead identities, and settings that can be measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.errors import SourceSpecError
from firmware_bridge.simulators.ecg import ST_TERRITORIES, EcgSimulator
from firmware_bridge.source import open_source
from firmware_bridge.wire.spec import LEADS

NOISY = {"baseline_mv": 0.1, "mains_mv": 0.05, "muscle_mv": 0.02}


def lead(ecg_mv: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    return ecg_mv[LEADS.index(name)]


def r_peaks(ecg_mv: NDArray[np.float32], name: str = "II") -> NDArray[np.int_]:
    signal = lead(ecg_mv, name)
    inner = signal[1:-1]
    return np.flatnonzero((inner > 0.5) & (inner >= signal[:-2]) & (inner > signal[2:])) + 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=12))
def test_any_sequence_of_reads_gives_the_same_signal(sizes: list[int]) -> None:
    arguments = {"sampling_hz": 250, "heart_rate_bpm": 90, "pvc_share": 0.2, "seed": 5, **NOISY}
    whole = EcgSimulator(**arguments).read(sum(sizes))
    simulator = EcgSimulator(**arguments)
    pieces = [simulator.read(size) for size in sizes]
    assert [piece.shape for piece in pieces] == [(12, size) for size in sizes]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    assert whole.dtype == np.float32


def test_limb_leads_obey_einthoven_and_goldberger_with_noise() -> None:
    ecg = EcgSimulator(500, 70, **NOISY).read(5000).astype(np.float64)
    i, ii, iii, avr, avl, avf = ecg[:6]
    one_rounding = float(np.abs(ecg).max()) * 2.0**-23
    np.testing.assert_allclose(iii, ii - i, atol=one_rounding)
    np.testing.assert_allclose(avr, -(i + ii) / 2, atol=one_rounding)
    np.testing.assert_allclose(avl, i - ii / 2, atol=one_rounding)
    np.testing.assert_allclose(avf, ii - i / 2, atol=one_rounding)


@pytest.mark.parametrize("bpm", [40, 72, 150])
@pytest.mark.parametrize("sampling_hz", [250, 500])
def test_heart_rate_is_what_was_asked_for(bpm: float, sampling_hz: float) -> None:
    peaks = r_peaks(EcgSimulator(sampling_hz, bpm).read(int(60 * sampling_hz)))
    cycles_s = np.diff(peaks) / sampling_hz
    assert 60 / cycles_s.mean() == pytest.approx(bpm, rel=0.02)


def test_variability_is_the_spread_of_the_cycle() -> None:
    peaks = r_peaks(EcgSimulator(500, 60, variability=0.05, seed=2).read(500 * 300))
    assert np.std(np.diff(peaks) / 500) == pytest.approx(0.05, rel=0.2)
    steady = r_peaks(EcgSimulator(500, 60, variability=0).read(500 * 20))
    assert np.ptp(np.diff(steady)) <= 1


def test_waves_have_their_usual_place_and_sign() -> None:
    fs = 500
    ecg = EcgSimulator(fs, 60, variability=0).read(fs * 4)
    peak = r_peaks(ecg)[1]

    def extreme(name: str, start_s: float, stop_s: float) -> float:
        part = lead(ecg, name)[peak + int(start_s * fs) : peak + int(stop_s * fs)]
        return float(part[np.argmax(np.abs(part))])

    for name in LEADS:
        if name == "aVR":
            assert extreme(name, -0.25, -0.09) < -0.02  # P
            assert extreme(name, 0.15, 0.40) < -0.1  # T
        elif name not in ("aVL", "V1", "III"):
            assert extreme(name, -0.25, -0.09) > 0.02
            assert extreme(name, 0.15, 0.40) > 0.1
    for name, sign in {
        "I": 1,
        "II": 1,
        "aVR": -1,
        "V1": -1,
        "V2": -1,
        "V4": 1,
        "V5": 1,
        "V6": 1,
    }.items():
        assert extreme(name, -0.05, 0.08) * sign > 0.4, name
    r_to_s = [lead(ecg, f"V{k}")[peak - 25 : peak + 40] for k in range(1, 7)]
    ratios = [part.max() / (part.max() - part.min()) for part in r_to_s]
    assert ratios[0] < 0.3 and ratios[4] > 0.8  # R grows from V1 to V5
    assert ratios[:5] == sorted(ratios[:5])


@pytest.mark.parametrize("territory", sorted(ST_TERRITORIES))
@pytest.mark.parametrize("shift_mv", [0.3, -0.2])
def test_st_shift_reads_as_asked_in_the_leading_lead(territory: str, shift_mv: float) -> None:
    fs = 500
    arguments = {"sampling_hz": fs, "heart_rate_bpm": 60, "variability": 0}
    plain = EcgSimulator(**arguments).read(fs * 4)
    ecg = EcgSimulator(**arguments, st_shift_mv=shift_mv, st_territory=territory).read(fs * 4)
    r_peak = int(0.35 * fs) + fs  # of the second beat
    j_plus_60 = r_peak + int(0.11 * fs)
    before_p = r_peak - int(0.3 * fs)
    name = ST_TERRITORIES[territory]
    level = lead(ecg, name)[j_plus_60] - lead(ecg, name)[before_p]
    level_plain = lead(plain, name)[j_plus_60] - lead(plain, name)[before_p]
    assert level - level_plain == pytest.approx(shift_mv, abs=0.01)
    assert abs(level_plain) < 0.08


def test_ectopic_beats_have_their_share_come_early_and_are_wide() -> None:
    fs = 250
    ecg = EcgSimulator(fs, 60, variability=0, pvc_share=0.25, seed=1).read(fs * 400)
    sinus = r_peaks(ecg, "II")  # a ventricular beat points down in II
    inverted = -lead(ecg, "II")
    wide = np.flatnonzero(
        (inverted[1:-1] > 0.5) & (inverted[1:-1] >= inverted[:-2]) & (inverted[1:-1] > inverted[2:])
    )
    assert len(wide) / (len(wide) + len(sinus)) == pytest.approx(0.25, abs=0.05)
    coupling_s = [(w - sinus[sinus < w][-1]) / fs for w in wide if (sinus < w).any()]
    assert np.mean(coupling_s) == pytest.approx(0.6, abs=0.05)
    none = EcgSimulator(fs, 60, variability=0).read(fs * 60)
    assert lead(none, "II").min() > -0.3


@pytest.mark.parametrize(
    ("name", "band_hz"),
    [("baseline_mv", (0.0, 0.5)), ("mains_mv", (49.0, 51.0)), ("muscle_mv", (18.0, 125.0))],
)
def test_noise_has_its_level_and_its_band(name: str, band_hz: tuple[float, float]) -> None:
    n = 250 * 120
    noise = EcgSimulator(250, 60, **{name: 0.1}).read(n) - EcgSimulator(250, 60).read(n)
    noise = noise[LEADS.index("V3")].astype(np.float64)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(0.1, rel=0.15)
    power = np.abs(np.fft.rfft(noise * np.hanning(n))) ** 2
    frequency = np.fft.rfftfreq(n, 1 / 250)
    inside = (frequency >= band_hz[0]) & (frequency <= band_hz[1])
    assert power[inside].sum() / power.sum() > 0.97


def test_seed_decides() -> None:
    one, same, other = (EcgSimulator(muscle_mv=0.01, seed=s).read(1000) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("bpm", [20, 250])
def test_extreme_rates_stay_finite_and_bounded(bpm: float) -> None:
    ecg = EcgSimulator(250, bpm, pvc_share=0.5, st_shift_mv=0.2).read(250 * 20)
    assert np.isfinite(ecg).all()
    assert np.abs(ecg).max() < 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"heart_rate_bpm": 0},
        {"sampling_hz": float("nan")},
        {"pvc_share": 0.6},
        {"st_territory": "posterior"},
        {"muscle_mv": -1},
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(arguments: dict[str, float]) -> None:
    with pytest.raises(SourceSpecError, match="use"):
        EcgSimulator(**arguments)


def test_an_option_out_of_range_is_named_as_it_is_given() -> None:
    said = "the simulator's sampling rate, `rate`, is 1e[+]09 Hz: use 50 to 10000 Hz"
    with pytest.raises(SourceSpecError, match=said):
        open_source("sim:?rate=1e9")
