"""`python -m benchmarks fidelity --part subgroups`: whom the decoder serves well, and where it fails."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity import subgroup_plots as plots
from benchmarks.fidelity.groups import Groups, groups, heart_rates, rows_of_table
from benchmarks.fidelity.method_scores import headline_scores, lead_scores, scored_batches
from benchmarks.fidelity.methods import Method, Predictions, predict
from benchmarks.fidelity.plots import figure
from benchmarks.fidelity.scores import Array, Bootstrap, scoring
from benchmarks.fidelity.training_data import training_data
from benchmarks.report import Result, Table
from edge.bundle import load_bundle
from edge.leads import RECONSTRUCTED_LEADS, lead_indices
from edge.progress import progress
from quantize.data import Records

ALL = "all"
N_WORST = 10
ECDF_POINTS = 41
NOMINAL = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Shares that an interval of sigma is to cover, if the error is Gaussian."""


def measure_subgroups(arguments: argparse.Namespace, records: dict[str, Records]) -> Result:
    """The shipped decoder on every data set, group by group."""
    bundle, engine = load_bundle(arguments.model), arguments.engines[0]
    method = Method(f"INT8 {engine}", f"student INT8, {engine}", bundle, engine)
    hop_by_hop = bool(arguments.hop_by_hop)
    if arguments.plots:
        figure(1, 1)  # is there, before minutes go by
    results: dict[str, Any] = {}
    with progress("", sum(map(len, records.values()))) as work:
        for domain, some in records.items():
            work.what = f"{method.name}, {domain}"
            made = predict(
                method, some, hop_by_hop=hop_by_hop, folder=arguments.cache, advance=work.advance
            )
            scores = lead_scores(made, some, None)
            rows = rows_of_table(some, arguments.data)
            rates = heart_rates(some)
            found = summaries(scores, some, groups(rows, rates), arguments.seed)
            found["sigma"] = calibration(made, some)
            found["worst"] = worst(scores, some, rows, rates)
            results[domain] = found
            if arguments.plots:
                order = np.argsort(headline_scores(scores)["r"])
                plots.draw(arguments.plots, domain, found, scores, made, some, order)
    protocol = {
        "feed": "hop by hop" if hop_by_hop else "whole records",
        **scoring(records, arguments.seed),
        "model": f"bundle {bundle.sha256[:16]}",
    }
    extra = {"protocol": protocol, "training": training_data(arguments.data)}
    return Result(results, tables(results), (), extra)


def summaries(
    scores: dict[str, Array], records: Records, of: Groups, seed: int = 0
) -> dict[str, Any]:
    """Of one data set: r and RMSE over its five leads, of all and of each group; quantiles of r by lead."""
    headline = headline_scores(scores)
    patients = np.array(records.patient_id)

    def group(who: NDArray[np.bool_]) -> dict[str, Any]:
        bootstrap = Bootstrap(patients[who].tolist(), seed)
        return {
            "n_records": int(who.sum()),
            "n_patients": len(set(patients[who])),
            **{name: bootstrap.summary(values[who]) for name, values in headline.items()},
        }

    points = np.linspace(0, 1, ECDF_POINTS)
    r = scores["r"][:, : len(RECONSTRUCTED_LEADS)]
    return {
        ALL: group(np.ones(len(records), bool)),
        "groups": {
            kind: {name: group(who) for name, who in some.items()} for kind, some in of.items()
        },
        "r_quantiles": {
            lead: np.nanquantile(r[:, i], points).tolist()
            for i, lead in enumerate(RECONSTRUCTED_LEADS)
        },
    }


def calibration(made: Predictions, records: Records) -> dict[str, Any]:
    """By lead, the share of samples in the intervals of sigma that hold NOMINAL of Gaussian errors."""
    from scipy.stats import norm

    k = norm.ppf(0.5 + np.array(NOMINAL) / 2)
    within = np.zeros((len(RECONSTRUCTED_LEADS), len(k)))
    n = 0
    for truth, predicted, sigma, _ in scored_batches(
        made, records, lead_indices(RECONSTRUCTED_LEADS)
    ):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(sigma > 0, np.abs(predicted - truth) / sigma, np.inf)
        within += np.stack([(ratio <= one).sum((0, 2)) for one in k], -1)
        n += truth.shape[0] * truth.shape[2]
    return {
        "nominal": list(NOMINAL),
        "covered": {lead: (within[i] / n).tolist() for i, lead in enumerate(RECONSTRUCTED_LEADS)},
    }


def worst(
    scores: dict[str, Array],
    records: Records,
    rows: list[dict[str, str]],
    rates_bpm: NDArray[np.float64],
) -> list[dict[str, Any]]:
    """The N_WORST records by r, the worst first, and what their table says of them."""
    headline = headline_scores(scores)
    r = scores["r"][:, : len(RECONSTRUCTED_LEADS)]
    found = []
    for i in np.argsort(headline["r"])[:N_WORST].tolist():
        told = (rows[i].get(name, "").strip() for name in ("superclass", "dx", "quality"))
        found.append(
            {
                "record_id": records.record_id[i],
                "r": float(headline["r"][i]),
                "rmse_uv": float(headline["rmse_uv"][i]),
                "worst_lead": RECONSTRUCTED_LEADS[int(np.nanargmin(r[i]))],
                "rate_bpm": float(rates_bpm[i]),
                "about": next(filter(None, told), ""),
                "age": rows[i].get("age", ""),
                "noted": "; ".join(
                    f"{name.replace('_', ' ')}: {text.strip(' ,')}"
                    for name, text in rows[i].items()
                    if name in _NOTED and text.strip(" ,")
                ),
            }
        )
    return found


_NOTED = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems", "pacemaker")


def tables(results: dict[str, Any]) -> list[Table]:
    """Groups of each data set, and its worst records."""
    made = []
    for domain, found in results.items():
        table = Table(
            f"Subgroups, {domain}",
            ("by", "group", "records", "r", "r 95 %", "RMSE uV", "RMSE 95 %"),
        )
        everyone = {ALL: {ALL: found[ALL]}}
        for kind, some in {**everyone, **found["groups"]}.items():
            for name, of in some.items():
                table.add(
                    kind, name, of["n_records"], *_figures(of, "r", 3), *_figures(of, "rmse_uv", 0)
                )
        made.append(table)
        table = Table(
            f"Worst records, {domain}",
            ("record", "r", "RMSE uV", "worst lead", "bpm", "diagnosis", "age", "noted"),
        )
        for one in found["worst"]:
            table.add(
                one["record_id"],
                f"{one['r']:.3f}",
                f"{one['rmse_uv']:.0f}",
                one["worst_lead"],
                f"{one['rate_bpm']:.0f}",
                one["about"],
                one["age"],
                one["noted"],
            )
        made.append(table)
    return made


def _figures(of: dict[str, Any], name: str, digits: int) -> tuple[str, str]:
    low, high = of[name]["mean_95"]
    return f"{of[name]['mean']:.{digits}f}", f"{low:.{digits}f}-{high:.{digits}f}"
