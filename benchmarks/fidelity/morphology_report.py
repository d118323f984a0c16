"""`python -m benchmarks fidelity --part morphology`: ST, amplitudes, durations and SSIM."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity.fiducials import METHOD, need_neurokit
from benchmarks.fidelity.methods import (
    LINEAR,
    Method,
    cache_key,
    linear_predictions,
    predict,
)
from benchmarks.fidelity.morphology import (
    IMAGES,
    LEVELS,
    NINE,
    OVER_UV,
    SHIPPED,
    ST_S,
    TIMES,
    TRUTH,
    Measured,
    measured,
)
from benchmarks.fidelity.morphology_tables import tables
from benchmarks.fidelity.plots import LIMITS, draw_agreement
from benchmarks.fidelity.scores import FROM_S, RESAMPLES, TO_S, Array, Bootstrap, Summary
from benchmarks.fidelity.ssim import SSIM_DEFINITION
from benchmarks.report import Result, Target
from edge.bundle import Bundle, load_bundle
from edge.leads import RECONSTRUCTED_LEADS
from edge.progress import progress
from quantize.data import SCORE_HIGHPASS_HZ, Records

TARGETS = (
    Target("SSIM of the five leads, fold 10", f"test/{SHIPPED}/ssim/mean", 0.715, "", True),
    Target("ST at J+60 ms, mean error, fold 10", f"test/{SHIPPED}/st60_uv/mean", 42, "uV"),
    Target(
        "lead-beats whose ST at J+60 ms is off by over 100 uV, fold 10",
        f"test/{SHIPPED}/over/st60_uv/100/lead_beats/share",
        0.072,
    ),
)


def measure_morphology(arguments: argparse.Namespace, records: dict[str, Records]) -> Result:
    """Every data set."""
    need_neurokit()  # before an hour of streaming
    bundle, engine = load_bundle(arguments.model), arguments.engines[0]
    method = Method(f"INT8 {engine}", f"student INT8, {engine}", bundle, engine)
    hop_by_hop = bool(arguments.hop_by_hop)
    results: dict[str, Any] = {}
    with progress("", 2 * sum(map(len, records.values()))) as work:
        for domain, some in records.items():
            work.what = f"{method.name}, {domain}"
            made = predict(
                method,
                some,
                hop_by_hop=hop_by_hop,
                folder=arguments.cache,
                advance=work.advance,
            )
            work.what = f"morphology, {domain}"
            both = {LINEAR: linear_predictions(bundle, made), SHIPPED: made}
            name = cache_key(method, some, hop_by_hop)
            found = measured(both, some, folder=arguments.cache, name=name, advance=work.advance)
            results[domain] = summaries(found, some, arguments.seed)
            if arguments.plots is not None:
                true_r, made_r = (
                    by_record(found.beats[of]["r_uv"], found.record, len(some))
                    for of in (TRUTH, SHIPPED)
                )
                draw_agreement(arguments.plots, domain, true_r, made_r)
    return Result(
        results, tables(results), TARGETS, {"protocol": protocol(bundle, arguments, records)}
    )


def protocol(
    bundle: Bundle, arguments: argparse.Namespace, records: dict[str, Records]
) -> dict[str, Any]:
    """What a reader of the figures must know."""
    hz = bundle.manifest.sampling_hz
    return {
        "feed": "hop by hop" if arguments.hop_by_hop else "whole records",
        "bandwidth": f"{SCORE_HIGHPASS_HZ} Hz (second order, forward and backward, truth and methods alike) "
        f"to {hz / 2:g} Hz, less the mains notch in what is reconstructed; ST is not that of 0.05 Hz",
        "scored_s": [FROM_S, TO_S],
        "fiducials": f"neurokit2, {METHOD}, of the true lead II; QRS onset, J and T end at the record's "
        "median distances from R",
        "levels": "above the mean of the 20 ms before the QRS; ST the mean of 12 ms; R and S the most and "
        "least in the QRS; T at the peak of the true lead",
        "durations": f"each lead delineated by itself ({METHOD}) around the R waves of the true lead II; no "
        "bar rests on them: the delineator errs by 33 ms (QRS) and 45 ms (QT) on true leads",
        "ssim": SSIM_DEFINITION,
        "mutual_information": "between samples, three nearest neighbours (Kraskov, scikit-learn)",
        "error": "mean |error| of each record's beats and leads, then the mean over records; shares are of "
        "all lead-beats or beats",
        "bootstrap": f"{RESAMPLES} resamples of patients, seed {arguments.seed}",
        "records_per_domain": {name: len(r) for name, r in records.items()},
        "model": f"bundle {bundle.sha256[:16]}",
    }


def summaries(of: Measured, records: Records, seed: int = 0) -> dict[str, Any]:
    """Of one data set: each method, and what the delineator says of the true leads."""
    bootstrap = Bootstrap(records.patient_id, seed)
    n = len(records)
    found: dict[str, Any] = {
        "n_records": n,
        "n_patients": len(set(records.patient_id)),
        "n_beats": len(of.record),
        "records_without_beats": n - len(np.unique(of.record)),
        TRUTH: {
            name: {
                lead: bootstrap.summary(values[:, i]) for i, lead in enumerate(RECONSTRUCTED_LEADS)
            }
            for name in (*LEVELS, "qrs_ms", "qt_ms")
            for values in [by_record(of.beats[TRUTH][name], of.record, n)]
        },
    }
    for method in of.records:
        found[method] = _of_method(of, method, n, bootstrap)
    return found


def by_record(values: Array, record: NDArray[np.intp], n_records: int) -> Array:
    """(n_records, 5) means over each record's beats, NaN where none is defined, of (n_beats, 5)."""
    defined = np.isfinite(values)
    total, count = np.zeros((2, n_records, values.shape[1]))
    np.add.at(total, record, np.where(defined, values, 0.0))
    np.add.at(count, record, defined.astype(np.float64))
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


