"""The loss is the score: zero-phase error, root mean square and correlation."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the objective needs torch: install '.[test]'")

from quantize.data import zero_phase_highpass
from quantize.objective import BURN_IN_S, TAIL_S, objective, zero_phase, zero_phase_gain


def test_the_gain_is_that_of_the_scoring_filter() -> None:
    from scipy.signal import butter, sosfreqz

    sos = butter(2, 0.5, "highpass", fs=250.0, output="sos")
    f = np.fft.rfftfreq(1000, 1 / 250)
    _, h = sosfreqz(sos, f[:-1], fs=250.0)
    np.testing.assert_allclose(zero_phase_gain(1000, 250.0)[:-1], np.abs(h) ** 2, atol=1e-4)


def test_rmse_and_r_are_those_of_the_filtered_error() -> None:
    rng = np.random.default_rng(0)
    truth = zero_phase_highpass(rng.standard_normal((2, 5, 2500)), 250.0)
    residual = 0.3 * rng.standard_normal((2, 5, 2500))
    target = np.zeros_like(truth)
    tensors = [torch.from_numpy(x.astype(np.float32)) for x in (residual, target, truth)]
    loss = objective(tensors[0], torch.zeros(2, 5, 2500), tensors[1], tensors[2])

    scored = slice(round(BURN_IN_S * 250), 2500 - round(TAIL_S * 250))
    error = zero_phase_highpass(residual, 250.0)[..., scored]
    rmse = np.sqrt((error**2).mean(-1)).mean()
    pairs = zip(truth[..., scored].reshape(10, -1), error.reshape(10, -1), strict=True)
    r = np.mean([np.corrcoef(true, true + wrong)[0, 1] for true, wrong in pairs])
    assert loss.rmse_uv == pytest.approx(1000 * rmse, rel=1e-2)
    assert loss.r == pytest.approx(r, abs=1e-3)


def test_the_likelihood_is_least_where_sigma_is_the_error() -> None:
    torch.manual_seed(0)
    truth, residual = torch.randn(2, 5, 2500), 0.2 * torch.randn(2, 5, 2500)
    nll = {
        factor: objective(
            residual,
            torch.full((2, 5, 2500), math.log(0.2 * factor)),
            torch.zeros(2, 5, 2500),
            truth,
        ).nll
        for factor in (0.5, 1.0, 2.0)
    }
    assert nll[1.0] == min(nll.values())


def test_a_slow_drift_of_the_residual_costs_nothing() -> None:
    truth = torch.randn(1, 5, 2500)
    drift = torch.linspace(0, 0.5, 2500).expand(1, 5, 2500)
    zeros = torch.zeros(1, 5, 2500)
    assert objective(drift, zeros, zeros, truth).rmse_uv < 20


def test_leads_too_small_cost_more_than_leads_too_large_by_as_much_error() -> None:
    """What is least in error is too small: the amplitude's part of the loss pulls against it."""
    torch.manual_seed(0)
    truth = 0.2 * torch.randn(4, 5, 2500)
    zeros = torch.zeros_like(truth)
    small, large = (objective(zeros, zeros, -share * truth, truth) for share in (-0.2, 0.2))
    assert small.rmse_uv == pytest.approx(large.rmse_uv, rel=1e-3)
    assert small.log_variance_ratio == pytest.approx(2 * math.log(0.8), abs=0.01)
    assert large.log_variance_ratio == pytest.approx(2 * math.log(1.2), abs=0.01)
    assert small.total > large.total


def test_the_distance_to_a_teacher_is_in_what_is_minimised() -> None:
    torch.manual_seed(0)
    truth = torch.randn(2, 5, 2500)
    zeros = torch.zeros_like(truth)
    taught = zero_phase(0.1 * torch.randn(2, 5, 2500), 250.0)
    alone, learning = (
        objective(zeros, zeros, zeros, truth, taught=teacher) for teacher in (None, taught)
    )
    assert alone.teacher_uv == 0
    assert learning.teacher_uv == pytest.approx(100, rel=0.02)
    assert learning.total - alone.total == pytest.approx(1.0, rel=0.05)
    assert objective(taught, zeros, zeros, truth, taught=taught).teacher_uv < 2


def test_only_what_counts_is_scored() -> None:
    truth = torch.randn(1, 5, 2500)
    zeros = torch.zeros_like(truth)
    target = zeros.clone()
    target[..., :500] = 5.0
    assert objective(zeros, zeros, target, truth).rmse_uv > 1000
    assert objective(zeros, zeros, target, truth, scored_s=(2.0, 9.92)).rmse_uv < 2
