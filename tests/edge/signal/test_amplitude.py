"""Sigma that grows with the amplitude: in the formula, in the stream, and in what a manifest may ask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.bundle import Bundle, load_bundle, read_bundle, write_bundle
from edge.errors import BundleError
from edge.leads import INDEPENDENT_LEADS, LEADS, twelve_from
from edge.reconstructor import Reconstructor
from edge.signal.amplitude import Widening
from tests.benchmarks.synthetic import simulated_records

SHIPPED = load_bundle()


def with_share(share: float) -> Bundle:
    manifest = replace(SHIPPED.manifest, sigma_amplitude=share)
    return read_bundle(write_bundle(SHIPPED.data, manifest))


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_share_of_each_lead_is_added_in_squares(share: float) -> None:
    rng = np.random.default_rng(0)
    log_sigma = rng.normal(-3, 1, (12, 40)).astype(np.float32)
    decoded = rng.normal(0, 0.5, (8, 40))
    expected = np.hypot(np.exp(log_sigma), share * (twelve_from(INDEPENDENT_LEADS) @ decoded))
    Widening(40, share).widen(log_sigma, decoded)
    np.testing.assert_allclose(np.exp(log_sigma), expected, rtol=1e-4)


def test_no_chunking_shows_and_no_company() -> None:
    rng = np.random.default_rng(1)
    log_sigma = rng.normal(-3, 1, (12, 32)).astype(np.float32)
    decoded = rng.normal(0, 0.5, (8, 32))
    parts = [log_sigma[:, at : at + 4].copy() for at in range(0, 32, 4)]
    for i, part in enumerate(parts):
        Widening(4, 0.4).widen(part, decoded[:, 4 * i : 4 * i + 4])
    streams = np.concatenate([log_sigma, log_sigma], 1)
    Widening(64, 0.4).widen(streams, np.concatenate([decoded, 2 * decoded], 1))
    Widening(32, 0.4).widen(log_sigma, decoded)
    np.testing.assert_array_equal(np.concatenate(parts, 1), log_sigma)
    np.testing.assert_array_equal(streams[:, :32], log_sigma)
    assert (streams[:, 32:] > log_sigma).all()


def test_the_stream_widens_sigma_alone_and_most_where_leads_are_large() -> None:
    ecg = simulated_records(1, seconds=4.0).millivolts(("II", "V1"))[0]
    leads = ("II", "V1")
    plain, wide = (
        Reconstructor.open(with_share(share), leads=leads).whole(ecg) for share in (0.0, 0.5)
    )
    np.testing.assert_array_equal(plain.ecg_mv, wide.ecg_mv)
    for lead in leads:
        assert not wide.sigma_mv[LEADS.index(lead)].any()
    row = LEADS.index("V3")
    before, after = plain.sigma_mv[row], wide.sigma_mv[row]
    assert (after >= before * 0.999).all()
    added = np.sqrt(np.maximum(after**2 - before**2, 0))
    large = np.abs(plain.ecg_mv[row]) > np.quantile(np.abs(plain.ecg_mv[row]), 0.95)
    np.testing.assert_allclose(
        added[large], 0.5 * np.abs(plain.ecg_mv[row])[large], rtol=0.3, atol=0.02
    )


@pytest.mark.parametrize("share", [-0.1, 11.0, float("nan"), "much"])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(BundleError, match="sigma_amplitude"):
        with_share(share)


def test_three_leads_have_no_share(tiny_bundle: Bundle) -> None:
    manifest = replace(tiny_bundle.manifest, sigma_amplitude=0.3)
    with pytest.raises(BundleError, match="for a decoder of any leads"):
        read_bundle(write_bundle(tiny_bundle.data, manifest))
