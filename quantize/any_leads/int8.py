"""INT8 for an any-lead network: calibrated on all kinds of sets, then trained with its numbers rounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from quantize.any_leads.checkpoint import load_checkpoint
from quantize.any_leads.train import (
    COOLDOWN_AVERAGE,
    AnySchedule,
    Experiment,
    run_steps,
    without_dropout,
)
from quantize.qat import calibrate
from quantize.student import QMAX, Student

QAT = "qat.safetensors"
CALIBRATION_STEPS = 64  # batches, of other steps than those that train
RATE = 4e-5  # more forgets what the cooldown brought: 2e-4 costs lead I .003 of r, 8e-4 still more
QUANTILE = 0.99997
STEM_RANGE_MV = (
    3.2  # a code of the input is 25 uV then; with 4 mV it costs half of what all activations do
)
HEADROOM = (
    1.0  # the graph saturates at code 127 as training does; with 2 rounding costs twice as much
)


def quantised(
    experiment: Experiment,
    schedule: AnySchedule,
    source: Path,
    folder: Path,
    steps: int,
    say: Callable[[str], None] = print,
) -> Student:
    """From a checkpoint in float32 so many steps with quantisation in the loop, on calm records.

    Goes on from QAT in the folder if that was made of the same source. Raises QuantizeError for a source that
    is none.
    """
    before, file = load_checkpoint(source), folder / QAT
    experiment = replace(
        experiment,
        augmentation=experiment.augmentation.calm(),
        sampling=experiment.sampling.settled(),
    )
    schedule = replace(schedule, rate=RATE, warm_up=0, bfloat16=False)  # codes need all their bits
    at = load_checkpoint(file) if file.exists() else None
    about = {"quantised": True, "float32_step": before.step, "qat_steps": steps}
    about |= {key: value for key, value in before.about.items() if key.startswith("adversarial_")}
    if at is not None and any(at.about.get(key) != value for key, value in about.items()):
        at = None

    def make() -> Student:
        student = without_dropout(before.student())
        if at is not None:
            return student.fold().set_mode("quantize")
        batches = experiment.batches(schedule, schedule.seed + 1, range(CALIBRATION_STEPS))
        student.input.scale.fill_(STEM_RANGE_MV / QMAX)
        return calibrate(student, batches, HEADROOM, QUANTILE)

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
