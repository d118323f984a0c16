"""The steps of `python -m quantize` that need torch: teacher, student, INT8, bundle."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge.bundle import load_bundle
from edge.leads import RECONSTRUCTED_LEADS
from edge.signal.conditioning import Conditioning
from quantize.any_leads.export import any_leads_export
from quantize.any_leads.steps import any_leads, any_leads_scores
from quantize.augment import Augmentation, Noise
from quantize.classifier.command import classifier
from quantize.data import Records, load, second_moments
from quantize.errors import QuantizeError
from quantize.feed import Feed
from quantize.lessons import with_lessons
from quantize.prepared import PACES, Prepared, prepare
from quantize.student import Student, StudentConfig
from quantize.teacher import Member, Teacher, TeacherConfig, load_teacher, save_teacher
from quantize.train import SAMPLING_HZ, Schedule, train
from quantize.weights import AAE_FILE, TEACHER_FILE, VAE_FILE

QUICK_RECORDS = 64
QUICK_PACES = (0.9, 1.0, 1.1)
TEACHER_SCHEDULE = Schedule(epochs=24, average=0.0)  # at the end of the cycle little moves
QUICK_SCHEDULE = {"epochs": 12, "batch": 16}


@dataclass(frozen=True)
class Course:
    """What every training step draws from."""

    records: Prepared
    validation: Prepared
    feed: Feed


def course(given: argparse.Namespace) -> Course:
    """The records, filtered, with the anchors of the training folds; kept beside the run."""
    records, validation = _records(given)
    spec, hop = Conditioning(), StudentConfig().hop
    kept = given.run.parent / "prepared"
    stored = given.run / f"moments{'-quick' if given.quick else ''}.npy"
    if stored.exists():
        moments = np.load(stored, allow_pickle=False)
    else:
        moments = second_moments(records)
        stored.parent.mkdir(parents=True, exist_ok=True)
        np.save(stored, moments)
    prepared = prepare(records, spec, hop, QUICK_PACES if given.quick else PACES, kept)
    return Course(
        prepared,
        prepare(validation, spec, hop, (1.0,), kept),
        Feed(spec, moments, hop, Noise.load(spec, hop)),
    )


def schedule(given: argparse.Namespace, default: Schedule) -> Schedule:
    """The default one, with what the command line says otherwise."""
    made = replace(default, **QUICK_SCHEDULE) if given.quick else default
    if given.epochs:
        made = replace(made, epochs=given.epochs)
    return replace(made, seed=given.seed) if hasattr(given, "seed") else made


def teacher(given: argparse.Namespace) -> int:
    """Train one kind of teacher, and write its weights."""
    return {"vae": vae, "aae": aae, "anchored": anchored}[given.kind](given)


def vae(given: argparse.Namespace) -> int:
    """Train WearECG's autoencoder, and say how far draws of its latent lie apart."""
    from quantize.vae import VaeConfig
    from quantize.vae_train import VaeSchedule, save_vae, spread, train_vae

    records, validation = _records(given)
    config = VaeConfig(width=given.width) if given.width else VaeConfig()
    how = VaeSchedule(epochs=given.epochs or VaeSchedule.epochs, seed=given.seed)
    made = train_vae(records, validation, config, how, given.run)
    apart = dict(zip(RECONSTRUCTED_LEADS, spread(made, validation).round(2).tolist(), strict=True))
    card = {"schedule": asdict(how), "records": len(records), "spread_uv": apart}
    print(json.dumps(card))
    output = given.output or given.run / VAE_FILE.name
    save_vae(output, made, card)
    print(f"{output}: {output.stat().st_size} bytes")
    return 0


