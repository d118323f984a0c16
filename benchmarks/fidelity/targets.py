"""What fidelity must reach, by data set and by set of leads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.fidelity.segments import SEGMENTS
from benchmarks.report import Target

REPORTED = ("test", "cpsc_ptb", "mobile")
LEAST_VARIANCE_RATIO = 0.85
IN_QRS = (0.84, 0.93)  # of the nominal 90 %
ELSEWHERE = (0.8, 0.97)
INT8_COSTS_R, INT8_COSTS_RMSE = 0.001, 0.01
SPECIAL_R = 0.9195  # of the decoder for II, V1, V5 alone that any leads replace
MUST: dict[str, tuple[float, float | None]] = {
    "II+V1+V5": (SPECIAL_R - 0.006, None),
    "I": (0.825, 124),
    "II": (0.828, 122),
    "I+II": (0.870, 114),
    "II+V2": (0.893, 93),
    "I+II+V2": (0.926, 86),
    "I+II+V3": (0.931, 82),
    "aVF+V1+V5": (0.926, 77),
    "I+II+V2+V5": (0.947, 68),
    "I+II+V1+V3+V5": (0.961, 62),
    "V1+V2+V3+V4+V5+V6": (0.905, 59),
}
"""By set of leads, on fold 10: r at least, RMSE in uV at most, over the unknown independent leads."""
GAIN_IN_R = (0.31, 0.17, 0.10, 0.065, 0.044, 0.030, 0.020)
AUP_S = {"unknown": 0.645, "with_derivable": 0.73}

TARGETS = (
    *(
        Target(f"INT8, {domain}, mean {name}", f"{domain}/shipped/headline/{metric}/mean", *bound)
        for domain, r, rmse_uv in (
            ("test", 0.926, 80),
            ("cpsc_ptb", 0.905, 105),
            ("mobile", 0.866, 97),
        )
        for name, metric, bound in (("r", "r", (r, "", True)), ("RMSE", "rmse_uv", (rmse_uv, "uV")))
    ),
    Target(
        "leads of five whose mean RMSE is below the linear map's, fold 10",
        "test/leads_below_linear",
        5,
        at_least=True,
    ),
    Target("float32 - INT8, fold 10, mean r", "test/float32_minus_shipped/r/mean", INT8_COSTS_R),
    Target(
        "INT8 over float32, fold 10, share of RMSE",
        "test/shipped_over_float32/rmse_share/mean",
        INT8_COSTS_RMSE,
    ),
    Target("2 s calibration, fold 10, mean r", "test/calibrated/headline/r/mean", 0.972, "", True),
    Target("2 s calibration, fold 10, RMSE", "test/calibrated/headline/rmse_uv/mean", 41, "uV"),
    *(
        Target(
            f"90 % interval in {segment}, {domain}, {method}",
            f"{domain}/{method}/interval/by_segment/{segment}/covered",
            bound,
            at_least=at_least,
        )
        for domain in REPORTED
        for method in ("shipped", "calibrated")
        for segment in SEGMENTS
        for bound, at_least in zip(
            IN_QRS if segment == "QRS" else ELSEWHERE, (True, False), strict=True
        )
    ),
    Target(
        "interval score better than constant sigma, fold 10",
        "test/shipped/interval/better_than_constant",
        0.1,
        at_least=True,
    ),
    *(
        Target(
            f"variance ratio, median over records, worst lead, {domain}",
            f"{domain}/shipped/worst_variance_ratio",
            LEAST_VARIANCE_RATIO,
            at_least=True,
        )
        for domain in REPORTED
    ),
)
"""Of II, V1, V5."""


def set_targets(labels: Iterable[str], results: Mapping[str, Any]) -> tuple[Target, ...]:
    """Those of the sets of leads that were measured, and where all were, of them all."""
    found = []
    for label in labels:
        where = f"test/sets/{label}"
        if label in MUST:
            r, rmse_uv = MUST[label]
            found.append(Target(f"{label}, mean r", f"{where}/shipped/r/mean", r, "", True))
            if rmse_uv is not None:
                figure = f"{where}/shipped/rmse_uv/mean"
                found.append(Target(f"{label}, mean RMSE", figure, rmse_uv, "uV"))
        for domain in results:
            of = results[domain]["sets"][label]
            if label in MUST and "int8_costs" in of:
                found += _costs(label, domain)
    if "every" in results.get("test", {}):
        found += _of_every()
    return tuple(found)


def _costs(label: str, domain: str) -> list[Target]:
    where = f"{domain}/sets/{label}/int8_costs"
    return [
        Target(f"float32 - INT8, {label}, {domain}, r", f"{where}/r/mean", INT8_COSTS_R),
        Target(
            f"INT8 over float32, {label}, {domain}, share of RMSE",
            f"{where}/rmse_share/mean",
            INT8_COSTS_RMSE,
        ),
    ]


def _of_every() -> list[Target]:
    where = "test/every"
    return [
        Target("sets not better than linear in RMSE", f"{where}/worse_than_linear_in_rmse/n", 0),
        Target("sets worse than linear in r by .002", f"{where}/worse_than_linear_in_r/n", 0),
        Target("leads that cost over .5 uV", f"{where}/costly_leads/n", 0),
        *(
            Target(
                f"gain in r over linear, {n} leads",
                f"{where}/gain_in_r/{n}/mean",
                bound,
                at_least=True,
            )
            for n, bound in enumerate(GAIN_IN_R, 1)
        ),
        *(
            Target(
                f"AUP_S, {kind.replace('_', ' ')}",
                f"{where}/aup_s/shipped/{kind}/mean",
                bound,
                at_least=True,
            )
            for kind, bound in AUP_S.items()
        ),
    ]
