"""The network that judges: residual blocks, means over time, leads at 100 Hz."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from quantize.classifier.records import SUPERCLASSES


@dataclass(frozen=True)
class ClassifierConfig:
    """Its shape."""

    leads: tuple[str, ...]
    """Rows of what it takes."""
    widths: tuple[int, ...] = (64, 64, 96, 128, 192)
    """Channels of the stem, then of each block; every block but the first halves the rate."""
    kernels: tuple[int, int] = (5, 3)
    stem_kernel: int = 7

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


class _Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, given: int, made: int, stride: int, kernels: tuple[int, int]) -> None:
        super().__init__()
        first, second = kernels
        self.first = _convolution(given, made, first, stride)
        self.second = _convolution(made, made, second)
        around = given != made or stride > 1
        self.around = _convolution(given, made, 1, stride) if around else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.around(x))


class Classifier(nn.Module):
    """(batch, n_leads, n) mV at CLASSIFIER_HZ, above 0.5 Hz -> logits (batch, len(SUPERCLASSES)).

    Of any length n: features are means over time. A record's own scale is kept: it tells hypertrophy.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        width = config.widths[0]
        self.stem = _convolution(len(config.leads), width, config.stem_kernel, 2)
        blocks: list[nn.Module] = []
        for given, made in zip(config.widths, config.widths[1:], strict=False):
            blocks.append(_Block(given, made, 2 if blocks else 1, config.kernels))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(config.widths[-1], len(SUPERCLASSES))
        # Twice as fast on a CPU as convolutions of (batch, channels, n).
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, ecg_mv: Tensor) -> Tensor:
        """(batch, n_leads, n) -> (batch, n_features), means over time."""
        x = ecg_mv[:, :, None].to(memory_format=torch.channels_last)
        return cast(Tensor, self.blocks(torch.relu(self.stem(x)))).mean((2, 3))

    def forward(self, ecg_mv: Tensor) -> Tensor:
        """(batch, n_leads, n) -> (batch, len(SUPERCLASSES))."""
        return cast(Tensor, self.head(self.features(ecg_mv)))


def _convolution(given: int, made: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Over time, with its normalisation: height 1, so that it may lie channels last."""
    return nn.Sequential(
        nn.Conv2d(given, made, (1, kernel), (1, stride), (0, kernel // 2), bias=False),
        nn.BatchNorm2d(made),
    )