def aae(given: argparse.Namespace) -> int:
    """Train L2G-ECG's adversarial autoencoder, of any leads."""
    from quantize.aae import AaeConfig
    from quantize.aae_train import AaeSchedule, save_aae, train_aae, validate_aae

    records, validation = _records(given)
    config = AaeConfig(width=given.width) if given.width else AaeConfig()
    how = AaeSchedule(epochs=given.epochs or AaeSchedule.epochs, seed=given.seed)
    made = train_aae(records, validation, config, how, given.run)
    command = f"python -m quantize teacher --kind aae --width {config.width} --epochs {how.epochs}"
    card = {
        "command": f"{command} --seed {how.seed}{' --quick' if given.quick else ''}",
        "schedule": asdict(how),
        "records": len(records),
        "fold_9": validate_aae(made, validation),
    }
    print(json.dumps(card))
    output = given.output or given.run / AAE_FILE.name
    save_aae(output, made, card)
    print(f"{output}: {output.stat().st_size} bytes")
    return 0


def _records(given: argparse.Namespace) -> tuple[Records, Records]:
    """What trains, and fold 9."""
    records, validation = load("train"), load("validation")
    if given.quick:
        records, validation = records.take(QUICK_RECORDS), validation.take(QUICK_RECORDS)
    return records, validation


def anchored(given: argparse.Namespace) -> int:
    """Train the members that are not there yet, and put them together.

    Raises QuantizeError for a member that there is not.
    """
    if given.member is not None and not 0 <= given.member < given.members:
        raise QuantizeError(
            f"there is no member {given.member}: give one from 0 to {given.members - 1}, or more --members"
        )
    of = course(given)
    config = TeacherConfig(channels=16, dilations=(1, 4)) if given.quick else TeacherConfig()
    how = schedule(given, TEACHER_SCHEDULE)
    augmentation = Augmentation().calm()  # turning the heart cost members 0.002 of r on fold 9
    wanted = range(given.members) if given.member is None else [given.member]
    for k in wanted:
        folder = given.run / f"member_{k}"
        if not (folder / "member.pt").exists():
            member = train(
                lambda: Member(config),
                of.records,
                of.validation,
                of.feed,
                augmentation,
                replace(how, seed=how.seed + k),
                folder,
            )
            how_made = {"augmentation": asdict(augmentation), "seed": how.seed + k}
            torch.save({"member": member.state_dict(), "made": how_made}, folder / "member.pt")
    files = [given.run / f"member_{k}" / "member.pt" for k in range(given.members)]
    missing = [file.parent.name for file in files if not file.exists()]
    if missing:
        print(f"not yet trained: {', '.join(missing)}")
        return 0
    members, made = [], []
    for file in files:
        saved = torch.load(file, weights_only=True)
        members.append(Member(config))
        members[-1].load_state_dict(saved["member"])
        made.append(saved["made"])
    card = {"schedule": asdict(how), "records": len(of.records), "members": made}
    output = given.output or given.run / TEACHER_FILE.name
    save_teacher(output, Teacher(members), card)
    print(f"{output}: {output.stat().st_size} bytes")
    return 0


def distill(given: argparse.Namespace) -> int:
    """Train the student in float32, with a teacher or alone."""
    by, about = _teacher(given)
    of = _taught(course(given), by, about, given)
    config = StudentConfig(lookahead=given.lookahead)
    if given.quick:
        config = replace(config, channels=32, dilations=(1, 4))
    if given.channels is not None:
        config = replace(config, channels=given.channels)
    how = schedule(given, Schedule())
    student = train(
        lambda: Student(config),
        of.records,
        of.validation,
        of.feed,
        Augmentation(),
        how,
        given.run,
    )
    torch.save(
        {
            "student": student.state_dict(),
            "config": config.as_dict(),
            "schedule": asdict(how),
            "teacher": about,
        },
        given.run / "student.pt",
    )
    return 0


