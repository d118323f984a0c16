"""Train a network of the feed in float32: one cycle, averaged weights, checkpoint and resume."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from edge.progress import followed
from quantize.augment import Augmentation
from quantize.data import SCORED_S
from quantize.feed import Batch, Feed, samples_from_frames
from quantize.network import Network
from quantize.objective import PARTS, Loss, objective
from quantize.prepared import Prepared

SAMPLING_HZ = 250.0  # of the records that train, and of the decoder
EARLY_STEPS = 10  # the average spans a tenth of the steps so far, until `average` bounds it

NetworkT = TypeVar("NetworkT", bound=Network)
ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast; a bundle's card repeats it."""

    epochs: int = 100
    batch: int = 32
    crop_s: float = 6.0
    peak_lr: float = 3e-3
    weight_decay: float = 0.01
    average: float = 0.99
    """Decay per step of the averaged weights; 0 for those of the last step."""
    seed: int = 0


def train(
    make: Callable[[], NetworkT],
    records: Prepared,
    validation: Prepared | None,
    feed: Feed,
    augmentation: Augmentation,
    schedule: Schedule,
    folder: Path,
    say: Callable[[str], None] = print,
) -> NetworkT:
    """Train what `make` makes, or resume from `folder/last.pt`; the averaged network in evaluation mode.

    Writes `folder/log.jsonl`, a line an epoch. The score on `validation` is for the reader and for
    choosing between runs, never for choosing an epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(schedule.seed)
    network = make()
    averager = Averager(network, schedule.average)
    averaged = averager.averaged
    optimiser = torch.optim.AdamW(
        network.parameters(), schedule.peak_lr, weight_decay=schedule.weight_decay
    )
    steps = len(records) // schedule.batch
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.peak_lr, total_steps=steps * schedule.epochs, pct_start=0.25
    )
    last, first_epoch = folder / "last.pt", 0
    if last.exists():
        saved = torch.load(last, weights_only=True)
        network.load_state_dict(saved["network"])
        averaged.load_state_dict(saved["averaged"])
        optimiser.load_state_dict(saved["optimiser"])
        cycle.load_state_dict(saved["cycle"])
        first_epoch = saved["epoch"]
        averager.steps = first_epoch * steps
        say(f"resuming after epoch {first_epoch} from {last.name}")
    for epoch in range(first_epoch, schedule.epochs):
        begun = time.monotonic()
        # Dropout too goes on after an interruption as it would have without.
        torch.manual_seed(schedule.seed + epoch)
        n_samples = round(schedule.crop_s * SAMPLING_HZ)
        batches = feed.batches(
            records, schedule.batch, augmentation, n_samples, schedule.seed + epoch
        )
        name, all_steps = f"epoch {epoch + 1} of {schedule.epochs}", steps * schedule.epochs
        shown = followed(batches, name, all_steps, skipped=steps * epoch)
        losses = train_epoch(network, shown, optimiser, cycle, averager)
        row: dict[str, object] = {
            "epoch": epoch + 1,
            **losses,
            "seconds": round(time.monotonic() - begun),
        }
        if validation is not None and ((epoch + 1) % 4 == 0 or epoch + 1 == schedule.epochs):
            row["validation"] = validate(averaged, validation, feed)
        with (folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        say(json.dumps(row))
        saved = {
            "network": network.state_dict(),
            "averaged": averaged.state_dict(),
            "optimiser": optimiser.state_dict(),
            "cycle": cycle.state_dict(),
            "epoch": epoch + 1,
        }
        torch.save(saved, folder / "last.tmp")
        (folder / "last.tmp").replace(last)
    return averaged.eval()


def train_epoch(
    network: NetworkT,
    batches: Iterable[Batch],
    optimiser: torch.optim.Optimizer,
    cycle: torch.optim.lr_scheduler.LRScheduler,
    averager: Averager[NetworkT],
) -> dict[str, float]:
    """One pass over the batches; the means of the loss's parts."""
    losses = []
    network.train()
    for batch in batches:
        loss = step_loss(network, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        cycle.step()
        averager.update(network)
        losses.append(loss)
    return mean_losses(losses)


def step_loss(
    network: Network,
    batch: Batch,
    scored_s: tuple[float, float] | None = None,
    term: Callable[[Tensor, Batch], Tensor] | None = None,
) -> Loss:
    """The objective of one batch; `term` of the residual, as it is scored, is added to the total."""
    framed, log_sigma = network(batch.ecg, batch.mask, batch.anchor)
    residual, unknown = samples_from_frames(framed), None
    if batch.projection is not None:
        residual, unknown = batch.projection @ residual, 1 - batch.mask[:, :, 0]
    late = network.late_samples
    n = batch.target.shape[-1] - late
    loss = objective(
        residual[..., late:],
        samples_from_frames(log_sigma)[..., late:],
        batch.target[..., :n],
        batch.truth[..., :n],
        SAMPLING_HZ,
        None if batch.taught is None else batch.taught[..., :n],
        scored_s,
        unknown,
    )
    return (
        loss
        if term is None
        else replace(loss, total=loss.total + term(residual[..., late:], batch))
    )


def mean_losses(losses: list[Loss]) -> dict[str, float]:
    """Means of the parts over the steps of an epoch."""
    means = torch.stack([loss.parts for loss in losses]).double().mean(0).tolist()
    return {name: round(mean, 4) for name, mean in zip(PARTS, means, strict=True)}


def validate(network: Network, records: Prepared, feed: Feed) -> dict[str, float]:
    """The objective's parts over whole records as they are, scored as PROTOCOL.md does, all leads on."""
    network.eval()
    with torch.no_grad():
        losses = [
            step_loss(network, batch, scored_s=SCORED_S)
            for batch in feed.batches(records, 32, Augmentation.none(), None, 0)
        ]
    return mean_losses(losses)


class Averager(Generic[ModuleT]):
    """Exponential moving average of a network's weights and statistics."""

    def __init__(self, network: ModuleT, decay: float) -> None:
        self.averaged, self.decay, self.steps = copy.deepcopy(network), decay, 0
        self._share = torch.ones((), device=next(network.parameters()).device)

    def update(self, network: nn.Module) -> None:
        """Move a step towards `network`; the first steps count for more, so that the start is forgotten."""
        self.advance()
        self.blend(network)

    def advance(self) -> None:
        """Count a step: by how much it moves."""
        decay = min(self.decay, self.steps / (self.steps + EARLY_STEPS))
        self._share.fill_(1 - decay)
        self.steps += 1

    def blend(self, network: nn.Module) -> None:
        """Move by what `advance` found: work for the device alone."""
        with torch.no_grad():
            for ours, theirs in zip(
                self.averaged.state_dict().values(), network.state_dict().values(), strict=True
            ):
                if ours.is_floating_point():
                    ours.lerp_(theirs, self._share.to(ours.dtype))
                else:
                    ours.copy_(theirs)
