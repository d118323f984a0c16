"""`python -m benchmarks fidelity --leads`: what sets of measured leads are worth, beside the linear map."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.every_set import OPEN_CLASSES, Collected, by_number, leads_of
from benchmarks.fidelity.methods import Method, float32_method
from benchmarks.fidelity.rivals import Rival, rivals, score_rival
from benchmarks.fidelity.scores import COVERAGE, FROM_S, RESAMPLES, TO_S, Bootstrap
from benchmarks.fidelity.set_scores import SetScores, Truth, score_set
from benchmarks.fidelity.set_summaries import difference, sigma_factor_of, summary_of
from benchmarks.fidelity.set_tables import tables
from benchmarks.fidelity.targets import set_targets
from benchmarks.report import Result
from edge.bundle import load_bundle
from edge.engines.base import Engine
from edge.engines.registry import open_engine
from edge.lead_subsets import N_CLASSES, class_of
from edge.leads import LEADS, lead_indices
from edge.progress import progress
from firmware_bridge.lead_names import lead_of
from quantize.any_leads.sampling import NAMED_SETS
from quantize.data import SCORE_HIGHPASS_HZ, Records

NAMED, EVERY = "named", "every"
SHIPPED, CALIBRATED, FLOAT32 = "shipped", "calibrated", "float32"
LINEAR = "linear map: least squares of the bundle's second moments, on the same conditioned leads"


@dataclass(frozen=True)
class Asked:
    """Sets of leads to measure."""

    sets: tuple[tuple[str, ...], ...]
    every: bool
    """Whether all open classes are among them."""


def label_of(leads: Sequence[str]) -> str:
    """A set as reports name it: I+II+V2, in the order of LEADS."""
    return "+".join(sorted(leads, key=LEADS.index))


def asked(texts: Sequence[str]) -> Asked:
    """What `--leads` asks for: sets as II,V1,V5, `named`, `every`; each set once.

    Raises BenchmarkError for a set that is none, or leaves no lead to reconstruct.
    """
    sets: dict[str, tuple[str, ...]] = {}
    for text in texts:
        more: Sequence[tuple[str, ...]]
        if text in (NAMED, EVERY):
            more = NAMED_SETS if text == NAMED else [leads_of(which) for which in OPEN_CLASSES]
        else:
            more = [_set(text)]
        for leads in more:
            sets.setdefault(label_of(leads), leads)
    return Asked(tuple(sets.values()), EVERY in texts)


def _set(text: str) -> tuple[str, ...]:
    names = text.replace("+", ",").split(",")
    leads = tuple(lead_of(name.strip()) or name for name in names)
    lead_indices(leads)
    if class_of(leads) == N_CLASSES - 1:
        raise BenchmarkError(
            f"{text} leave no lead to reconstruct: name fewer of {', '.join(LEADS)}"
        )
    return leads


def measure_sets(arguments: argparse.Namespace, records: dict[str, Records]) -> Result:
    """Every set on every data set, fold 9 first since k comes from there."""
    sets = asked(arguments.leads)
    bundle = load_bundle(arguments.model)
    if not bundle.manifest.any_leads:
        raise BenchmarkError(
            f"{bundle.manifest.name} takes {', '.join(bundle.manifest.input_leads)} alone: leave out --leads,"
            " or give a model of any leads"
        )
    of_engine = [Method(f"INT8 {e}", f"student INT8, {e}", bundle, e) for e in arguments.engines]
    methods = {SHIPPED: of_engine[0], **{one.name: one for one in of_engine[1:]}}
    if arguments.calibration:
        what = f"the same, calibrated on the first {arguments.calibration:g} s of 12 leads"
        calibration_s = arguments.calibration
        methods[CALIBRATED] = Method(
            CALIBRATED, what, bundle, arguments.engines[0], calibration_s=calibration_s
        )
    for file in arguments.also:
        methods[file.stem] = Method(
            file.stem, "another bundle", load_bundle(file), arguments.engines[0]
        )
    if arguments.float_bundle is not None:
        methods[FLOAT32] = float32_method(arguments.float_bundle)
    beside = rivals() if arguments.rivals else ()
    results, card = evaluate_sets(
        methods,
        sets,
        records,
        hop_by_hop=bool(arguments.hop_by_hop),
        folder=arguments.cache,
        seed=arguments.seed,
        beside=beside,
    )
    protocol = {
        "feed": "hop by hop" if arguments.hop_by_hop else "whole records",
        "highpass_hz": SCORE_HIGHPASS_HZ,
        "scored_s": [max(FROM_S, arguments.calibration or 0), TO_S],
        "score": "over the unknown ones of I, II, V1 to V6; twelve: over all leads, of known ones 0",
        "interval": f"{COVERAGE:.0%} is k sigma, k of each set and method from fold 9",
        "bootstrap": f"{RESAMPLES} resamples of patients, seed {arguments.seed}",
        "records_per_domain": {name: len(r) for name, r in records.items()},
        "methods": {"linear": LINEAR}
        | {name: f"{one.what}, bundle {one.bundle.sha256[:16]}" for name, one in methods.items()}
        | {one.name: one.what for one in beside},
    }
    extra = {"protocol": protocol, **({"card": card} if card else {})}
    named = [label_of(leads) for leads in sets.sets]
    return Result(results, tables(results), set_targets(named, results), extra)


def evaluate_sets(
    methods: dict[str, Method],
    sets: Asked,
    records: dict[str, Records],
    *,
    hop_by_hop: bool = False,
    folder: Path | None = None,
    seed: int = 0,
    beside: Sequence[Rival] = (),
) -> tuple[dict[str, Any], dict[str, Any]]:
    """By data set what each set of leads scores and what they tell together; and the model card of fold 9.

    The first of `methods` is SHIPPED. `folder` keeps scores; `beside` are offline methods, for the sets that
    they take.
    """
    calibrations = [one.calibration_s or FROM_S for one in methods.values()]
    hop = methods[SHIPPED].bundle.manifest.hop
    truths = {name: Truth(some, hop, max(FROM_S, *calibrations)) for name, some in records.items()}
    bootstraps = {name: Bootstrap(some.patient_id, seed) for name, some in records.items()}
    collected = {name: Collected() for name in records}
    results: dict[str, Any] = {name: {"sets": {}} for name in records}
    with ExitStack() as stack:
        n_records = sum(map(len, records.values()))
        asked_of = [sum(one.takes(leads) for leads in sets.sets) for one in beside]
        each = len(sets.sets) * len(methods) + sum(asked_of)
        work = stack.enter_context(progress("", n_records * each))
        engines = {
            name: stack.enter_context(open_engine(one.bundle, one.engine).engine)
            for name, one in methods.items()
        }
        for leads in sets.sets:
            k: dict[str, float] = {}
            for domain, truth in truths.items():
                work.what = f"{label_of(leads)}, {domain}"
                scored = _score_methods(
                    methods,
                    engines,
                    leads,
                    truth,
                    hop_by_hop=hop_by_hop,
                    folder=folder,
                    advance=work.advance,
                )
                for rival in (one for one in beside if one.takes(leads)):
                    scored[rival.name] = score_rival(
                        rival,
                        methods[SHIPPED].bundle.manifest,
                        leads,
                        truth,
                        folder,
                        work.advance,
                    )
                if domain == "validation":
                    k = {
                        name: sigma_factor_of(one.errors)
                        for name, one in scored.items()
                        if name in methods
                    }
                results[domain]["sets"][label_of(leads)] = _summaries(scored, bootstraps[domain], k)
                collected[domain].add(scored[SHIPPED])
    numbers = by_number(collected)
    for name, of in collected.items():
        results[name]["by_number"] = {"k": numbers["k"], **numbers[name]}
        if sets.every:
            results[name]["every"] = of.every(bootstraps[name])
    validation = collected.get("validation")
    return results, {} if validation is None else validation.card(len(records["validation"]))


def _score_methods(
    methods: dict[str, Method],
    engines: dict[str, Engine],
    leads: tuple[str, ...],
    truth: Truth,
    *,
    hop_by_hop: bool,
    folder: Path | None,
    advance: Callable[[int], None],
) -> dict[str, SetScores]:
    return {
        name: score_set(
            method,
            engines[name],
            leads,
            truth,
            hop_by_hop=hop_by_hop,
            images=name == SHIPPED,
            folder=folder,
            advance=advance,
        )
        for name, method in methods.items()
    }


def _summaries(
    scored: dict[str, SetScores], bootstrap: Bootstrap, k: dict[str, float]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: summary_of(one, bootstrap, k.get(name)) for name, one in scored.items()
    }
    found["leads"] = list(scored[SHIPPED].leads)
    if FLOAT32 in scored:
        found["int8_costs"] = difference(scored[SHIPPED], scored[FLOAT32], bootstrap)
    return found
