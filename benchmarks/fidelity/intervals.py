"""How honest sigma is: coverage of its 90 % interval, apart in QRS, ST-T and baseline, and its score.

Errors and sigmas are (n_records, n_leads, n_samples) in mV; the five reconstructed leads, as scored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity.scores import COVERAGE, Array, covered, sigma_factor
from benchmarks.fidelity.segments import SEGMENTS


@dataclass(frozen=True)
class Interval:
    """What fold 9 fixes of the 90 % interval, for every data set."""

    k: float
    """Sigmas to either side."""
    constant_mv: Array
    """(n_leads,) half width of the interval that knows the lead alone: what sigma is compared with."""


def fit_interval(errors: Array, sigma_mv: Array) -> Interval:
    """Both intervals cover a share COVERAGE of all errors given, the constant one in every lead."""
    constant = np.quantile(np.abs(errors), COVERAGE, axis=(0, 2))
    return Interval(sigma_factor(errors, sigma_mv), np.asarray(constant, np.float64))


def interval_score(errors: Array, half_mv: Array) -> Array:
    """Mean interval score (Gneiting and Raftery 2007) in uV, (n_records, n_leads); smaller is better.

    Its width, and what lies outside times 2 / (1 - COVERAGE).
    """
    beyond = np.maximum(np.abs(errors) - half_mv, 0)
    return np.asarray(1e3 * (2 * half_mv + 2 / (1 - COVERAGE) * beyond).mean(-1))


def interval_scores(
    errors: Array, sigma_mv: Array, labels: NDArray[np.int8], interval: Interval
) -> dict[str, Array]:
    """Per record: `covered`, `interval_uv`, `constant_uv` and `sigma_uv`, (n_records, n_leads); and counts.

    `labels` is (n_records, n_samples) as `segments` gives them. `within` is (n_records, n_leads,
    len(SEGMENTS)) samples inside the interval, `in_segment` (n_records, len(SEGMENTS)) all samples.
    """
    half = interval.k * sigma_mv
    # What has no sigma was not predicted, and is covered by nothing.
    inside = (np.abs(errors) <= half) & (sigma_mv > 0)
    of = labels[:, None] == np.arange(len(SEGMENTS))[:, None]
    within = inside.astype(np.float64) @ of.transpose(0, 2, 1)
    constant = np.broadcast_to(interval.constant_mv[:, None], errors.shape)
    return {
        "covered": covered(errors, sigma_mv, interval.k),
        "interval_uv": interval_score(errors, half),
        "constant_uv": interval_score(errors, constant),
        "within": within,
        "in_segment": of.sum(-1).astype(np.float64),
        "sigma_uv": 1e3 * sigma_mv.mean(-1),
    }


def interval_summary(
    scores: dict[str, Array], interval: Interval, leads: Iterable[str]
) -> dict[str, Any]:
    """Over all records: coverage by lead and segment, and how much better than constant sigma."""
    names = list(leads)
    by_lead = scores["covered"].mean(0)
    samples = np.maximum(scores["in_segment"].sum(0), 1)
    within = scores["within"].sum(0)
    score, constant = scores["interval_uv"].mean(), scores["constant_uv"].mean()
    return {
        "nominal": COVERAGE,
        "k": interval.k,
        "covered": float(by_lead.mean()),
        "by_lead": dict(zip(names, by_lead.tolist(), strict=True)),
        "by_segment": {
            segment: {
                "covered": float(within[:, i].mean() / samples[i]),
                "share_of_samples": float(samples[i] / samples.sum()),
                "by_lead": dict(zip(names, (within[:, i] / samples[i]).tolist(), strict=True)),
            }
            for i, segment in enumerate(SEGMENTS)
        },
        "sigma_uv": float(scores["sigma_uv"].mean()),
        "score_uv": float(score),
        "constant_score_uv": float(constant),
        "better_than_constant": float(1 - score / constant),
    }
