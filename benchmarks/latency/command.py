"""`python -m benchmarks latency`: how long each part of the path takes, against the targets.

Three scenarios: `single`, one hop after the other as fast as they go; `stream`, a hop whenever one is due;
`offline`, whole recordings. The fourth, many patients at once, is `python -m benchmarks multi`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.energy import measure_energy
from benchmarks.latency.engine_step import SECONDS, measure_engine_step
from benchmarks.latency.engines import measure_engines
from benchmarks.latency.hops import push_of_a_hop
from benchmarks.latency.live import DEVICE_HZ, run_live
from benchmarks.latency.offline import measure_real_records, measure_stages_offline
from benchmarks.latency.pacing import paced
from benchmarks.latency.probes import measure_reconstruct
from benchmarks.latency.stages import ROUNDS, measure_stages
from benchmarks.latency.tables import tables
from benchmarks.latency.windows import ROUNDS as WINDOWS
from benchmarks.latency.windows import WEARECG_FULL, measure_windows
from benchmarks.ratios import spread
from benchmarks.report import Result, Target, samples_needed
from benchmarks.timing import WARM_UP_S, collection_off, time_calls, warm_up
from edge.bundle import Bundle, load_bundle
from edge.progress import progress
from edge.reconstructor import Reconstructor

SCENARIOS = {
    "single": ("engine_step", "engines", "push", "stages", "windows"),
    "stream": ("paced", "live", "energy"),
    "offline": ("stages_offline", "reconstruct", "reconstruct_real"),
}
_FULL = f"windows/networks/{WEARECG_FULL}/hop_over_window/ratio"

TARGETS = (
    Target("engine step INT8, one hop, p50", "engine_step/1/int8/p50", 130, "us"),
    Target("engine step INT8 / float32, one hop", "engine_step/1/ratio", 1.05),
    Target("engine step INT8 / float32, 4 frames", "engine_step/4/ratio", 0.7),
    Target("engine step INT8 / float32, offline", "engine_step/offline/ratio", 0.4),
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
    Target("engine step, fastest on the CPU / ONNX Runtime", "engines/fastest/ratio", 1 / 3.5),
    Target("one hop / a window of WearECG's network at full size", _FULL, 1 / 4000),
    Target("Reconstructor.push of one hop, p50", "push/p50", 300, "us"),
    Target("Reconstructor.push of one hop, p99", "push/p99", 1000, "us"),
    Target("push at the pace of the stream, deadline misses", "paced/deadline_misses", 0),
    Target("last byte written -> block at the sink, p50", "live/processing/p50", 3000, "us"),
    Target("last byte written -> block at the sink, p99", "live/processing/p99", 15000, "us"),
    Target("samples lost live", "live/samples_lost", 0),
    Target("frames unanswered live", "live/frames_unanswered", 0),
    Target("frames dropped by the device", "live/frames_dropped_by_device", 0),
    Target("edge.reconstruct, times real time", "reconstruct/times_real_time", 2000, "", True),
    Target("edge.reconstruct, beyond input and output", "reconstruct/extra_mb", 100, "MB"),
    Target(
        "edge.reconstruct, fastest / slowest real record",
        "reconstruct_real/fastest_over_slowest",
        1.3,
    ),
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "latency",
        help="one hop, a live stream, whole recordings (many patients: multi)",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument(
        "--parts",
        nargs="+",
        choices=(*SCENARIOS, *PARTS),
        default=list(SCENARIOS),
        metavar="PART",
        help="; ".join(f"{name}: {', '.join(parts)}" for name, parts in SCENARIOS.items())
        + " (default: everything)",
    )
    add_argument(
        "--seconds", type=float, default=60.0, help="of the live run; 600 for the target of 10 min"
    )
    add_argument(
        "--paced-seconds", type=float, default=107.0, help="of push at the pace of the stream"
    )
    add_argument("--rate", type=float, default=DEVICE_HZ, help="of the wearable, in Hz")
    add_argument("--step-seconds", type=float, default=SECONDS, help="of each comparison of steps")
    add_argument("--hops", type=int, default=samples_needed(99.9), help="that are pushed and timed")
    add_argument("--rounds", type=int, default=ROUNDS, help="of the stages")
    add_argument("--windows", type=int, default=WINDOWS, help="of ten seconds, of each network")
    add_argument("--energy-seconds", type=float, default=6.0, help="of each load")
    add_argument("--offline-seconds", type=float, default=300.0, help="of signal in each pass")
    add_argument("--records", type=int, default=4, help="real ones with tall QRS, and with small")
    add_argument("--engine", default="auto", help="of all but the engines (default: the best here)")
    parser.set_defaults(measure=measure)


def measure(arguments: argparse.Namespace) -> Result:
    """Measure the parts that were asked for."""
    bundle = load_bundle(arguments.model)
    asked = {part for name in arguments.parts for part in SCENARIOS.get(name, (name,))}
    parts = [name for name in PARTS if name in asked]
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
        step = push_of_a_hop(r)
        with collection_off():
            warm_up(step, warm_up_s)
            durations = time_calls(step, calls)
        return {"unit": "us", "engine": r.engine.name, **spread(durations / 1e3)}


def measure_paced(bundle: Bundle, engine: str, seconds: float) -> dict[str, Any]:
    """The same whenever a hop is due: durations, deadline misses, jitter."""
    with Reconstructor.open(bundle, engine) as r:
        period_s = r.hop / r.sampling_hz
        return {
            "engine": r.engine.name,
            **paced(push_of_a_hop(r), max(2, round(seconds / period_s)), period_s),
        }


def _warm_up_s(arguments: argparse.Namespace) -> float:
    return min(WARM_UP_S, float(arguments.step_seconds))


def _step(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_engine_step(bundle, arguments.step_seconds, _warm_up_s(arguments))


def _engines(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_engines(bundle, arguments.step_seconds, _warm_up_s(arguments))


def _push(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_push(bundle, arguments.engine, arguments.hops, _warm_up_s(arguments))


def _stages(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    engines = dict.fromkeys((arguments.engine, "onnxruntime"))
    found = [
        measure_stages(bundle, engine, arguments.rounds, _warm_up_s(arguments))
        for engine in engines
    ]
    return {one["engine"]: one for one in found}


def _windows(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_windows(bundle, arguments.engine, arguments.windows)


def _paced(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_paced(bundle, arguments.engine, arguments.paced_seconds)


def _live(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    run = run_live(bundle, arguments.engine, seconds=arguments.seconds, device_hz=arguments.rate)
    return run.results


def _energy(bundle: Bundle, arguments: argparse.Namespace) -> Any:
    with Reconstructor.open(bundle, arguments.engine) as r:
        return measure_energy(push_of_a_hop(r), r.hop / r.sampling_hz, arguments.energy_seconds)


def _stages_offline(_: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_stages_offline(arguments.model, arguments.engine, arguments.offline_seconds)


def _reconstruct(_: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_reconstruct(2 * arguments.offline_seconds, arguments.model)


def _reconstruct_real(_: Bundle, arguments: argparse.Namespace) -> Any:
    return measure_real_records(
        arguments.model, arguments.engine, arguments.records, arguments.offline_seconds
    )


PARTS: dict[str, Callable[[Bundle, argparse.Namespace], Any]] = {
    "engine_step": _step,
    "engines": _engines,
    "push": _push,
    "stages": _stages,
    "windows": _windows,
    "paced": _paced,
    "live": _live,
    "energy": _energy,
    "stages_offline": _stages_offline,
    "reconstruct": _reconstruct,
    "reconstruct_real": _reconstruct_real,
}
