"""The published method for any leads as a rival: L2G-ECG's adversarial autoencoder, offline.

L2G-ECG (IEEE JBHI 2025, 10.1109/JBHI.2025.3587428), of which the abstract alone is open: a convolutional
encoder-decoder is shown any 1 to 7 of the twelve leads and learns to make the missing ones, guided by a
discriminator, its Visual Turing Test, that tells made signals from true ones. Layers, losses and their
weights are not in it, so they are ours: the stages of `vae.py` without its bottleneck of 4 and its attention,
and the patches of `any_leads/adversarial.py`. `width` scales it.

Shapes: batch, channels, samples; a frame of the code is 8 samples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.leads import LEADS
from quantize.any_leads.adversarial import UNIT_MV, patch_layers
from quantize.vae import STRIDE, Down, Residual, conv, norm, residuals, up


@dataclass(frozen=True)
class AaeConfig:
    """Shape of the network."""

    width: int = 12
    """Channels of the first stage; the second has twice, the third four times as many."""
    sampling_hz: float = 250.0

    def as_dict(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        return asdict(self)


class L2gAae(nn.Module):
    """Some of twelve leads seen in, twelve leads out: the seen ones as they came, the others made."""

    def __init__(self, config: AaeConfig) -> None:
        super().__init__()
        self.config = config
        one, two, four = (config.width * factor for factor in (1, 2, 4))
        self.encoder = nn.Sequential(
            conv(len(LEADS), one),
            *residuals(one, 1),
            Down(one),
            Residual(one, two),
            *residuals(two, 1),
            Down(two),
            Residual(two, four),
            *residuals(four, 1),
            Down(four),
            *residuals(four, 2),
        )
        self.decoder = nn.Sequential(
            *residuals(four, 2),
            *up(four),
            *residuals(four, 2),
            *up(four),
            Residual(four, two),
            *residuals(two, 1),
            *up(two),
            Residual(two, one),
            *residuals(one, 1),
            norm(one),
            nn.SiLU(),
            conv(one, len(LEADS)),
        )

    def encode(self, ecg: Tensor, seen: Tensor) -> Tensor:
        """The code (batch, 4 width, ceil(n / 8)) of (batch, 12, n) mV, rows LEADS.

        `seen` (batch, 12) bool says which are shown: the others are masked here, whatever stands there.
        """
        shown = torch.where(seen[:, :, None], ecg, 0.0)
        shown = functional.pad(shown, (0, -ecg.shape[-1] % STRIDE), mode="replicate")
        code: Tensor = self.encoder(shown)
        return code

    def forward(self, ecg: Tensor, seen: Tensor) -> Tensor:
        """(batch, 12, n) mV and (batch, 12) bool -> (batch, 12, n) mV."""
        made = self.decoder(self.encode(ecg, seen))[..., : ecg.shape[-1]]
        return torch.where(seen[:, :, None], ecg, made)


class VisualTuringTest(nn.Module):
    """Twelve leads in; for each patch near 1 if all are true, near 0 if some are made."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = patch_layers(len(LEADS))

    def forward(self, ecg: Tensor) -> Tensor:
        """(batch, 12, n) mV -> (batch, n_patches)."""
        patches: Tensor = self.layers(ecg / UNIT_MV)
        return patches[:, 0]
