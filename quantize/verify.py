"""Prove a bundle: torch = ONNX Runtime in uint8 and in int8 = streamed, and what the optimiser fused.

Every figure is measured on real records through the feed that ships; `verify` fails beyond the bounds.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.engines.graph_rewrites import rewritten_states, tensorrt_graph
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.engines.torch_engine import TorchEngine
from edge.progress import followed
from quantize.bundle_feed import BundleFeed
from quantize.data import Records
from quantize.student import QMAX

STREAM_FRAMES = (1, 2, 3, 7, 50)
BOUNDS: dict[str, float] = {
    "torch_rmse_uv": 2.0,
    "torch_r_below_one": 1e-4,
    "int8_graph_rmse_uv": 2.0,
    "streamed_max_uv": 0.01,
    "streamed_codes_changed": 0,
    "share_of_codes_above_127": 1e-4,
    "float_convolutions": 1,
}


def verify(
    bundle: Bundle, records: Records, say: Callable[[str], None] = print
) -> dict[str, float]:
    """Measure every figure of BOUNDS over the records, II, V1, V5 measured and on."""
    feed = BundleFeed(bundle)
    reference, runtime = TorchEngine(bundle), OnnxRuntimeEngine(bundle)
    int8 = OnnxRuntimeEngine(_as_int8(bundle))
    quantised = _quantised_to_uint8(bundle)
    found = Counter[str]()
    squares, int8_squares, count, worst_r = 0.0, 0.0, 0, 1.0
    hop = bundle.manifest.hop
    n = records.ecg_uv.shape[-1] // hop * hop
    for i in followed(range(len(records)), "verifying"):
        ecg_mv = records.ecg_uv[i, :, :n].astype(np.float32) / np.float32(1000)
        given = feed.given(ecg_mv, records.sampling_hz)[:3]
        ecg = given[0]
        for engine in (reference, runtime, int8):
            engine.reset()
        values = reference.trace(*given)
        expected = values["ecg_mv"].numpy()[0]
        for name in quantised:
            found["codes"] += values[name].numel()
            found["above"] += int((values[name] > QMAX).sum())
        whole, state = _run(runtime, given, ecg.shape[-1])
        squares += float(np.square(whole - expected).sum())
        int8_squares += float(np.square(_run(int8, given, ecg.shape[-1])[0] - whole).sum())
        count += whole.size
        worst_r = min(worst_r, _least_r(whole, expected))
        if i < 8:  # streaming is exact or it is not: a few records tell
            for frames in STREAM_FRAMES:
                runtime.reset()
                streamed, after = _run(runtime, given, frames)
                difference = float(np.abs(streamed - whole).max()) * 1000
                found["stream_nv"] = max(found["stream_nv"], round(difference * 1000))
                found["changed"] += sum(int((after[k] != state[k]).sum()) for k in state)
        if (i + 1) % 50 == 0:
            say(f"verified {i + 1} of {len(records)} records")
    operators = optimised_operators(bundle)
    return {
        "torch_rmse_uv": 1000 * float(np.sqrt(squares / count)),
        "torch_r_below_one": 1 - worst_r,
        "int8_graph_rmse_uv": 1000 * float(np.sqrt(int8_squares / count)),
        "streamed_max_uv": found["stream_nv"] / 1000,
        "streamed_codes_changed": found["changed"],
        "share_of_codes_above_127": found["above"] / found["codes"],
        "float_convolutions": sum(operators[op] for op in ("Conv", "FusedConv", "MatMul", "Gemm")),
    }


def beyond_bounds(figures: dict[str, float]) -> list[str]:
    """One line for each figure that is out of its bound."""
    return [
        f"{name} is {figures[name]:.6g}, over its bound {bound:g}"
        for name, bound in BOUNDS.items()
        if not figures[name] <= bound
    ]


def optimised_operators(bundle: Bundle) -> Counter[str]:
    """How often each operator stands in the graph that ONNX Runtime really runs."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # it warns that the optimised file is for this machine alone
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        onnxruntime.InferenceSession(
            bundle.data,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["NchwcTransformer"],
        )
        graph = onnx.load(options.optimized_model_filepath).graph
    return Counter(node.op_type for node in graph.node)


def _quantised_to_uint8(bundle: Bundle) -> list[str]:
    """The outputs of the graph's quantisers to uint8 whose codes above QMAX are clipped behind them."""
    graph = onnx.load_from_string(bundle.data).graph
    unsigned = {c.name for c in graph.initializer if c.data_type == onnx.TensorProto.UINT8}
    return [
        node.output[0]
        for node in graph.node
        if node.op_type == "QuantizeLinear"
        and node.input[2] in unsigned
        and node.output[0] != "seen_codes"  # of leads: all codes are in use
    ]


def _as_int8(bundle: Bundle) -> Bundle:
    """What TensorRT gets, its dimensions still open, in a bundle that ONNX Runtime can run."""
    model = tensorrt_graph(onnx.load_from_string(bundle.data))
    states = rewritten_states(bundle.manifest.states, "int8")
    manifest = dataclasses.replace(bundle.manifest, states=states)
    return Bundle(model.SerializeToString(deterministic=True), manifest)


def _run(
    engine: Engine, given: tuple[NDArray[np.float32], ...], frames: int
) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
    ecg, mask, anchor = given
    pieces = []
    for start in range(0, ecg.shape[-1], frames):
        at = slice(start, start + frames)
        pieces.append(engine.step(ecg[..., at], mask[..., at], anchor)[0].copy())
    return np.concatenate(pieces, -1), engine.state()


def _least_r(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    pairs = zip(a.reshape(len(a), -1), b.reshape(len(b), -1), strict=True)
    return min(float(np.corrcoef(x, y)[0, 1]) for x, y in pairs)
