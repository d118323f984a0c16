"""The teacher: networks that see the whole record, past and future, and whose mean teaches.

They differ in what they began with and in the order of their records, so that their mean holds what the
three leads tell and less of what one network made of its records by chance: a deep ensemble (Lakshminarayanan
et al. 2017, arXiv 1612.01474). Distillation is Hinton et al. 2015 (arXiv 1503.02531), the context
squeeze-and-excitation (arXiv 1709.01507).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge.signal.assembly import MAX_LOG_SIGMA
from quantize.errors import QuantizeError
from quantize.network import FIRST_LOG_SIGMA, Network
from quantize.weights import TEACHER_FILE, load_weights, refused, save_weights

CONTEXT_SHARE = 4  # the context is a quarter as wide as the features it weighs


@dataclass(frozen=True)
class TeacherConfig:
    """Shape of a member."""

    channels: int = 64
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 1, 4)
    hop: int = 4
    n_inputs: int = 3
    n_outputs: int = 5
    dropout: float = 0.15

    def as_dict(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        return asdict(self)


class Context(nn.Module):
    """Weighs each channel by what the whole record holds: who the patient is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(2 * channels, channels // CONTEXT_SHARE)
        self.excite = nn.Linear(channels // CONTEXT_SHARE, 2 * channels)
        nn.init.zeros_(self.excite.weight)
        nn.init.zeros_(self.excite.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames) -> the same, scaled and shifted."""
        pooled = torch.cat([x.mean(-1), x.std(-1)], 1)
        scale, shift = self.excite(torch.relu(self.squeeze(pooled))).unsqueeze(-1).chunk(2, 1)
        weighed: Tensor = x * (1 + torch.tanh(scale)) + shift
        return weighed


class Block(nn.Module):
    """Dilated convolution to both sides, context, pointwise convolution, added to its input."""

    def __init__(self, config: TeacherConfig, dilation: int) -> None:
        super().__init__()
        c, k = config.channels, config.kernel
        self.dilated = nn.Conv1d(
            c, c, k, dilation=dilation, padding=dilation * (k // 2), bias=False
        )
        self.norm = nn.BatchNorm1d(c)
        self.context = Context(c)
        self.dropout = nn.Dropout1d(config.dropout)
        self.pointwise = nn.Conv1d(c, c, 1, bias=False)
        self.out = nn.BatchNorm1d(c)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames) -> the same."""
        y = torch.relu(self.context(self.norm(self.dilated(x))))
        return torch.relu(x + self.out(self.pointwise(self.dropout(y))))


class Member(Network):
    """One non-causal network over the whole record; ends and anchor as the student's."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        hop, n = config.hop, config.n_outputs * config.hop
        seen = (config.n_inputs + config.n_outputs) * hop + config.n_inputs
        self.stem = nn.Conv1d(seen, config.channels, 1, bias=False)
        self.norm = nn.BatchNorm1d(config.channels)
        self.blocks = nn.ModuleList(Block(config, d) for d in config.dilations)
        self.residual_head = nn.Conv1d(config.channels, n, 1)
        self.sigma_head = nn.Conv1d(config.channels, n, 1)
        for head, bias in ((self.residual_head, 0.0), (self.sigma_head, FIRST_LOG_SIGMA)):
            nn.init.zeros_(head.weight)  # untrained, it is the linear map
            assert head.bias is not None
            nn.init.constant_(head.bias, bias)

    def forward(self, ecg: Tensor, mask: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor]:
        """Residual in mV and log sigma of mV, both (batch, n_outputs, hop, frames): as `Student.forward`."""
        predicted = torch.einsum("boi,bint->bont", anchor, ecg)
        x = torch.cat([ecg.flatten(1, 2), mask, predicted.flatten(1, 2)], 1)
        x = torch.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        shape = (self.config.n_outputs, self.config.hop)
        return (
            self.residual_head(x).unflatten(1, shape),
            self.sigma_head(x.detach()).unflatten(1, shape),
        )


class Teacher(Network):
    """The mean of its members."""

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__()
        if not members:
            raise QuantizeError("a teacher has one member at least")
        self.members = nn.ModuleList(members)
        self.eval()

    def forward(self, ecg: Tensor, mask: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor]:
        """The members' mean residual, and log sigma with what they differ by: shapes of `Member`."""
        made = [member(ecg, mask, anchor) for member in self.members]
        residuals = torch.stack([residual for residual, _ in made])
        # As what ships is bounded: a record like none before sends log sigma anywhere.
        bounded = [log_sigma.clamp(max=MAX_LOG_SIGMA) for _, log_sigma in made]
        variance = torch.stack([torch.exp(2 * log_sigma) for log_sigma in bounded]).mean(0)
        variance = variance + residuals.var(0, correction=0)
        return residuals.mean(0), 0.5 * torch.log(variance)


def save_teacher(file: Path, teacher: Teacher, card: Mapping[str, Any]) -> None:
    """Write the members in float16, with their shape and a card."""
    member = teacher.members[0]
    assert isinstance(member, Member)
    shape = {**member.config.as_dict(), "members": len(teacher.members)}
    save_weights(file, teacher.state_dict(), shape, card)


def load_teacher(file: Path = TEACHER_FILE) -> tuple[Teacher, dict[str, Any]]:
    """The teacher in a file that `save_teacher` wrote, and its card with the file's `sha256`.

    Raises QuantizeError for a file that is missing or no teacher.
    """
    state, config, card = load_weights(file)
    try:
        n_members = config.pop("members")
        teacher = Teacher([Member(TeacherConfig(**config)) for _ in range(n_members)])
        teacher.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError) as error:
        raise refused(file, error) from error
    return teacher.eval(), card
