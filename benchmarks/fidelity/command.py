"""`python -m benchmarks fidelity`: how near the twelve leads come to the truth, by PROTOCOL.md."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.diagnosis import measure_diagnosis
from benchmarks.fidelity.intervals import Interval
from benchmarks.fidelity.lead_sets import EVERY, NAMED, measure_sets
from benchmarks.fidelity.method_scores import (
    headline_scores,
    interval_of,
    lead_scores,
    summaries,
    write_scores,
)
from benchmarks.fidelity.methods import (
    CALIBRATION_S,
    LINEAR,
    PATIENT_LINEAR,
    Method,
    Predictions,
    linear_predictions,
    methods,
    patient_linear_predictions,
    predict,
)
from benchmarks.fidelity.morphology_report import measure_morphology
from benchmarks.fidelity.offline_methods import OfflineMethod, offline_methods
from benchmarks.fidelity.realism import measure_realism
from benchmarks.fidelity.robustness import measure_robustness
from benchmarks.fidelity.scores import Array, Bootstrap, scoring
from benchmarks.fidelity.subgroups import measure_subgroups
from benchmarks.fidelity.tables import LARGER, tables
from benchmarks.fidelity.targets import TARGETS
from benchmarks.report import Result
from edge.bundle import load_bundle
from edge.engines.registry import MAKERS
from edge.leads import RECONSTRUCTED_LEADS
from edge.progress import progress
from quantize.data import Records, load
from quantize.hundred_hz import load_hundred_hz
from quantize.weights import AAE_FILE, TEACHER_FILE, VAE_FILE

DOMAINS = ("validation", "test", "cpsc_ptb", "mobile")
LEADS_PART = "leads"
PARTS = {
    "morphology": measure_morphology,
    "robustness": measure_robustness,
    "diagnosis": measure_diagnosis,
    "realism": measure_realism,
    "subgroups": measure_subgroups,
}
_OF_PARTS = {
    "classifier": ("diagnosis", "realism"),
    "plots": ("diagnosis", "morphology", "subgroups"),
}
_NOT_OF_A_PART = (
    *("leads", "calibration", "rivals", "leads_off", "scores", "teacher", "vae", "also"),
    "float_bundle",
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("fidelity", help="twelve leads against the truth")
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument("--float-bundle", type=Path, help="the same student before INT8")
    add_argument(
        "--also",
        nargs="+",
        type=Path,
        default=[],
        metavar="BUNDLE",
        help="more students, by file name",
    )
    add_argument(
        "--leads",
        nargs="+",
        metavar="SET",
        help=f"sets of measured leads, as II,V1,V5; {NAMED}: those that people wear; {EVERY}: all 510 that "
        "leave a lead open. Without it II,V1,V5 beside every other method",
    )
    add_argument(
        "--calibration",
        type=_seconds,
        metavar="S",
        help="with --leads: also calibrated on the first S seconds of each record",
    )
    add_argument(
        "--rivals",
        action="store_true",
        help="with --leads: also L2G-ECG's and WearECG's methods, where weights are here",
    )
    add_argument("--leads-off", action="store_true", help="also with one and two input leads off")
    add_argument("--teacher", type=Path, help="weights (default: those that ship)")
    add_argument("--vae", type=Path, help="weights of WearECG's method (default: those that ship)")
    add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    add_argument(
        "--larger", action="store_true", help="also PTB-XL's whole folds 9 and 10, from 100 Hz"
    )
    add_argument("--engines", nargs="+", choices=tuple(MAKERS), default=["onnxruntime"])
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--hop-by-hop",
        dest="hop_by_hop",
        action="store_true",
        default=None,
        help="stream each record hop by hop (default without --leads)",
    )
    how.add_argument(
        "--whole",
        dest="hop_by_hop",
        action="store_false",
        help="push whole records: the same to 1e-5 mV, and faster (default with --leads)",
    )
    add_argument("--limit", type=int, metavar="N", help="the first N records of each data set")
    add_argument("--data", type=Path, help="folder of the recordings (default: $LEADLIFT_DATA)")
    add_argument(
        "--cache", type=Path, help="folder that keeps predictions, to go on where it ended"
    )
    add_argument("--seed", type=int, default=0, help="of the bootstrap")
    add_argument(
        "--scores", type=Path, metavar="FOLDER", help="write a CSV of every record and lead there"
    )
    add_argument(
        "--part",
        choices=(LEADS_PART, *PARTS),
        help="morphology: ST, amplitudes, durations, SSIM; robustness: noise, gaps, wrong wiring; "
        "diagnosis: what a classifier sees; realism: told from true leads or not; "
        "subgroups: by age, sex, diagnosis, rate and device, and the worst records; "
        f"{LEADS_PART}: as --leads {NAMED}",
    )
    add_argument(
        "--classifier",
        metavar="WHICH",
        help="of diagnosis and realism: ecgfounder:PATH, or a file of `python -m quantize classifier` "
        "(default: the one that ships)",
    )
    add_argument("--plots", type=Path, metavar="FOLDER", help="draw figures there")
    parser.set_defaults(measure=measure, engine=None)


def _seconds(text: str) -> float:
    value = float(text)
    if not value >= CALIBRATION_S:
        raise argparse.ArgumentTypeError(f"{text} is less than {CALIBRATION_S:g} s of reference")
    return value


def measure(arguments: argparse.Namespace) -> Result:
    """Every method on every data set, fold 9 first since k comes from there."""
    for option, parts in _OF_PARTS.items():
        if getattr(arguments, option) is not None and arguments.part not in parts:
            raise BenchmarkError(f"--{option} goes with --part {' or '.join(parts)}: leave it out")
    if arguments.part in PARTS:
        for option in _NOT_OF_A_PART:
            if getattr(arguments, option):
                name = option.replace("_", "-")
                raise BenchmarkError(f"--{name} is not for --part {arguments.part}: leave it out")
        return PARTS[arguments.part](arguments, load_domains(arguments))
    if arguments.part == LEADS_PART and not arguments.leads:
        arguments.leads = [NAMED]
    if not arguments.leads:
        return _measure_methods(arguments)
    for option in ("leads_off", "scores", "teacher", "vae"):
        if getattr(arguments, option):
            name = option.replace("_", "-")
            raise BenchmarkError(f"--{name} is for II, V1, V5 alone: leave it out, or --leads")
    return measure_sets(arguments, load_domains(arguments))


def load_domains(arguments: argparse.Namespace) -> dict[str, Records]:
    """The data sets asked for, by name, cut to `--limit` records each."""
    records = {name: load(name, arguments.data) for name in DOMAINS if name in arguments.domains}
    for larger, native in zip(LARGER if arguments.larger else (), DOMAINS, strict=False):
        if native in records:
            records[larger] = load_hundred_hz(larger, arguments.data, arguments.cache)
    if arguments.limit:
        records = {name: r.take(arguments.limit) for name, r in records.items()}
    return records


def _measure_methods(arguments: argparse.Namespace) -> Result:
    if arguments.calibration:
        raise BenchmarkError("--calibration goes with --leads: without it 2 s are always measured")
    if arguments.rivals:
        raise BenchmarkError("--rivals goes with --leads: without it they are always measured")
    bundle = load_bundle(arguments.model)
    hop_by_hop = arguments.hop_by_hop is not False
    compared = methods(
        bundle, arguments.engines, arguments.float_bundle, arguments.also, arguments.leads_off
    )
    offline, skipped = offline_methods(
        arguments.teacher or TEACHER_FILE, arguments.vae or VAE_FILE, AAE_FILE
    )
    records = load_domains(arguments)
    results = evaluate(
        compared,
        records,
        offline,
        hop_by_hop=hop_by_hop,
        folder=arguments.cache,
        scores_folder=arguments.scores,
        seed=arguments.seed,
    )
    protocol = {
        "feed": "hop by hop" if hop_by_hop else "whole records",
        **scoring(records, arguments.seed),
        "methods": {
            LINEAR: "population linear map, causal conditioned feed",
            PATIENT_LINEAR: "least squares on the first 2 s of 12 leads of each record",
        }
        | {method.name: method.what for method in offline}
        | skipped
        | {
            method.name: f"{method.what}, bundle {method.bundle.sha256[:16]}" for method in compared
        },
    }
    card = {"protocol": protocol, "scores": fidelity_card(results)}
    return Result(results, tables(results), TARGETS, {"protocol": protocol, "card": card})


def evaluate(
    compared: tuple[Method, ...],
    records: dict[str, Records],
    offline: tuple[OfflineMethod, ...] = (),
    *,
    hop_by_hop: bool = True,
    folder: Path | None = None,
    scores_folder: Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Per data set and method what `summaries` gives; under `shipped` the first again, and differences.

    `folder` keeps predictions; `scores_folder` gets a CSV for each data set and method.
    """
    results: dict[str, Any] = {name: {} for name in records}

    by_record: dict[str, dict[str, dict[str, Array]]] = {name: {} for name in records}
    intervals: dict[str, Interval | None] = {}

    def score(method: str, made: Predictions, of: Records, interval: Interval | None) -> None:
        scores = lead_scores(made, of, interval)
        by_record[of.name][method] = headline_scores(scores)
        if scores_folder is not None:
            write_scores(scores_folder / f"{of.name}-{method.replace(' ', '-')}.csv", scores, of)
        results[of.name][method] = summaries(scores, made, of, interval, seed)

    with progress("", len(compared) * sum(map(len, records.values()))) as work:
        for number, method in enumerate(compared):
            for name, some in records.items():
                work.what = f"{method.name}, {name}"
                made = predict(
                    method,
                    some,
                    hop_by_hop=hop_by_hop,
                    folder=folder,
                    advance=work.advance,
                )
                if number == 0:
                    score(LINEAR, linear_predictions(method.bundle, made), some, None)
                    own = patient_linear_predictions(method.bundle, made, some)
                    score(PATIENT_LINEAR, own, some, None)
                    for other in offline:
                        far = other.predict(method.bundle, made, some)
                        if name == "validation" and other.has_sigma:
                            intervals[other.name] = interval_of(far, some)
                        score(other.name, far, some, intervals.get(other.name))
                if method.off:  # with the k of all leads: does sigma itself grow as the error does?
                    intervals[method.name] = intervals.get(compared[0].name)
                elif name == "validation":
                    intervals[method.name] = interval_of(made, some)
                score(method.name, made, some, intervals.get(method.name))
    calibrated = next(
        (method.name for method in compared if method.calibration_s is not None), None
    )
    for name, domain in results.items():
        patients = records[name].patient_id
        domain["against_shipped"] = against(by_record[name], compared[0].name, patients, seed)
        _compare(domain, compared[0].name, compared[-1].name, calibrated)
    return results


