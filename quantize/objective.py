"""What training minimises: the score itself, on the zero-phase high-passed error.

Per record and lead the root mean square error and the correlation, since these are what PROTOCOL.md
reports; the amplitude over a batch, since least error alone makes leads smaller than they are; the Gaussian
likelihood of the error under sigma; and with a teacher the distance to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from edge.leads import INDEPENDENT_LEADS, lead_indices, twelve_from
from quantize.data import SCORE_HIGHPASS_HZ

RMSE_UNIT_MV = 0.1
CORRELATION_WEIGHT = 5.0  # puts 1 - r = 0.1 and an RMSE of 50 uV on a par
AMPLITUDE_WEIGHT = 0.3  # worst lead, variance ratio on fold 9: 0.84; a shorter run had 0.88 with 1
LIKELIHOOD_WEIGHT = 0.1
TEACHER_WEIGHT = 1.0
BURN_IN_S = 0.25  # the state starts empty; soon after a reset the output must be of use
TAIL_S = 0.4  # the zero-phase filter of a crop has no future there


def zero_phase_gain(n: int, sampling_hz: float) -> Tensor:
    """|H|^2 of the scoring high-pass at the rfft bins of n samples (Butterworth, 2nd order, twice)."""
    f = torch.fft.rfftfreq(n, 1 / sampling_hz)
    warped = torch.tan(math.pi * f[1:].clamp(max=sampling_hz / 2 - 1e-3) / sampling_hz)
    corner = math.tan(math.pi * SCORE_HIGHPASS_HZ / sampling_hz)
    return torch.cat([torch.zeros(1), 1 / (1 + (corner / warped) ** 4)])


PARTS = ("rmse_uv", "r", "nll", "log_variance_ratio", "teacher_uv")
"""Of a loss, for the log; the ratio is the mean over leads and records of predicted over true variance, the
last the RMSE to the teacher."""


@dataclass(frozen=True)
class Loss:
    """Total to minimise, and its parts for the log."""

    total: Tensor
    parts: Tensor
    """One value for each of PARTS, where the network is: reading one waits for a GPU."""

    def __getattr__(self, name: str) -> float:
        """One of PARTS by its name."""
        if name not in PARTS:
            raise AttributeError(name)
        return float(self.parts[PARTS.index(name)])


def objective(
    residual: Tensor,
    log_sigma: Tensor,
    target: Tensor,
    truth: Tensor,
    sampling_hz: float = 250.0,
    taught: Tensor | None = None,
    scored_s: tuple[float, float] | None = None,
    unknown: Tensor | None = None,
) -> Loss:
    """Score of a crop; signals are (batch, leads, n_samples), mV and log mV.

    `taught` is the target that a teacher sets, of which the distance is an aim too; `scored_s` is what counts
    of the crop, from BURN_IN_S to TAIL_S before its end unless it is given. `unknown` (batch, 12) is 1
    where one of LEADS was not measured: then signals are of INDEPENDENT_LEADS, `log_sigma` is of LEADS, only
    what is unknown counts, and every record as much as every other.
    """
    n = residual.shape[-1]
    from_s, to_s = scored_s or (BURN_IN_S, n / sampling_hz - TAIL_S)
    scored = slice(round(from_s * sampling_hz), round(to_s * sampling_hz))
    shown = zero_phase(residual, sampling_hz)
    error = (shown - target)[..., scored]
    true = truth[..., scored]
    rmse = torch.sqrt(error.square().mean(-1) + 1e-6)
    predicted = true + error
    p, t = predicted - predicted.mean(-1, keepdim=True), true - true.mean(-1, keepdim=True)
    pp, tt = p.square().sum(-1), t.square().sum(-1)
    r = (p * t).sum(-1) / torch.sqrt(pp * tt + 1e-6)
    missed, counts = error.detach(), torch.ones_like(rmse)
    sigma_counts = counts
    if unknown is not None:
        twelve, independent = _leads(missed.device)
        missed = twelve @ missed
        counts, sigma_counts = unknown.index_select(1, independent), unknown
    # Of the batch, not of each record: what cannot be known of a patient shall not be invented.
    log_ratio = torch.log((pp + 1e-3) / (tt + 1e-3))
    ratio = (log_ratio * counts).sum(0) / counts.sum(0).clamp_min(1)
    s = log_sigma[..., scored]
    nll = _mean((s + 0.5 * missed.square() * torch.exp(-2 * s)).mean(-1), sigma_counts)
    mean_rmse, mean_r = _mean(rmse, counts), _mean(r, counts)
    total = (
        mean_rmse / RMSE_UNIT_MV
        + CORRELATION_WEIGHT * (1 - mean_r)
        + AMPLITUDE_WEIGHT * ratio.square().mean()
        + LIKELIHOOD_WEIGHT * nll
    )
    distance = torch.zeros((), device=total.device)
    if taught is not None:
        apart = (shown - taught)[..., scored]
        from_teacher = torch.sqrt(apart.square().mean(-1) + 1e-6).mean()
        total = total + TEACHER_WEIGHT * from_teacher / RMSE_UNIT_MV
        distance = from_teacher * 1000
    parts = (mean_rmse * 1000, mean_r, nll, ratio.mean(), distance)
    return Loss(total, torch.stack(parts).detach())


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """(batch, leads) -> mean over the leads that count, then over records."""
    return ((values * counts).sum(1) / counts.sum(1).clamp_min(1)).mean()


def zero_phase(residual: Tensor, sampling_hz: float) -> Tensor:
    """(..., n_samples) through the scoring high-pass."""
    n = residual.shape[-1]
    spectrum = torch.fft.rfft(residual, 2 * n) * _gain(2 * n, sampling_hz, residual.device)
    shown: Tensor = torch.fft.irfft(spectrum, 2 * n)[..., :n]
    return shown


@lru_cache(maxsize=16)
def _gain(n: int, sampling_hz: float, device: torch.device) -> Tensor:
    return zero_phase_gain(n, sampling_hz).to(device)


@lru_cache
def _leads(device: torch.device) -> tuple[Tensor, Tensor]:
    """(12, 8) INDEPENDENT_LEADS to LEADS, and their rows."""
    twelve = torch.from_numpy(twelve_from(INDEPENDENT_LEADS))
    return twelve.to(device), torch.as_tensor(lead_indices(INDEPENDENT_LEADS), device=device)
