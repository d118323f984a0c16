"""A bundle's graph in other number types: int8 for TensorRT, float32 to compare with.

ONNX Runtime fuses a ReLU into a quantiser whose lowest code is its zero point: uint8 after a ReLU, and
its integer convolutions read channels last. TensorRT knows only int8 with zero point 0, and copies for
every transpose. Both hold the same integers on any input: int8 saturates at 127, as training did, and
the uint8 graph has a Clip at 127 behind each of its quantisers. The rewrite to int8 changes types, drops
those Clips and puts channels first. The float32 graph drops the quantisers too: the benchmarks time INT8
against it. What the stem reads is uint8 up to 255, each lead above zero and below: int8 holds it less 128,
and float32 cuts it off. Needs the `onnx` package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.bundle import State
from edge.errors import EngineBuildError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

EITHER_SIDE = (np.float32(-np.inf), np.float32(np.inf))


def int8_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every uint8 tensor as int8 and channels first; codes and scales unchanged.

    But for those of the leads that the stem reads, which are less by 128: above zero and below they have
    weights of opposite sign, so the sums are the same.
    """
    from onnx import TensorProto, helper, numpy_helper

    out = _unclipped_channels_first(model)
    quantiser = of_leads(out)
    if quantiser is not None:
        (scale,) = (c for c in out.graph.initializer if c.name == quantiser.input[1])
        (weight,) = (c for c in out.graph.initializer if c.name == "stem_weight_codes")
        (mask,) = (i for i in out.graph.input if i.name == "mask")
        offset = np.full((1, weight.dims[1], 1, 1), -128 * numpy_helper.to_array(scale), np.float32)
        offset[:, weight.dims[1] - mask.type.tensor_type.shape.dim[1].dim_value :] = 0
        out.graph.initializer.append(numpy_helper.from_array(offset, "seen_offset"))
        moved = helper.make_node("Add", ["seen", "seen_offset"], ["seen_moved"], name="seen_moved")
        out.graph.node.insert(list(out.graph.node).index(quantiser), moved)
        quantiser.input[0] = "seen_moved"
    for constant in out.graph.initializer:
        if constant.data_type == TensorProto.UINT8:
            codes = numpy_helper.to_array(constant).astype(np.int8)
            constant.CopyFrom(numpy_helper.from_array(codes, constant.name))
    for value in [*out.graph.input, *out.graph.output]:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            value.type.tensor_type.elem_type = TensorProto.INT8
    return out


def tensorrt_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """The int8 graph with the head's weights as codes too, behind a DequantizeLinear per channel.

    The head's rounded weights are stored as float32, which suits ONNX Runtime; TensorRT runs a convolution in
    INT8 only where it sees the codes. Code times scale is the stored float32, to the last bit.

    Raises EngineBuildError for weights that are no int8 codes times a scale: a model that was not quantised.
    """
    from onnx import helper, numpy_helper

    out = int8_graph(model)
    constants = {c.name: c for c in out.graph.initializer}
    nodes = []
    for node in out.graph.node:
        if node.op_type == "Conv" and node.input[1] in constants:
            name = node.input[1]
            codes, scale = codes_of(numpy_helper.to_array(constants[name]), node.name)
            out.graph.initializer.remove(constants[name])
            parts: dict[str, NDArray[Any]] = {
                "codes": codes,
                "scale": scale,
                "zero": np.zeros(len(codes), np.int8),
            }
            out.graph.initializer.extend(
                numpy_helper.from_array(value, f"{name}_{what}") for what, value in parts.items()
            )
            inputs = [f"{name}_{what}" for what in parts]
            nodes.append(helper.make_node("DequantizeLinear", inputs, [name], name=name, axis=0))
        nodes.append(node)
    out.graph.ClearField("node")
    out.graph.node.extend(nodes)
    return out


