"""The model card's table of bounds: what had to be reached, and whether it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.fidelity.tables import NAMES
from benchmarks.report import markdown_rows
from benchmarks.reports.musts import Reports

_JUDGED = ("morphology", "realism", "robustness", "diagnosis")
_JUDGED_TOO = ("fidelity", "sets")
"""Of many bounds those are shown that were missed."""
_INT8_COSTS = ("float32 - INT8", "INT8 over float32")


def musts(reports: Reports) -> list[str]:
    """Every bound on fidelity that was set before, and what was measured."""

    def judged(names: Sequence[str]) -> list[Mapping[str, Any]]:
        every = [one for name in names for one in reports[name]["targets"]]
        return [one for one in every if one["met"] is not None]

    more = judged(_JUDGED_TOO)
    missed = [one for one in more if not one["met"]]
    of_int8 = {what: [one for one in more if _costs(one, what)] for what in _INT8_COSTS}

    def rows() -> Iterator[Sequence[object]]:
        flags = judged(("misplacement",))
        for told, some in (
            ("flagged for nothing", [one for one in flags if not one["at_least"]]),
            ("exchanged or inverted, flagged", [one for one in flags if one["at_least"]]),
        ):
            if not some:
                continue
            worst = min(some, key=lambda one: one["measured"] * (1 if one["at_least"] else -1))
            n_missed = sum(not one["met"] for one in some)
            verdict = f"**missed** by {n_missed} of {len(some)}" if n_missed else "met by all"
            yield (
                f"electrodes {told} within 4 s: the worst of {len(some)}",
                *_figures(worst),
                verdict,
            )
        for one in (*judged(_JUDGED), *missed):
            if not any(_costs(one, what) for what in _INT8_COSTS):
                verdict = "met" if one["met"] else "**missed**"
                yield one["name"], *_figures(one), verdict
        for what, some in of_int8.items():
            if some and any(not one["met"] for one in some):
                worst = max(some, key=lambda one: one["measured"])
                _, leads, domain, score = worst["name"].split(", ")
                said = f"{what}, {score}, sets of leads: the worst, {leads} on {NAMES[domain]}"
                n_missed = sum(not one["met"] for one in some)
                yield said, *_figures(worst), f"**missed** by {n_missed} of {len(some)}"

    n_met = len(more) - len(missed)
    return [
        *markdown_rows(("what", "measured", "must", "unit", ""), rows()),
        "",
        f"Of {len(more)} more bounds, on r, RMSE, amplitude, sigma and sets of leads, {n_met} are met; those"
        " that are missed stand last in the table.",
    ]


def _costs(target: Mapping[str, Any], what: str) -> bool:
    """Whether it bounds what INT8 costs on one set of leads."""
    return bool(target["name"].startswith(f"{what}, ")) and target["name"].count(", ") == 3


def _figures(target: Mapping[str, Any]) -> Sequence[object]:
    sign = ">=" if target["at_least"] else "<="
    return f"{target['measured']:.4g}", f"{sign} {target['bound']:g}", target["unit"]
