"""Heart rate: known rates, any chunking, trouble, and recorded ECG where it is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.errors import InputError
from edge.signal.heart_rate import HeartRate

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "data" / "ptbxl.npz"


def lead_ii(
    bpm: float, seconds: float, hz: float, noise_mv: float = 0.03, seed: int = 1
) -> NDArray[np.float32]:
    """P, QRS and T waves as Gaussians, T at a tenth of the QRS's speed; baseline wander, noise."""
    t = np.arange(round(seconds * hz)) / hz
    out = 0.1 * np.sin(2 * np.pi * 0.3 * t)
    rr = 60.0 / bpm
    for r in np.arange(0.4, seconds + rr, rr):
        qt = 0.3 * np.sqrt(rr)
        waves = ((0.12, -0.16, 0.02), (-0.1, -0.02, 0.008), (1.1, 0, 0.011), (-0.2, 0.025, 0.01))
        for height, after, width in (*waves, (0.3, qt, 0.045 * np.sqrt(rr))):
            out += height * np.exp(-((t - r - after) ** 2) / (2 * width**2))
    return (out + np.random.default_rng(seed).normal(0, noise_mv, len(t))).astype(np.float32)


def fed(signal: NDArray[np.float32], hz: float, step: int = 16) -> tuple[HeartRate, list[int]]:
    rate = HeartRate(hz)
    beats: list[int] = []
    for start in range(0, len(signal), step):
        beats += rate.push(signal[start : start + step])
    return rate, beats


@pytest.mark.parametrize("hz", [125.0, 250.0, 500.0])
@pytest.mark.parametrize("bpm", [40, 60, 75, 100, 130, 150, 180])
def test_rate_of_a_regular_rhythm(bpm: int, hz: float) -> None:
    rate, beats = fed(lead_ii(bpm, 15.0, hz), hz)
    assert rate.bpm == pytest.approx(bpm, rel=0.02)
    r_waves = np.arange(0.4, 15.0, 60.0 / bpm)
    nearest = np.abs(np.array(beats)[:, None] / hz - r_waves).min(axis=1)
    assert nearest.max() < 0.06


@pytest.mark.parametrize("bpm", [50, 90, 160])
def test_rate_through_noise_of_a_tenth_of_the_qrs(bpm: int) -> None:
    assert fed(lead_ii(bpm, 15.0, 250.0, noise_mv=0.1), 250.0)[0].bpm == pytest.approx(
        bpm, rel=0.04
    )


@settings(max_examples=15, deadline=None)
@given(step=st.integers(1, 3000))
def test_any_chunking_finds_the_same_beats(step: int) -> None:
    signal = lead_ii(80, 12.0, 250.0)
    assert fed(signal, 250.0, step)[1] == fed(signal, 250.0, 250)[1]


def test_change_of_rate_is_followed() -> None:
    signal = np.concatenate([lead_ii(60, 15, 250.0), lead_ii(120, 8, 250.0)])
    assert fed(signal, 250.0)[0].bpm == pytest.approx(120, rel=0.03)


def test_flat_or_missing_signal_has_no_rate() -> None:
    assert np.isnan(fed(np.zeros(5000, np.float32), 250.0)[0].bpm)
    assert np.isnan(fed(np.full(5000, np.nan, np.float32), 250.0)[0].bpm)
    noise = np.random.default_rng(0).normal(0, 0.003, 5000).astype(np.float32)
    assert np.isnan(fed(noise, 250.0)[0].bpm)


def test_rate_goes_when_the_lead_comes_off_and_returns_with_it() -> None:
    rate, _ = fed(lead_ii(70, 10, 250.0), 250.0)
    assert rate.bpm == pytest.approx(70, rel=0.03)
    rate.push(np.full(1250, np.nan, np.float32))
    assert np.isnan(rate.bpm)
    for part in np.split(lead_ii(70, 14, 250.0), 140):
        rate.push(part)
    assert rate.bpm == pytest.approx(70, rel=0.03)


def test_artefact_does_not_silence_it_for_good() -> None:
    artefact = np.zeros(500, np.float32)
    artefact[100:400:7] = 80.0
    signal = np.concatenate([artefact, lead_ii(75, 20, 250.0)])
    assert fed(signal, 250.0)[0].bpm == pytest.approx(75, rel=0.03)


def test_reset_forgets() -> None:
    rate, _ = fed(lead_ii(70, 10, 250.0), 250.0)
    rate.reset()
    assert np.isnan(rate.bpm)
    assert rate.push(np.empty(0, np.float32)) == []


@pytest.mark.parametrize("hz", [0.0, 30.0, float("nan")])
def test_rate_too_low_to_see_a_qrs(hz: float) -> None:
    with pytest.raises(InputError, match="Hz"):
        HeartRate(hz)


@pytest.mark.skipif(not RECORDED.exists(), reason="needs ../shared/data/ptbxl.npz")
def test_recorded_ecg_agrees_with_an_offline_count() -> None:
    with np.load(RECORDED) as data:
        lead = list(data["leads"]).index("II")
        records = data["ecg_uv"][:100, lead] * np.float32(1e-3)
    errors = []
    for record in records:
        live = fed(record, 250.0, 50)[0].bpm
        errors.append(abs(live / offline_bpm(record) - 1.0))
    assert np.mean(np.array(errors) < 0.05) >= 0.95  # the rest: irregular rhythms, noise


def offline_bpm(lead_mv: NDArray[np.float32]) -> float:
    """Peaks of the 6-22 Hz energy over the whole record at once, 250 Hz."""
    spectrum = np.fft.rfft(lead_mv)
    frequency = np.fft.rfftfreq(len(lead_mv), 1 / 250)
    spectrum[(frequency < 6) | (frequency > 22)] = 0
    energy = np.convolve(np.fft.irfft(spectrum, len(lead_mv)) ** 2, np.ones(25) / 25, "same")
    least = 0.2 * np.percentile(energy, 98)
    peaks = np.flatnonzero((energy[1:-1] > energy[:-2]) & (energy[1:-1] >= energy[2:])) + 1
    beats: list[int] = []
    for i in peaks[np.argsort(-energy[peaks])]:
        if energy[i] < least:
            break
        if all(abs(i - beat) >= 75 for beat in beats):
            beats.append(int(i))
    return float(60 * 250 / np.median(np.diff(sorted(beats))))
