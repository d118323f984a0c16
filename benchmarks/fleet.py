"""`python -m benchmarks fleet`: what a shard on Ray costs per hop, alone and full, in CPU time."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ratios import in_words, ratio
from benchmarks.report import Result, Table, Target
from benchmarks.ward import SETTLED_S, signals_of
from edge.bundle import load_bundle
from edge.engines.registry import open_engine
from edge.fleet.batch import batch_of
from edge.fleet.fleet import JOINS_AT_ONCE, TICK_S
from edge.fleet.ray_shards import RayShard, ray_cluster
from edge.fleet.waiting import Run
from edge.multi_reconstructor import MultiReconstructor

SIZES = (1, 256)
FULL = 256  # patients, of the targets
ROUNDS, TICKS = 30, 10
DEADLINE_S = 60.0  # nothing is to be given up here

TARGETS = (
    Target(f"CPU per hop, {FULL} patients / one patient, shard and router", "full", 0.05),
    Target(f"CPU of the shard / MultiReconstructor alone, {FULL} patients", "overhead", 1.5),
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("fleet", help="a shard on Ray: what a hop costs, alone and full")
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument("--engine", default="auto", help="of all (default: the best here)")
    add_argument("--rounds", type=int, default=ROUNDS, help="of all sizes in turn")
    add_argument("--ticks", type=int, default=TICKS, help="of a round (default: %(default)s)")
    parser.set_defaults(measure=measure)


def measure(arguments: argparse.Namespace) -> Result:
    """One patient and 256 on a shard, and 256 in a MultiReconstructor of this process, in turn."""
    bundle = load_bundle(arguments.model)
    with open_engine(bundle, arguments.engine).engine as engine:
        name = engine.name
    model = None if arguments.model is None else str(arguments.model)
    options = {"model": model, "engine": name}
    results = asyncio.run(_measure(options, arguments.rounds, arguments.ticks))
    return Result({"engine": name, **results}, tables(results), TARGETS)


class _Patients:
    """Patients who send a tick of signal each, over and over."""

    def __init__(self, n: int, hz: float, leads: Sequence[str], hop: int) -> None:
        self.names = [f"bed-{n}-{i}" for i in range(n)]
        self.samples = max(1, round(TICK_S * hz / hop)) * hop
        """Of a tick, in whole hops."""
        self.hops = n * self.samples // hop
        self._leads = dict.fromkeys(self.names, tuple(leads))
        self._signals = signals_of(n, hz, leads)
        self._at = 0

    def runs(self) -> dict[str, Run]:
        """The next tick of each."""
        n_ticks = self._signals[0].shape[1] // self.samples
        at = self._at % n_ticks * self.samples
        first, self._at = self._at * self.samples, self._at + 1
        return {
            name: Run(signal[:, at : at + self.samples], None, first, 0, 0)
            for name, signal in zip(self.names, self._signals, strict=True)
        }

    async def step(self, shard: RayShard) -> None:
        """A tick on a shard."""
        await shard.step(batch_of(self.runs(), self._leads, []))

    def push(self, multi: MultiReconstructor) -> None:
        """The same in this process."""
        multi.push({name: run.ecg_mv for name, run in self.runs().items()})

    async def join(self, shard: RayShard) -> None:
        """Some at a time, as a fleet does it."""
        runs = [*self.runs().items()]
        for at in range(0, len(runs), JOINS_AT_ONCE):
            await shard.step(batch_of(dict(runs[at : at + JOINS_AT_ONCE]), self._leads, []))


async def _measure(options: dict[str, Any], rounds: int, ticks: int) -> dict[str, Any]:
    found: dict[str, list[float]] = {
        key: [] for key in ("alone", *(f"{k}/{n}" for n in SIZES for k in ("shard", "router")))
    }
    with ray_cluster(None, 1), MultiReconstructor.open(slots=FULL, **options) as multi:
        hz, hop, leads = multi.sampling_hz, multi.hop, multi.engine.manifest.input_leads
        settled = round(SETTLED_S / TICK_S)
        shard = RayShard("shard", sum(SIZES), options, DEADLINE_S)
        await shard.ready()
        wards = {n: _Patients(n, hz, leads, hop) for n in SIZES}
        apart = _Patients(FULL, hz, leads, hop)
        for name in apart.names:
            multi.join(name, leads)
        for ward in wards.values():
            await ward.join(shard)
        for _ in range(settled):
            apart.push(multi)
            for ward in wards.values():
                await ward.step(shard)
        for _ in range(rounds):
            for n, ward in wards.items():
                before = float(await shard.ask("cpu_s", within_s=DEADLINE_S)), process_time()
                for _ in range(ticks):
                    await ward.step(shard)
                after = float(await shard.ask("cpu_s", within_s=DEADLINE_S)), process_time()
                for key, one, two in zip(("shard", "router"), before, after, strict=True):
                    found[f"{key}/{n}"].append((two - one) / (ticks * ward.hops))
            began = process_time()
            for _ in range(ticks):
                apart.push(multi)
            found["alone"].append((process_time() - began) / (ticks * apart.hops))
    return _figures({key: np.array(values)[:, None] for key, values in found.items()})


def _figures(costs: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Costs in s of a hop, (rounds, 1)."""
    both = {n: costs[f"shard/{n}"] + costs[f"router/{n}"] for n in SIZES}
    full, overhead = ratio(both[FULL], both[1]), ratio(costs[f"shard/{FULL}"], costs["alone"])
    return {
        "full": full["ratio"],
        "overhead": overhead["ratio"],
        "full_ratio": full,
        "overhead_ratio": overhead,
        "per_hop_us": {key: float(np.median(cost)) * 1e6 for key, cost in costs.items()},
    }


def tables(results: Mapping[str, Any]) -> list[Table]:
    """What a hop costs, and the two ratios."""
    costs = Table("CPU time of a hop of one patient, us", ("patients", "shard", "router"))
    us = results["per_hop_us"]
    for n in SIZES:
        costs.add(n, us[f"shard/{n}"], us[f"router/{n}"])
    costs.add(f"{FULL}, MultiReconstructor alone", us["alone"], "")
    ratios = Table("Ratios, median over rounds", ("ratio", "value", "95 % interval"))
    ratios.add(f"{FULL} patients / one", results["full"], in_words(results["full_ratio"]))
    ratios.add("shard / alone", results["overhead"], in_words(results["overhead_ratio"]))
    return [costs, ratios]
