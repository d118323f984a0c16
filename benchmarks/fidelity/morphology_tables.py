"""The tables of a morphology report."""

from __future__ import annotations

from typing import Any

from benchmarks.fidelity.methods import LINEAR
from benchmarks.fidelity.morphology import LEVELS, NINE, OVER_UV, SHIPPED, ST_S, TRUTH
from benchmarks.fidelity.scores import Summary
from benchmarks.fidelity.tables import mean_with_interval
from benchmarks.report import Table


def tables(results: dict[str, Any]) -> list[Table]:
    """Means over leads; lead by lead; shares; regression to the mean; durations."""
    means = Table(
        "Five leads, mean |error| over records [95 % over patients]",
        (
            *("data", "method", "ST J+60 uV", "ST J+80 uV", "R uV", "S uV", "T uV", "R peak ms"),
            *("SSIM", "mutual information, bits", "MSE 9 leads mV2", "MAE 9 leads mV", "beats"),
        ),
    )
    over = Table(
        "ST off by more than so much: share of lead-beats; of beats with at least one of five leads [95 %]",
        (
            "data",
            "method",
            "at",
            *(f"{what} over {b} uV" for what in ("lead-beats", "beats") for b in OVER_UV),
        ),
    )
    leads = Table(
        "Each lead: mean |error| in uV, SSIM, bits",
        (
            "data",
            "method",
            "lead",
            "J+60",
            "J+80",
            "R",
            "S",
            "T",
            "SSIM",
            "bits",
            "ST60 over 100 uV",
        ),
    )
    amplitude = Table(
        "R, record by record: slope of the error on the true R [95 %]; bias and limits of agreement, uV",
        ("data", "method", "lead", "true R", "slope", "bias", "limits"),
    )
    times = Table(
        "Durations by lead as the delineator sees them, ms; no bar rests on them",
        (
            *("data", "method", "lead", "QRS, true lead", "QRS", "mean |difference|"),
            *("QT, true lead", "QT", "mean |difference|", "R peak, mean |difference|"),
        ),
    )
    for domain, found in results.items():
        for method in (LINEAR, SHIPPED):
            one = found[method]
            means.add(
                domain,
                method,
                *(mean_with_interval(one[name], 1) for name in (*LEVELS, "peak_ms")),
                mean_with_interval(one["ssim"], 3),
                mean_with_interval(one["mutual_information_bits"], 2),
                *(mean_with_interval(one[name], 4) for name in NINE),
                found["n_beats"],
            )
            for at in ST_S:
                shares = one["over"][at]
                over.add(
                    domain,
                    method,
                    f"J+{at[2:4]} ms",
                    *(
                        _share(shares[str(bound)][what])
                        for what in ("lead_beats", "beats_with_a_lead")
                        for bound in OVER_UV
                    ),
                )
            for lead, of in one["by_lead"].items():
                truth = {name: by[lead]["mean"] for name, by in found[TRUTH].items()}
                st_over = one["over"]["st60_uv"]["100"]["by_lead"][lead]
                of_levels = (f"{of[name]['mean']:.0f}" for name in LEVELS)
                ssim, bits = of["ssim"]["mean"], of["mutual_information_bits"]["mean"]
                leads.add(domain, method, lead, *of_levels, ssim, bits, _share(st_over))
                agreement = of["bland_altman_r_uv"]
                amplitude.add(
                    domain,
                    method,
                    lead,
                    truth["r_uv"],
                    _signed(of["slope_of_r_error"]),
                    agreement.get("bias"),
                    " to ".join(f"{end:.0f}" for end in agreement.get("limits", ())),
                )
                of_times = (
                    value
                    for name in ("qrs_ms", "qt_ms")
                    for value in (
                        truth[name],
                        of[f"{name}_reconstructed"]["mean"],
                        of[name]["mean"],
                    )
                )
                times.add(domain, method, lead, *of_times, of["peak_ms"]["mean"])
    return [means, over, leads, amplitude, times]


def _signed(of: Summary) -> str:
    ends = of.get("mean_95")
    shown = "" if not isinstance(ends, list) else f" [{ends[0]:.2f} to {ends[1]:.2f}]"
    return f"{of['mean']:.2f}{shown}"


def _share(of: dict[str, Any]) -> str:
    low, high = of["share_95"]
    return f"{of['share']:.1%} [{low:.1%}-{high:.1%}]"
