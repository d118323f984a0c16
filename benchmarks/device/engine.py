"""The TensorRT engine on a GPU: built, inspected, held against ONNX Runtime, stepped and timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.device.agreement import (
    Streams,
    agreement,
    given_from_leads,
    hops,
    same_bits,
    stream,
)
from benchmarks.device.event_clock import EventClock
from benchmarks.device.layer_report import Layer, PlanRefusedError, inspect_plan
from benchmarks.device.nvidia import System
from benchmarks.device.runner import (
    Effort,
    Say,
    attempt,
    cycled,
    free_bytes,
    hop_seconds,
    latencies,
    powers,
)
from benchmarks.latency.pacing import growth
from benchmarks.timing import Step
from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.engines.cache import EngineCache
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.engines.trt.cuda import Cuda
from edge.engines.trt.engine import TensorRtEngine
from edge.engines.trt.library import TensorRtLibrary
from edge.errors import EngineBuildError

SAME_BITS_RECORDS = (
    4  # 40 s of stream: a graph that replays the wrong buffers shows in the second step
)
CHUNKED_FRAMES = (2, 32, 33)  # beside hop by hop: within, at and beyond the longest plan


@dataclass(frozen=True)
class Site:
    """Where engines are opened: what they are built of, the device, and the cache they lie in."""

    bundle: Bundle
    library: TensorRtLibrary
    cuda: Cuda
    cache: EngineCache
    """Empty at first, so that build times are of this run."""

    def open(self, *, graphs: bool = True, clock: EventClock | None = None) -> TensorRtEngine:
        """An engine as `leadlift run` opens it. Raises EngineError where it does not work."""
        return TensorRtEngine(
            self.bundle,
            library=self.library,
            cuda=self.cuda if clock is None else clock.cuda,
            cache=self.cache,
            graphs=graphs,
        )

    def engines(self) -> list[tuple[dict[str, Any], bytes]]:
        """What is cached says of itself, and its bytes, the shortest step first."""
        return sorted(self.cache.entries(), key=lambda entry: entry[0]["key"]["options"]["frames"])


def measure_engine(
    site: Site, records: Streams, effort: Effort, system: System, say: Say
) -> dict[str, Any]:
    """Every part. Raises EngineError when no engine opens at all; what fails later is under `failed`."""
    say("  building the engines (minutes on a small Jetson), then opening them from the cache")
    results: dict[str, Any] = {"build": build(site)}
    attempt(results, "layers", lambda: layers(site), say)
    say(f"  {len(records)} records of {records.source} against ONNX Runtime")
    attempt(results, "agreement", lambda: against_onnxruntime(site, records, say), say)
    attempt(results, "chunking", lambda: chunking(site, records), say)
    return results | measure_steps(site, records, effort, system, say, results.get("failed"))


def measure_steps(
    site: Site,
    records: Streams,
    effort: Effort,
    system: System,
    say: Say,
    failed: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Graph against enqueue, growth, latency and power, whatever it is that `site` enqueues."""
    results: dict[str, Any] = {"failed": failed or {}}
    say("  graph against enqueue")
    attempt(results, "graph_and_enqueue", lambda: graph_and_enqueue(site, records), say)
    say(f"  {effort.growth_steps:,} steps in each mode, and what they leave in memory")
    attempt(results, "growth", lambda: _both(lambda g: grown(site, records, effort, graphs=g)), say)
    attempt(
        results,
        "latency",
        lambda: _both(lambda g: latency(site, records, effort, say, graphs=g)),
        say,
    )
    say("  power")
    attempt(results, "power", lambda: power(site, records, effort, system), say)
    return results


def _both(measure: Callable[[bool], Any]) -> dict[str, Any]:
    """With a graph, and without."""
    return {"graph": measure(True), "enqueue": measure(False)}


def against_onnxruntime(site: Site, records: Streams, say: Say) -> dict[str, Any]:
    """See `agreement`."""
    with closing(site.open()) as engine, OnnxRuntimeEngine(site.bundle) as reference:
        return agreement(engine, reference, records, say)


def power(site: Site, records: Streams, effort: Effort, system: System) -> dict[str, Any] | None:
    """See `powers`."""
    hop_s, device = hop_seconds(site.bundle.manifest), site.cuda.device_name
    with closing(site.open()) as engine:
        step = step_of(engine, records)
        return powers(step, lambda: system.power_w(device), hop_s, effort.power_s)


def build(site: Site) -> dict[str, Any]:
    """Built and opened, then opened from the cache: seconds, sizes, hashes, keys, what the engine says."""
    begun = perf_counter()
    with closing(site.open()) as engine:
        opened_s, details = perf_counter() - begun, engine.details()
    begun = perf_counter()
    with closing(site.open()) as engine:
        again_s, again = perf_counter() - begun, engine.details()
    return {
        "built_and_opened_s": opened_s,
        "opened_from_cache_s": again_s,
        "details": details,
        "details_from_cache": again,
        "engines": [
            {
                "frames": entry["key"]["options"]["frames"],
                "sha256": entry["sha256"],
                "bytes": len(data),
                "build_s": entry["report"].get("seconds"),
                "key": entry["key"],
            }
            for entry, data in site.engines()
        ],
    }