def against(
    by_record: dict[str, dict[str, Array]], shipped: str, patients: list[str], seed: int
) -> dict[str, Any]:
    """How much each other method differs from `shipped`, record by record: mean and its interval."""
    ours, bootstrap = by_record[shipped], Bootstrap(patients, seed)
    return {
        method: {m: bootstrap.summary(theirs[m] - ours[m]) for m in ours}
        for method, theirs in by_record.items()
        if method != shipped
    }


def _compare(domain: dict[str, Any], shipped: str, float32: str, calibrated: str | None) -> None:
    """Add the figures that targets bound."""
    ours, theirs = domain[shipped], domain[float32]
    if calibrated is not None:
        domain["calibrated"] = domain[calibrated]
    domain["shipped"] = ours
    domain["leads_below_linear"] = sum(
        ours["by_lead"][lead]["rmse_uv"]["mean"]
        < domain[LINEAR]["by_lead"][lead]["rmse_uv"]["mean"]
        for lead in RECONSTRUCTED_LEADS
    )
    domain["float32_minus_shipped"] = {
        metric: {"mean": theirs["headline"][metric]["mean"] - ours["headline"][metric]["mean"]}
        for metric in ("r", "rmse_uv")
    }
    lost = -domain["float32_minus_shipped"]["rmse_uv"]["mean"]
    domain["shipped_over_float32"] = {
        "rmse_share": {"mean": lost / theirs["headline"]["rmse_uv"]["mean"]}
    }


def fidelity_card(results: dict[str, Any]) -> dict[str, Any]:
    """The few numbers that a bundle's manifest carries: mean r and RMSE of the shipped and linear methods."""
    return {
        domain: {
            method: {m: round(found[method]["headline"][m]["mean"], 4) for m in ("r", "rmse_uv")}
            for method in (LINEAR, "shipped", "calibrated")
            if method in found
        }
        for domain, found in results.items()
    }