def codes_of(
    weight: NDArray[np.float32], name: str
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes and per-channel scale of a weight that was stored as their product."""
    per_channel = weight.reshape(len(weight), -1)
    largest = np.abs(per_channel).max(1, keepdims=True)
    # The largest code is 127; the product was rounded, so its scale may lie a step beside the quotient.
    nearest = np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)
    codes = np.rint(per_channel / nearest).astype(np.int8)
    candidates = np.stack([nearest, *(np.nextafter(nearest, limit) for limit in EITHER_SIDE)])
    exact = (codes * candidates == per_channel).all(-1)
    if not exact.any(0).all():
        raise EngineBuildError(
            f"the weights of {name} are no int8 codes times a scale: the model was not quantised"
        )
    scale = candidates[exact.argmax(0), np.arange(len(codes)), 0]
    return codes.reshape(weight.shape), scale


def float32_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in float32: dequantised weights, no quantisers, float32 states."""
    from onnx import TensorProto, numpy_helper

    out = _unclipped_channels_first(model)
    leads = of_leads(out)
    constants = {c.name: numpy_helper.to_array(c) for c in out.graph.initializer}
    renamed: dict[str, str] = {}
    nodes, weights = [], []
    for node in out.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            codes, scale = constants[node.input[0]], constants[node.input[1]]
            weight = codes.astype(np.float32) * scale.reshape(-1, *[1] * (codes.ndim - 1))
            weights.append(numpy_helper.from_array(weight, node.output[0]))
        elif node == leads:
            clip, limits = cut_off(node, constants)
            nodes.append(clip)
            weights += limits
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            renamed[node.output[0]] = renamed.get(node.input[0], node.input[0])
        else:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [c for c in out.graph.initializer if c.name in used]
    for field, values in (("node", nodes), ("initializer", kept + weights)):
        out.graph.ClearField(field)
        getattr(out.graph, field).extend(values)
    for value in [*out.graph.input, *out.graph.output]:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return out


def cut_off(
    leads: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]
) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """In place of the quantiser of leads, what cuts off where its codes end, and the limits."""
    from onnx import helper, numpy_helper

    names = ["seen_least", "seen_largest"]
    limits = [np.float32(code) * constants[leads.input[1]] for code in (0, 255)]
    clip = helper.make_node("Clip", [leads.input[0], *names], leads.output, name=leads.name)
    return clip, [*map(numpy_helper.from_array, limits, names)]


def of_leads(model: onnx.ModelProto) -> onnx.NodeProto | None:
    """The quantiser of what the stem reads, if it gives uint8; up to 0.2 it gave int8."""
    from onnx import TensorProto

    unsigned = {c.name for c in model.graph.initializer if c.data_type == TensorProto.UINT8}
    found = (n for n in model.graph.node if n.output[0] == "seen_codes" and n.input[2] in unsigned)
    return next(found, None)


def _unclipped_channels_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without the Clips of codes and the transposes around each history.

    Its states are (batch, channels, 1, frames).
    """
    import onnx
    from onnx import numpy_helper

    out = onnx.ModelProto()
    out.CopyFrom(model)
    out.ClearField("metadata_props")  # a rewritten graph is no longer the bundle that was signed
    renamed: dict[str, str] = {}
    axes, limits = set(), set()
    nodes = []
    for node in out.graph.node:
        if node.op_type in ("Transpose", "Clip"):
            limits.update(node.input[1:])
            renamed[node.output[0]] = renamed.get(node.input[0], node.input[0])
            continue
        if node.op_type == "Concat" and node.input[0].startswith("state_"):
            node.attribute[0].i = 3
        if node.op_type == "Slice":
            axes.update(node.input[3:4])
        node.input[:] = [renamed.get(name, name) for name in node.input]
        nodes.append(node)
    if not renamed:
        return out
    kept = [c for c in out.graph.initializer if c.name not in limits]
    for field, values in (("node", nodes), ("initializer", kept)):
        out.graph.ClearField(field)
        getattr(out.graph, field).extend(values)
    for constant in out.graph.initializer:
        if constant.name in axes:
            axis = np.full_like(numpy_helper.to_array(constant), 3)
            constant.CopyFrom(numpy_helper.from_array(axis, constant.name))
    for value in [*out.graph.input, *out.graph.output]:
        if value.name.startswith("state_"):
            dims = value.type.tensor_type.shape.dim
            frames, channels = dims[2].dim_value, dims[3].dim_value
            for dim, size in zip(dims[1:], (channels, 1, frames), strict=False):
                dim.dim_value = size
    return out


def rewritten_states(states: tuple[State, ...], dtype: str) -> tuple[State, ...]:
    """The manifest's states as a rewritten graph has them."""
    return tuple(
        replace(
            s, shape=(s.shape[2], 1, s.shape[1]) if s.dtype == "uint8" else s.shape, dtype=dtype
        )
        for s in states
    )
