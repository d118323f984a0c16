"""The layer report finds nothing in the graph that we build, and finds each fault in a graph that has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.device.layer_report import ParsedLayers, parsed_layers
from edge.bundle import Bundle
from edge.engines.trt.build import parse
from edge.engines.trt.library import TensorRtLibrary
from tests.edge.engines.trt.rtx import (
    constant_of,
    insert_before,
    node_of,
    rtx_library,
    set_constant,
    spoiled,
)

onnx = pytest.importorskip("onnx", reason="graphs are rewritten with onnx: install '.[test]'")

from edge.engines.graph_rewrites import int8_graph
from edge.engines.trt.graph import static_int8_graph


@pytest.fixture(scope="module")
def library() -> TensorRtLibrary:
    return rtx_library()


def taken(graph: bytes, library: TensorRtLibrary) -> ParsedLayers:
    return parsed_layers(parse(graph, library).network, library.module)


@pytest.mark.parametrize("frames", [1, 5, 32])
@pytest.mark.parametrize("name", ["tiny_bundle", "shipped_bundle", "untrained_bundle"])
def test_nothing_keeps_our_graph_from_fusing(
    request: pytest.FixtureRequest, library: TensorRtLibrary, name: str, frames: int
) -> None:
    bundle: Bundle = request.getfixturevalue(name)
    found = taken(static_int8_graph(bundle, frames), library)
    assert found.faults() == []
    blocks = len(bundle.manifest.states)
    counts = found.counts
    assert counts.pop("CONSTANT") > 0
    assert counts == {
        "ACTIVATION": 1 + 2 * blocks,
        "CONCATENATION": 2 + blocks,  # the leads, what the stem sees, and each state
        "CONVOLUTION": 2 + 2 * blocks,
        "DEQUANTIZE": 2 * (2 + 2 * blocks) + 2 * blocks,  # both inputs of each convolution and add
        "ELEMENTWISE": 2
        + blocks
        + 1,  # the anchor's product, leads less 128, each residual add, the output
        "QUANTIZE": 2 + 3 * blocks,
        "REDUCE": 1,
        "SHUFFLE": 1,  # the head's channels to leads, in float
        "SLICE": blocks + 2,
        "UNARY": 1,  # leads below zero
        "UNSQUEEZE": 1,  # the anchor's, in float
    }
    convolutions = [layer for layer in found.layers if layer.is_convolution]
    assert all(layer.is_int8_convolution and layer.precision == "int8" for layer in convolutions)
    for tensor in found.inputs + found.outputs:
        assert tensor.dtype == ("int8" if tensor.name.startswith("state_") else "float")
        assert min(tensor.shape) >= 1


def float_weight(graph: Any) -> None:
    dequantise = node_of(graph, "head_weight")
    codes, scale, _ = (constant_of(graph, name) for name in dequantise.input)
    graph.node.remove(dequantise)
    set_constant(graph, "head_weight", codes * scale.reshape(-1, 1, 1, 1))


def shuffled_weight(graph: Any) -> None:
    set_constant(graph, "there", np.array(constant_of(graph, "head_weight_codes").shape, np.int64))
    insert_before(graph, "head", "Reshape", ["head_weight", "there"], "head_weight_shuffled")
    node_of(graph, "head").input[1] = "head_weight_shuffled"


def transposed_weight(graph: Any) -> None:
    codes = constant_of(graph, "head_weight_codes")
    set_constant(graph, "head_weight_codes", codes.reshape(1, 1, *codes.shape[:2]))
    node_of(graph, "head_weight").attribute[0].i = 2
    insert_before(graph, "head", "Transpose", ["head_weight"], "turned", perm=[2, 3, 0, 1])
    node_of(graph, "head").input[1] = "turned"


def weight_of_an_input(graph: Any) -> None:
    codes = constant_of(graph, "head_weight_codes")
    given = onnx.helper.make_tensor_value_info("given_codes", onnx.TensorProto.INT8, codes.shape)
    graph.input.append(given)
    node_of(graph, "head_weight").input[0] = "given_codes"


def float_activation(graph: Any) -> None:
    node_of(graph, "block_1_pointwise").input[0] = "block_1_relu"


def shuffled_activation(graph: Any) -> None:
    set_constant(graph, "there", np.array([0, 0, 0, -1], np.int64))
    insert_before(graph, "head", "Reshape", ["head_in", "there"], "head_in_shuffled")
    node_of(graph, "head").input[0] = "head_in_shuffled"


def float_state(graph: Any) -> None:
    next(i for i in graph.input if i.name == "state_0").type.tensor_type.elem_type = 1
    scale = list(node_of(graph, "stem_out_codes").input[1:])
    insert_before(graph, "rows_history_0", "QuantizeLinear", ["state_0", *scale], "state_0_codes")
    node_of(graph, "rows_history_0").input[0] = "state_0_codes"


def float_state_output(graph: Any) -> None:
    next(o for o in graph.output if o.name == "state_0_out").type.tensor_type.elem_type = 1
    slice_ = node_of(graph, "state_0_out")
    scale = list(node_of(graph, "stem_out_codes").input[1:])
    slice_.output[0] = "state_0_codes"
    graph.node.append(
        onnx.helper.make_node("DequantizeLinear", ["state_0_codes", *scale], ["state_0_out"])
    )


def two_scales(graph: Any) -> None:
    set_constant(graph, "wider", constant_of(graph, "stem_out_scale") * np.float32(1.01))
    node_of(graph, "stem_out_codes").input[1] = "wider"


def float_concat(graph: Any) -> None:
    scale = list(node_of(graph, "stem_out_codes").input[1:])
    for codes, name in (("state_0", "state_0_mv"), ("stem_out_codes", "newest_mv")):
        insert_before(graph, "rows_history_0", "DequantizeLinear", [codes, *scale], name)
    concat = node_of(graph, "rows_history_0")
    concat.input[:] = ["state_0_mv", "newest_mv"]
    concat.output[0] = concat.name = "history_mv"
    insert_before(graph, "state_0_out", "QuantizeLinear", ["history_mv", *scale], "rows_history_0")


def add_of_a_float_branch(graph: Any) -> None:
    node_of(graph, "block_1_sum").input[1] = "block_1_pointwise"


def add_of_floats_alone(graph: Any) -> None:
    node_of(graph, "block_1_sum").input[:] = ["block_1_pointwise", "block_0_sum_relu"]


def wide_bounds(graph: Any) -> None:
    for name in node_of(graph, "state_1_out").input[1:]:
        set_constant(graph, name, constant_of(graph, name).astype(np.int64))


def another_operator(graph: Any) -> None:
    insert_before(graph, "stem_relu", "Sin", ["stem"], "stem_sine")
    node_of(graph, "stem_relu").input[0] = "stem_sine"


def shuffled_codes(graph: Any) -> None:
    set_constant(graph, "there", np.array([0, 0, -1, 1], np.int64))
    set_constant(graph, "back", np.array([0, 0, 1, -1], np.int64))
    insert_before(graph, "block_1_mid", "Reshape", ["block_1_inner_codes", "there"], "codes_there")
    insert_before(graph, "block_1_mid", "Reshape", ["codes_there", "back"], "codes_back")
    node_of(graph, "block_1_mid").input[0] = "codes_back"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (float_weight, "head: its weight is float, not "),
        (shuffled_weight, "head: SHUFFLE head_weight_shuffled stands between its weight and the"),
        (transposed_weight, "head: SHUFFLE turned stands between its weight and the"),
        (weight_of_an_input, "head: its weight's codes are not constant"),
        (float_activation, "block_1_pointwise: its input is float, not from a DequantizeLinear"),
        (shuffled_activation, "head: SHUFFLE head_in_shuffled stands between its input and the"),
        (float_state, "state_0: it is float, not int8"),
        (float_state, "state_0: QUANTIZE state_0_codes reads it, not one CONCATENATION"),
        (float_state_output, "state_0_out: it is float, not int8"),
        (two_scales, "rows_history_0: the codes it joins have 2 scales, not one"),
        (float_concat, "state_0: DEQUANTIZE state_0_mv reads it, not one CONCATENATION"),
        (add_of_a_float_branch, "block_1_sum: it adds block_1_pointwise without a Dequantize"),
        (add_of_floats_alone, "block_1_sum: it adds block_1_pointwise, block_0_sum_relu without"),
        (wide_bounds, "state_1_out: its bounds are tensors, not constants"),
        (wide_bounds, "ELEMENTWISE on int64 is shape arithmetic"),
        (wide_bounds, "a CAST layer has no place in a decoder"),
        (another_operator, "stem_sine: a UNARY layer has no place in a decoder"),
        (shuffled_codes, "codes_there: SHUFFLE on int8 codes is a copy"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_fault_is_found(
    tiny_bundle: Bundle, library: TensorRtLibrary, change: Callable[[Any], None], says: str
) -> None:
    graph = spoiled(static_int8_graph(tiny_bundle, 2), change)
    faults = taken(graph, library).faults()
    assert any(says in fault for fault in faults), faults
    assert all("\n" not in fault for fault in faults)


@pytest.mark.parametrize(
    ("change", "convolution"),
    [(float_weight, "head"), (shuffled_weight, "head"), (float_activation, "block_1_pointwise")],
)
def test_a_convolution_with_a_fault_is_not_reported_as_int8(
    tiny_bundle: Bundle, library: TensorRtLibrary, change: Callable[[Any], None], convolution: str
) -> None:
    layers = taken(spoiled(static_int8_graph(tiny_bundle, 2), change), library).layers
    layer = next(layer for layer in layers if layer.name == convolution)
    assert layer.is_convolution
    assert not layer.is_int8_convolution
    assert layer.precision == "float"


def test_the_plain_int8_graph_is_why_the_rewrite_is_there(
    tiny_bundle: Bundle, library: TensorRtLibrary
) -> None:
    """Without it the head is float, and the parser refuses the slices or computes their bounds."""
    model = int8_graph(onnx.load_from_string(tiny_bundle.data))
    for value in [*model.graph.input, *model.graph.output]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_value = 1

    def with_steps(graph: Any) -> None:
        for node in [node for node in graph.node if node.op_type == "Slice"]:
            set_constant(graph, "step", np.array([1], np.int32))
            node.input.append("step")

    faults = taken(spoiled(model.SerializeToString(), with_steps), library).faults()
    assert "head: its weight is float, not int8 codes behind a DequantizeLinear" in faults
