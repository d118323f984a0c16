"""The published method as a rival: WearECG's conditional VAE, three leads in and twelve out, offline.

WearECG (arXiv 2510.11442; PLOS Digital Health 2026, 5(5): e0001335): a convolutional VAE that is shown
twelve leads of which all but II, V1 and V5 are zero, and learns to give all twelve. Written here from that
description, layer for layer; `width` scales it, 128 is the paper's. Left out are the factor 0.18215 between
encoder and decoder, which cancels, and the normalisation that its attention declares and never applies;
added is that records of any length are padded to whole latent frames and cut again.

Shapes: batch, channels, samples; a latent frame is 8 samples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.leads import INPUT_LEADS, LEADS, lead_indices

STRIDE = 8  # samples of a latent frame: three stages, each halves the rate
LOG_VARIANCE_RANGE = (-30.0, 20.0)  # WearECG
KL_WEIGHT = 1e-4  # WearECG, vae_train_100: no schedule
GROUPS = 32  # WearECG's group norms, of at least 4 channels each
CHANNELS_PER_GROUP = 4


@dataclass(frozen=True)
class VaeConfig:
    """Shape of the network."""

    width: int = 128
    """Channels of the first stage; the second has twice, the third four times as many."""
    latent: int = 4
    sampling_hz: float = 250.0
    input_leads: tuple[str, ...] = INPUT_LEADS

    def as_dict(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        return asdict(self)


class Residual(nn.Module):
    """Norm, SiLU and a convolution of 3, twice, added to the input."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            norm(n_in), nn.SiLU(), conv(n_in, n_out), norm(n_out), nn.SiLU(), conv(n_out, n_out)
        )
        self.shortcut = nn.Identity() if n_in == n_out else nn.Conv1d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_in, samples) -> (batch, n_out, samples)."""
        y: Tensor = self.shortcut(x) + self.branch(x)
        return y


class Attention(nn.Module):
    """Self-attention over all frames of the record, one head, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query_key_value = nn.Conv1d(channels, 3 * channels, 1)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames) -> the same."""
        query, key, value = self.query_key_value(x).transpose(1, 2).chunk(3, -1)
        seen = functional.scaled_dot_product_attention(query, key, value)
        y: Tensor = x + self.out(seen.transpose(1, 2))
        return y


class Down(nn.Module):
    """Half the rate: a convolution of 3, stride 2, one zero at the end."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, samples) -> (batch, channels, samples / 2)."""
        y: Tensor = self.conv(functional.pad(x, (0, 1)))
        return y


class WearEcgVae(nn.Module):
    """Twelve leads of which three are seen in; twelve leads, mean and log variance of the latent out."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self._inputs = lead_indices(config.input_leads, LEADS)
        one, two, four = (config.width * factor for factor in (1, 2, 4))
        latent, leads = config.latent, len(LEADS)
        self.encoder = nn.Sequential(
            conv(leads, one),
            *residuals(one, 2),
            Down(one),
            Residual(one, two),
            Residual(two, two),
            Down(two),
            Residual(two, four),
            Residual(four, four),
            Down(four),
            *residuals(four, 3),
            Attention(four),
            Residual(four, four),
            norm(four),
            nn.SiLU(),
            conv(four, 2 * latent),
            nn.Conv1d(2 * latent, 2 * latent, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(latent, latent, 1),
            conv(latent, four),
            Residual(four, four),
            Attention(four),
            *residuals(four, 4),
            *up(four),
            *residuals(four, 3),
            *up(four),
            *residuals(four, 3),
            *up(four),
            Residual(four, two),
            *residuals(two, 2),
            norm(two),
            nn.SiLU(),
            conv(two, leads),
        )

    def masked(self, ecg: Tensor) -> Tensor:
        """(batch, 12, n) with every lead but the input leads at zero, whatever stood there, NaN included."""
        shown = torch.zeros_like(ecg)
        shown[:, self._inputs] = ecg[:, self._inputs]
        return shown

    def encode(self, ecg: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent, each (batch, latent, ceil(n / 8)).

        `ecg` (batch, 12, n) mV, rows LEADS: what is not an input lead is masked here.
        """
        shown = self.masked(ecg)
        shown = functional.pad(shown, (0, -ecg.shape[-1] % STRIDE), mode="replicate")
        mean, log_variance = self.encoder(shown).chunk(2, 1)
        return mean, log_variance.clamp(*LOG_VARIANCE_RANGE)

    def decode(self, z: Tensor) -> Tensor:
        """(batch, latent, frames) -> (batch, 12, 8 * frames) mV, rows LEADS."""
        ecg: Tensor = self.decoder(z)
        return ecg

    def forward(
        self, ecg: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """All twelve leads (batch, 12, n) mV, and mean and log variance of the latent.

        A draw from the posterior while training, from `generator` if given; its mean in evaluation mode.
        """
        mean, log_variance = self.encode(ecg)
        z = draw(mean, log_variance, generator) if self.training else mean
        return self.decode(z)[..., : ecg.shape[-1]], mean, log_variance


def draw(mean: Tensor, log_variance: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One latent from the posterior, differentiable in both arguments."""
    noise = torch.randn(mean.shape, generator=generator)
    return mean + torch.exp(0.5 * log_variance) * noise


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL from the posterior to the standard normal: sum over channels, mean over batch and time, nats."""
    per_channel = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
    return per_channel.sum(1).mean()


def vae_loss(decoded: Tensor, ecg: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """WearECG's loss: squared error in mV^2 over all twelve leads, inputs included, and 1e-4 KL."""
    error = functional.mse_loss(decoded, ecg)
    return error + KL_WEIGHT * kl_divergence(mean, log_variance)


def conv(n_in: int, n_out: int) -> nn.Conv1d:
    """Of 3 samples, as long as its input."""
    return nn.Conv1d(n_in, n_out, 3, padding=1)


def norm(channels: int) -> nn.GroupNorm:
    """Over groups of channels, at all samples."""
    # At least 4 channels a group, as at full width: with one it would take every channel's amplitude.
    most = max(1, min(GROUPS, channels // CHANNELS_PER_GROUP))
    groups = next(n for n in range(most, 0, -1) if channels % n == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


def residuals(channels: int, n: int) -> list[Residual]:
    """So many, of one width."""
    return [Residual(channels, channels) for _ in range(n)]


def up(channels: int) -> tuple[nn.Module, nn.Module]:
    """Twice the rate: each sample twice, and a convolution."""
    return nn.Upsample(scale_factor=2, mode="nearest"), conv(channels, channels)
