"""`python -m quantize`: from records to the bundle, a command a step."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import default_bundle_path, load_bundle
from edge.conditioning import Conditioning
from edge.errors import LeadliftError
from quantize.data import DATASETS, Records, load, second_moments
from quantize.errors import QuantizeError

QUICK_RECORDS = 64


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m quantize", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("data", help="what recordings there are, and their anchor")
    for name, text in (
        ("student", "train the causal student in float32 (resumes)"),
        ("qat", "calibrate it for INT8 and train with quantisation in the loop"),
        ("export", "write the bundle"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--run", type=Path, default=Path("runs/student"), help="its folder")
        command.add_argument("--quick", action="store_true", help=f"{QUICK_RECORDS} records only")
        if name != "export":
            command.add_argument("--epochs", type=int)
        if name == "student":
            command.add_argument("--seed", type=int, default=0)
        if name == "export":
            command.add_argument("--output", type=Path, default=default_bundle_path())
            command.add_argument("--float32", action="store_true", help="the student before INT8")
            command.add_argument("--fidelity", type=Path, help="report of `benchmarks fidelity`")
            command.add_argument("--remark", help="for the training card")
    verifier = commands.add_parser("verify", help="torch = ONNX Runtime = streamed, or fail")
    verifier.add_argument("--model", type=Path)
    verifier.add_argument("--records", type=int, default=200)
    verifier.add_argument("--json", type=Path)
    costs = commands.add_parser("sensitivity", help="what quantising each tensor costs, alone")
    costs.add_argument("--model", type=Path)
    costs.add_argument("--records", type=int, default=200)
    costs.add_argument(
        "--run", type=Path, help="that was exported: has the weights before rounding"
    )
    costs.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    try:
        return int(_COMMANDS[given.command](given))
    except (QuantizeError, LeadliftError) as error:
        print(f"quantize {given.command}: {error}", file=sys.stderr)
        return 1


def _data(_: argparse.Namespace) -> int:
    for name in DATASETS:
        records = load(name)
        patients = len(set(records.patient_id))
        print(f"{name}: {len(records)} records of {patients} patients, {records.sampling_hz:g} Hz")
    return 0


def _student(given: argparse.Namespace) -> int:
    from quantize.student import StudentConfig
    from quantize.train import Schedule, train

    records, validation, feed = _feed(given)
    schedule = Schedule(seed=given.seed)
    if given.quick:
        schedule = replace(schedule, epochs=12, batch=16)
    if given.epochs:
        schedule = replace(schedule, epochs=given.epochs)
    config = StudentConfig(channels=32, dilations=(1, 4)) if given.quick else StudentConfig()
    train(records, validation, feed, config, schedule, given.run)
    return 0


def _qat(given: argparse.Namespace) -> int:
    from quantize.qat import QatSchedule, calibrate, quantisation_aware_training, scale_sigma

    records, validation, feed = _feed(given)
    student, saved = _load_student(given.run)
    calibrate(student, records, feed, 6.0, batch=min(32, len(records)))
    schedule = QatSchedule()
    if given.quick:
        schedule = replace(schedule, epochs=2, batch=16)
    if given.epochs:
        schedule = replace(schedule, epochs=given.epochs)
    student = quantisation_aware_training(student, records, validation, feed, schedule, given.run)
    factors = scale_sigma(student, validation, feed)
    print(json.dumps({"sigma_scaled_by": factors}))
    import torch

    torch.save(
        {**saved, "student": student.state_dict(), "qat": asdict(schedule), "sigma": factors},
        given.run / "qat.pt",
    )
    return 0


def _export(given: argparse.Namespace) -> int:
    from quantize.export import bundle_from_student
    from quantize.qat import scale_sigma

    records, validation, feed = _feed(given)
    student, saved = _load_student(given.run, quantised=not given.float32)
    if given.float32:
        student.fold().set_mode("off")
        scale_sigma(student, validation, feed)
    card: dict[str, Any] = {
        "data": f"PTB-XL subset, folds 1-8, {len(records)} records (CC BY 4.0, doi 10.13026/kfzx-aw45)",
        "chosen_on": "PTB-XL fold 9",
        "commands": [f"python -m quantize {name}" for name in ("student", "qat", "export")],
        **({"remark": given.remark} if given.remark else {}),
        **{key: saved[key] for key in ("config", "schedule", "qat", "sigma") if key in saved},
    }
    fidelity = json.loads(given.fidelity.read_text()) if given.fidelity else {}
    data = bundle_from_student(
        student,
        feed.moments,
        feed.spec,
        float32=given.float32,
        training=card,
        fidelity=fidelity.get("card", fidelity),
    )
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_bytes(data)
    print(f"{given.output}: {len(data)} bytes, sha256 {load_bundle(given.output).sha256}")
    return 0


def _verify(given: argparse.Namespace) -> int:
    from quantize.verify import beyond_bounds, verify

    bundle = load_bundle(given.model)
    figures = verify(bundle, load("validation").take(given.records))
    print(json.dumps(figures, indent=1))
    if given.json:
        given.json.write_text(json.dumps({"bundle_sha256": bundle.sha256, **figures}, indent=1))
    for line in beyond_bounds(figures):
        print(f"quantize verify: {line}", file=sys.stderr)
    return 1 if beyond_bounds(figures) else 0


def _sensitivity(given: argparse.Namespace) -> int:
    from quantize.sensitivity import line, sensitivity, weights_of

    bundle = load_bundle(given.model)
    weights = weights_of(bundle, _load_student(given.run, quantised=True)[0]) if given.run else None
    records = load("validation").take(given.records)
    costs = sensitivity(bundle, records, weights)
    print(
        f"INT8 bundle, {len(records)} records: r {costs[0].r:.4f}, RMSE {costs[0].rmse_uv:.2f} uV"
    )
    for cost in sorted(costs[1:], key=lambda cost: -abs(cost.r_change)):
        print(line(cost))
    if given.json:
        card = {
            "bundle_sha256": bundle.sha256,
            "records": len(records),
            "weights": "of the run, before rounding"
            if given.run
            else "moved by half a code at most",
            "costs": [asdict(cost) for cost in costs],
        }
        given.json.write_text(json.dumps(card, indent=1))
    return 0


def _feed(given: argparse.Namespace) -> tuple[Records, Records, Any]:
    from quantize.feed import Feed

    records, validation = load("train"), load("validation")
    if given.quick:
        records, validation = records.take(QUICK_RECORDS), validation.take(QUICK_RECORDS)
    stored = given.run / f"moments{'-quick' if given.quick else ''}.npy"
    if stored.exists():
        moments = np.load(stored, allow_pickle=False)
    else:
        moments = second_moments(records)
        stored.parent.mkdir(parents=True, exist_ok=True)
        np.save(stored, moments)
    return records, validation, Feed(Conditioning(), moments)


def _load_student(folder: Path, quantised: bool = False) -> tuple[Any, dict[str, Any]]:
    import torch

    from quantize.student import Student, StudentConfig

    file = folder / ("qat.pt" if quantised else "student.pt")
    if not file.exists():
        raise QuantizeError(
            f"{file} is missing: run `python -m quantize {file.stem} --run {folder}`"
        )
    saved = torch.load(file, weights_only=True)
    config = saved["config"]
    student = Student(StudentConfig(**{**config, "dilations": tuple(config["dilations"])}))
    if quantised:
        student.fold()
    student.load_state_dict(saved["student"])
    student.eval()
    return (student.set_mode("quantize") if quantised else student), saved


_COMMANDS = {
    "data": _data,
    "student": _student,
    "qat": _qat,
    "export": _export,
    "verify": _verify,
    "sensitivity": _sensitivity,
}

if __name__ == "__main__":
    sys.exit(main())
