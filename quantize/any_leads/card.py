"""The model card of any leads: what each set is expected to give, by lead, as the manifest holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.leads import LEADS
from quantize.errors import QuantizeError

FOLDS = {"validation": "PTB-XL fold 9", "validation_100": "PTB-XL fold 9, 100 Hz"}
_AGAIN = "make it with `python -m quantize any-leads-scores --every-set --json FILE`"


def read_scores(file: Path) -> dict[str, Any]:
    """What `any-leads-scores --json` wrote, or `benchmarks fidelity --leads every --json`.

    Raises QuantizeError for a file that is missing or is another.
    """
    try:
        report = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise QuantizeError(f"cannot read the scores {file}: {error}: {_AGAIN}") from error
    if not isinstance(report, dict) or not ("sets" in report or _of_benchmark(report)):
        raise QuantizeError(f"{file} holds no scores of sets: {_AGAIN}")
    return report


def sets_card(report: Mapping[str, Any]) -> dict[str, Any]:
    """`manifest.fidelity["sets"]` of what `any-leads-scores --json` wrote, whatever sets it has.

    By the label of a set, of each of LEADS: RMSE in whole uV, 0 where the lead is known, and r to three
    digits, null where it is known. A report of the benchmark has it as it is. Raises QuantizeError for
    scores without figures by lead.
    """
    if _of_benchmark(report):
        return dict(report["card"])
    rmse_uv: dict[str, list[int]] = {}
    r: dict[str, list[float | None]] = {}
    try:
        for score in report["sets"]:
            uv, correlation = score["lead_rmse_uv"], score["lead_r"]
            if len(uv) != len(LEADS) or len(correlation) != len(LEADS):
                raise ValueError("other than twelve leads")
            rmse_uv[score["leads"]] = [round(one) for one in uv]
            r[score["leads"]] = [None if one is None else round(one, 3) for one in correlation]
        folds = FOLDS.get(report["data"], report["data"])
        return {"folds": folds, "records": report["records"], "rmse_uv": rmse_uv, "r": r}
    except (KeyError, TypeError, ValueError) as error:
        raise QuantizeError(f"the scores have no figures by lead ({error}): {_AGAIN}") from error


def _of_benchmark(report: Mapping[str, Any]) -> bool:
    """Whether a report holds the card itself, measured on a bundle."""
    card = report.get("card")
    return isinstance(card, dict) and {"folds", "records", "rmse_uv", "r"} <= card.keys()
