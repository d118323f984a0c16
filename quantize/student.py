"""The student: a causal residual network over hops, and what it becomes when its numbers are 8 bits.

Shapes: batch, channels, frames; a frame is one hop of samples, a channel of the ends is (lead, sample of
the hop). The stem sees the residual-branch leads, the mask and the anchor's prediction; the head gives
the residual in mV and log sigma. Every activation that a convolution reads has one quantiser, so the
same module trains in float32 and with quantisation in the loop.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from quantize.errors import QuantizeError
from quantize.network import FIRST_LOG_SIGMA, Network

QMAX = 127  # signed codes are -128..127; after a ReLU 0..127, so that int8 and uint8 hold the same integers
OBSERVED_EVERY = 61  # of the values that pass an observer: a prime, so that no channel is preferred
MAX_LOOKAHEAD = 25  # hops: 0.4 s, beyond which nobody calls it live
# The stem reads leads in steps of 15.6 uV up to 4 mV, in 9 bits: the graph holds them as two codes of uint8,
# what is above zero and what is below. In 8 bits either tall hearts or small waves would suffer.
INPUT_STEP_MV = 2.0**-6
INPUT_QMAX = 255


@dataclass(frozen=True)
class StudentConfig:
    """Shape of the network."""

    channels: int = 128
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 4, 16, 32)
    hop: int = 4
    n_inputs: int = 3
    n_outputs: int = 5
    n_sigmas: int | None = None
    """Leads with a log sigma, where they are others than the outputs."""
    dropout: float = 0.15
    lookahead: int = 0
    """Hops that the answer comes late."""

    def __post_init__(self) -> None:
        if not 0 <= self.lookahead <= MAX_LOOKAHEAD:
            raise QuantizeError(
                f"a look-ahead of {self.lookahead} hops: give one from 0 to {MAX_LOOKAHEAD}"
            )
        if self.channels < 1:
            raise QuantizeError(f"{self.channels} channels: give 1 at least")

    @property
    def stem_channels(self) -> int:
        """Leads, mask and anchor prediction of one hop."""
        return self.n_inputs * self.hop + self.n_inputs + self.n_outputs * self.hop

    @property
    def sigma_leads(self) -> int:
        """Leads with a log sigma."""
        return self.n_outputs if self.n_sigmas is None else self.n_sigmas

    @property
    def receptive_frames(self) -> int:
        """Frames that one output frame depends on."""
        return 1 + (self.kernel - 1) * sum(self.dilations)

    def as_dict(self) -> dict[str, object]:
        """Plain values for a checkpoint or a manifest."""
        return asdict(self)


class Quantizer(nn.Module):
    """Fake quantize with one scale: off while training in float32, an observer, or rounding to codes."""

    def __init__(self, signed: bool, limits: tuple[int, int] | None = None) -> None:
        """`limits` are the least and the largest code, by default those of 8 bits."""
        super().__init__()
        self.signed = signed
        self.limits = limits or (-QMAX - 1 if signed else 0, QMAX)
        self.mode = "off"
        self.seen: list[Tensor] = []
        self.scale: Tensor
        self.register_buffer("scale", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """`x` unchanged, or rounded to codes with a straight-through gradient."""
        if self.mode == "observe":
            self.seen.append(x.detach().abs().flatten()[::OBSERVED_EVERY].clone())
        if self.mode != "quantize":
            return x
        codes = (x / self.scale).clamp(*self.limits)
        rounded: Tensor = self.scale * (codes + (codes.round() - codes).detach())
        return rounded

    def scale_from_seen(self, quantile: float) -> None:
        """Put the top code at this quantile of what was observed, and forget the observations."""
        seen = torch.cat(self.seen)
        rank = max(1, math.ceil(quantile * len(seen)))
        self.scale.copy_(seen.kthvalue(rank).values / QMAX)
        self.seen = []


def weight_scale(weight: Tensor) -> Tensor:
    """Per-channel symmetric scale of a convolution's weight, (out_channels, 1, 1)."""
    return weight.detach().abs().amax((1, 2), keepdim=True).clamp_min(1e-8) / QMAX


class CausalConv(nn.Module):
    """Convolution that sees only the past, with batch norm while training and neither once folded."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1, norm: bool = True
    ):
        super().__init__()
        self.history = (kernel - 1) * dilation
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, bias=not norm)
        self.norm: nn.Module = nn.BatchNorm1d(outputs) if norm else nn.Identity()
        self.quantize_weight = False

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, frames) -> (batch, outputs, frames); before the first frame lie zeros."""
        weight = self.conv.weight
        if self.quantize_weight:
            scale = weight_scale(weight)
            weight = weight + (scale * (weight / scale).round() - weight).detach()
        x = functional.pad(x, (self.history, 0)) if self.history else x
        y: Tensor = self.norm(
            functional.conv1d(x, weight, self.conv.bias, dilation=self.conv.dilation)
        )
        return y

    def fold(self) -> None:
        """Put the batch norm into weight and bias."""
        if not isinstance(self.norm, nn.BatchNorm1d):
            return
        norm = self.norm
        assert norm.running_var is not None and norm.running_mean is not None
        gain = norm.weight.data / torch.sqrt(norm.running_var + norm.eps)
        folded = nn.Conv1d(
            self.conv.in_channels,
            self.conv.out_channels,
            self.conv.kernel_size[0],
            dilation=self.conv.dilation[0],
            device=self.conv.weight.device,
        )
        folded.weight.data = self.conv.weight.data * gain[:, None, None]
        assert folded.bias is not None
        folded.bias.data = norm.bias.data - norm.running_mean * gain
        self.conv, self.norm = folded, nn.Identity()


