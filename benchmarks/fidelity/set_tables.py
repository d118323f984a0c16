"""The tables of a report on sets of leads."""

from __future__ import annotations

from typing import Any

from benchmarks.fidelity.scores import COVERAGE
from benchmarks.fidelity.segments import SEGMENTS
from benchmarks.fidelity.set_summaries import HONEST_IN_SIGMAS
from benchmarks.fidelity.tables import mean_with_interval, range_of
from benchmarks.fidelity.targets import MUST
from benchmarks.report import Table
from edge.leads import LEADS

MOST_ROWS = 40  # sets in a table; beyond, those that are named, and the JSON report has all
NOT_METHODS = ("leads", "int8_costs")


def tables(results: dict[str, Any]) -> list[Table]:
    """Sets, leads, honesty, INT8; and where all classes were measured, what they tell."""
    found = [_sets(results), _leads(results), _intervals(results), _by_number(results)]
    found += [_int8(results), *_every(results)]
    return [table for table in found if table.rows]


def _shown(results: dict[str, Any]) -> Any:
    for domain, found in results.items():
        sets = found["sets"]
        for label, of in sets.items():
            if len(sets) <= MOST_ROWS or label in MUST:
                for method in of:
                    if method not in NOT_METHODS:
                        yield domain, label, method, of[method]


def _sets(results: dict[str, Any]) -> Table:
    table = Table(
        "Sets of leads, over the unknown ones of I, II, V1 to V6: mean over records [95 % over patients]",
        (
            *("data", "leads", "method", "r", "linear r", "RMSE uV", "linear RMSE"),
            *("variance ratio, worst lead, median", "slope, median", "RMSE of twelve uV"),
            *("linear twelve", "SSIM", "n"),
        ),
    )
    for domain, label, method, one in _shown(results):
        linear, lead = one["linear"], one["worst_variance_ratio_lead"]
        ends = range_of(one["worst_variance_ratio_95"], 2)
        table.add(
            domain,
            label,
            method,
            mean_with_interval(one["r"], 3),
            f"{linear['r']['mean']:.3f}",
            mean_with_interval(one["rmse_uv"], 1),
            f"{linear['rmse_uv']['mean']:.1f}",
            f"{one['worst_variance_ratio']:.2f} [{ends}] {lead}",
            one["slope"]["median"],
            mean_with_interval(one["twelve_uv"], 1),
            f"{linear['twelve_uv']['mean']:.1f}",
            mean_with_interval(one["ssim"], 3) if "ssim" in one else None,
            one["r"]["n"],
        )
    return table


def _leads(results: dict[str, Any]) -> Table:
    table = Table("Each lead: mean r / mean RMSE uV", ("data", "leads", "method", *LEADS))
    for domain, label, method, one in _shown(results):
        by_lead = one["by_lead"]
        cells = (
            f"{by_lead[lead]['r']['mean']:.3f} / {by_lead[lead]['rmse_uv']['mean']:.0f}"
            if lead in by_lead
            else None
            for lead in LEADS
        )
        table.add(domain, label, method, *cells)
    return table


def _intervals(results: dict[str, Any]) -> Table:
    table = Table(
        f"Share within k sigma, nominally {COVERAGE:.0%}, k of each set from fold 9 [95 % over patients]; "
        f"mean error in sigmas, {HONEST_IN_SIGMAS:.2f} for a normal error",
        ("data", "leads", "method", "k", "all", *SEGMENTS, "mean sigma uV", "in sigmas", "refused"),
    )
    for domain, label, method, one in _shown(results):
        if not one["sigma_uv"]["mean"]:  # of a rival
            continue
        interval = one["interval"]
        covered: list[object] = [None] * (2 + len(SEGMENTS))
        if interval is not None:
            of = (interval, *(interval["by_segment"][segment] for segment in SEGMENTS))
            covered = [interval["k"], *(_covered(part) for part in of)]
        table.add(
            domain,
            label,
            method,
            *covered,
            one["sigma_uv"]["mean"],
            one["in_sigmas"]["mean"],
            one["references_refused"],
        )
    return table


def _by_number(results: dict[str, Any]) -> Table:
    table = Table(
        "Sigma by number of leads: one k of fold 9 for all sets",
        ("data", "leads", "sets", "k", "mean error in sigmas", "covered", *SEGMENTS),
    )
    for domain, found in results.items():
        for n, one in found["by_number"].items():
            if n != "k":
                by_segment = (one["by_segment"].get(segment) for segment in SEGMENTS)
                k = found["by_number"]["k"]
                table.add(
                    domain, n, one["n_sets"], k, one["in_sigmas"], one["covered"], *by_segment
                )
    return table


def _int8(results: dict[str, Any]) -> Table:
    table = Table(
        "What INT8 costs: r lost, share of RMSE gained [95 % over patients]",
        ("data", "leads", "r", "RMSE"),
    )
    for domain, found in results.items():
        for label, of in found["sets"].items():
            if "int8_costs" in of:
                costs = of["int8_costs"]
                r, share = (mean_with_interval(costs[m], 4) for m in ("r", "rmse_share"))
                table.add(domain, label, r, share)
    return table


def _every(results: dict[str, Any]) -> list[Table]:
    whole = Table(
        "All open classes",
        (
            "data",
            "classes",
            "not better in RMSE",
            "r worse by .002",
            "leads that cost .5 uV",
            "worst",
        ),
    )
    gain = Table("Gain in r over linear, mean over subsets of n leads", ("data", "n", "gain"))
    area = Table("", ("data", "figure", "method", "missing leads", "mean over n", "n = 1..7"))
    for domain, found in results.items():
        every = found.get("every")
        if every is None:
            continue
        costly = every["costly_leads"]
        worst = (f"{one['set']} and {one['lead']} {one['uv']:.2f}" for one in costly["worst"][:3])
        whole.add(
            domain,
            every["n_classes"],
            *(_some(every[f"worse_than_linear_in_{m}"]) for m in ("rmse", "r")),
            costly["n"],
            "; ".join(worst),
        )
        for n, one in every["gain_in_r"].items():
            gain.add(domain, n, mean_with_interval(one, 4))
        for figure, digits in (("aup_s", 3), ("aup_m", 5)):
            area.title = every[figure]["definition"]
            for method in ("shipped", "linear"):
                for kind, one in every[figure][method].items():
                    numbers = " ".join(f"{v:.{digits}f}" for v in one["by_number"].values())
                    shown = mean_with_interval(one, digits)
                    table_kind = kind.replace("_", " ")
                    area.add(domain, figure.upper(), method, table_kind, shown, numbers)
    return [whole, gain, area]


def _some(worse: dict[str, Any]) -> str:
    return " ".join([str(worse["n"]), *list(worse["sets"])[:3]])


def _covered(part: dict[str, Any]) -> str:
    return f"{part['covered']:.3f} [{range_of(part['covered_95'], 3)}]"