def layers(site: Site) -> dict[str, Any]:
    """Of each cached engine, as the inspector of the deserialised engine tells them."""
    found = {
        str(entry["key"]["options"]["frames"]): precisions(inspected(site, data))
        for entry, data in site.engines()
    }
    return {
        "by_frames": found,
        "convolutions": sum(of["convolutions"] for of in found.values()),
        "convolutions_not_int8": sum(len(of["convolutions_not_int8"]) for of in found.values()),
    }


def inspected(site: Site, data: bytes) -> Sequence[Layer]:
    """Layers of an engine that this site built. Raises EngineBuildError if it does not deserialise."""
    try:
        with site.cuda.current():
            return inspect_plan(data, site.library)
    except PlanRefusedError as error:
        raise EngineBuildError(
            f"{site.library.name} refuses the engine that it built: {error}"
        ) from error


def precisions(found: Sequence[Layer]) -> dict[str, Any]:
    """Counts by type and precision, the convolutions apart, and each layer."""
    convolutions = [layer for layer in found if layer.is_convolution]
    return {
        "layers": len(found),
        "by_precision": dict(Counter(layer.precision or "not said" for layer in found)),
        "by_type": dict(Counter(layer.type for layer in found)),
        "convolutions": len(convolutions),
        "convolutions_int8": sum(layer.is_int8_convolution for layer in convolutions),
        "convolutions_not_int8": [
            layer.name for layer in convolutions if not layer.is_int8_convolution
        ],
        "each": [(layer.name, layer.type, layer.precision) for layer in found],
    }


def chunking(site: Site, records: Streams) -> dict[str, Any]:
    """Whether longer steps give what hop by hop gives: largest difference in uV, codes that differ."""
    ecg, mask, anchor = given = given_from_leads(site.bundle.manifest, records.ecg_mv[0])
    largest, changed = 0.0, 0
    with closing(site.open()) as engine:
        whole, _ = stream(engine, given)
        codes = engine.state()
        for frames in CHUNKED_FRAMES:
            engine.reset()
            parts = [
                engine.step(ecg[..., i : i + frames], mask[..., i : i + frames], anchor)[0].copy()
                for i in range(0, ecg.shape[-1], frames)
            ]
            largest = max(largest, float(np.abs(np.concatenate(parts, -1) - whole).max()))
            state = engine.state()
            changed += sum(int((state[name] != codes[name]).sum()) for name in codes)
    return {"frames": list(CHUNKED_FRAMES), "largest_uv": 1000 * largest, "codes_changed": changed}


def graph_and_enqueue(site: Site, records: Streams) -> dict[str, Any]:
    """Steps of which a captured graph makes other bits than the enqueue; None if no graph was captured."""
    with closing(site.open()) as graph, closing(site.open(graphs=False)) as enqueue:
        modes = [engine.details()["mode"] for engine in (graph, enqueue)]
        if modes != ["graph", "enqueue"]:
            return {"modes": modes, "outputs_differ": None, "states_differ": None}
        found = {"steps": 0, "outputs_differ": 0, "states_differ": 0}
        for record in records.ecg_mv[:SAME_BITS_RECORDS]:
            differ = same_bits(graph, enqueue, given_from_leads(graph.manifest, record))
            found = {name: found[name] + count for name, count in differ.items()}
        return {"modes": modes, **found}


def grown(
    site: Site, records: Streams, effort: Effort, *, graphs: bool
) -> dict[str, float | int | str]:
    """Memory that many steps leave taken, in the mode that ran; see `growth`."""

    with closing(site.open(graphs=graphs)) as engine:
        step = step_of(engine, records)
        steps, settle = effort.growth_steps, effort.growth_settle
        found = growth(step, lambda: free_bytes(site.cuda), steps, settle)
        return {"mode": str(engine.details()["mode"]), **found}


def latency(
    site: Site, records: Streams, effort: Effort, say: Say, *, graphs: bool
) -> dict[str, Any] | None:
    """See `latencies`; None where a graph was asked for and none was captured: an enqueue is no graph."""
    say(f"  latency, {'graph' if graphs else 'enqueue'}")
    with closing(site.open(graphs=graphs)) as engine:
        if (engine.details()["mode"] == "graph") != graphs:
            say("    no graph was captured: see build/details")
            return None

    def open_step(clock: EventClock | None) -> tuple[TensorRtEngine, Step]:
        engine = site.open(graphs=graphs, clock=clock)
        return engine, step_of(engine, records)

    hop_s = hop_seconds(site.bundle.manifest)
    return latencies(open_step, lambda: EventClock(site.cuda), hop_s, effort, say)


def step_of(engine: Engine, records: Streams) -> Step:
    """One hop a call, a record over and over: timing does not depend on whose heart it is."""
    return cycled(engine.step, hops(given_from_leads(engine.manifest, records.ecg_mv[0])))
