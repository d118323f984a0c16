"""One engine step, the bundle's INT8 graph against its float32 twin, and what the optimiser left in float."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.ratios import ratio, spread
from benchmarks.report import PERCENTILES, samples_needed
from benchmarks.timing import WARM_UP_S, Step, time_in_turn
from edge.bundle import Bundle, Manifest, write_bundle
from edge.engines.base import Array, Engine
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine, session_options
from edge.lead_set import LeadSet
from firmware_bridge.extras import install_extra
from firmware_bridge.simulators.ecg import EcgSimulator

OFFLINE_S = 60.0  # the piece that `Reconstructor.push` works off at once
BURST = 16  # steps in a row before it is the other's turn
SECONDS = 4.0  # per step length
PATIENCE = 3.0  # times SECONDS: what a step length may take where a further percentile needs it
SHORT_S = 0.01  # a pair of steps up to here is timed in bursts
FLOAT_CONVOLUTIONS = frozenset(
    ("Conv", "FusedConv", "NhwcFusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm")
)
_QUANTISED = ("QLinear", "Quantize", "DynamicQuantize")


def measure_engine_step(
    bundle: Bundle, seconds: float = SECONDS, warm_up_s: float = WARM_UP_S
) -> dict[str, Any]:
    """Durations in us at one frame, four frames and offline, and the operators of both graphs.

    Both sessions run on one thread in one process, in turn.
    """
    twin = float32_bundle(bundle)
    m = bundle.manifest
    offline = max(1, round(OFFLINE_S * m.sampling_hz / m.hop))
    found: dict[str, Any] = {
        "operators": {"int8": operators(bundle), "float32": operators(twin)},
        "burst": BURST,
    }
    with OnnxRuntimeEngine(bundle) as int8, OnnxRuntimeEngine(twin) as float32:
        for name, frames in (("1", 1), ("4", 4), ("offline", offline)):
            steps = {key: _step(e, frames) for key, e in (("int8", int8), ("float32", float32))}
            found[name] = {"frames": frames, **_compare(steps, seconds, warm_up_s)}
    return found


def float32_bundle(bundle: Bundle) -> Bundle:
    """The same weights in float32 arithmetic, as a bundle that an engine opens.

    Raises BenchmarkError without the onnx package.
    """
    try:
        import onnx
    except ImportError as error:
        raise BenchmarkError(
            f"the float32 twin needs onnx ({error}): {install_extra('train')}"
        ) from error
    from edge.engines.graph_rewrites import float32_graph

    model = float32_graph(onnx.load_from_string(bundle.data))
    m = bundle.manifest
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)[1:]
        for value in model.graph.input
    }
    states = tuple(dataclasses.replace(s, shape=shapes[s.input], dtype="float32") for s in m.states)
    manifest = dataclasses.replace(m, name=f"{m.name} in float32 arithmetic", states=states)
    return Bundle(write_bundle(model.SerializeToString(deterministic=True), manifest), manifest)


def inputs(manifest: Manifest, frames: int) -> tuple[Array, Array, Array]:
    """Simulated ECG of the default leads, mask and anchor of one step: timing is the same for any heart."""
    leads = LeadSet(manifest)
    signal = EcgSimulator(manifest.sampling_hz, baseline_mv=0.02, muscle_mv=0.005)
    ecg = signal.read(frames * manifest.hop)[leads.rows]
    present = leads.all_present
    given = np.ascontiguousarray(leads.engine_rows(present, ecg))
    return given, present.mask.astype(np.float32), present.engine_anchor


def operators(bundle: Bundle) -> dict[str, Any]:
    """Operators of the graph that ONNX Runtime really runs, and its float convolutions.

    `head` counts those after which nothing is quantised or convolved any more.
    """
    nodes = optimised_nodes(bundle)
    readers: dict[str, list[Any]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    floats = [node for node in nodes if node.op_type in FLOAT_CONVOLUTIONS]
    heads = sum(not _works_on(node, readers) for node in floats)
    return {
        "by_type": dict(sorted(Counter(node.op_type for node in nodes).items())),
        "float_convolutions": len(floats),
        "float_convolutions_head": heads,
        "float_convolutions_other_than_head": len(floats) - heads,
    }


def optimised_nodes(bundle: Bundle) -> list[Any]:
    """Nodes after ONNX Runtime's optimisers, with the session options of the engine.

    Raises BenchmarkError without the onnx package.
    """
    try:
        import onnx
    except ImportError as error:
        raise BenchmarkError(
            f"counting operators needs onnx ({error}): {install_extra('train')}"
        ) from error
    import onnxruntime

    quantised = any(state.dtype == "uint8" for state in bundle.manifest.states)
    with tempfile.TemporaryDirectory() as folder:
        options = session_options()
        options.log_severity_level = 4  # it warns that the optimised file fits this machine alone
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        onnxruntime.InferenceSession(
            bundle.data,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["NchwcTransformer"] if quantised else [],
        )
        return list(onnx.load(options.optimized_model_filepath).graph.node)


def _works_on(node: Any, readers: dict[str, list[Any]]) -> bool:
    """Whether something after `node` is quantised or convolved."""
    waiting, seen = list(node.output), set(node.output)
    while waiting:
        for reader in readers.get(waiting.pop(), []):
            if reader.op_type in FLOAT_CONVOLUTIONS or reader.op_type.startswith(_QUANTISED):
                return True
            fresh = set(reader.output) - seen
            seen |= fresh
            waiting += fresh
    return False


def _step(engine: Engine, frames: int) -> Step:
    ecg, mask, anchor = inputs(engine.manifest, frames)
    return lambda: engine.step(ecg, mask, anchor)


def _compare(steps: dict[str, Step], seconds: float, warm_up_s: float) -> dict[str, Any]:
    trial = time_in_turn(steps, 3, 1, warm_up_s)
    pair_s = sum(float(np.median(t)) for t in trial.values()) * 1e-9
    burst = BURST if pair_s < SHORT_S else 1
    affordable = (samples_needed(p) for p in PERCENTILES[::-1])
    needed = next((n for n in affordable if n * pair_s <= PATIENCE * seconds), 1)
    calls = max(seconds / pair_s, needed)
    rounds = math.ceil(calls / burst)
    durations = time_in_turn(steps, rounds, burst, warm_up_s)
    return {
        "unit": "us",
        **{name: spread(t / 1e3) for name, t in durations.items()},
        **ratio(durations["int8"], durations["float32"]),
    }
