"""One set of weights and scales, other spellings: int8 for TensorRT, float32 to compare with.

ONNX Runtime fuses a ReLU into a quantiser whose lowest code is its zero point: uint8 after a ReLU.
TensorRT knows only int8 with zero point 0. Codes after a ReLU never exceed 127, so both hold the same
integers, and the rewrite changes types alone. The float32 twin drops the quantisers and is what the
benchmarks time INT8 against. Needs the `onnx` package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def int8_spelling(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every uint8 tensor as int8; weights, scales and names unchanged."""
    from onnx import TensorProto, numpy_helper

    out = _copy(model)
    for constant in out.graph.initializer:
        if constant.data_type == TensorProto.UINT8:
            codes = numpy_helper.to_array(constant).astype(np.int8)
            constant.CopyFrom(numpy_helper.from_array(codes, constant.name))
    for value in [*out.graph.input, *out.graph.output]:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            value.type.tensor_type.elem_type = TensorProto.INT8
    return out


def float32_twin(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in float32: dequantised weights, no quantisers, float32 states."""
    from onnx import TensorProto, numpy_helper

    out = _copy(model)
    constants = {c.name: numpy_helper.to_array(c) for c in out.graph.initializer}
    renamed: dict[str, str] = {}
    nodes, weights = [], []
    for node in out.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            codes, scale = constants[node.input[0]], constants[node.input[1]]
            weight = codes.astype(np.float32) * scale.reshape(-1, *[1] * (codes.ndim - 1))
            weights.append(numpy_helper.from_array(weight, node.output[0]))
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


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnx

    out = onnx.ModelProto()
    out.CopyFrom(model)
    out.ClearField("metadata_props")  # a rewritten graph is no longer the bundle that was signed
    return out
