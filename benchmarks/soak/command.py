"""`python -m benchmarks soak`: the live path for as long as asked; loss, deadline misses, memory growth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency.live import DEVICE_HZ, FRAMES_HZ, run_live
from benchmarks.report import Result, Table, Target
from benchmarks.soak.faults import add_arguments, measure_faults
from edge.bundle import load_bundle
from edge.live.memory import Memory
from edge.progress import progress

SETTLED_AFTER = 0.25  # of the run: what is allocated before is start, not growth
MINUTE_S = 60.0

TARGETS = (
    Target("samples lost", "live/samples_lost", 0),
    Target("output samples missing", "live/output_samples_missing", 0),
    Target("frames unanswered", "live/frames_unanswered", 0),
    Target("frames dropped by the device", "live/frames_dropped_by_device", 0),
    Target("last byte written -> block at the sink, p50", "live/processing/p50", 3000, "us"),
    Target("last byte written -> block at the sink, p99", "live/processing/p99", 15000, "us"),
    Target("memory growth", "memory/growth_mb_per_hour", 10, "MB/h"),
    Target("peak memory", "memory/peak_mb", 200, "MB"),
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("soak", help="the live path for ten minutes or days")
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument("--engine", default="auto", help="inference engine (default: the best here)")
    add_argument("--seconds", type=float, default=600.0, help="default: %(default)s")
    add_argument("--rate", type=float, default=DEVICE_HZ, help="of the wearable, in Hz")
    add_argument("--frames-hz", type=float, default=FRAMES_HZ, help="frames per second")
    add_arguments(add_argument)
    parser.set_defaults(measure=measure)


def measure(arguments: argparse.Namespace) -> Result:
    """Run, and say what became of it."""
    if arguments.faults is not None:
        return measure_faults(arguments)
    with progress("live", arguments.seconds, by_clock=True, calm=True):
        run = run_live(
            load_bundle(arguments.model),
            arguments.engine,
            seconds=arguments.seconds,
            device_hz=arguments.rate,
            frames_hz=arguments.frames_hz,
        )
    results = {"live": run.results, "memory": memory_growth(run.memory)}
    table = Table("Soak", ("figure", "value"))
    for name in ("seconds", "samples_in", "samples_lost", "gaps", "deadline_misses", "cpu_share"):
        table.add(name, run.results[name])
    for name, value in run.results["processing"].items():
        table.add(f"last byte -> block, {name}", value)
    for name, value in results["memory"].items():
        table.add(f"memory, {name}", value)
    return Result(results, [table], TARGETS)


def memory_growth(samples: list[tuple[float, Memory]]) -> dict[str, float | None]:
    """First, last and highest resident MB, and the slope of a line after the start, in MB per hour.

    None for the slope of less than a minute, which tells nothing of an hour.
    """
    times = np.array([seconds for seconds, _ in samples])
    now = np.array([memory.now_mb for _, memory in samples])
    settled = times >= SETTLED_AFTER * times[-1]
    growth = None
    if times[settled][-1] - times[settled][0] >= MINUTE_S:
        growth = float(np.polyfit(times[settled], now[settled], 1)[0] * 3600)
    return {
        "first_mb": float(now[0]),
        "last_mb": float(now[-1]),
        "peak_mb": max(memory.peak_mb for _, memory in samples),
        "growth_mb_per_hour": growth,
    }
