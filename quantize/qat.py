"""INT8 calibration and quantisation-aware training of a student, and the scale of its sigma."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from edge.progress import followed
from quantize.augment import Augmentation
from quantize.data import SCORED_S
from quantize.feed import Batch, Feed, samples_from_frames
from quantize.objective import zero_phase
from quantize.prepared import Prepared
from quantize.student import INPUT_STEP_MV, Block, Student
from quantize.train import SAMPLING_HZ, Averager, train_epoch, validate

RANGE_QUANTILE = 0.99999
HEADROOM = (
    2.0  # after a ReLU, codes this far beyond the quantile still fit: one record in thirty has some
)


@dataclass(frozen=True)
class QatSchedule:
    """How long and how fast to train with quantisation in the loop."""

    epochs: int = 9
    batch: int = 32
    crop_s: float = 6.0
    peak_lr: float = 8e-4
    dropout: float = 0.05
    """Less than before: what is learned last is the record as it is, the heart not turned, no noise."""
    average: float = 0.99
    seed: int = 1000


def calibrate(
    student: Student,
    batches: Iterable[Batch],
    headroom: float = HEADROOM,
    quantile: float = RANGE_QUANTILE,
) -> Student:
    """Fold the batch norms and set each activation scale from what the batches make it hold.

    Codes saturate at 127 in training and in every engine, and what is cut off is lost: so the scale leaves
    headroom. `verify` counts what is beyond it.
    """
    student.eval().fold().set_mode("observe")
    student.input.scale.fill_(INPUT_STEP_MV)  # a checkpoint may hold another
    with torch.no_grad():
        for one in batches:
            student(one.ecg, one.mask, one.anchor)
    for quantizer in student.quantizers():
        if quantizer.seen:
            quantizer.scale_from_seen(quantile)
            if not quantizer.signed:
                quantizer.scale *= headroom
    return student.set_mode("quantize")


def quantisation_aware_training(
    student: Student,
    records: Prepared,
    validation: Prepared,
    feed: Feed,
    schedule: QatSchedule,
    folder: Path,
    say: Callable[[str], None] = print,
) -> Student:
    """Train a calibrated student with its numbers rounded, on calm records; returns averaged weights.

    Writes a line an epoch to `folder/qat.jsonl`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for block in student.blocks:
        assert isinstance(block, Block)
        block.dropout.p = schedule.dropout
    averager = Averager(student, schedule.average)
    steps = len(records) // schedule.batch * schedule.epochs
    optimiser = torch.optim.AdamW(student.parameters(), schedule.peak_lr, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)) + 1e-3
    )
    for epoch in range(schedule.epochs):
        torch.manual_seed(schedule.seed + epoch)
        n_samples = round(schedule.crop_s * SAMPLING_HZ)
        batches = feed.batches(
            records, schedule.batch, Augmentation().calm(), n_samples, schedule.seed + epoch
        )
        done = steps * epoch / schedule.epochs
        shown = followed(
            batches, f"INT8, epoch {epoch + 1} of {schedule.epochs}", steps, skipped=done
        )
        losses = train_epoch(student, shown, optimiser, cycle, averager)
        row = {
            "qat_epoch": epoch + 1,
            **losses,
            "validation": validate(averager.averaged, validation, feed),
        }
        with (folder / "qat.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        say(json.dumps(row))
    return averager.averaged.eval()


def scale_sigma(student: Student, validation: Prepared, feed: Feed) -> list[float]:
    """Scale sigma per lead so that the squared error over sigma squared is 1 on the validation fold.

    Returns the factors, and puts them into the bias of the sigma head.
    """
    scored = slice(*(round(second * SAMPLING_HZ) for second in SCORED_S))
    ratios = []
    student.eval()
    with torch.no_grad():
        for batch in feed.batches(validation, 32, Augmentation.none(), None, seed=0):
            residual, log_sigma = student(batch.ecg, batch.mask, batch.anchor)
            late = student.late_samples
            shown = zero_phase(samples_from_frames(residual)[..., late:], SAMPLING_HZ)
            error = shown - batch.target[..., : shown.shape[-1]]
            sigma_mv = samples_from_frames(log_sigma)[..., late:].exp()
            ratio = (error / sigma_mv).square()
            ratios.append(ratio[..., scored].mean(-1))
        factors = torch.cat(ratios).mean(0).sqrt()
        bias = student.sigma_head.conv.bias
        assert bias is not None
        bias += factors.log().repeat_interleave(student.config.hop)
    return [round(float(f), 4) for f in factors]
