"""Train the student in float32: one cycle, averaged weights, checkpoint and resume."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from quantize.data import Records
from quantize.feed import Augmentation, Batch, Feed, samples_from_frames
from quantize.objective import Loss, objective
from quantize.student import Student, StudentConfig


@dataclass(frozen=True)
class Schedule:
    """How long and how fast; a bundle's card repeats it."""

    epochs: int = 36
    batch: int = 32
    crop_s: float = 6.0
    peak_lr: float = 3e-3
    weight_decay: float = 0.01
    average: float = 0.997
    """Decay per step of the averaged weights."""
    seed: int = 0


def train(
    records: Records,
    validation: Records,
    feed: Feed,
    config: StudentConfig,
    schedule: Schedule,
    folder: Path,
    say: Callable[[str], None] = print,
) -> Student:
    """Train, or resume from `folder/last.pt`; returns the averaged student in evaluation mode.

    Writes `folder/log.jsonl`, a line an epoch. The score on `validation` is for the reader and for
    choosing between runs, never for choosing an epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(schedule.seed)
    student = Student(config)
    averager = Averager(student, schedule.average)
    averaged = averager.averaged
    optimiser = torch.optim.AdamW(
        student.parameters(), schedule.peak_lr, weight_decay=schedule.weight_decay
    )
    steps = len(records) // schedule.batch
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.peak_lr, total_steps=steps * schedule.epochs, pct_start=0.25
    )
    last, first_epoch = folder / "last.pt", 0
    if last.exists():
        saved = torch.load(last, weights_only=True)
        student.load_state_dict(saved["student"])
        averaged.load_state_dict(saved["averaged"])
        optimiser.load_state_dict(saved["optimiser"])
        cycle.load_state_dict(saved["cycle"])
        first_epoch = saved["epoch"]
        say(f"resuming after epoch {first_epoch} from {last.name}")
    for epoch in range(first_epoch, schedule.epochs):
        begun = time.monotonic()
        batches = feed.batches(
            records, schedule.batch, Augmentation(), schedule.crop_s, schedule.seed + epoch
        )
        losses = train_epoch(student, batches, optimiser, cycle, averager)
        row: dict[str, object] = {
            "epoch": epoch + 1,
            **losses,
            "seconds": round(time.monotonic() - begun),
        }
        if (epoch + 1) % 4 == 0 or epoch + 1 == schedule.epochs:
            row["validation"] = validate(averaged, validation, feed)
        with (folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        say(json.dumps(row))
        saved = {
            "student": student.state_dict(),
            "averaged": averaged.state_dict(),
            "optimiser": optimiser.state_dict(),
            "cycle": cycle.state_dict(),
            "epoch": epoch + 1,
        }
        torch.save(saved, folder / "last.tmp")
        (folder / "last.tmp").replace(last)
    torch.save(
        {
            "student": averaged.state_dict(),
            "config": config.as_dict(),
            "schedule": asdict(schedule),
        },
        folder / "student.pt",
    )
    return averaged.eval()


def train_epoch(
    student: Student,
    batches: Iterable[Batch],
    optimiser: torch.optim.Optimizer,
    cycle: torch.optim.lr_scheduler.LRScheduler,
    averager: Averager,
) -> dict[str, float]:
    """One pass over the batches; the means of the loss's parts."""
    losses = []
    student.train()
    for batch in batches:
        loss = step_loss(student, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        cycle.step()
        averager.update(student)
        losses.append(loss)
    return mean_losses(losses)


def step_loss(student: Student, batch: Batch) -> Loss:
    """The objective of one batch."""
    residual, log_sigma = student(batch.ecg, batch.mask, batch.anchor)
    return objective(
        samples_from_frames(residual), samples_from_frames(log_sigma), batch.target, batch.truth
    )


def mean_losses(losses: list[Loss]) -> dict[str, float]:
    """Means of the parts over the steps of an epoch."""
    return {
        name: round(sum(getattr(loss, name) for loss in losses) / len(losses), 4)
        for name in ("rmse_uv", "r", "nll")
    }


def validate(student: Student, records: Records, feed: Feed) -> dict[str, float]:
    """The objective's parts over whole records as they are, no augmentation, all leads on."""
    student.eval()
    with torch.no_grad():
        losses = [
            step_loss(student, batch)
            for batch in feed.batches(
                records,
                32,
                Augmentation.none(),
                records.ecg_uv.shape[-1] / records.sampling_hz - 0.1,
                0,
            )
        ]
    return mean_losses(losses)


class Averager:
    """Exponential moving average of a student's weights and statistics."""

    def __init__(self, student: Student, decay: float) -> None:
        self.averaged, self.decay = copy.deepcopy(student), decay

    def update(self, student: Student) -> None:
        """Move a step towards `student`."""
        with torch.no_grad():
            for ours, theirs in zip(
                self.averaged.state_dict().values(), student.state_dict().values(), strict=True
            ):
                if ours.is_floating_point():
                    ours.lerp_(theirs, 1 - self.decay)
                else:
                    ours.copy_(theirs)
