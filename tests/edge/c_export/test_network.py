"""A bundle's integers; and what the generator does not know is refused by the layer's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge.bundle import Bundle, load_bundle
from edge.c_export.network import for_leads, network_of
from edge.c_export.onnx_graph import read_graph
from edge.errors import EngineBuildError, InputError

onnx: Any = pytest.importorskip("onnx", reason="graphs are changed with onnx: '.[test]'")
Change = Callable[[Any], None]


def changed(bundle: Bundle, change: Change) -> Bundle:
    model = onnx.load_from_string(bundle.data)
    change(model.graph)
    return Bundle(model.SerializeToString(), bundle.manifest)


def node(graph: Any, output: str) -> Any:
    return next(one for one in graph.node if one.output[0] == output)


def constant(name: str, value: Callable[[np.ndarray], np.ndarray]) -> Change:
    def change(graph: Any) -> None:
        found = next(one for one in graph.initializer if one.name == name)
        made = value(onnx.numpy_helper.to_array(found).copy())
        found.CopyFrom(onnx.numpy_helper.from_array(made, name))

    return change


def operator(output: str, op: str) -> Change:
    return lambda graph: setattr(node(graph, output), "op_type", op)


def without(output: str) -> Change:
    return lambda graph: graph.node.remove(node(graph, output))


def padded(graph: Any) -> None:
    node(graph, "block_2_dilated").attribute.append(
        onnx.helper.make_attribute("pads", [0, 1, 0, 1])
    )


def strided(graph: Any) -> None:
    dilations = node(graph, "block_1_dilated").attribute
    next(one for one in dilations if one.name == "dilations").ints[1] = 2


def crossed(graph: Any) -> None:
    node(graph, "block_1_skip").input[0] = "stem_out_saturated"


def last_is_more(graph: Any) -> None:
    graph.node.append(onnx.helper.make_node("Identity", ["ecg_mv"], ["twice"]))


def least(codes: np.ndarray) -> np.ndarray:
    codes.flat[0] = -128
    return codes


def first_only(codes: np.ndarray) -> np.ndarray:
    codes[:, 0] = 1
    return codes


REFUSED = [
    (operator("block_1_relu", "Tanh"), "block_1_relu: it is Tanh of block_1_dilated, not Relu"),
    (operator("head_leads", "Flatten"), "head_leads: it is Flatten"),
    (without("block_0_inner_saturated"), "block_0_mid"),
    (padded, "block_2_dilated: it is Conv"),
    (strided, "block_1_dilated: its history has 16 frames"),
    (crossed, "block_1_skip: it is DequantizeLinear of stem_out_saturated"),
    (last_is_more, "twice: the graph has 99 nodes, not 98"),
    (constant("block_3_inner_largest", lambda one: one + 100), "block_3_inner: its codes do not end"),
    (constant("block_0_branch_zero", lambda one: one + 3), "block_0_branch: its zero point is"),
    (constant("block_0_out_scale", lambda one: one * np.nan), "block_0_out: its scale is nan"),
    (constant("seen_scale", lambda one: -one), "seen: its scale is -"),
    (constant("block_2_dilated_weight_codes", least), "block_2_dilated: its weights are no codes"),
    (constant("block_2_pointwise_weight_scale", lambda one: one * 0), "block_2_pointwise: its scales"),
    (constant("stem_weight_codes", lambda one: one[:, 1:]), "stem: its weights are"),
    (constant("stem_weight_codes", lambda one: np.maximum(one, 1)), "stem: .*beyond a hop's first"),
    (constant("stem_weight_codes", first_only), "stem: it weighs what is below zero otherwise"),
    (constant("head_weight", lambda one: np.full_like(one, np.inf)), "head: its weights are no numbers"),
    (constant("block_1_dilated_bias", lambda one: one + 1e6), "block_1_dilated: its sums may reach"),
]  # fmt: skip


REFUSED_8_BITS = [
    (constant("seen_scale", lambda one: -one), "seen: its scale is -"),
    (constant("stem_weight_codes", lambda one: one[:, 1:]), "stem: its weights are"),
    (constant("stem_weight_codes", lambda one: np.maximum(one, 1)), "stem: .*beyond a hop's first"),
    (operator("seen_codes", "Round"), "seen_codes: it is Round of seen"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[said[:30] for _, said in REFUSED])
def test_a_layer_that_is_not_known_is_named(
    shipped_bundle: Bundle, change: Change, said: str
) -> None:
    assert_refused(changed(shipped_bundle, change), said)


@pytest.mark.parametrize(
    ("change", "said"), REFUSED_8_BITS, ids=[said[:30] for _, said in REFUSED_8_BITS]
)
def test_a_stem_of_8_bits_that_is_not_known_is_named(change: Change, said: str) -> None:
    """The small model's, and that of bundles up to 0.2."""
    assert_refused(changed(load_bundle("small"), change), said)


