"""The anchor: least squares from second moments, for every subset of the inputs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge.errors import InputError
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, RECONSTRUCTED_LEADS, lead_indices
from edge.signal.anchor import anchor_from_moments

IN = lead_indices(INPUT_LEADS, INDEPENDENT_LEADS)
OUT = lead_indices(RECONSTRUCTED_LEADS, INDEPENDENT_LEADS)


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    rng = np.random.default_rng(2)
    return rng.normal(size=(8, 8)) @ rng.normal(size=(8, 4000))


@pytest.mark.parametrize("present", list(itertools.product([False, True], repeat=3)))
def test_any_subset_is_the_least_squares_fit(
    samples: np.ndarray, present: tuple[bool, bool, bool]
) -> None:
    moments = samples @ samples.T / samples.shape[1]
    anchor = anchor_from_moments(moments, INPUT_LEADS, RECONSTRUCTED_LEADS, present)
    used = [row for row, is_on in zip(IN, present, strict=True) if is_on]
    expected = np.zeros((5, 3))
    if used:
        expected[:, list(present)] = np.linalg.lstsq(samples[used].T, samples[OUT].T, rcond=None)[
            0
        ].T
    np.testing.assert_allclose(anchor, expected, atol=1e-4)
    assert anchor.dtype == np.float32
    assert (anchor[:, ~np.array(present)] == 0).all()


def test_two_inputs_that_carry_the_same_signal_do_not_break_the_solve() -> None:
    source = np.random.default_rng(0).normal(size=(8, 100))
    source[IN[1]] = source[IN[0]]
    anchor = anchor_from_moments(source @ source.T, INPUT_LEADS, RECONSTRUCTED_LEADS)
    assert np.abs(anchor).max() < 10


def test_scale_of_the_moments_does_not_matter(samples: np.ndarray) -> None:
    moments = samples @ samples.T
    one = anchor_from_moments(moments, INPUT_LEADS, RECONSTRUCTED_LEADS)
    other = anchor_from_moments(moments * 1e-9, INPUT_LEADS, RECONSTRUCTED_LEADS)
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_lead_without_moments_is_named() -> None:
    with pytest.raises(InputError, match="unknown lead 'aVR'"):
        anchor_from_moments(np.eye(8), ("aVR",), RECONSTRUCTED_LEADS)
