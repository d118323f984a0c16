"""`python -m benchmarks multi`: what a patient costs among many, and whether a ward keeps pace."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from time import process_time_ns
from typing import Any

import numpy as np

from benchmarks.ratios import in_words, ratio
from benchmarks.report import Result, Table, Target, percentiles
from benchmarks.timing import Step, time_in_turn
from benchmarks.ward import SETTLED_S, Given, Ward, hops_of, measure_ward, signals_of
from edge.bundle import Bundle, load_bundle
from edge.engines.registry import REFERENCE, open_engine
from edge.multi_reconstructor import MultiReconstructor
from edge.progress import progress
from edge.reconstructor import Reconstructor
from edge.signal.conditioning import BLOCK_HOPS

SIZES = (1, 4, 16, 64, 256)
WARD = 64  # patients, of the targets
ROUNDS, BURST = 100, BLOCK_HOPS  # what ends a block is in every burst once
ONE = "one"
"""A `Reconstructor` of one patient."""

TARGETS = (
    Target("a patient of 64 / a Reconstructor", f"cost/{WARD}/ratio", 0.2),
    Target(
        "a patient of 64 / a Reconstructor, ONNX Runtime",
        f"{REFERENCE}/{WARD}/ratio",
        0.2,
    ),
    Target("real time, from a hop's last sample to its block, p99", "paced/p99", 16_000, "us"),
    Target("real time, samples lost", "paced/samples_lost", 0),
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("multi", help="many patients on one engine, 1 to 256")
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument("--engine", default="auto", help="of all (default: the best here)")
    add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="patients")
    add_argument("--rounds", type=int, default=ROUNDS, help="of all sizes in turn")
    add_argument("--seconds", type=float, default=20.0, help="in real time; 600 for the target")
    add_argument("--patients", type=int, default=WARD, help="in real time (default: %(default)s)")
    add_argument("--core", type=int, help="in real time: run on this core alone")
    parser.set_defaults(measure=measure)


def measure(arguments: argparse.Namespace) -> Result:
    """A hop of one patient alone and of many together, in turn; then 64 at the pace of their streams."""
    bundle, rounds = load_bundle(arguments.model), arguments.rounds
    with open_engine(bundle, arguments.engine).engine as engine:
        name = engine.name
    model = None if arguments.model is None else str(arguments.model)
    given = Given(arguments.patients, arguments.seconds, name, model, arguments.core)
    results: dict[str, Any] = {"engine": name}
    with progress("in real time", calm=True) as work:
        results["paced"] = measure_ward(given)
        work.what = f"cost, {name}"
        results["cost"] = results[REFERENCE] = measure_cost(bundle, name, arguments.sizes, rounds)
        if name != REFERENCE:
            work.what = f"cost, {REFERENCE}"
            results[REFERENCE] = measure_cost(bundle, REFERENCE, [WARD], rounds)
    return Result(results, tables(results), TARGETS)


def tables(results: Mapping[str, Any]) -> list[Table]:
    """What a patient costs among many, and whether a ward keeps pace."""
    table = Table(
        "CPU time of a hop of each patient in us, and a patient's cost against one Reconstructor",
        ("engine", "patients", "a patient", "all, p50", "all, p99", "ratio", "95 % interval"),
    )
    costs = [(results["engine"], results["cost"])]
    if results["engine"] != REFERENCE:
        costs.append((REFERENCE, results[REFERENCE]))
    for engine, cost in costs:
        for name, of_size in cost.items():
            row = (of_size[key] for key in ("per_patient_us", "p50", "p99", "ratio"))
            label = "a Reconstructor" if name == ONE else name
            table.add(engine, label, *row, in_words(of_size))
    paced = results["paced"]
    where = "" if paced["core"] is None else f" on core {paced['core']}"
    pace = Table(
        f"{paced['patients']} patients in real time{where}, engine {paced['engine']}:"
        " us from a hop's last sample to its block",
        ("figure", "value"),
    )
    for figure in (
        *("p50", "p90", "p99", "p99.9", "max", "n", "deadline_misses", "samples_lost"),
        *("hops_at_once", "cpu_share"),
    ):
        pace.add(figure, paced[figure])
    return [table, pace]


def measure_cost(
    bundle: Bundle, engine: str, sizes: Sequence[int], rounds: int, warm_up_s: float = 0.5
) -> dict[str, Any]:
    """CPU time in us of a hop: of a Reconstructor, and of each number of patients in one object."""
    with Reconstructor.open(bundle, engine) as one:
        steps: dict[str, Step] = {ONE: _step_of_one(one)}
        wards = {n: MultiReconstructor(open_engine(bundle, engine).engine, n) for n in sizes}
        steps |= {str(n): _step_of_ward(ward) for n, ward in wards.items()}
        durations = time_in_turn(steps, rounds, BURST, warm_up_s, process_time_ns)
        for ward in wards.values():
            ward.close()
    bursts = {name: ns.mean(1, keepdims=True) for name, ns in durations.items()}
    found = {}
    for name, ns in durations.items():
        per_patient = bursts[name] / (1 if name == ONE else int(name))
        found[name] = {
            "unit": "us",
            **percentiles(ns / 1e3),
            "per_patient_us": float(np.median(per_patient)) / 1e3,
            **ratio(per_patient, bursts[ONE]),
        }
    return found


def _step_of_one(r: Reconstructor) -> Step:
    hops = hops_of(signals_of(1, r.sampling_hz, r.leads), r.hop)
    return _over_and_over([partial(r.push, one) for [one] in hops], r.sampling_hz / r.hop)


def _step_of_ward(multi: MultiReconstructor) -> Step:
    ward = Ward(multi, multi.slots)
    return lambda: multi.push(ward.next())


def _over_and_over(steps: Sequence[Step], hops_per_s: float) -> Step:
    """The next of `steps` at each call; the first seconds are over."""
    turn = cycle(steps)

    def step() -> None:
        next(turn)()

    for _ in range(round(SETTLED_S * hops_per_s)):
        step()
    return step
