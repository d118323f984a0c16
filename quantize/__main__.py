"""`python -m quantize`: from records to the bundle, a command a step."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from dataclasses import asdict
from pathlib import Path

from edge.bundle import load_bundle
from edge.leads import LEADS
from edge.notices import LOG, add_notice_options, reported
from edge.progress import progress
from quantize.data import DATASETS, load
from quantize.errors import QuantizeError

RUNS = Path("runs")
# The steps of training import torch, and are looked up when they run.
TRAINING = {
    "teacher": "train the networks that the student learns from (resumes)",
    "distill": "train the causal student in float32 (resumes)",
    "qat": "calibrate it for INT8 and train with quantisation in the loop",
    "export": "write the bundle",
    "any-leads": "train a decoder of any leads on every patient (resumes)",
    "any-leads-scores": "its r and RMSE on fold 9, set by set, beside the linear map's",
    "any-leads-export": "write its bundle, the one that ships",
    "classifier": "train the judge of a diagnosis on real records (resumes)",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = _parser().parse_args(arguments)
    return reported(f"quantize {given.command}", lambda: _run(given), given.verbosity)


def _run(given: argparse.Namespace) -> int:
    if given.command in TRAINING:
        from quantize.steps import STEPS

        if given.command.endswith("export"):
            with progress("writing the bundle"):
                return STEPS[given.command](given)
        return STEPS[given.command](given)
    return int(_COMMANDS[given.command](given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m quantize", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _data_options(commands.add_parser("data", help="what recordings there are; --fetch: get them"))
    for name, text in TRAINING.items():
        command = commands.add_parser(name, help=text)
        add = command.add_argument
        if name.startswith("any-leads"):
            _any_leads_options(name, command)
            continue
        if name == "classifier":
            _classifier_options(command)
            continue
        folder = RUNS / ("teacher" if name == "teacher" else "student")
        add("--run", type=Path, default=folder, help="its folder")
        add("--quick", action="store_true", help="64 records only")
        if name != "export":
            add("--epochs", type=int)
        if name in ("teacher", "distill"):
            add("--seed", type=int, default=0)
        if name in ("distill", "qat"):
            add("--teacher", type=Path, help="default: the one that ships")
            add("--alone", action="store_true", help="without a teacher")
        if name == "distill":
            add(
                "--lookahead",
                type=int,
                default=0,
                help="hops that the answer may come late, 0 to 25",
            )
            add("--channels", type=int, help="of its features: fewer cost less per hop")
        if name == "teacher":
            add(
                "--kind",
                choices=("anchored", "vae", "aae"),
                default="anchored",
                help="ours; WearECG's VAE; L2G-ECG's adversarial autoencoder, of any leads",
            )
            add("--members", type=int, default=3, help="networks whose mean teaches")
            add("--member", type=int, help="train this one only: to run them side by side")
            add(
                "--width",
                type=int,
                help="of the first stage (default: the paper's 128; of aae: 12)",
            )
            add("--output", type=Path, help="default: teacher.safetensors in the folder")
        if name == "export":
            add("--output", type=Path, required=True)
            add("--float32", action="store_true", help="the student before INT8")
            add("--fidelity", type=Path, help="report of `benchmarks fidelity`")
            add("--remark", help="for the training card")
    verifier = commands.add_parser("verify", help="torch = ONNX Runtime = streamed, or fail")
    costs = commands.add_parser("sensitivity", help="what quantising each tensor costs, alone")
    prior = commands.add_parser(
        "calibration-prior", help="what calibrations of patients look like, for every set of leads"
    )
    prior.add_argument("--records", type=_count, default=300, help="that train (default: 300)")
    prior.add_argument("--jobs", type=_count, default=1, help="processes at work")
    prior.add_argument("--output", type=Path, help="default: the file that ships")
    for command in (verifier, costs):
        command.add_argument("--model", type=Path)
        command.add_argument("--records", type=int, default=200)
        command.add_argument("--json", type=Path)
    costs.add_argument(
        "--run", type=Path, help="that was exported: has the weights before rounding"
    )
    for command in commands.choices.values():
        add_notice_options(command)
    return parser


def _data_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "--fetch",
        nargs="*",
        metavar="NAME",
        help="get these from PhysioNet, or all (ptb-xl, challenge-2021, challenge-2011, nstdb: 5 GB), "
        "and make the training files of them; what is there already is only checked",
    )
    add("--folder", type=Path, help="for them (default: $LEADLIFT_DATA, or data)")
    add("--mirror", metavar="ADDRESS", help="of a server that has PhysioNet's files")


def _any_leads_options(name: str, command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--run", type=Path, default=RUNS / "any-leads", help="its folder")
    if name == "any-leads":
        add("--quick", action="store_true", help="64 records of the 250 Hz ones only")
        add("--seed", type=int, default=0)
        add("--steps", type=_count, help="at the constant rate; stop it when you like, it goes on")
        one_of = command.add_mutually_exclusive_group().add_argument
        one_of(
            "--cooldown", type=_count, metavar="STEPS", help="let the rate fall to zero from here"
        )
        one_of("--qat", type=_count, metavar="STEPS", help="of INT8 training, from what was cooled")
        one_of("--adversarial", type=_weight, metavar="WEIGHT", help="go on from what was cooled")
        one_of(
            "--mean",
            nargs="+",
            type=Path,
            metavar="CHECKPOINT",
            help="of these, instead of a cooldown",
        )
        add("--adversarial-steps", type=_count, metavar="STEPS", help="how long (default: 600)")
        add("--start", type=Path, help="checkpoint to go on from, where the folder has none")
        add("--keep", type=Path, metavar="FOLDER", help="copy there, small, where it stands")
        add("--patients", type=_count, help="so many only, drawn at random: a learning curve")
        add(
            "--device",
            choices=("cpu", "cuda"),
            default="cpu",
            help="where it trains (default: cpu)",
        )
        add("--channels", type=_count, help="of its features")
        add("--dilations", type=_counts, metavar="D,D,...", help="of its blocks")
        add("--dropout", type=_share, help="of the channels inside its blocks")
        add("--lookahead", type=int, help="hops that its answer comes late, 0 to 25: a teacher's")
        add("--rate", type=_share, help="of learning (default: 0.002; of --qat: 0.00004)")
        add("--batch", type=_count, help="records a step (default: 32)")
        add("--narrow", type=Path, metavar="CHECKPOINT", help="begin as the best --channels of it")
        add("--teacher", type=Path, metavar="CHECKPOINT", help="learn from it, too")
        add("--first", type=_share, help="share of records with II, V1, V5 (default: 0.25)")
        add("--bfloat16", action="store_true", help="half the time, where the processor has it")
        return
    if name == "any-leads-export":
        add("--checkpoint", type=Path, help="default: what INT8 training made in the folder")
        add("--output", type=Path, help="default: the bundle that ships")
        add("--float32", action="store_true", help="the decoder before INT8")
        add(
            "--sigma-amplitude",
            action="store_true",
            help="let sigma grow with the amplitude, by a share that is chosen on fold 9",
        )
        add("--fidelity", type=Path, help="report of `benchmarks fidelity`")
        add("--sets", type=Path, help="report of `any-leads-scores --every-set --json`")
        add("--name", default="leadlift-any-to-12", help="of the decoder (default: %(default)s)")
        add("--remark", help="for the training card")
        return
    add("--checkpoint", type=Path, help="default: the newest of the folder")
    add("--larger", action="store_true", help="all of fold 9, at 100 Hz")
    add("--realism", action="store_true", help="variance, 40-100 Hz, Frechet distance, told apart")
    add("--every-set", action="store_true", help="all 510 classes, not the named ones")
    add("--records", type=_count, help="the first so many")
    add("--json", type=Path)


def _classifier_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--run", type=Path, default=RUNS / "classifier", help="its folder")
    add("--leads", type=_leads, default=LEADS, help="that it takes, as II,V1,V5 (default: all)")
    add("--quick", action="store_true", help="64 records of the 250 Hz ones only")
    add("--epochs", type=_count)
    add("--seed", type=int, default=0)
    add("--bfloat16", action="store_true", help="half the time, where the processor has it")
    add("--output", type=Path, help="default: a file in the folder")


def _leads(text: str) -> tuple[str, ...]:
    """Names of leads, joined by commas."""
    named = tuple(text.split(","))
    unknown = [name for name in named if name not in LEADS]
    if unknown or len(set(named)) < len(named):
        raise argparse.ArgumentTypeError(f"{text!r}: give some of {', '.join(LEADS)}, each once")
    return named


def _count(text: str) -> int:
    """A number of things, 1 at least."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number, 1 at least")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    """Several of them, with commas between."""
    return tuple(_count(one.strip()) for one in text.split(","))


