"""The graph of a bundle: pinned names, symbolic dimensions, and what ONNX Runtime makes of it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.engines.onnxruntime_engine import open_session
from edge.errors import EngineError
from tests.edge.engines.given import simulated

onnx = pytest.importorskip("onnx", reason="reading a graph needs onnx: install '.[test]'")


@pytest.fixture(params=["tiny_bundle", "shipped_bundle"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    found: Bundle = request.getfixturevalue(request.param)
    return found


def test_names_and_shapes_are_pinned(bundle: Bundle) -> None:
    session = open_session(bundle.data)
    inputs = {i.name: (i.type, i.shape) for i in session.get_inputs()}
    outputs = {o.name: (o.type, o.shape) for o in session.get_outputs()}
    m = bundle.manifest
    n_in, n_out, hop = len(m.input_leads), len(m.output_leads), m.hop
    states = [f"state_{i}" for i in range(len(m.states))]
    assert list(inputs) == ["ecg", "mask", "anchor", *states]
    assert list(outputs) == ["ecg_mv", "log_sigma", *(f"{name}_out" for name in states)]
    assert inputs["ecg"] == inputs["mask"] == ("tensor(float)", ["batch", n_in, hop, "frames"])
    assert inputs["anchor"] == ("tensor(float)", ["batch", n_out, n_in, 1, 1])
    for name, n_rows in (("ecg_mv", n_out), ("log_sigma", len(m.sigma_leads))):
        assert outputs[name] == ("tensor(float)", ["batch", n_rows, hop, "frames"])
    for state in m.states:
        described = ("tensor(uint8)", ["batch", *state.shape])
        assert state.dtype == "uint8"
        assert inputs[state.input] == outputs[state.output] == described


def test_a_batch_runs_like_its_members(bundle: Bundle) -> None:
    session = open_session(bundle.data)
    members = [simulated(bundle.manifest, 60, seed) for seed in range(3)]

    def feed(given: list[np.ndarray]) -> dict[str, np.ndarray]:
        states = {
            s.input: np.zeros((len(given[0]), *s.shape), s.dtype) for s in bundle.manifest.states
        }
        return dict(zip(("ecg", "mask", "anchor"), given, strict=True)) | states

    joined = [np.concatenate(parts) for parts in zip(*members, strict=True)]
    together = session.run(None, feed(joined))
    for i, member in enumerate(members):
        alone = session.run(None, feed(list(member)))
        for one, other in zip(together, alone, strict=True):
            if one.dtype == np.uint8:
                assert np.array_equal(one[i : i + 1], other)
            else:
                np.testing.assert_allclose(one[i : i + 1], other, atol=1e-5)


def test_the_optimised_graph_is_integer_but_for_the_head(bundle: Bundle) -> None:
    pytest.importorskip("torch", reason="quantize needs torch: install '.[test]'")
    from quantize.verify import optimised_operators

    operators = optimised_operators(bundle)
    written = [node.op_type for node in onnx.load_from_string(bundle.data).graph.node]
    blocks = len(bundle.manifest.states)
    assert operators["QLinearConv"] == written.count("Conv") - 1 == 1 + 2 * blocks
    assert operators["Conv"] + operators["FusedConv"] <= 1
    assert operators["QLinearAdd"] == blocks
    for absent in ("MatMul", "Gemm", "Relu", "ConvTranspose", "QLinearMatMul"):
        assert operators[absent] == 0, absent


def test_no_code_passes_127_on_any_input(bundle: Bundle) -> None:
    """Int8 holds no more, engines would differ: a Clip alone reads what a quantiser to uint8 makes.

    Of leads all 8 bits are in use: int8 holds those codes less 128.
    """
    graph = onnx.load_from_string(bundle.data).graph
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in graph.initializer}
    codes = [
        node.output[0]
        for node in graph.node
        if node.op_type == "QuantizeLinear"
        and constants[node.input[2]].dtype == np.uint8
        and node.output[0] != "seen_codes"
    ]
    assert len(codes) == 1 + 2 * len(bundle.manifest.states)
    for name in codes:
        (reader,) = [node for node in graph.node if name in node.input]
        assert reader.op_type == "Clip"
        assert constants[reader.input[2]] == 127


def test_weights_are_int8_per_channel(bundle: Bundle) -> None:
    graph = onnx.load_from_string(bundle.data).graph
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in graph.initializer}
    weights = [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    assert len(weights) == 1 + 2 * len(bundle.manifest.states)
    for node in weights:
        codes, scale = constants[node.input[0]], constants[node.input[1]]
        assert codes.dtype == np.int8
        assert scale.shape == codes.shape[:1]
        assert (constants[node.input[2]] == 0).all()
    for name, value in constants.items():
        if re.search("_zero$", name) and value.ndim == 0:
            assert value == 0


@pytest.mark.parametrize("damage", ["empty", "text", "operator"])
def test_a_graph_that_onnxruntime_refuses_is_an_engine_error(
    tiny_bundle: Bundle, damage: str
) -> None:
    graph = {"empty": b"", "text": b"no model"}.get(damage)
    if graph is None:
        model = onnx.load_from_string(tiny_bundle.data)
        model.graph.node[0].op_type = "Unheard"
        graph = model.SerializeToString()
    with pytest.raises(EngineError, match=r"ONNX Runtime .* refuses the model: ") as caught:
        open_session(graph)
    assert "\n" not in str(caught.value)
