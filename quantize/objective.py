"""What training minimises: the score itself, on the zero-phase high-passed error.

Per record and lead the root mean square error and the correlation, since these are what EVALUATION
reports, and the Gaussian likelihood of the error under sigma.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from quantize.data import SCORE_HIGHPASS_HZ

RMSE_UNIT_MV = 0.1
CORRELATION_WEIGHT = 5.0  # puts 1 - r = 0.1 and an RMSE of 50 uV on a par
BURN_IN_S = 0.25  # the state starts empty; soon after a reset the output must be of use
TAIL_S = 0.4  # the zero-phase filter of a crop has no future there


def zero_phase_gain(n: int, sampling_hz: float) -> Tensor:
    """|H|^2 of the scoring high-pass at the rfft bins of n samples (Butterworth, 2nd order, twice)."""
    f = torch.fft.rfftfreq(n, 1 / sampling_hz)
    warped = torch.tan(math.pi * f[1:].clamp(max=sampling_hz / 2 - 1e-3) / sampling_hz)
    corner = math.tan(math.pi * SCORE_HIGHPASS_HZ / sampling_hz)
    return torch.cat([torch.zeros(1), 1 / (1 + (corner / warped) ** 4)])


@dataclass(frozen=True)
class Loss:
    """Total to minimise, and its parts for the log."""

    total: Tensor
    rmse_uv: float
    r: float
    nll: float


def objective(
    residual: Tensor, log_sigma: Tensor, target: Tensor, truth: Tensor, sampling_hz: float = 250.0
) -> Loss:
    """Score of a crop; all arguments (batch, leads, n_samples), mV and log mV."""
    n = residual.shape[-1]
    padded = 2 * n
    shown = torch.fft.irfft(
        torch.fft.rfft(residual, padded) * zero_phase_gain(padded, sampling_hz), padded
    )[..., :n]
    scored = slice(round(BURN_IN_S * sampling_hz), n - round(TAIL_S * sampling_hz))
    error = (shown - target)[..., scored]
    true = truth[..., scored]
    rmse = torch.sqrt(error.square().mean(-1) + 1e-6)
    predicted = true + error
    p, t = predicted - predicted.mean(-1, keepdim=True), true - true.mean(-1, keepdim=True)
    r = (p * t).sum(-1) / torch.sqrt(p.square().sum(-1) * t.square().sum(-1) + 1e-6)
    s = log_sigma[..., scored]
    nll = (s + 0.5 * error.detach().square() * torch.exp(-2 * s)).mean()
    total = rmse.mean() / RMSE_UNIT_MV + CORRELATION_WEIGHT * (1 - r.mean()) + 0.1 * nll
    return Loss(
        total, float(rmse.mean().detach()) * 1000, float(r.mean().detach()), float(nll.detach())
    )
