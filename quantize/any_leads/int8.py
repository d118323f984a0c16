"""INT8 for an any-lead network: calibrated on all kinds of sets, then trained with its numbers rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from quantize.any_leads.checkpoint import load_checkpoint
from quantize.any_leads.scales import refine_scales
from quantize.any_leads.train import (
    COOLDOWN_AVERAGE,
    AnySchedule,
    Experiment,
    run_steps,
    without_dropout,
)
from quantize.equalise import equalise
from quantize.feed import Batch, samples_from_frames
from quantize.objective import zero_phase
from quantize.qat import calibrate
from quantize.student import Student
from quantize.train import SAMPLING_HZ

QAT = "qat.safetensors"
CALIBRATION_STEPS = 64  # batches, of other steps than those that train
RATE = 4e-5  # it settles the rounding alone; 2e-4 gives the same on fold 9
QUANTILE = 0.99997
KEPT = ("adversarial_", "teacher_")  # what the card says of the steps in float32
HEADROOM = 1.5  # for large hearts, where refine_scales begins
EQUALISE_STEPS = 12  # batches of CALIBRATION_STEPS
REFINE_STEPS = 16  # batches of CALIBRATION_STEPS


@dataclass(frozen=True)
class Taught(Experiment):
    """The same batches, each with what a network in float32 makes of it: what learns is to stay near that."""

    teacher: Student | None = None

    @classmethod
    def of(cls, experiment: Experiment, teacher: Student) -> Taught:
        """The experiment, taught."""
        parts = {one.name: getattr(experiment, one.name) for one in fields(Experiment)}
        return cls(**parts, teacher=teacher.to(experiment.feed.device))

    def batches(self, schedule: AnySchedule, seed: int, steps: range) -> Iterator[Batch]:
        """What is drawn at these steps, taught."""
        assert self.teacher is not None
        for batch in super().batches(schedule, seed, steps):
            assert batch.projection is not None
            late = self.teacher.late_samples
            with torch.no_grad():
                framed, _ = self.teacher(batch.ecg, batch.mask, batch.anchor)
                made = batch.projection @ samples_from_frames(framed)
                # Of the end it has not seen what it waits for; that is not scored, if not far off.
                made = torch.cat([made[..., late:], batch.target[..., made.shape[-1] - late :]], -1)
            yield replace(batch, taught=zero_phase(made, SAMPLING_HZ))


def quantised(
    experiment: Experiment,
    schedule: AnySchedule,
    source: Path,
    folder: Path,
    steps: int,
    say: Callable[[str], None] = print,
    rate: float = RATE,
) -> Student:
    """From a checkpoint in float32 so many steps with quantisation in the loop, on calm records.

    The truth is the aim, and so is what the network gave in float32, else the steps forget it. Goes on from
    QAT in the folder if that was made of the same source. Raises QuantizeError for a source that is none.
    """
    before, file = load_checkpoint(source), folder / QAT
    calm = replace(
        experiment,
        augmentation=experiment.augmentation.calm(),
        sampling=experiment.sampling.settled(),
    )
    experiment = Taught.of(calm, before.student())
    # Codes need all their bits.
    schedule = replace(schedule, rate=rate, warm_up=0, bfloat16=False)
    torch.backends.cudnn.allow_tf32 = False
    at = load_checkpoint(file) if file.exists() else None
    about = {"quantised": True, "float32_step": before.step, "qat_steps": steps}
    about |= {"refine_steps": REFINE_STEPS}
    about |= {key: value for key, value in before.about.items() if key.startswith(KEPT)}
    if at is not None and any(at.about.get(key) != value for key, value in about.items()):
        at = None

    def make() -> Student:
        student = without_dropout(before.student()).to(experiment.feed.device)
        if at is not None:
            return student.fold().set_mode("quantize")
        batches = list(experiment.batches(schedule, schedule.seed + 1, range(CALIBRATION_STEPS)))
        equalise(student.eval().fold(), batches[:EQUALISE_STEPS])
        return refine_scales(
            calibrate(student, batches, HEADROOM, QUANTILE), batches[:REFINE_STEPS]
        )

    return run_steps(
        make,
        experiment,
        schedule,
        range(steps),
        at,
        file,
        COOLDOWN_AVERAGE,
        say,
        cooled=True,
        more=about,
    )
