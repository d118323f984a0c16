"""What only all sets of leads together can tell: whether a lead more ever hurts, gain, AUP, sigma."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity.scores import Array, Bootstrap
from benchmarks.fidelity.segments import SEGMENTS
from benchmarks.fidelity.set_scores import N_BINS, N_PLACES, SetScores
from benchmarks.fidelity.set_summaries import covered, per_record, sigma_factor_of
from benchmarks.fidelity.ssim import AUP_DEFINITION, MOST_LEADS, SSIM_DEFINITION, aup
from edge.lead_subsets import N_CLASSES, class_of, classes_of, every_subset, label

OPEN_CLASSES = range(1, N_CLASSES - 1)  # of the first nothing is known, of the last everything
R_TOLERANCE = 0.002  # of the linear map's r: sampling error of a thousand comparisons
COSTLY_UV = 0.5  # over all twelve leads


def leads_of(which: int) -> tuple[str, ...]:
    """The leads of a class, as few as give it."""
    return tuple(label(which).split("+"))


@dataclass
class Collected:
    """Of one data set what is kept of each set of leads, for the figures over all of them."""

    gain_in_r: dict[tuple[str, ...], Array] = field(default_factory=dict)
    """(n_records,), over the linear map."""
    twelve_uv: dict[tuple[str, ...], float] = field(default_factory=dict)
    rmse_over_linear: dict[tuple[str, ...], float] = field(default_factory=dict)
    in_sigmas: dict[tuple[str, ...], float] = field(default_factory=dict)
    errors: dict[tuple[str, ...], Array] = field(default_factory=dict)
    """(N_PLACES, N_BINS) shares of all samples."""
    images: dict[str, dict[int, NDArray[np.float32]]] = field(default_factory=dict)
    """By name of a figure and class, (n_records, 12)."""
    by_lead: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    """By label of the class, mean r and RMSE of each of LEADS."""

    def add(self, scores: SetScores) -> None:
        """One more set."""
        leads, which = scores.leads, class_of(scores.leads)
        ours, linear = scores.ours, scores.linear
        self.gain_in_r[leads] = per_record(ours["r"]) - per_record(linear["r"])
        self.twelve_uv[leads] = float(scores.twelve_uv.mean())
        rmse, linear_rmse = (per_record(one["rmse_uv"]) for one in (ours, linear))
        self.rmse_over_linear[leads] = float(np.nanmean(rmse) - np.nanmean(linear_rmse))
        in_sigmas = per_record(ours["in_sigmas"])
        self.in_sigmas[leads] = float(in_sigmas[np.isfinite(in_sigmas)].mean())
        self.errors[leads] = scores.errors.sum(0) / max(scores.errors.sum(), 1)
        for name, of in (("shipped", ours), ("linear", linear)):
            if "ssim" in of:
                similar = np.clip(of["ssim"], 0, 1).astype(np.float32)
                self.images.setdefault(f"aup_s/{name}", {})[which] = similar
                mse = of["relative_mse"].astype(np.float32)
                self.images.setdefault(f"aup_m/{name}", {})[which] = mse
        self.by_lead[label(which)] = (_means(ours["r"]), _means(ours["rmse_uv"]))

    def card(self, n_records: int) -> dict[str, Any]:
        """As a bundle's manifest carries it: 12 of each for a set, 0 uV and no r where a lead is known."""
        return {
            "folds": "PTB-XL fold 9",
            "records": n_records,
            "rmse_uv": {
                leads: [0 if np.isnan(uv) else round(uv) for uv in rmse_uv.tolist()]
                for leads, (_, rmse_uv) in self.by_lead.items()
            },
            "r": {
                leads: [None if np.isnan(one) else round(one, 3) for one in r.tolist()]
                for leads, (r, _) in self.by_lead.items()
            },
        }

    def is_every(self) -> bool:
        """Whether all open classes were scored."""
        return {class_of(leads) for leads in self.gain_in_r} >= set(OPEN_CLASSES)

    def by_class(self, values: dict[tuple[str, ...], Any]) -> dict[int, Any]:
        """Of each class the value of one of its sets."""
        return {class_of(leads): value for leads, value in values.items()}

    def every(self, bootstrap: Bootstrap) -> dict[str, Any]:
        """What is asked of all open classes."""
        from quantize.any_leads.scores import costly_leads  # brings torch

        rmse, gains = self.by_class(self.rmse_over_linear), self.by_class(self.gain_in_r)
        r = {which: float(np.nanmean(gain)) for which, gain in gains.items()}
        costly = costly_leads(self.by_class(self.twelve_uv))
        gain = gain_by_number(gains)
        return {
            "n_classes": len(r),
            "worse_than_linear_in_rmse": _worse(rmse, lambda value: value >= 0),
            "worse_than_linear_in_r": _worse(r, lambda value: value < -R_TOLERANCE),
            "costly_leads": {
                "n": sum(cost > COSTLY_UV for cost in costly.values()),
                "n_that_cost_anything": len(costly),
                "worst": [
                    {"set": leads, "lead": lead, "uv": cost}
                    for (leads, lead), cost in list(costly.items())[:10]
                ],
            },
            "gain_in_r": {str(n): bootstrap.summary(one) for n, one in gain.items()},
            **self._areas(bootstrap),
        }

    def _areas(self, bootstrap: Bootstrap) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, values in self.images.items():
            figure, _, method = name.partition("/")
            of = found.setdefault(figure, {"definition": f"{AUP_DEFINITION}. {SSIM_DEFINITION}"})
            for kind, derivable in (("unknown", False), ("with_derivable", True)):
                area = aup(values, derivable)
                numbers = enumerate(area, 1)
                of.setdefault(method, {})[kind] = {
                    **bootstrap.summary(area.mean(0)),
                    "by_number": {str(n): float(np.nanmean(one)) for n, one in numbers},
                }
        return found