def qat(given: argparse.Namespace) -> int:
    """Calibrate for INT8 and train with quantisation in the loop.

    Raises QuantizeError for another teacher than the student had: its card names one.
    """
    from quantize.qat import QatSchedule, calibrate, quantisation_aware_training, scale_sigma

    student, saved = load_student(given.run)
    by, about = _teacher(given)
    if about.get("sha256") != saved["teacher"].get("sha256"):
        raise QuantizeError(
            "the student was distilled with another teacher, or alone: give --teacher or --alone as then"
        )
    of = _taught(course(given), by, about, given)
    how = QatSchedule()
    size, n_samples = min(how.batch, len(of.records)), round(how.crop_s * SAMPLING_HZ)
    calibrate(student, of.feed.batches(of.records, size, Augmentation(), n_samples, seed=0))
    if given.quick:
        how = replace(how, epochs=2, batch=16)
    if given.epochs:
        how = replace(how, epochs=given.epochs)
    student = quantisation_aware_training(
        student, of.records, of.validation, of.feed, how, given.run
    )
    factors = scale_sigma(student, of.validation, of.feed)
    print(json.dumps({"sigma_scaled_by": factors}))
    torch.save(
        {**saved, "student": student.state_dict(), "qat": asdict(how), "sigma": factors},
        given.run / "qat.pt",
    )
    return 0


def export(given: argparse.Namespace) -> int:
    """Write the bundle of what `qat` made, or of the student before INT8."""
    from quantize.export import bundle_from_student
    from quantize.qat import scale_sigma

    student, saved = load_student(given.run, quantised=not given.float32)
    of = course(given)
    if given.float32:
        student.fold().set_mode("off")
        scale_sigma(student, of.validation, of.feed)
    card: dict[str, Any] = {
        "data": f"PTB-XL subset, folds 1-8, {len(of.records)} records (CC BY 4.0, doi 10.13026/kfzx-aw45)",
        "noise": "MIT-BIH Noise Stress Test, first half of each channel",
        "chosen_on": "PTB-XL fold 9",
        "commands": [f"python -m quantize {name}" for name in ("distill", "qat", "export")],
        **({"remark": given.remark} if given.remark else {}),
        **{k: saved[k] for k in ("config", "schedule", "teacher", "qat", "sigma") if saved.get(k)},
    }
    fidelity = json.loads(given.fidelity.read_text()) if given.fidelity else {}
    data = bundle_from_student(
        student,
        of.feed.moments,
        of.feed.spec,
        float32=given.float32,
        teacher_sha256=saved.get("teacher", {}).get("sha256"),
        training=card,
        fidelity=fidelity.get("card", fidelity),
    )
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_bytes(data)
    print(f"{given.output}: {len(data)} bytes, sha256 {load_bundle(given.output).sha256}")
    return 0


def load_student(folder: Path, quantised: bool = False) -> tuple[Student, dict[str, Any]]:
    """What `distill` left in a run's folder, or `qat`.

    Raises QuantizeError naming the step that is missing.
    """
    file = folder / ("qat.pt" if quantised else "student.pt")
    if not file.exists():
        step = "qat" if quantised else "distill"
        raise QuantizeError(f"{file} is missing: run `python -m quantize {step} --run {folder}`")
    saved = torch.load(file, weights_only=True)
    config = saved["config"]
    student = Student(StudentConfig(**{**config, "dilations": tuple(config["dilations"])}))
    if quantised:
        student.fold()
    student.load_state_dict(saved["student"])
    student.eval()
    return (student.set_mode("quantize") if quantised else student), saved


def _teacher(given: argparse.Namespace) -> tuple[Teacher | None, dict[str, Any]]:
    return (None, {}) if given.alone else load_teacher(given.teacher or TEACHER_FILE)


def _taught(
    of: Course, teacher: Teacher | None, card: dict[str, Any], given: argparse.Namespace
) -> Course:
    """The course with the teacher's lessons; they are kept beside the run."""
    if teacher is None:
        return of
    kept = given.run.parent / "prepared"
    return replace(of, records=with_lessons(of.records, teacher, card["sha256"], of.feed, kept))


STEPS: dict[str, Callable[[argparse.Namespace], int]] = {
    "teacher": teacher,
    "distill": distill,
    "qat": qat,
    "export": export,
    "any-leads": any_leads,
    "any-leads-scores": any_leads_scores,
    "classifier": classifier,
    "any-leads-export": any_leads_export,
}
