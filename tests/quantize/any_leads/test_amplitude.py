"""The share of amplitude in sigma: found where errors grow with the leads, and none where they do not."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")

from quantize.any_leads.amplitude import SHARES, Outcome, SigmaAmplitude, fitted, likeliest
from quantize.data import Records
from quantize.student import Student, StudentConfig


def outcome(share: float, own: float = 0.05, seed: int = 0) -> Outcome:
    """Errors of a normal distribution with the sigma that the share gives."""
    rng = np.random.default_rng(seed)
    shown = rng.laplace(0, 0.2, (6, 5, 2000))
    error = np.hypot(own, share * shown) * rng.standard_normal(shown.shape)
    return Outcome(6, error, shown, np.full(shown.shape, np.log(own), np.float32))


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_the_share_that_the_errors_have_is_found(share: float) -> None:
    found = likeliest([outcome(share), outcome(share, seed=1)])
    assert found.share == share
    assert found.scale == pytest.approx(1, abs=0.02)
    assert found.nll[SHARES.index(share)] == min(found.nll)
    assert f"sigma_amplitude {share:g}" in found.line()


def test_a_sigma_that_is_too_small_is_scaled() -> None:
    assert likeliest([outcome(0.0)._replace(log_sigma=outcome(0.0, 0.025).log_sigma)]).scale == (
        pytest.approx(2, abs=0.05)
    )


def test_it_is_found_of_a_decoder(
    simulated: Records, moments: np.ndarray, small: StudentConfig
) -> None:
    torch.manual_seed(0)
    student = Student(small).eval().fold()
    found = fitted(student, simulated, moments)
    assert found.share in SHARES
    assert np.isfinite(found.nll).all()
    share = found.put_into(student)
    again = fitted(student, simulated, moments)
    assert share == pytest.approx(found.share * found.scale, abs=1e-4)
    # The head is scaled now, and so is the share that goes with it.
    assert again.nll[0] == pytest.approx(found.nll[0], abs=1e-3)


def test_the_scale_goes_into_the_head(small: StudentConfig) -> None:
    student = Student(small)
    before = student.sigma_head.conv.bias.detach().clone()
    share = SigmaAmplitude(0.4, 0.8, (0.0,) * len(SHARES)).put_into(student)
    assert share == pytest.approx(0.32)
    torch.testing.assert_close(student.sigma_head.conv.bias, before + np.log(0.8))
