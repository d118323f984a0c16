"""`python -m benchmarks fidelity --part robustness`: what noise, gaps and wrong wiring cost."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity import disturbances as disturbances_of_leads
from benchmarks.fidelity import methods, scores
from benchmarks.fidelity.disturbances import (
    GAIN,
    GAP_FROM_S,
    Disturbance,
    disturbances,
    load_noise,
)
from benchmarks.fidelity.kept import Arrays, kept_arrays
from benchmarks.fidelity.methods import Method, cache_key, sha256_of, truth_mv
from benchmarks.fidelity.scores import (
    FROM_S,
    RESAMPLES,
    TO_S,
    Array,
    Bootstrap,
    record_scores,
    scored,
    window,
)
from benchmarks.report import Result, Table, Target
from edge.bundle import load_bundle
from edge.engines.base import Engine
from edge.engines.registry import open_engine
from edge.leads import INPUT_LEADS, RECONSTRUCTED_LEADS, lead_indices
from edge.progress import progress
from edge.reconstructor import Reconstructor
from edge.signal.misplacement import MisplacementCheck
from quantize.data import SCORE_HIGHPASS_HZ, Records

CLEAN = "clean"
BATCH = 32  # records at once
SETTLED_S = 1.0  # from here on the leads are looked at for misplacement
COSTS = {
    "gain": 0.001,
    "12 dB": 0.012,
    "6 dB": 0.037,
}  # of r at most, in the worst case of each group
TARGETS = tuple(
    Target(f"{group}, worst case, r lost, fold 10", f"test/worst/{group}/r_lost/mean", bound)
    for group, bound in COSTS.items()
)


def measure_robustness(arguments: argparse.Namespace, records: dict[str, Records]) -> Result:
    """Every disturbance on every data set, beside the clean run."""
    noise = load_noise(arguments.data)
    bundle, engine = load_bundle(arguments.model), arguments.engines[0]
    method = Method(f"INT8 {engine}", f"student INT8, {engine}", bundle, engine)
    every = tuple(disturbances(noise, bundle.manifest.sampling_hz))
    clean = Disturbance(CLEAN, CLEAN, lambda ecg_mv, _: ecg_mv)
    results: dict[str, Any] = {}
    with (
        progress("", (1 + len(every)) * sum(map(len, records.values()))) as work,
        open_engine(bundle, engine).engine as opened,
    ):
        for domain, some in records.items():
            code = sha256_of(*_CODE)[:16]
            scored_of = {}
            for one in (clean, *every):
                work.what = f"{one.name}, {domain}"
                name = f"robustness-{one.name.replace(' ', '-')}-{cache_key(method, some, False)}"
                file = arguments.cache and arguments.cache / f"{name}-{code}.npz"
                scored_of[one.name] = kept_arrays(file, partial(disturbed, opened, some, one))
                work.advance(len(some))
            results[domain] = summaries(every, scored_of, some, arguments.seed)
    protocol = {
        "feed": "whole records, float32, each from a reset",
        "score": f"r and RMSE over {', '.join(RECONSTRUCTED_LEADS)} against the clean truth, above "
        f"{SCORE_HIGHPASS_HZ} Hz; what the reconstructor did not give (NaN) counts as a flat line",
        "scored_s": [FROM_S, TO_S],
        "noise": "MIT-BIH Noise Stress Test, second half; SNR by power about the mean over the record, lead "
        "by lead, stretches and channels drawn for each lead (not the SNR of `nst`, by QRS amplitude)",
        "gaps": f"all measured leads, from {GAP_FROM_S:g} s on",
        "gain": f"one lead times {GAIN}",
        "flagged": f"by edge.signal.misplacement, from {SETTLED_S:g} s to the end of the record",
        "bootstrap": f"{RESAMPLES} resamples of patients, seed {arguments.seed}",
        "records_per_domain": {name: len(r) for name, r in records.items()},
        "model": f"bundle {bundle.sha256[:16]}",
    }
    return Result(results, tables(results), TARGETS, {"protocol": protocol})


def disturbed(engine: Engine, records: Records, how: Disturbance) -> Arrays:
    """`r`, `rmse_uv` (n_records, 5); `missing`, share of the output; `flagged`, of each record.

    Raises BenchmarkError for a rate other than the decoder's.
    """
    hz, manifest = records.sampling_hz, engine.manifest
    if hz != manifest.sampling_hz:
        raise BenchmarkError(
            f"{records.name} is at {hz:g} Hz, the decoder at {manifest.sampling_hz:g}"
        )
    n = records.ecg_uv.shape[-1] // manifest.hop * manifest.hop
    counts = window(records.ecg_uv.shape[-1], hz)
    five, measured = lead_indices(RECONSTRUCTED_LEADS), lead_indices(INPUT_LEADS)
    r = Reconstructor(engine, leads=INPUT_LEADS)
    parts: dict[str, list[NDArray[Any]]] = {}
    for start in range(0, len(records), BATCH):
        some = records.at(slice(start, start + BATCH))
        truth = truth_mv(some, n)
        made = np.stack(
            [_streamed(r, how.change(ecg[measured], start + i)) for i, ecg in enumerate(truth)]
        )
        flagged = []
        for ecg in made[:, measured]:
            check = MisplacementCheck(INPUT_LEADS, manifest.moments, hz)
            flagged.append(check.push(ecg[:, round(SETTLED_S * hz) :]) is not None)
        shown = scored(np.nan_to_num(made[:, five]), hz, counts)
        of = record_scores(scored(truth[:, five], hz, counts), shown)
        found = {
            "r": of["r"],
            "rmse_uv": of["rmse_uv"],
            "missing": np.isnan(made).mean((1, 2)),
            "flagged": np.array(flagged),
        }
        for name, values in found.items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _streamed(r: Reconstructor, measured: NDArray[np.float32]) -> NDArray[np.float32]:
    """(12, n) mV, NaN where nothing was given."""
    r.reset()
    return np.concatenate([r.push(measured).ecg_mv, r.flush().ecg_mv], axis=1)


def summaries(
    every: tuple[Disturbance, ...], scored_of: dict[str, Arrays], records: Records, seed: int = 0
) -> dict[str, Any]:
    """The clean run, each disturbance against it, record by record, and the worst of each group."""
    bootstrap = Bootstrap(records.patient_id, seed)

    def of(values: NDArray[Any]) -> dict[str, Any]:
        return dict(bootstrap.summary(np.asarray(values, np.float64)))

    clean = {name: _per_record(scored_of[CLEAN][name]) for name in ("r", "rmse_uv")}
    found: dict[str, Any] = {
        "n_records": len(records),
        "n_patients": len(set(records.patient_id)),
        CLEAN: {name: of(values) for name, values in clean.items()}
        | {"flagged": of(scored_of[CLEAN]["flagged"])},
        "disturbed": {},
        "worst": {},
    }
    for one in every:
        scores_of = scored_of[one.name]
        now = {name: _per_record(scores_of[name]) for name in clean}
        entry: dict[str, Any] = {
            "group": one.group,
            **{name: of(values) for name, values in now.items()},
            "r_lost": of(clean["r"] - now["r"]),
            "rmse_added_uv": of(now["rmse_uv"] - clean["rmse_uv"]),
            "missing": of(scores_of["missing"]),
            "flagged": of(scores_of["flagged"]),
        }
        found["disturbed"][one.name] = entry
        worst = found["worst"].get(one.group)
        if worst is None or entry["r_lost"]["mean"] > worst["r_lost"]["mean"]:
            found["worst"][one.group] = {"name": one.name, "r_lost": entry["r_lost"]}
    return found


def _per_record(values: Array) -> Array:
    """Means over the five leads; what has no r (flat) counts as 0."""
    return np.asarray(np.nan_to_num(values).mean(1))


def tables(results: dict[str, Any]) -> list[Table]:
    """One row for each disturbance."""
    table = Table(
        "Five leads against the clean run, record by record [95 % over patients]",
        (
            "data",
            "disturbed",
            "r",
            "RMSE uV",
            "r lost",
            "RMSE added uV",
            "missing",
            "flagged as misplaced",
        ),
    )
    for domain, found in results.items():
        clean = found[CLEAN]
        flagged = _said(clean["flagged"], ".1%")
        headline = (f"{clean['r']['mean']:.3f}", f"{clean['rmse_uv']['mean']:.1f}")
        table.add(domain, CLEAN, *headline, "", "", "", flagged)
        for name, of in found["disturbed"].items():
            table.add(
                domain,
                name,
                f"{of['r']['mean']:.3f}",
                f"{of['rmse_uv']['mean']:.1f}",
                _said(of["r_lost"], ".4f"),
                _said(of["rmse_added_uv"], ".1f"),
                f"{of['missing']['mean']:.1%}",
                _said(of["flagged"], ".1%"),
            )
    return [table]


def _said(of: dict[str, Any], form: str) -> str:
    low, high = of["mean_95"]
    return f"{of['mean']:{form}} [{low:{form}} to {high:{form}}]"


_CODE = (
    Path(__file__),
    *(Path(str(module.__file__)) for module in (disturbances_of_leads, methods, scores)),
)
