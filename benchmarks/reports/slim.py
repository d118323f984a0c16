"""What of a report is kept with the code: figures that pages and plots read, and no path of the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SIGNIFICANT = 5
OF_THIS_MACHINE = ("json", "cache", "plots", "data", "float_bundle")
_SCORES = ("r", "rmse_uv")
_OF_SET = (*_SCORES, "ssim")
_OF_SUMMARY = ("n", "mean", "mean_95", "median")
_COMPARED = ("shipped", "linear", "calibrated")
_BY_LEAD = ("r", "rmse_uv", "variance_ratio", "sharpness_db")


def slim(report: dict[str, Any], of_records: str | None = None) -> dict[str, Any]:
    """The same, smaller; with its name `of_records` where it is of recordings, in SIGNIFICANT digits."""
    kept = {key: without_paths(value) for key, value in report.items() if key != "arguments"}
    kept["arguments"] = {
        k: v for k, v in without_paths(report["arguments"]).items() if k not in OF_THIS_MACHINE
    }
    if of_records is not None:
        kept.pop("card", None)  # its results say it
        shorten = _SHORTENED.get(of_records, _means)
        kept["results"] = _rounded({name: shorten(of) for name, of in report["results"].items()})
    return kept


def without_paths(value: Any) -> Any:
    """The same, a file that an engine is kept in by its name alone."""
    if isinstance(value, dict):
        return {
            key: Path(one).name if key == "cache" and isinstance(one, str) else without_paths(one)
            for key, one in value.items()
        }
    return [without_paths(one) for one in value] if isinstance(value, list) else value


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items() if key != "quartiles"}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.{SIGNIFICANT}g}") if isinstance(value, float) else value


def _means(found: Any) -> Any:
    """Of each summary over records its mean and interval."""
    if isinstance(found, list):
        return [_means(one) for one in found]
    if not isinstance(found, dict):
        return found
    gone = ("median", "n") if "mean_95" in found else ()
    return {name: _means(one) for name, one in found.items() if name not in gone}


def _summary(of: Mapping[str, Any], names: tuple[str, ...] = _OF_SUMMARY) -> dict[str, Any]:
    return {name: of[name] for name in names if name in of}


def _methods(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of one data set: headline scores of every method; amplitude and sigma of those that are compared."""
    kept: dict[str, Any] = {}
    for name, one in found.items():
        if not isinstance(one, Mapping) or "headline" not in one:
            kept[name] = one
            continue
        kept[name] = {
            "n_records": one["n_records"],
            "headline": {score: _summary(one["headline"][score]) for score in _SCORES},
        }
        if name in _COMPARED:
            kept[name]["by_lead"] = {
                lead: {score: _summary(of[score], ("mean", "median")) for score in _BY_LEAD}
                for lead, of in one["by_lead"].items()
            }
            kept[name] |= {k: one[k] for k in ("worst_variance_ratio", "interval", "nine_leads")}
    kept.pop("against_shipped", None)
    return kept


def _sets(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of one data set: r and RMSE by set and method, what INT8 costs, sigma by number of leads."""

    def of_method(one: Mapping[str, Any]) -> dict[str, Any]:
        kept = {s: _summary(one[s], ("n", "mean", "mean_95")) for s in _OF_SET if s in one}
        if "linear" in one:
            linear = one["linear"]
            kept["linear"] = {s: _summary(linear[s], ("mean",)) for s in _OF_SET if s in linear}
        return kept

    named = len(found["sets"]) <= MOST_SETS
    return {
        **{key: one for key, one in found.items() if key != "sets"},
        "sets": {
            label: {
                name: of_method(one)
                if isinstance(one, Mapping) and "r" in one and "n" in one["r"]
                else one
                for name, one in of.items()
                if name not in ("leads", "int8_costs")
            }
            | ({"int8_costs": of["int8_costs"]} if "int8_costs" in of else {})
            for label, of in found["sets"].items()
            if named
        },
    }


MOST_SETS = 40
"""Beyond it, what they tell together is kept."""
_SHORTENED: Mapping[str, Callable[[Any], Any]] = {
    "fidelity": _methods,
    "larger": _methods,
    "sets": _sets,
    "small": _sets,
    "every": _sets,
}