def assert_refused(bundle: Bundle, said: str) -> None:
    with pytest.raises(EngineBuildError, match=f"^unknown layer {said}") as refused:
        network_of(bundle)
    assert "\n" not in str(refused.value)
    assert "export the model again" in str(refused.value)


def test_the_head_of_no_quantised_model_is_refused(shipped_bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    change = constant("head_weight", lambda one: rng.normal(size=one.shape).astype(np.float32))
    with pytest.raises(EngineBuildError, match="weights of head are no int8 codes"):
        network_of(changed(shipped_bundle, change))


def test_a_float32_graph_is_refused(shipped_bundle: Bundle) -> None:
    from edge.engines.graph_rewrites import float32_graph

    graph = float32_graph(onnx.load_from_string(shipped_bundle.data))
    bundle = Bundle(graph.SerializeToString(), shipped_bundle.manifest)
    with pytest.raises(EngineBuildError, match="unknown layer seen_codes: it is Clip of seen"):
        network_of(bundle)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x3a\x05abc", b"\x3a\x02\x0a\x00"])
def test_what_is_no_graph_is_one_line(shipped_bundle: Bundle, data: bytes) -> None:
    with pytest.raises(EngineBuildError) as refused:
        network_of(Bundle(data, shipped_bundle.manifest))
    assert "\n" not in str(refused.value)


def test_constants_and_nodes_are_those_that_onnx_reads(shipped_bundle: Bundle) -> None:
    graph = read_graph(shipped_bundle.data)
    theirs = onnx.load_from_string(shipped_bundle.data).graph
    assert [(n.op, n.inputs, n.outputs) for n in graph.nodes] == [
        (n.op_type, tuple(n.input), tuple(n.output)) for n in theirs.node
    ]
    for one in theirs.initializer:
        value = onnx.numpy_helper.to_array(one)
        assert np.array_equal(graph.constants[one.name], value)
        assert graph.constants[one.name].dtype == value.dtype


def test_leads_that_are_always_on_go_into_the_bias(shipped_bundle: Bundle) -> None:
    """Sums of the smaller stem for its rows equal those of the whole one, the others 0 and off."""
    network = network_of(shipped_bundle)
    rng = np.random.default_rng(2)
    known = ("I", "II", "III", "aVR", "aVL", "aVF")
    small = for_leads(network, known)
    assert (small.rows, small.masked) == (known, False)
    hop, n_known, n_rows = network.hop, len(known), len(network.rows)
    most = network.seen.largest
    predicted = rng.integers(-most, most, len(network.outputs) * hop, endpoint=True)
    ecg = rng.integers(-most, most, n_known * hop, endpoint=True)
    mask = np.array([int(network.seen.codes(np.float32(1)))] * n_known + [0] * (n_rows - n_known))
    whole = np.concatenate([ecg, np.zeros((n_rows - n_known) * hop, int), predicted, mask])
    sums = network.stem.weight.astype(int) @ whole + network.stem.bias
    folded = small.stem.weight.astype(int) @ np.concatenate([ecg, predicted]) + small.stem.bias
    assert np.array_equal(sums, folded)


def test_rows_that_are_not_there_are_named(shipped_bundle: Bundle) -> None:
    with pytest.raises(InputError, match="no row of V9"):
        for_leads(network_of(shipped_bundle), ["I", "V9"])
