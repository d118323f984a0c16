"""`python -m benchmarks multi`: what a patient costs among many, and whether a ward keeps pace."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from time import thread_time_ns
from typing import Any

import numpy as np

from benchmarks.latency.pacing import paced
from benchmarks.ratios import in_words, ratio
from benchmarks.report import Result, Table, Target, percentiles, samples_needed
from benchmarks.timing import Step, time_in_turn
from edge.bundle import Bundle, load_bundle
from edge.engines.registry import open_engine
from edge.multi_reconstructor import MultiReconstructor
from edge.reconstructor import Reconstructor
from firmware_bridge.simulators.ecg import EcgSimulator

SIZES = (1, 4, 16, 64, 256)
WARD = 64  # patients, of the targets
ROUNDS, BURST = 200, 4
SIGNAL_S = 20.0  # of simulated ECG, played over and over
SETTLED_S = 2.5  # filters settle before anything is timed
ONE = "one"
"""A `Reconstructor` of one patient."""

TARGETS = (
    Target("a patient of 64 / a Reconstructor", f"cost/{WARD}/ratio_of_medians", 0.2),
    Target("64 patients at 250 Hz, a hop's step, p99", "paced/p99", 16_000, "us"),
    Target("64 patients at 250 Hz, deadline misses", "paced/deadline_misses", 0),
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("multi", help="many patients on one engine, 1 to 256")
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument("--engine", default="auto", help="of all (default: the best here)")
    add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="patients")
    add_argument("--rounds", type=int, default=ROUNDS, help="of all sizes in turn")
    add_argument(
        "--seconds",
        type=float,
        default=20.0,
        help="of 64 patients in real time; 600 for the target",
    )
    parser.set_defaults(measure=measure)


def measure(arguments: argparse.Namespace) -> Result:
    """A hop of one patient alone and of many together, in turn; then 64 at the pace of their streams."""
    bundle = load_bundle(arguments.model)
    results = {
        "cost": measure_cost(bundle, arguments.engine, arguments.sizes, arguments.rounds),
        "paced": measure_paced(bundle, arguments.engine, arguments.seconds),
    }
    return Result(results, tables(results), TARGETS)


def tables(results: Mapping[str, Any]) -> list[Table]:
    """What a patient costs among many, and whether a ward keeps pace."""
    table = Table(
        "CPU time of a hop of each patient in us, and a patient's cost against one Reconstructor",
        ("patients", "a patient, p50", "all, p50", "all, p99", "ratio", "95 % interval"),
    )
    for name, cost in results["cost"].items():
        row = (cost["per_patient_us"], cost["p50"], cost["p99"], cost["ratio"], in_words(cost))
        table.add("a Reconstructor" if name == ONE else name, *row)
    at_pace = results["paced"]
    pace = Table(f"{WARD} patients in real time", ("figure", "value"))
    for figure in ("p50", "p99", "max", "deadline_misses", "n"):
        pace.add(figure, at_pace[figure])
    return [table, pace]


def measure_cost(
    bundle: Bundle, engine: str, sizes: Sequence[int], rounds: int, warm_up_s: float = 0.5
) -> dict[str, Any]:
    """CPU time in us of a hop: of a Reconstructor, and of each number of patients in one object."""
    with Reconstructor.open(bundle, engine) as one:
        steps: dict[str, Step] = {ONE: _step_of_one(one)}
        wards = {n: MultiReconstructor(open_engine(bundle, engine).engine, n) for n in sizes}
        steps |= {str(n): _step_of_ward(ward) for n, ward in wards.items()}
        durations = time_in_turn(steps, rounds, BURST, warm_up_s, thread_time_ns)
        for ward in wards.values():
            ward.close()
    found = {}
    for name, ns in durations.items():
        size = 1 if name == ONE else int(name)
        found[name] = {
            "unit": "us",
            **percentiles(ns / 1e3),
            "per_patient_us": float(np.median(ns)) / size / 1e3,
            **ratio(ns / size, durations[ONE]),
        }
    return found


def measure_paced(bundle: Bundle, engine: str, seconds: float) -> dict[str, Any]:
    """A hop of 64 patients whenever one is due."""
    with MultiReconstructor.open(bundle, engine, slots=WARD) as ward:
        period_s = ward.hop / ward.sampling_hz
        n = max(samples_needed(50), round(seconds / period_s))
        return paced(_step_of_ward(ward), n, period_s)


def _signals(n: int, sampling_hz: float, leads: Sequence[str]) -> list[Any]:
    """The leads of `n` hearts, (n_leads, samples) mV."""
    found = []
    for seed in range(min(n, 16)):  # more are no different to a processor
        signal = EcgSimulator(sampling_hz, 60 + seed, baseline_mv=0.03, muscle_mv=0.005, seed=seed)
        rows = [signal.leads.index(lead) for lead in leads]
        found.append(signal.read(round(SIGNAL_S * sampling_hz))[rows])
    return [found[i % len(found)] for i in range(n)]


def _step_of_one(r: Reconstructor) -> Step:
    hops = _hops(_signals(1, r.sampling_hz, r.leads), r.hop)
    return _over_and_over([partial(r.push, one) for [one] in hops], r.sampling_hz / r.hop)


def _step_of_ward(ward: MultiReconstructor) -> Step:
    names = [f"bed-{i}" for i in range(ward.slots)]
    for name in names:
        ward.join(name)
    hops = _hops(_signals(len(names), ward.sampling_hz, ward.leads(names[0])), ward.hop)
    steps = [partial(ward.push, dict(zip(names, hop, strict=True))) for hop in hops]
    return _over_and_over(steps, ward.sampling_hz / ward.hop)


def _hops(signals: Sequence[Any], hop: int) -> list[list[Any]]:
    """Of each hop in time, that of each signal."""
    n = signals[0].shape[1] // hop
    cut = [np.split(signal[:, : n * hop], n, axis=1) for signal in signals]
    return [list(hops) for hops in zip(*cut, strict=True)]


def _over_and_over(steps: Sequence[Step], hops_per_s: float) -> Step:
    """The next of `steps` at each call; the first seconds are over."""
    at = 0

    def step() -> None:
        nonlocal at
        steps[at]()
        at = (at + 1) % len(steps)

    for _ in range(round(SETTLED_S * hops_per_s)):
        step()
    return step