def _weight(text: str) -> float:
    """Of a term of the loss, 0 at least."""
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number, 0 at least")
    return weight


def _share(text: str) -> float:
    """Of the whole, 0 to 1."""
    value = _weight(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number from 0 to 1")
    return value


def _data(given: argparse.Namespace) -> int:
    if given.fetch is not None:
        return _fetch(given)
    if given.mirror:
        raise QuantizeError("--mirror is where --fetch gets the files: give both")
    for name in DATASETS:
        records = load(name, given.folder)
        patients = len(set(records.patient_id))
        print(f"{name}: {len(records)} records of {patients} patients, {records.sampling_hz:g} Hz")
    return 0


def _fetch(given: argparse.Namespace) -> int:
    from quantize.published.build import build, wanted_sets
    from quantize.published.fetch import Server, fetch
    from quantize.published.sets import PHYSIONET

    folder = given.folder or Path(os.environ.get("LEADLIFT_DATA") or "data")
    chosen = wanted_sets(given.fetch)
    with Server(given.mirror or PHYSIONET) as server:
        for one in chosen:
            build(one, fetch(one, folder / "published", server), folder)
            print(f"{folder / one.makes}.npz: {one.path}, {one.licence}, {one.source}", flush=True)
    print(f"export LEADLIFT_DATA={folder.resolve()}")
    return 0


def _verify(given: argparse.Namespace) -> int:
    from quantize.verify import beyond_bounds, verify

    bundle = load_bundle(given.model)
    figures = verify(bundle, load("validation").take(given.records))
    print(json.dumps(figures, indent=1))
    if given.json:
        given.json.write_text(json.dumps({"bundle_sha256": bundle.sha256, **figures}, indent=1))
    for line in beyond_bounds(figures):
        LOG.error("%s", line)
    return 1 if beyond_bounds(figures) else 0


def _calibration_prior(given: argparse.Namespace) -> int:
    from quantize.calibration_prior import calibration_prior

    return calibration_prior(given)


def _sensitivity(given: argparse.Namespace) -> int:
    from quantize.sensitivity import line, sensitivity, weights_of
    from quantize.steps import load_student

    bundle = load_bundle(given.model)
    weights = weights_of(bundle, load_student(given.run, quantised=True)[0]) if given.run else None
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


_COMMANDS = {
    "data": _data,
    "verify": _verify,
    "sensitivity": _sensitivity,
    "calibration-prior": _calibration_prior,
}

if __name__ == "__main__":
    sys.exit(main())
