"""`python -m benchmarks latency`: how long each part of the path takes, against the targets."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency.engine_step import OFFLINE_S, SECONDS, measure_engine_step
from benchmarks.latency.engines import measure_engines
from benchmarks.latency.live import DEVICE_HZ, run_live
from benchmarks.latency.probes import measure_demo, measure_import, measure_reconstruct
from benchmarks.report import Result, Table, Target, percentiles, samples_needed
from benchmarks.timing import WARM_UP_S, collection_off, time_calls, warm_up
from edge.bundle import Bundle, load_bundle
from edge.progress import progress
from edge.reconstructor import Reconstructor
from firmware_bridge.simulators.ecg import EcgSimulator

PUSH_SIGNAL_S = 20.0  # of simulated ECG, played over and over

TARGETS = (
    Target("engine step INT8, one hop, p50", "engine_step/1/int8/p50", 130, "us"),
    Target("engine step INT8 / float32, one hop", "engine_step/1/ratio_of_medians", 1.05),
    Target("engine step INT8 / float32, 4 frames", "engine_step/4/ratio_of_medians", 0.7),
    Target("engine step INT8 / float32, offline", "engine_step/offline/ratio_of_medians", 0.4),
    Target(
        "float convolutions other than the head",
        "engine_step/operators/int8/float_convolutions_other_than_head",
        0,
    ),
    Target(
        "float convolutions in the head",
        "engine_step/operators/int8/float_convolutions_head",
        1,
    ),
    Target(
        "engine step of the engine c / ONNX Runtime", "engines/engines/c/ratio_of_medians", 1 / 3.5
    ),
    Target("Reconstructor.push of one hop, p50", "push/p50", 300, "us"),
    Target("Reconstructor.push of one hop, p99", "push/p99", 1000, "us"),
    Target("last byte written -> block at the sink, p50", "live/processing/p50", 3000, "us"),
    Target("last byte written -> block at the sink, p99", "live/processing/p99", 15000, "us"),
    Target("samples lost live", "live/samples_lost", 0),
    Target("frames unanswered live", "live/frames_unanswered", 0),
    Target("frames dropped by the device", "live/frames_dropped_by_device", 0),
    Target("edge.reconstruct, times real time", "reconstruct/times_real_time", 2000, "", True),
    Target("edge.reconstruct, beyond input and output", "reconstruct/extra_mb", 100, "MB"),
    Target("import edge, median", "import/median_s", 0.3, "s"),
    Target("demo process, peak memory", "demo/peak_mb", 200, "MB"),
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("latency", help="engine step, push, live path, reconstruct")
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument(
        "--parts",
        nargs="+",
        choices=tuple(PARTS),
        default=list(PARTS),
        help="what to measure (default: everything)",
    )
    add_argument(
        "--seconds", type=float, default=60.0, help="of the live run; 600 for the target of 10 min"
    )
    add_argument("--rate", type=float, default=DEVICE_HZ, help="of the wearable, in Hz")
    add_argument(
        "--step-seconds", type=float, default=SECONDS, help="per step length of the engine"
    )
    add_argument("--engine", default="auto", help="of push and live (default: the best here)")
    parser.set_defaults(measure=measure)


def measure(arguments: argparse.Namespace) -> Result:
    """Measure the parts that were asked for."""
    bundle = load_bundle(arguments.model)
    parts = [name for name in PARTS if name in arguments.parts]
    results = {}
    with progress("", len(parts), calm=True) as work:
        for name in parts:
            work.what = name.replace("_", " ")
            results[name] = PARTS[name](bundle, arguments)
            work.advance()
    return Result(results, tables(results), TARGETS)


def measure_push(
    bundle: Bundle,
    engine: str = "auto",
    calls: int = samples_needed(99.9),
    warm_up_s: float = WARM_UP_S,
) -> Any:
    """Durations in us of `Reconstructor.push` with one hop of simulated ECG."""
    with Reconstructor.open(bundle, engine) as r:
        signal = EcgSimulator(r.sampling_hz, baseline_mv=0.03, muscle_mv=0.005)
        rows = [signal.leads.index(lead) for lead in r.leads]
        ecg_mv = signal.read(round(PUSH_SIGNAL_S * r.sampling_hz) // r.hop * r.hop)[rows]
        hops = np.split(ecg_mv, ecg_mv.shape[1] // r.hop, axis=1)
        at = 0

        def step() -> None:
            nonlocal at
            r.push(hops[at])
            at = (at + 1) % len(hops)

        with collection_off():
            warm_up(step, warm_up_s)
            durations = time_calls(step, calls)
        return {"unit": "us", "engine": r.engine.name, **percentiles(durations / 1e3)}


def _step(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_engine_step(bundle, arguments.step_seconds)


def _engines(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_engines(bundle, arguments.step_seconds)


def _push(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_push(bundle, arguments.engine)


def _live(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    run = run_live(bundle, arguments.engine, seconds=arguments.seconds, device_hz=arguments.rate)
    return run.results


def _reconstruct(_: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_reconstruct(model=arguments.model)


def _import(_: Bundle, __: argparse.Namespace) -> Any:
    return measure_import()


def _demo(_: Bundle, __: argparse.Namespace) -> Any:
    return measure_demo()


PARTS: dict[str, Callable[[Bundle, argparse.Namespace], Any]] = {
    "engine_step": _step,
    "engines": _engines,
    "push": _push,
    "live": _live,
    "reconstruct": _reconstruct,
    "import": _import,
    "demo": _demo,
}


def tables(results: dict[str, Any]) -> list[Table]:
    """Durations of steps and of the path, in us."""
    columns = ("p50", "p90", "p99", "p99.9", "min", "max", "n")
    durations = Table("Durations in us", ("what", *columns))
    ratios = Table(
        "INT8 / float32, one thread each, in turn",
        ("frames", "ratio of medians", "median of paired ratios", "rounds"),
    )
    steps = results.get("engine_step", {})
    for name, label in (("1", "1 frame"), ("4", "4 frames"), ("offline", f"{OFFLINE_S:g} s")):
        if name not in steps:
            continue
        step = steps[name]
        for spelling in ("int8", "float32"):
            durations.add(f"engine step {spelling}, {label}", *(step[spelling][c] for c in columns))
        ratios.add(label, step["ratio_of_medians"], step["median_of_paired_ratios"], step["rounds"])
    side_by_side = Table(
        "Engine step, one hop, in turn", ("engine", "ratio of medians to ONNX Runtime", "of pairs")
    )
    for name, one in results.get("engines", {}).get("engines", {}).items():
        durations.add(f"engine step, one hop, {name}", *(one[c] for c in columns))
        side_by_side.add(name, one["ratio_of_medians"], one["median_of_paired_ratios"])
    if "push" in results:
        durations.add("Reconstructor.push, one hop", *(results["push"][c] for c in columns))
    shown = [durations, ratios, side_by_side]
    if "live" in results:
        live = results["live"]
        for key, label in (("processing", "last byte written"), ("from_schedule", "frame due")):
            durations.add(f"{label} -> block at sink", *(live[key][c] for c in columns))
        delay = Table("Algorithmic latency of the live run, at most, in ms", ("part", "ms"))
        for part, value in live["algorithmic_ms"].items():
            delay.add(part, value)
        shown.append(delay)
    return [table for table in shown if table.rows]
