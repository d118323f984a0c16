"""`python -m benchmarks device`: the decoder on this machine's GPU, in one report for its owner to send.

Builds the engine, holds it against ONNX Runtime, times it, and says on what.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.device.agreement import LEAST_R, RMSE_UV, Streams, streams
from benchmarks.device.engine import Site, measure_engine
from benchmarks.device.nvidia import System
from benchmarks.device.runner import Effort, Say
from benchmarks.report import Result, Table, Target, cell
from edge.bundle import Bundle, load_bundle
from edge.engines.cache import EngineCache
from edge.engines.trt.cuda import Cuda, open_cuda
from edge.engines.trt.library import TensorRtLibrary, load_library
from edge.notices import say
from edge.progress import progress

INJECTED = "NOT MEASURED: the device was injected by the caller, no figure here is of a real one"
KEPT_MB = 4  # a device hands out 512 bytes at least: ten thousand leaks would be 5 MB
HOST_KEPT_MB = 2  # 200 bytes a step; the interpreter's own arenas move by less

FAILED = Target("parts that failed", "parts_failed", 0)
TARGETS = (
    FAILED,
    Target(
        "engine step with a graph, one hop, host to host, p50",
        "latency/graph/host/back_to_back/p50",
        60,
        "us",
    ),
    Target("the same, p99 / p50", "latency/graph/host/back_to_back/p99_over_p50", 2),
    Target("deadline misses, paced, with a graph", "latency/graph/host/paced/deadline_misses", 0),
    Target("against ONNX Runtime, RMSE of the worst lead", "agreement/rmse_uv", RMSE_UV, "uV"),
    Target("against ONNX Runtime, r of the worst lead", "agreement/r", LEAST_R, "", True),
    Target(
        "graph against enqueue, steps whose outputs differ", "graph_and_enqueue/outputs_differ", 0
    ),
    Target(
        "graph against enqueue, steps whose states differ", "graph_and_enqueue/states_differ", 0
    ),
    Target("convolutions that are not INT8", "layers/convolutions_not_int8", 0),
    Target("device memory kept by ten thousand steps", "growth/graph/device_mb", KEPT_MB, "MB"),
    Target("host memory kept by ten thousand steps", "growth/graph/host_mb", HOST_KEPT_MB, "MB"),
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("device", help="the TensorRT engine on this machine's GPU")
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument("--data", type=Path, help="folder of the recordings (default: $LEADLIFT_DATA)")
    add_argument("--records", type=int, default=Effort.records, help="default: %(default)s")
    add_argument(
        "--paced-seconds",
        type=float,
        default=Effort.paced_s,
        help="of each paced run (default: %(default).0f, what p99.9 takes)",
    )
    parser.set_defaults(measure=measure, engine=None)


def measure(arguments: argparse.Namespace) -> Result:
    """Everything, on the GPU that is here. Raises EngineError, within a second, where none is."""
    bundle = load_bundle(arguments.model)
    with closing(open_cuda()) as cuda:
        effort = Effort(records=arguments.records, paced_s=arguments.paced_seconds)
        records = streams(bundle.manifest, effort.records, arguments.data)
        with progress("the device", calm=True):
            return measure_device(bundle, cuda, records, effort, say=say)


def measure_device(
    bundle: Bundle,
    cuda: Cuda,
    records: Streams,
    effort: Effort,
    *,
    system: System | None = None,
    library: TensorRtLibrary | None = None,
    injected: bool = False,
    say: Say = lambda _: None,
) -> Result:
    """The report of one device. With `injected`, of one that is not real: it has no targets, and says so.

    Raises EngineError when no TensorRT runs here.
    """
    system = system or System()
    provenance = {
        **system.provenance(cuda.device_name),
        "device": cuda.device_name,
        "compute_capability": cuda.compute_capability,
        "cuda_driver": cuda.driver_version,
        "cuda_of_pycuda": cuda.runtime_of_pycuda,
        "injected": injected,
        "before": system.state(cuda.device_name),
    }
    say(f"{INJECTED if injected else provenance['machine']}")
    results: dict[str, Any] = {"device": provenance}
    library = library or load_library()
    provenance["tensorrt"] = f"{library.name} {library.version}"
    with tempfile.TemporaryDirectory() as folder:  # mode 0700, as the cache wants it
        site = Site(bundle, library, cuda, EngineCache(folder))
        results |= measure_engine(site, records, effort, system, say)
    results["parts_failed"] = len(results["failed"])
    provenance["after"] = system.state(cuda.device_name)
    return Result(results, tables(results), () if injected else TARGETS)


def tables(results: dict[str, Any]) -> list[Table]:
    """What the owner sees: the machine, the findings, the durations."""
    device = results["device"]
    note = f" ({INJECTED})" if device["injected"] else ""
    machine = Table(f"{device['machine']}{note}", ("figure", "before", "after"))
    for name in ("jetpack", "l4t", "nvpmodel", "driver", "tensorrt"):
        machine.add(name, device.get(name), None)
    for name in (
        "gpu_mhz",
        "memory_mhz",
        "pstate",
        "temperatures_c",
        "power_w",
        "gpu_busy_percent",
    ):
        machine.add(name, *(_by_name(device[when][name]) for when in ("before", "after")))
    found = Table(f"Findings{note}", ("figure", "value"))
    _engine_findings(found, results)
    for name in ("outputs_differ", "states_differ"):
        found.add(f"graph against enqueue, {name}", results.get("graph_and_enqueue", {}).get(name))
    for mode, grown in results.get("growth", {}).items():
        for where in ("device", "host"):
            label = f"{mode}, {where} memory kept by {grown['steps']:,} steps, MB"
            found.add(label, grown[f"{where}_mb"])
    for part, why in results["failed"].items():
        found.add(f"FAILED: {part}", why)
    title = f"engine step, one hop, in us{note}"
    return [machine, found, durations(results.get("latency", {}), title)]


def _engine_findings(found: Table, results: dict[str, Any]) -> None:
    for engine in results["build"]["engines"]:
        label = f"engine for {engine['frames']} frames"
        found.add(f"{label}, bytes", engine["bytes"])
        found.add(f"{label}, built in s", engine["build_s"])
    for frames, of in results.get("layers", {}).get("by_frames", {}).items():
        found.add(
            f"layers for {frames} frames, by precision",
            ", ".join(f"{name} {n}" for name, n in of["by_precision"].items()),
        )
        found.add(
            f"convolutions for {frames} frames, INT8 of all",
            f"{of['convolutions_int8']} of {of['convolutions']}",
        )
    if "agreement" in results:
        agreed = results["agreement"]
        found.add("records", f"{agreed['n_records']} of {agreed['records']}")
        for name in ("rmse_uv", "r", "largest_uv", "largest_log_sigma", "codes_changed"):
            found.add(f"against ONNX Runtime, {name}", agreed[name])


def _by_name(value: object) -> object:
    """Sensors in one cell, `cpu-thermal 45.2, ...`."""
    if not isinstance(value, dict):
        return value
    return ", ".join(f"{name} {cell(number)}" for name, number in value.items())


def durations(modes: dict[str, Any], title: str) -> Table:
    """Every latency by mode, pace and clock."""
    columns = ("p50", "p90", "p99", "p99.9", "min", "max", "n")
    table = Table(title[0].upper() + title[1:], ("what", *columns))
    for mode, latency in modes.items():
        if latency is None:
            table.add(f"{mode}: not captured", *(None for _ in columns))
            continue
        for clock in ("host", "events"):
            for pace, label in (("back_to_back", "back to back"), ("paced", "paced")):
                row = latency[clock][pace]
                table.add(f"{mode}, {label}, by {clock}", *(row[name] for name in columns))
        first = latency["first_step_us"]
        table.add(f"{mode}, first step", *(None,) * 4, first, first, 1)
    return table