def _of_method(of: Measured, method: str, n: int, bootstrap: Bootstrap) -> dict[str, Any]:
    truth, ours = of.beats[TRUTH], of.beats[method]
    found: dict[str, Any] = {"by_lead": {lead: {} for lead in RECONSTRUCTED_LEADS}, "over": {}}

    def add(name: str, values: Array) -> None:
        """Of (n_records, 5)."""
        found[name] = bootstrap.summary(_mean_of_leads(values))
        for i, lead in enumerate(RECONSTRUCTED_LEADS):
            found["by_lead"][lead][name] = bootstrap.summary(values[:, i])

    for name in (*LEVELS, *TIMES):
        add(name, by_record(np.abs(ours[name] - truth[name]), of.record, n))
    for name in IMAGES:
        add(name, of.records[method][name])
    for name in NINE:
        found[name] = bootstrap.summary(of.records[method][name])
    for name in ("qrs_ms", "qt_ms"):
        mine = by_record(ours[name], of.record, n)
        for i, lead in enumerate(RECONSTRUCTED_LEADS):
            found["by_lead"][lead][f"{name}_reconstructed"] = bootstrap.summary(mine[:, i])
    for name in ST_S:
        error = np.abs(ours[name] - truth[name])
        found["over"][name] = {
            str(bound): _shares(error > bound, of.record, n, bootstrap) for bound in OVER_UV
        }
    true_r = by_record(truth["r_uv"], of.record, n)
    error_r = by_record(ours["r_uv"], of.record, n) - true_r
    for i, lead in enumerate(RECONSTRUCTED_LEADS):
        of_lead = found["by_lead"][lead]
        of_lead["slope_of_r_error"] = slope(true_r[:, i], error_r[:, i], bootstrap)
        of_lead["bland_altman_r_uv"] = bland_altman(error_r[:, i], bootstrap)
    return found


def _mean_of_leads(values: Array) -> Array:
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0.0).sum(1) / defined.sum(1))


def _shares(
    over: NDArray[np.bool_], record: NDArray[np.intp], n: int, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Of lead-beats, in all leads and in each; and of beats with at least one lead over."""
    count = np.bincount(record, minlength=n).astype(np.float64)

    def share(which: NDArray[np.generic], per_beat: int = 1) -> dict[str, Any]:
        hits, of = np.bincount(record, which, n).astype(np.float64), per_beat * count
        total = float(of.sum())
        nothing = float("nan")
        return {
            "share": float(hits.sum() / total) if total else nothing,
            "share_95": bootstrap.ratio(hits, of),
        }

    return {
        "lead_beats": share(over.sum(1), len(RECONSTRUCTED_LEADS)),
        "beats_with_a_lead": share(np.asarray(over.any(1))),
        "by_lead": {lead: share(over[:, i]) for i, lead in enumerate(RECONSTRUCTED_LEADS)},
    }


def slope(true: Array, error: Array, bootstrap: Bootstrap) -> Summary:
    """Of the error on what is true, over records: 0 where amplitudes are kept, -1 where all come out alike.

    Its interval is about the means of all records.
    """
    defined = np.isfinite(true) & np.isfinite(error)
    if defined.sum() < 2:
        return {"mean": float("nan")}
    x, y = (np.where(defined, v - v[defined].mean(), 0.0) for v in (true, error))
    return {"mean": float((x * y).sum() / (x * x).sum()), "mean_95": bootstrap.ratio(x * y, x * x)}


def bland_altman(error: Array, bootstrap: Bootstrap) -> dict[str, Any]:
    """Bias and limits of agreement, one value per record, in its unit."""
    defined = np.isfinite(error)
    if defined.sum() < 2:
        return {}
    kept = error[defined]
    bias, spread = float(kept.mean()), LIMITS * float(kept.std(ddof=1))
    squares = np.where(defined, np.square(error - bias), np.nan)
    return {
        "bias": bias,
        "bias_95": bootstrap.mean(error),
        "limits": [bias - spread, bias + spread],
        "spread": spread,
        "spread_95": [LIMITS * end**0.5 for end in bootstrap.mean(squares)],
    }
