"""Train an any-lead network with a schedule that need not know its end: constant rate, averaged, then cooled.

A run goes on from `last.safetensors` at the constant rate as long as there is time, in any number of
sessions. `cool` takes that file, lets the rate fall in a straight line to zero, and leaves it as it was: so a
run can be cooled, scored, and gone on with. (Hägele et al. 2024, arXiv 2405.18392.)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from edge.progress import followed
from quantize.any_leads.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from quantize.any_leads.drawn import Mixture
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.one_step import OneStep
from quantize.any_leads.sampling import Sampling
from quantize.augment import Augmentation
from quantize.feed import Batch
from quantize.muon import Muon
from quantize.objective import Loss
from quantize.student import Block, Student
from quantize.train import SAMPLING_HZ, Averager, mean_losses

if TYPE_CHECKING:
    from quantize.any_leads.adversarial import Adversary

LAST, COOLDOWN = "last.safetensors", "cooldown.safetensors"
SAY_EVERY, SAVE_EVERY, VALIDATE_EVERY = 50, 100, 500
GPU_EVERY = 10  # times as many: its steps are as much shorter
COOLDOWN_AVERAGE = 0.99  # the rate falls: what is averaged must be young


@dataclass(frozen=True)
class AnySchedule:
    """How long and how fast; a checkpoint repeats it."""

    steps: int = 60_000
    """Of the constant rate, at most."""
    batch: int = 32
    crop_s: float = 6.0
    rate: float = 2e-3
    warm_up: int = 300
    weight_decay: float = 0.01
    average: float = 0.998
    """Decay per step of the averaged weights."""
    seed: int = 0
    bfloat16: bool = False


@dataclass(frozen=True)
class Experiment:
    """What a run draws from, and how it is looked at on the way."""

    mixture: Mixture
    feed: AnyFeed
    augmentation: Augmentation
    sampling: Sampling
    validate: Callable[[Student], Mapping[str, Any]] | None = None
    """Of the averaged network: for the reader, never for choosing a step."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """For the card: data, their shares, the moments of the anchor."""

    def batches(self, schedule: AnySchedule, seed: int, steps: range) -> Iterator[Batch]:
        """What is drawn at these steps."""
        n = round(schedule.crop_s * SAMPLING_HZ)
        how = self.augmentation, self.sampling
        return self.feed.batches(self.mixture, schedule.batch, *how, n, seed, steps)


def train_any(
    make: Callable[[], Student],
    experiment: Experiment,
    schedule: AnySchedule,
    folder: Path,
    say: Callable[[str], None] = print,
    start: Path | None = None,
) -> Student:
    """Train at the constant rate up to `schedule.steps`; the averaged network in evaluation mode.

    Goes on from LAST in the folder, or else from `start`. Raises QuantizeError for a checkpoint that does
    not fit.
    """
    last = folder / LAST
    source = last if last.exists() else start
    at = None if source is None else load_checkpoint(source)
    return run_steps(
        make, experiment, schedule, range(schedule.steps), at, last, schedule.average, say
    )


def cool(
    make: Callable[[], Student],
    experiment: Experiment,
    schedule: AnySchedule,
    folder: Path,
    steps: int,
    say: Callable[[str], None] = print,
) -> Student:
    """From LAST in the folder let the rate fall to zero over so many steps; LAST stays.

    What is learned last is the record as it is, by the whole network: calm, without dropout, and the default
    leads more often. Interrupted, it goes on from COOLDOWN, unless LAST has moved on since.
    """
    last, file = load_checkpoint(folder / LAST), folder / COOLDOWN
    span = range(last.step, last.step + steps)
    calm = replace(
        experiment,
        augmentation=experiment.augmentation.calm(),
        sampling=experiment.sampling.settled(),
    )
    if file.exists():
        begun = load_checkpoint(file)
        if (begun.about["cooled_from"], begun.about["cooled_to"]) == (span.start, span.stop):
            last = begun
    return run_steps(
        lambda: without_dropout(make()),
        calm,
        schedule,
        span,
        last,
        file,
        COOLDOWN_AVERAGE,
        say,
        cooled=True,
    )


def without_dropout(student: Student) -> Student:
    """The same network, all of it at work at every step."""
    for block in student.blocks:
        assert isinstance(block, Block)
        block.dropout.p = 0.0
    return student


def rate_at(step: int, schedule: AnySchedule, cooled: range | None = None) -> float:
    """The learning rate of a step, counted from 0."""
    warm = min(1.0, (step + 1) / schedule.warm_up) if schedule.warm_up else 1.0
    left = 1.0 if cooled is None else (cooled.stop - step) / len(cooled)
    return schedule.rate * warm * left


def run_steps(
    make: Callable[[], Student],
    experiment: Experiment,
    schedule: AnySchedule,
    span: range,
    at: Checkpoint | None,
    file: Path,
    average: float,
    say: Callable[[str], None],
    cooled: bool = False,
    more: Mapping[str, Any] | None = None,
    adversary: Adversary | None = None,
) -> Student:
    """The steps of `span` that come after the checkpoint `at`, into `file`.

    `average` is the decay per step of the averaged weights; `cooled` says that the rate falls to 0; `more` is
    for the checkpoint; an `adversary` adds to the loss and learns after each step.
    """
    torch.manual_seed(schedule.seed)
    network = make().to(experiment.feed.device)
    averager = Averager(network, average)
    optimiser = Muon(
        network.parameters(),
        schedule.rate,
        weight_decay=schedule.weight_decay,
        plain=[*network.residual_head.parameters(), *network.sigma_head.parameters()],
    )
    first = span.start
    if at is not None:
        at.put_into(network, averager, optimiser)
        first = at.step
        if adversary is not None:
            adversary.resume(at)
        say(f"going on after step {first}")
    network.trunk_bfloat16 = schedule.bfloat16
    network.train()
    about = {"schedule": asdict(schedule), **experiment.about, **(more or {})}
    if cooled:
        about |= {"cooled_from": span.start, "cooled_to": span.stop}
    take = OneStep(network, optimiser, averager, adversary)
    batches = experiment.batches(schedule, schedule.seed, range(first, span.stop))
    losses: list[Loss] = []
    told: list[float] = []
    slower = 1 if experiment.feed.device.type == "cpu" else GPU_EVERY
    begun = time.monotonic()
    shown = followed(batches, "training", len(span), skipped=first - span.start)
    for step, batch in enumerate(shown, first):
        torch.manual_seed((schedule.seed << 32) + step)  # dropout too is that of the step alone
        loss = take(batch, rate_at(step, schedule, span if cooled else None))
        if adversary is not None:
            told.append(adversary.learn())
        losses.append(loss)
        done = step + 1
        ends = done == span.stop
        if done % (SAY_EVERY * slower) == 0 or ends:
            row: dict[str, object] = {
                "step": done,
                "rate": round(rate_at(step, schedule, span if cooled else None), 6),
                **mean_losses(losses),
                "s_per_step": round((time.monotonic() - begun) / len(losses), 3),
            }
            if told:
                row["told_apart"] = round(sum(told) / len(told), 4)
            if experiment.validate is not None and (done % (VALIDATE_EVERY * slower) == 0 or ends):
                row["validation"] = experiment.validate(averager.averaged)
            file.parent.mkdir(parents=True, exist_ok=True)
            with (file.parent / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            say(json.dumps(row))
            losses, told, begun = [], [], time.monotonic()
        if done % (SAVE_EVERY * slower) == 0 or ends:
            beside = None if adversary is None else adversary.tensors()
            save_checkpoint(file, network, averager, optimiser, {**about, "step": done}, beside)
    averager.averaged.trunk_bfloat16 = False
    return averager.averaged.eval()
