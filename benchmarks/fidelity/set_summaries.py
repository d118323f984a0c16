"""What a set of leads is worth: summaries over records, with intervals over patients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity.scores import COVERAGE, Array, Bootstrap
from benchmarks.fidelity.segments import SEGMENTS
from benchmarks.fidelity.set_scores import BINS_PER_SIGMA, N_BINS, OF_MAP, SetScores
from edge.lead_subsets import INDEPENDENT_ROWS, class_of, known
from edge.leads import INDEPENDENT_LEADS, LEADS

HONEST_IN_SIGMAS = np.sqrt(2 / np.pi)  # mean |error| / sigma of a normal error: .80


def unknown_leads(scores: SetScores) -> list[str]:
    """Those of INDEPENDENT_LEADS that do not follow from the measured ones."""
    certain = known(class_of(scores.leads))
    return [lead for lead in INDEPENDENT_LEADS if not certain[LEADS.index(lead)]]


def summary_of(scores: SetScores, bootstrap: Bootstrap, k: float | None) -> dict[str, Any]:
    """What the decoder scores, beside the linear map's; `k` of fold 9 gives the 90 % interval."""
    found = _of_method(scores.ours, scores.twelve_uv, scores, bootstrap)
    found["linear"] = _of_method(scores.linear, scores.linear_twelve_uv, scores, bootstrap)
    found["over_linear"] = {
        name: bootstrap.summary(per_record(scores.ours[name]) - per_record(scores.linear[name]))
        for name in ("r", "rmse_uv")
    }
    for name in ("sigma_uv", "in_sigmas"):
        found[name] = bootstrap.summary(per_record(scores.ours[name]))
    found["share_missing"] = float(scores.missing.mean())
    found["references_refused"] = int(scores.refused.sum())
    found["interval"] = None if k is None else _interval(scores, bootstrap, k)
    return found


def difference(ours: SetScores, theirs: SetScores, bootstrap: Bootstrap) -> dict[str, Any]:
    """What rounding to INT8 costs: r lost, and RMSE gained as a share of it, record by record."""
    r, other_r = (per_record(one.ours["r"]) for one in (ours, theirs))
    rmse, other_rmse = (per_record(one.ours["rmse_uv"]) for one in (ours, theirs))
    return {
        "r": bootstrap.summary(other_r - r),
        "rmse_uv": bootstrap.summary(rmse - other_rmse),
        "rmse_share": {
            "mean": float(rmse.mean() / other_rmse.mean() - 1),
            "mean_95": bootstrap.ratio(rmse - other_rmse, other_rmse),
        },
    }


def per_record(values: Array) -> Array:
    """Mean over the unknown ones of INDEPENDENT_LEADS, (n_records,); NaN where none is defined."""
    eight = values[:, INDEPENDENT_ROWS]
    defined = np.isfinite(eight)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, eight, 0.0).sum(1) / defined.sum(1))


def sigma_factor_of(errors: NDArray[np.integer[Any]] | Array) -> float:
    """The k with which +-k sigma covers a share COVERAGE of all errors, counted in N_BINS (the last axis)."""
    share = _until(errors.reshape(-1, N_BINS).sum(0))
    return float(np.interp(COVERAGE, share, np.arange(N_BINS + 1) / BINS_PER_SIGMA))


def covered(errors: NDArray[np.integer[Any]] | Array, k: float) -> Array:
    """Samples within k sigma, of counts in N_BINS along the last axis."""
    bins = np.arange(N_BINS) + 1
    # Within a bin as if all its errors were spread evenly; the last bin has no end.
    inside = np.clip(k * BINS_PER_SIGMA - (bins - 1), 0, 1)
    inside[-1] = 0
    return np.asarray(errors @ inside)


def _until(counts: NDArray[np.integer[Any]] | Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(counts) / max(float(counts.sum()), 1e-12)])


def _of_method(
    of: dict[str, Array], twelve_uv: Array, scores: SetScores, bootstrap: Bootstrap
) -> dict[str, Any]:
    found: dict[str, Any] = {name: bootstrap.summary(per_record(of[name])) for name in OF_MAP}
    found["twelve_uv"] = bootstrap.summary(twelve_uv)
    if "ssim" in of:
        unknown = np.where(known(class_of(scores.leads)), np.nan, of["ssim"])
        found["ssim"] = bootstrap.summary(per_record(unknown))
    rows = np.flatnonzero(~known(class_of(scores.leads))).tolist()
    columns = bootstrap.summaries(np.concatenate([of[name][:, rows] for name in OF_MAP], 1))
    found["by_lead"] = {
        LEADS[row]: {name: columns[i + j * len(rows)] for j, name in enumerate(OF_MAP)}
        for i, row in enumerate(rows)
    }
    medians = {
        lead: float(found["by_lead"][lead]["variance_ratio"]["median"])
        for lead in unknown_leads(scores)
    }
    worst = min(medians, key=lambda lead: np.inf if np.isnan(medians[lead]) else medians[lead])
    found["worst_variance_ratio"] = medians[worst]
    found["worst_variance_ratio_95"] = bootstrap.median(of["variance_ratio"][:, LEADS.index(worst)])
    found["worst_variance_ratio_lead"] = worst
    return found


def _interval(scores: SetScores, bootstrap: Bootstrap, k: float) -> dict[str, Any]:
    inside, samples = covered(scores.errors, k), scores.errors.sum(-1, dtype=np.float64)

    def of(within: Array, count: Array) -> dict[str, Any]:
        return {
            "covered": float(within.sum() / max(count.sum(), 1)),
            "covered_95": bootstrap.ratio(within, count),
        }

    by_lead = covered(scores.errors_by_lead, k).sum(1)
    counts = np.maximum(scores.errors_by_lead.sum((1, 2)), 1)
    return {
        "nominal": COVERAGE,
        "k": k,
        **of(inside.sum(1), samples.sum(1)),
        "by_segment": {
            segment: of(inside[:, i], samples[:, i]) for i, segment in enumerate(SEGMENTS)
        },
        "by_lead": {
            lead: float(by_lead[i] / counts[i])
            for i, lead in enumerate(LEADS)
            if scores.errors_by_lead[i].any()
        },
    }