def by_number(every: dict[str, Collected]) -> dict[str, Any]:
    """By data set and number of leads: mean |error| / sigma, and coverage by one k for all sets.

    k is of fold 9; without it there is no coverage. Over all subsets where all classes were scored, else over
    the sets there are.
    """
    validation = every.get("validation")
    k = None if validation is None else _common_factor(validation)
    found: dict[str, Any] = {"k": k}
    for domain, collected in every.items():
        found[domain] = {}
        for n, weights in _weights(collected).items():
            errors = _mixed(collected, weights)
            inside, samples = (None if k is None else covered(errors, k)), errors.sum(-1)
            found[domain][str(n)] = {
                "n_sets": len(weights),
                "in_sigmas": float(
                    sum(w * collected.in_sigmas[leads] for leads, w in weights.items())
                ),
                "covered": None if inside is None else float(inside.sum()),
                "by_segment": {
                    segment: None if inside is None else float(inside[i] / samples[i])
                    for i, segment in enumerate(SEGMENTS)
                    if samples[i]
                },
            }
    return found


def gain_by_number(gain: dict[int, Array]) -> dict[int, Array]:
    """Of 1 to MOST_LEADS leads, the mean over all subsets of so many, of a value that each class has."""
    return {
        n: np.asarray(sum(w * gain[which] for which, w in _class_weights(n)))
        for n in range(1, MOST_LEADS + 1)
    }


def _class_weights(n: int) -> Iterable[tuple[int, float]]:
    """Classes of the subsets of n leads, and their shares."""
    subsets = every_subset()
    classes = classes_of(subsets[subsets.sum(1) == n])
    counts = np.bincount(classes, minlength=N_CLASSES) / len(classes)
    return [(which, float(counts[which])) for which in np.flatnonzero(counts).tolist()]


def _weights(collected: Collected) -> dict[int, dict[tuple[str, ...], float]]:
    """By number of leads the sets that count, and their shares."""
    sets = list(collected.gain_in_r)
    if collected.is_every():
        of = {class_of(leads): leads for leads in sets}
        return {
            n: {of[which]: weight for which, weight in _class_weights(n)}
            for n in range(1, MOST_LEADS + 1)
        }
    sizes = sorted({len(leads) for leads in sets})
    some = {n: [leads for leads in sets if len(leads) == n] for n in sizes}
    return {n: {leads: 1 / len(of_n) for leads in of_n} for n, of_n in some.items()}


def _mixed(collected: Collected, weights: dict[tuple[str, ...], float]) -> Array:
    total = np.zeros((N_PLACES, N_BINS))
    for leads, weight in weights.items():
        total += weight * collected.errors[leads]
    return total


def _common_factor(collected: Collected) -> float:
    """The k of all sets together, each number of leads of one weight."""
    mixed = [_mixed(collected, weights) for weights in _weights(collected).values()]
    return sigma_factor_of(np.sum(mixed, 0))


def _worse(values: dict[int, float], is_worse: Any) -> dict[str, Any]:
    found = {which: value for which, value in values.items() if is_worse(value)}
    worst_first = sorted(found.items(), key=lambda item: -abs(item[1]))
    return {"n": len(found), "sets": {label(which): value for which, value in worst_first}}


def _means(values: Array) -> Array:
    """Over records, of each lead; NaN for one that none has."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0.0).sum(0) / defined.sum(0))
