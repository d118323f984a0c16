"""Power in a band: of sines, and in decibels against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from quantize.spectrum import band_power, band_ratio_db

T = np.arange(2000) / 250.0


def test_a_sine_counts_in_its_band_alone() -> None:
    inside, outside = (np.sin(2 * np.pi * f * T) for f in (60.0, 20.0))
    assert band_power(inside, 250.0) > 1e6 * band_power(outside, 250.0)
    assert band_power(outside, 250.0, (10.0, 30.0)) > 1e6 * band_power(outside, 250.0)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_half_the_amplitude_is_six_decibels_less(gain: float) -> None:
    true = np.random.default_rng(0).standard_normal((3, 2, 2000))
    np.testing.assert_allclose(
        band_ratio_db(gain * true, true, 250.0), 20 * np.log10(gain), atol=1e-6
    )


def test_what_lies_below_the_band_does_not_count() -> None:
    sharp = np.sin(2 * np.pi * 60 * T)
    slow = 5 * np.sin(2 * np.pi * 2 * T)
    assert band_ratio_db(sharp + slow, sharp, 250.0) == pytest.approx(0, abs=1e-3)


def test_a_flat_lead_defines_none() -> None:
    true = np.stack([np.sin(2 * np.pi * 60 * T), np.zeros_like(T)])
    found = band_ratio_db(true, true, 250.0)
    assert found[0] == 0
    assert np.isnan(found[1])
