"""From a bundle to the graph that TensorRT gets: int8, every weight behind a DequantizeLinear, all
dimensions fixed.

Batch is 1 and the number of frames is chosen before parsing, so nothing is left to compute of a shape:
slices have whole, static bounds (left open, they become some twenty layers of shape arithmetic each, or
are refused). Needs the `onnx` package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.bundle import Bundle
from edge.errors import EngineBuildError, EngineMissingError, InputError
from firmware_bridge.extras import install_extra

if TYPE_CHECKING:
    import onnx

FRAMES = (1, 32)  # of a step that has its engine: a live hop, and half a second of a file
MAX_FRAMES = 4096  # of one step: above a minute at 250 Hz, more is cut into steps


def static_int8_graph(bundle: Bundle, frames: int) -> bytes:
    """The serialised ONNX model for steps of `frames` frames, batch 1; states int8, channels first.

    The same bundle and frames give the same bytes. Raises InputError for a number of frames outside
    1..MAX_FRAMES, EngineMissingError without `onnx`, EngineBuildError for a graph that is not ours.
    """
    if not 1 <= frames <= MAX_FRAMES:
        raise InputError(f"an engine steps 1 to {MAX_FRAMES} frames, not {frames}")
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

        from edge.engines.graph_rewrites import tensorrt_graph
    except ImportError as error:
        raise EngineMissingError(
            f"TensorRT needs onnx to rewrite the model ({error}): {install_extra('jetson')}"
        ) from error
    try:
        model = onnx.load_from_string(bundle.data)
    except DecodeError as error:
        raise EngineBuildError(
            "the model does not parse as ONNX: it is truncated or no model"
        ) from error
    model = tensorrt_graph(model)
    _fix_dimensions(model, {"batch": 1, "frames": frames})
    _fix_shapes(model)
    graph: bytes = model.SerializeToString(deterministic=True)
    return graph


def _fix_dimensions(model: onnx.ModelProto, sizes: dict[str, int]) -> None:
    """Give the symbolic dimensions of the graph's ends their sizes."""
    for value in [*model.graph.input, *model.graph.output]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value"):
                continue
            if dim.dim_param not in sizes:
                raise EngineBuildError(
                    f"{value.name} has the dynamic dimension {dim.dim_param or '?'!r}: only batch and"
                    " frames may be left open; export the model again"
                )
            dim.dim_value = sizes[dim.dim_param]


def _fix_shapes(model: onnx.ModelProto) -> None:
    """Whole, constant bounds for every Slice and a constant shape for every Reshape."""
    import onnx
    from onnx import numpy_helper

    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise EngineBuildError(
            f"the model's shapes do not fit together ({' '.join(str(error).split())}): export it again"
        ) from error
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*inferred.input, *inferred.value_info, *inferred.output]
    }
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    added = []

    def constant(name: str, values: list[int], dtype: type[np.integer[Any]]) -> str:
        added.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    for node in model.graph.node:
        output = node.output[0]
        if node.op_type == "Reshape":
            node.input[1] = constant(f"{output}_shape", shapes[output], np.int64)
        elif node.op_type == "Slice":
            whole, part = shapes[node.input[0]], shapes[output]
            try:
                starts, _, axes = (constants[name].tolist() for name in node.input[1:4])
            except (KeyError, ValueError) as error:
                raise EngineBuildError(
                    f"the bounds of {output} are not constant along named axes: export the model again"
                ) from error
            first = [0] * len(whole)
            for start, axis in zip(starts, axes, strict=True):
                first[axis] = start if start >= 0 else max(0, whole[axis] + start)
            last = [start + size for start, size in zip(first, part, strict=True)]
            # Every axis, a step of 1, and int32: with int64 bounds the parser computes shapes at run time.
            bounds = (first, last, list(range(len(whole))), [1] * len(whole))
            node.input[1:] = [
                constant(f"{output}_{what}", values, np.int32)
                for what, values in zip(("first", "last", "axes", "steps"), bounds, strict=True)
            ]
    used = {name for node in model.graph.node for name in node.input}
    kept = [c for c in [*model.graph.initializer, *added] if c.name in used]
    model.graph.ClearField("initializer")
    model.graph.initializer.extend(kept)
