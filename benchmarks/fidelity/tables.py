"""The tables of a fidelity report."""

from __future__ import annotations

from typing import Any

from benchmarks.fidelity.scores import COVERAGE
from benchmarks.fidelity.segments import SEGMENTS
from benchmarks.report import Table
from edge.leads import DERIVED_LEADS, RECONSTRUCTED_LEADS

NAMES = {
    "validation": "PTB-XL fold 9",
    "test": "PTB-XL fold 10",
    "validation_100": "all of fold 9, at 100 Hz",
    "test_100": "all of fold 10, at 100 Hz",
    "cpsc_ptb": "CPSC and PTB",
    "mobile": "mobile-phone ECG",
}
"""Of data sets, for people."""
LARGER = ("validation_100", "test_100")  # of PTB-XL's whole folds 9 and 10, at 100 Hz
NOT_MEASURED = (*RECONSTRUCTED_LEADS, *DERIVED_LEADS)
COLUMNS = (
    *("data", "method", "r", "RMSE uV", "r median (quartiles)", "RMSE median", "MAE uV", "R2"),
    *("variance ratio, median", "slope, median", "MSE 9 leads mV2", "MAE 9 leads mV", "n"),
)


def arms_of(domain: dict[str, Any]) -> list[str]:
    """Names of the methods among the entries of one data set's results."""
    others = (
        *("shipped", "calibrated", "leads_below_linear", "float32_minus_shipped"),
        *("against_shipped", "shipped_over_float32"),
    )
    return [name for name in domain if name not in others]


def tables(results: dict[str, Any]) -> list[Table]:
    """Headline, differences, leads, amplitude, intervals."""
    headline = Table(
        "Five reconstructed leads: mean over records [95 % over patients]; median",
        COLUMNS,
    )
    differences = Table(
        "Against the shipped method, record by record: mean difference [95 % over patients]",
        ("data", "method", "r", "RMSE uV"),
    )
    leads = Table("Each lead: mean r / mean RMSE uV", ("data", "method", *NOT_MEASURED))
    intervals = Table(
        f"Share within k sigma, nominally {COVERAGE:.0%}, k from fold 9; interval score in uV",
        (
            *("data", "method", "k", "mean sigma uV", "all", *SEGMENTS, *RECONSTRUCTED_LEADS),
            *("score", "score of constant sigma", "better"),
        ),
    )
    amplitude = Table(
        "Regression to the mean, median over records: variance ratio / slope; refused references",
        ("data", "method", *RECONSTRUCTED_LEADS, "refused"),
    )
    sharpness = Table(
        "Power from 40 to 100 Hz, predicted over true, dB, median over records: 0 is as sharp",
        ("data", "method", *RECONSTRUCTED_LEADS),
    )
    for domain, found in results.items():
        for method, by in found.get("against_shipped", {}).items():
            both = (mean_with_interval(by["r"], 4), mean_with_interval(by["rmse_uv"], 2))
            differences.add(domain, method, *both)
        for method in arms_of(found):
            one = found[method]
            h = one["headline"]
            headline.add(
                domain,
                method,
                mean_with_interval(h["r"], 3),
                mean_with_interval(h["rmse_uv"], 1),
                f"{h['r']['median']:.3f} ({range_of(h['r'].get('quartiles'), 3)})",
                *(h[m][which] for m, which in (("rmse_uv", "median"), ("mae_uv", "mean"))),
                *(h[m][which] for m, which in (("r2", "mean"), ("variance_ratio", "median"))),
                h["slope"]["median"],
                one["nine_leads"]["mse_mv2"],
                one["nine_leads"]["mae_mv"],
                one["n_records"],
            )
            by_lead = one["by_lead"]
            leads.add(
                domain,
                method,
                *(
                    f"{by_lead[lead]['r']['mean']:.3f} / {by_lead[lead]['rmse_uv']['mean']:.1f}"
                    for lead in NOT_MEASURED
                ),
            )
            if one["interval"] is not None:
                interval = one["interval"]
                intervals.add(
                    domain,
                    method,
                    interval["k"],
                    interval["sigma_uv"],
                    interval["covered"],
                    *(interval["by_segment"][segment]["covered"] for segment in SEGMENTS),
                    *(interval["by_lead"][lead] for lead in RECONSTRUCTED_LEADS),
                    interval["score_uv"],
                    interval["constant_score_uv"],
                    f"{interval['better_than_constant']:.0%}",
                )
            amplitude.add(
                domain,
                method,
                *(
                    f"{by_lead[lead]['variance_ratio']['median']:.2f} / "
                    f"{by_lead[lead]['slope']['median']:.2f}"
                    for lead in RECONSTRUCTED_LEADS
                ),
                one["references_refused"],
            )
            if domain not in LARGER:  # of 100 Hz: nothing true lies above 47 Hz
                by_db = (by_lead[lead]["sharpness_db"]["median"] for lead in RECONSTRUCTED_LEADS)
                sharpness.add(domain, method, *(f"{db:+.1f}" for db in by_db))
    every = (headline, differences, leads, amplitude, sharpness, intervals)
    return [table for table in every if table.rows]


def mean_with_interval(values: dict[str, Any], digits: int) -> str:
    """0.919 [0.912-0.926]; - where there is none (in a report, too, where NaN is None)."""
    if values["mean"] is None:
        return "-"
    return f"{values['mean']:.{digits}f} [{range_of(values.get('mean_95'), digits)}]"


def range_of(ends: list[float] | None, digits: int) -> str:
    """0.912-0.926, or -0.2 to 0.1."""
    if ends is None:
        return "-"
    between = " to " if ends[0] < 0 else "-"
    return f"{ends[0]:.{digits}f}{between}{ends[1]:.{digits}f}"
