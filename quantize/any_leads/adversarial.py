"""Adversarial training for any leads: a discriminator tells made leads from true ones, patch by patch.

Least error makes leads smoother and smaller than they are. The discriminator sees all twelve leads, what is
measured passed through, beside the anchor's prediction and which leads are known; the decoder's loss gets
what it says of the decoder's leads (least squares, LSGAN: Mao et al. 2017), times a weight. Both learn in
turn. The two that it compares differ only in what the decoder adds: the true one has the true residual.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from edge.lead_subsets import TWELVE
from edge.leads import INDEPENDENT_LEADS, LEADS
from quantize.any_leads.checkpoint import Checkpoint, load_checkpoint, optimiser_tensors
from quantize.any_leads.train import (
    COOLDOWN_AVERAGE,
    AnySchedule,
    Experiment,
    run_steps,
    without_dropout,
)
from quantize.errors import QuantizeError
from quantize.feed import Batch
from quantize.objective import BURN_IN_S, TAIL_S, zero_phase
from quantize.student import Student
from quantize.train import SAMPLING_HZ

ADVERSARIAL = "adversarial.safetensors"
STEPS = 600
RATE, WARM_UP = 5e-4, 20  # of the decoder: it was cooled, and its optimiser starts anew
DISCRIMINATOR_RATE = 1e-3  # constant: it has to keep up from its first step
BETAS = (0.5, 0.9)
CHANNELS = 48
UNIT_MV = 0.2  # of its inputs: spectral norm lets it make nothing larger
# Kernel and stride of each layer: a patch is 0.68 s of 250 Hz, a beat's QRS and T, one each 64 ms.
LAYERS = ((9, 2), (9, 2), (5, 4), (5, 1))
PATCH_STRIDE = math.prod(stride for _, stride in LAYERS)
LAST_KERNEL = 3
_TWELVE = torch.from_numpy(TWELVE).float()
DISCRIMINATOR, ITS_OPTIMISER = "discriminator", "discriminator_optimiser"


def patch_layers(inputs: int, channels: int = CHANNELS) -> nn.Sequential:
    """(batch, inputs, n) -> (batch, 1, n_patches)."""
    layers: list[nn.Module] = []
    for kernel, stride in LAYERS:
        layers += [spectral_norm(nn.Conv1d(inputs, channels, kernel, stride)), nn.LeakyReLU(0.2)]
        inputs = channels
    return nn.Sequential(*layers, nn.Conv1d(channels, 1, LAST_KERNEL))


class Discriminator(nn.Module):
    """Twelve leads, the anchor's eight and twelve flags in; for each patch near 1 if true, near 0 if made."""

    def __init__(self, channels: int = CHANNELS) -> None:
        super().__init__()
        self.layers = patch_layers(2 * len(LEADS) + len(INDEPENDENT_LEADS), channels)

    def forward(self, ecg: Tensor, anchored: Tensor, known: Tensor) -> Tensor:
        """(batch, 8, n), (batch, 8, n) mV and (batch, 12) -> (batch, n_patches)."""
        flags = known[:, :, None].expand(-1, -1, ecg.shape[-1])
        patches: Tensor = self.layers(
            torch.cat([_TWELVE @ ecg / UNIT_MV, anchored / UNIT_MV, flags], 1)
        )
        return patches[:, 0]


class Adversary:
    """The discriminator beside a decoder: a further term of its loss, which learns after each step."""

    def __init__(self, weight: float, seed: int, channels: int = CHANNELS) -> None:
        self.weight = weight
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.discriminator = Discriminator(channels)
        self.optimiser = torch.optim.Adam(
            self.discriminator.parameters(), DISCRIMINATOR_RATE, betas=BETAS
        )
        self._pair: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def term(self, residual: Tensor, batch: Batch) -> Tensor:
        """Weight times the squared distance of the patches made from what true ones get.

        `residual` (batch, 8, n) mV is the decoder's, projected onto what is open.
        """
        n = residual.shape[-1]
        # Else patches keep step with hops, and the decoder adds a line at their rate: 24 dB in V2 of I+II.
        shift = int(torch.randint(PATCH_STRIDE, ()))
        start, stop = BURN_IN_S * SAMPLING_HZ, n - TAIL_S * SAMPLING_HZ
        scored = slice(round(start) + shift, round(stop))
        target, truth = batch.target[..., :n], batch.truth[..., :n]
        assert batch.projection is not None
        anchored = (truth - target)[..., scored]
        made = anchored + zero_phase(residual, SAMPLING_HZ)[..., scored]
        # Measured leads are filtered a little otherwise than the truth: no sign of who made the rest.
        true = anchored + (batch.projection @ target)[..., scored]
        known = batch.mask[:, :, 0]
        self._pair = true, made.detach(), anchored, known
        self.discriminator.requires_grad_(False)
        says = self.discriminator(made, anchored, known)
        self.discriminator.requires_grad_(True)
        added: Tensor = self.weight * (says - 1).square().mean()
        return added

    def learn(self) -> float:
        """A step on the crops that the term saw last; how well it tells them apart: 0 not, 1 surely."""
        assert self._pair is not None
        true, made, anchored, known = self._pair
        both = [self.discriminator(one, anchored, known) for one in (true, made)]
        loss = (both[0] - 1).square().mean() + both[1].square().mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return float((both[0].mean() - both[1].mean()).detach())

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it."""
        weights = self.discriminator.state_dict()
        return {
            **{f"{DISCRIMINATOR}.{name}": value for name, value in weights.items()},
            **optimiser_tensors(ITS_OPTIMISER, self.optimiser),
        }

    def resume(self, at: Checkpoint) -> None:
        """Go on from what a checkpoint holds of it."""
        self.discriminator.load_state_dict(at.under(DISCRIMINATOR))
        at.put_into_optimiser(ITS_OPTIMISER, self.optimiser)


def adversarial(
    experiment: Experiment,
    schedule: AnySchedule,
    source: Path,
    folder: Path,
    weight: float,
    steps: int = STEPS,
    say: Callable[[str], None] = print,
) -> Student:
    """From a cooled checkpoint so many steps with the adversary's term, on calm records.

    Weight 0 is the control arm: the same steps without an adversary. Goes on from ADVERSARIAL in the folder
    if that was made so of the same source. Raises QuantizeError for a source that is none, or is of INT8.
    """
    before, file = load_checkpoint(source), folder / ADVERSARIAL
    if before.about.get("quantised"):
        raise QuantizeError(f"{source} was trained for INT8: start from what was cooled in float32")
    experiment = replace(experiment, augmentation=experiment.augmentation.calm())
    schedule = replace(schedule, rate=RATE, warm_up=WARM_UP)
    about = {
        "adversarial_weight": weight,
        "adversarial_steps": steps,
        "adversarial_seed": schedule.seed,
        "float32_step": before.step,
    }
    at = load_checkpoint(file) if file.exists() else None
    if at is not None and any(at.about.get(key) != value for key, value in about.items()):
        at = None
    return run_steps(
        lambda: without_dropout(before.student()),
        experiment,
        schedule,
        range(steps),
        at,
        file,
        COOLDOWN_AVERAGE,
        say,
        cooled=True,
        more=about,
        adversary=Adversary(weight, schedule.seed) if weight else None,
    )