class Block(nn.Module):
    """Dilated convolution, ReLU, pointwise convolution, added to its input, ReLU."""

    def __init__(self, config: StudentConfig, dilation: int) -> None:
        super().__init__()
        c = config.channels
        self.dilated = CausalConv(c, c, config.kernel, dilation)
        self.inner = Quantizer(signed=False)
        self.dropout = nn.Dropout1d(config.dropout)
        self.pointwise = CausalConv(c, c)
        self.branch = Quantizer(signed=True)
        self.out = Quantizer(signed=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames) of codes times scale -> the same."""
        y: Tensor = self.inner(torch.relu(self.dilated(x)))
        y = self.branch(self.pointwise(self.dropout(y)))
        joined: Tensor = self.out(torch.relu(x + y))
        return joined


class Student(Network):
    """Leads, mask and anchor of the residual branch in; residual and log sigma out."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk_bfloat16 = False
        """Train with the products of the trunk in bfloat16: half the time where the processor has it."""
        self.input = Quantizer(signed=True, limits=(-INPUT_QMAX, INPUT_QMAX))
        self.input.scale.fill_(INPUT_STEP_MV)
        self.stem = CausalConv(config.stem_channels, config.channels)
        self.stem_out = Quantizer(signed=False)
        self.blocks = nn.ModuleList(Block(config, d) for d in config.dilations)
        hop = config.hop
        self.residual_head = CausalConv(config.channels, config.n_outputs * hop, norm=False)
        self.sigma_head = CausalConv(config.channels, config.sigma_leads * hop, norm=False)
        for head in (self.residual_head, self.sigma_head):
            nn.init.zeros_(head.conv.weight)  # untrained, the model is the linear map
            assert head.conv.bias is not None
            nn.init.constant_(
                head.conv.bias, 0.0 if head is self.residual_head else FIRST_LOG_SIGMA
            )

    @property
    def late_samples(self) -> int:
        """By how many samples what `forward` gives lies before what it is given."""
        return self.config.lookahead * self.config.hop

    def features(self, ecg: Tensor, mask: Tensor, anchor: Tensor) -> Tensor:
        """What the heads read, (batch, channels, frames); arguments as in `forward`."""
        predicted = torch.einsum("boi,bint->bont", anchor, ecg)
        stem = torch.cat([ecg.flatten(1, 2), mask, predicted.flatten(1, 2)], 1)
        with torch.autocast(ecg.device.type, torch.bfloat16, enabled=self.trunk_bfloat16):
            x = self.stem_out(torch.relu(self.stem(self.input(stem))))
            for block in self.blocks:
                x = block(x)
        features: Tensor = x.float()
        return features

    def forward(self, ecg: Tensor, mask: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor]:
        """Residual in mV and log sigma of mV, (batch, n_outputs, hop, frames) and (batch, sigma_leads, ...).

        `ecg` (batch, n_inputs, hop, frames) mV with leads that are off at zero, `mask`
        (batch, n_inputs, frames) 1 where on, `anchor` (batch, n_outputs, n_inputs).
        """
        x = self.features(ecg, mask, anchor)
        # Sigma learns from the features without shaping them.
        return (
            self.residual_head(x).unflatten(1, (-1, self.config.hop)),
            self.sigma_head(x.detach()).unflatten(1, (-1, self.config.hop)),
        )

    def head(self) -> CausalConv:
        """Both heads as one convolution, residual first: they read the same codes."""
        heads = (self.residual_head.conv, self.sigma_head.conv)
        joined = CausalConv(self.config.channels, sum(h.out_channels for h in heads), norm=False)
        joined.conv.weight.data = torch.cat([h.weight.data for h in heads])
        joined.conv.bias = nn.Parameter(torch.cat([h.bias for h in heads if h.bias is not None]))
        return joined

    def convolutions(self) -> list[CausalConv]:
        """Every convolution, stem first, heads last."""
        return [m for m in self.modules() if isinstance(m, CausalConv)]

    def quantizers(self) -> list[Quantizer]:
        """Every activation quantiser."""
        return [m for m in self.modules() if isinstance(m, Quantizer)]

    def fold(self) -> Student:
        """Fold every batch norm; returns self."""
        for conv in self.convolutions():
            conv.fold()
        return self

    def set_mode(self, mode: str) -> Student:
        """`off` (float32), `observe` (INT8 calibration) or `quantize`; returns self."""
        for quantizer in self.quantizers():
            quantizer.mode = mode
        if mode == "observe":
            self.input.mode = "off"  # its step is chosen, not observed
        for conv in self.convolutions():
            conv.quantize_weight = mode == "quantize"
        return self
