"""Where the time of a push goes: filters, checks, the engine, assembly and what is around them."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.latency.hops import settled_hops
from benchmarks.ratios import medians
from benchmarks.timing import WARM_UP_S, Step, time_in_turn
from edge.bundle import Bundle
from edge.lead_set import LeadSet
from edge.reconstructor import Reconstructor
from edge.stream_state import StreamState

ROUNDS, BURST = 250, 16
STAGES = ("filters", "checks", "engine", "assembly", "rest")


def measure_stages(
    bundle: Bundle, engine: str = "auto", rounds: int = ROUNDS, warm_up_s: float = WARM_UP_S
) -> dict[str, Any]:
    """Microseconds of a hop by stage, the median over rounds; they add up to `push`.

    Each stage is run alone, in turn with the whole. `checks`: gaps, lead-off and noise. `assembly`: anchor,
    identities, sigma. `rest`: what a push does around them.
    """
    with Reconstructor.open(bundle, engine) as r:
        steps = _steps(r, bundle)
        durations = time_in_turn(steps, rounds, BURST, warm_up_s)
        name = r.engine.name
    us = {step: float(np.median(medians(t))) / 1e3 for step, t in durations.items()}
    parts = {
        "filters": us["filters"],
        "checks": us["prepared"] - us["filters"],
        "engine": us["engine"],
        "assembly": us["assembly"],
    }
    parts["rest"] = us["push"] - sum(parts.values())
    return {"unit": "us", "engine": name, "push": us["push"], "stages": parts, "rounds": rounds}


def _steps(r: Reconstructor, bundle: Bundle) -> dict[str, Step]:
    """The whole and its parts, each on a stream of its own that has settled."""
    m = bundle.manifest
    hops = settled_hops(r)
    pushed, prepared, filtered = cycle(hops), cycle(hops), cycle(hops)
    stream = StreamState(LeadSet(m), m, m.conditioning)
    step_on = stream.leads.all_present
    rows = None
    for hop in hops:  # until its filters have settled
        rows = stream.take_hop(hop)
        if rows is None:
            for hops_at in stream.prepare(stream.begin(hop, None, None)):
                if isinstance(hops_at, slice):
                    raise BenchmarkError("a lead of the simulated ECG is off: mend the benchmark")
    if rows is None:
        raise BenchmarkError("the filters never settled: make the benchmark's signal longer")
    engine, conditioner = r.engine, StreamState(LeadSet(m), m, m.conditioning).conditioner
    for hop in hops:
        conditioner.push(hop)
    both = np.empty((2, *hops[0].shape), np.float32)
    ecg, log_sigma = (
        made.copy() for made in engine.step(rows, step_on.mask, step_on.engine_anchor)
    )
    return {
        "push": lambda: r.push(next(pushed)),
        "prepared": lambda: stream.take_hop(next(prepared)),
        "filters": lambda: conditioner.push_hop(next(filtered), both),
        "engine": lambda: engine.step(rows, step_on.mask, step_on.engine_anchor),
        "assembly": lambda: stream.finish_hop(ecg, log_sigma),
    }
