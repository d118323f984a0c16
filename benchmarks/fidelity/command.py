"""`python -m benchmarks fidelity`: how near the twelve leads come to the truth, by PROTOCOL.md."""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.intervals import Interval, fit_interval, interval_scores, interval_summary
from benchmarks.fidelity.methods import (
    LINEAR,
    PATIENT_LINEAR,
    Method,
    Predictions,
    linear_predictions,
    methods,
    patient_linear_predictions,
    predict,
    truth_mv,
)
from benchmarks.fidelity.offline_methods import OfflineMethod, offline_methods
from benchmarks.fidelity.scores import (
    FROM_S,
    METRICS,
    RESAMPLES,
    TO_S,
    Array,
    record_scores,
    scored,
    summary,
)
from benchmarks.fidelity.segments import SEGMENTS, segments
from benchmarks.fidelity.tables import NOT_MEASURED, tables
from benchmarks.report import Result, Target
from edge.bundle import load_bundle
from edge.engines.registry import MAKERS
from edge.leads import LEADS, RECONSTRUCTED_LEADS, lead_indices
from quantize.data import SCORE_HIGHPASS_HZ, Records, load
from quantize.weights import TEACHER_FILE, VAE_FILE

DOMAINS = ("validation", "test", "cpsc_ptb", "mobile")
BATCH = 64  # records scored at once, in float64: some 50 MB
TARGETS = (
    *(
        Target(f"INT8, {domain}, mean {name}", f"{domain}/shipped/headline/{metric}/mean", *bound)
        for domain, r, rmse_uv in (
            ("test", 0.918, 84),
            ("cpsc_ptb", 0.897, 106),
            ("mobile", 0.86, 97),
        )
        for name, metric, bound in (("r", "r", (r, "", True)), ("RMSE", "rmse_uv", (rmse_uv, "uV")))
    ),
    Target(
        "leads of five whose mean RMSE is below the linear map's, fold 10",
        "test/leads_below_linear",
        5,
        at_least=True,
    ),
    Target("float32 - INT8, fold 10, mean r", "test/float32_minus_shipped/r/mean", 0.001),
    Target("2 s calibration, fold 10, mean r", "test/calibrated/headline/r/mean", 0.96, "", True),
    Target("2 s calibration, fold 10, RMSE", "test/calibrated/headline/rmse_uv/mean", 51, "uV"),
    *(
        Target(
            f"90 % interval in {segment}, {domain}, {method}",
            f"{domain}/{method}/interval/by_segment/{segment}/covered",
            bound,
            at_least=at_least,
        )
        for domain in ("test", "cpsc_ptb", "mobile")
        for method in ("shipped", "calibrated")
        for segment in SEGMENTS
        for bound, at_least in ((0.8, True), (0.97, False))
    ),
    Target(
        "interval score better than constant sigma, fold 10",
        "test/shipped/interval/better_than_constant",
        0.1,
        at_least=True,
    ),
    Target(
        "variance ratio, median over records, worst lead, fold 10",
        "test/shipped/worst_variance_ratio",
        0.85,
        at_least=True,
    ),
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
    add_argument("--leads-off", action="store_true", help="also with one and two input leads off")
    add_argument("--teacher", type=Path, help="weights (default: those that ship)")
    add_argument("--vae", type=Path, help="weights of WearECG's method (default: those that ship)")
    add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    add_argument("--engines", nargs="+", choices=tuple(MAKERS), default=["onnxruntime"])
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--hop-by-hop",
        dest="hop_by_hop",
        action="store_true",
        default=True,
        help="stream each record hop by hop (default)",
    )
    how.add_argument(
        "--whole",
        dest="hop_by_hop",
        action="store_false",
        help="push whole records: the same to 1e-5 mV, and faster",
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
    parser.set_defaults(measure=measure, engine=None)


def measure(arguments: argparse.Namespace) -> Result:
    """Every method on every data set, fold 9 first since k comes from there."""
    bundle = load_bundle(arguments.model)
    domains = [name for name in DOMAINS if name in arguments.domains]
    compared = methods(
        bundle, arguments.engines, arguments.float_bundle, arguments.also, arguments.leads_off
    )
    offline, skipped = offline_methods(arguments.teacher or TEACHER_FILE, arguments.vae or VAE_FILE)
    records = {name: load(name, arguments.data) for name in domains}
    if arguments.limit:
        records = {name: r.take(arguments.limit) for name, r in records.items()}
    results = evaluate(
        compared,
        records,
        offline,
        hop_by_hop=arguments.hop_by_hop,
        folder=arguments.cache,
        scores_folder=arguments.scores,
        seed=arguments.seed,
    )
    protocol = {
        "feed": "hop by hop" if arguments.hop_by_hop else "whole records",
        "highpass_hz": SCORE_HIGHPASS_HZ,
        "scored_s": [FROM_S, TO_S],
        "bootstrap": f"{RESAMPLES} resamples of patients, seed {arguments.seed}",
        "records_per_domain": {name: len(r) for name, r in records.items()},
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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn())
    results: dict[str, Any] = {name: {} for name in records}

    by_record: dict[str, dict[str, dict[str, Array]]] = {name: {} for name in records}
    intervals: dict[str, Interval | None] = {}

    def score(method: str, made: Predictions, of: Records, interval: Interval | None) -> None:
        scores = lead_scores(made, of, interval)
        by_record[of.name][method] = headline_scores(scores)
        if scores_folder is not None:
            write_scores(scores_folder / f"{of.name}-{method.replace(' ', '-')}.csv", scores, of)
        results[of.name][method] = summaries(scores, made, of, interval, seed)

    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        for number, method in enumerate(compared):
            for name, some in records.items():
                task = progress.add_task(f"{method.name}, {name}", total=len(some))
                made = predict(
                    method,
                    some,
                    hop_by_hop=hop_by_hop,
                    folder=folder,
                    advance=lambda task=task: progress.advance(task),  # type: ignore[misc]
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


def headline_scores(scores: dict[str, Array]) -> dict[str, Array]:
    """r and RMSE of each record: means over its five reconstructed leads."""
    return {m: scores[m][:, : len(RECONSTRUCTED_LEADS)].mean(1) for m in ("r", "rmse_uv")}


def against(
    by_record: dict[str, dict[str, Array]], shipped: str, patients: list[str], seed: int
) -> dict[str, Any]:
    """How much each other method differs from `shipped`, record by record: mean and its interval."""
    ours = by_record[shipped]
    return {
        method: {m: summary(theirs[m] - ours[m], patients, seed) for m in ours}
        for method, theirs in by_record.items()
        if method != shipped
    }


def lead_scores(made: Predictions, records: Records, interval: Interval | None) -> dict[str, Array]:
    """METRICS and `squares` (mV^2), (n_records, 9 leads in the order of NOT_MEASURED).

    With the `interval` of fold 9 also `interval_scores`, of the 5 reconstructed leads.
    """
    rows = lead_indices(NOT_MEASURED)
    parts: dict[str, list[Array]] = defaultdict(list)
    for truth, predicted, sigma, labels in _batches(made, records, rows):
        for name, values in record_scores(truth, predicted).items():
            parts[name].append(values)
        errors = predicted - truth
        parts["squares"].append(np.square(errors).mean(-1))
        if interval is not None:
            of = interval_scores(errors[:, : sigma.shape[1]], sigma, labels, interval)
            for name, values in of.items():
                parts[name].append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def summaries(
    scores: dict[str, Array],
    made: Predictions,
    records: Records,
    interval: Interval | None,
    seed: int = 0,
) -> dict[str, Any]:
    """Over records: each lead, the reconstructed five together, the derived four together.

    `headline` and `derived` summarise the mean over their leads of each record. The measured leads are in
    none of them.
    """

    def summarised(values: Array) -> Any:
        return summary(values, records.patient_id, seed)

    n_five = len(RECONSTRUCTED_LEADS)
    found: dict[str, Any] = {
        "n_records": len(records),
        "n_patients": len(set(records.patient_id)),
        "records_with_missing_output": int((made.missing > 0).sum()),
        "share_missing": float(made.missing.mean()),
        "headline": {m: summarised(scores[m][:, :n_five].mean(1)) for m in METRICS},
        "derived": {m: summarised(scores[m][:, n_five:].mean(1)) for m in METRICS},
        "by_lead": {
            lead: {m: summarised(scores[m][:, i]) for m in METRICS}
            for i, lead in enumerate(NOT_MEASURED)
        },
        "nine_leads": {
            "mse_mv2": float(scores["squares"].mean()),
            "mae_mv": float(scores["mae_uv"].mean()) / 1e3,
        },
        "references_refused": int(made.refused.sum()),
        "interval": None,
    }
    found["worst_variance_ratio"] = min(
        found["by_lead"][lead]["variance_ratio"]["median"] for lead in RECONSTRUCTED_LEADS
    )
    if interval is not None:
        found["interval"] = interval_summary(scores, interval, RECONSTRUCTED_LEADS)
    return found


def write_scores(file: Path, scores: dict[str, Array], records: Records) -> None:
    """A CSV with a line per record and lead. Raises BenchmarkError if it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", newline="", encoding="utf-8") as stream:
            lines = csv.writer(stream)
            lines.writerow(("record_id", "patient_id", "lead", *METRICS))
            for i, (record, patient) in enumerate(
                zip(records.record_id, records.patient_id, strict=True)
            ):
                for j, lead in enumerate(NOT_MEASURED):
                    values = (f"{scores[m][i, j]:.6g}" for m in METRICS)
                    lines.writerow((record, patient, lead, *values))
    except OSError as error:
        raise BenchmarkError(
            f"cannot write {file}: {error.strerror}; choose another place"
        ) from error


def interval_of(made: Predictions, records: Records) -> Interval:
    """The 90 % interval over these records and the five leads."""
    batches = _batches(made, records, lead_indices(RECONSTRUCTED_LEADS))
    parts = [(predicted - truth, sigma) for truth, predicted, sigma, _ in batches]
    errors, sigmas = (np.concatenate(values) for values in zip(*parts, strict=True))
    return fit_interval(errors, sigmas)


def _batches(made: Predictions, records: Records, rows: list[int]) -> Any:
    """(truth, predicted, sigma, segment of each sample) as scored, a few records at a time."""
    hz, n = records.sampling_hz, made.ecg_mv.shape[-1]
    counts = slice(round(FROM_S * hz), round(TO_S * hz))
    for start in range(0, len(records), BATCH):
        at = slice(start, start + BATCH)
        some = Records(
            records.name, records.ecg_uv[at], hz, records.record_id[at], records.patient_id[at]
        )
        recorded = truth_mv(some, n)
        truth = scored(recorded[:, rows], hz)
        labels = np.stack([segments(x, hz)[counts] for x in recorded[:, LEADS.index("II")]])
        predicted = scored(made.ecg_mv[at][:, rows], hz)
        yield truth, predicted, made.sigma_mv[at][..., counts].astype(np.float64), labels


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
