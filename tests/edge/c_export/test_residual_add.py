"""Integers for the residual add: equal to ONNX Runtime's for every pair of codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.c_export.network import network_of
from edge.c_export.residual_add import Add, float_add, integer_add

SKIP, BRANCH = np.meshgrid(np.arange(128), np.arange(-128, 128), indexing="ij")
SCALES = st.floats(1e-3, 0.2)


def sums_of(add: Add) -> NDArray[np.int64]:
    """As the runtime computes them, with the bounds of its 32 bits checked."""
    total = SKIP * add.of_skip + BRANCH * add.of_branch + add.rounding
    assert np.abs(total).max() < 1 << 31
    return np.minimum(np.maximum(total, 0) >> add.shift, 127)


@settings(max_examples=40)
@given(SCALES, st.floats(0.2, 5), st.floats(0.2, 5))
def test_integers_give_every_sum_of_float32(out: float, skip: float, branch: float) -> None:
    scales = np.float32(out * skip), np.float32(out * branch), np.float32(out)
    add = integer_add(*scales)
    if add is not None:  # seldom there is none, and then the layer is refused
        assert np.array_equal(sums_of(add), float_add(SKIP, BRANCH, *scales))


def test_integers_are_found_for_scales_as_training_gives_them() -> None:
    rng = np.random.default_rng(1)
    scales = rng.uniform(0.01, 0.04, (100, 3)).astype(np.float32)
    assert all(integer_add(*three) is not None for three in scales)


@pytest.mark.parametrize("block", range(4))
def test_float_add_is_what_onnxruntime_computes(shipped_bundle: Bundle, block: int) -> None:
    """All pairs of codes through its operator, with the scales of the bundle."""
    onnx = pytest.importorskip("onnx", reason="the graph is made with onnx: '.[test]'")
    import onnxruntime
    from onnx import TensorProto, helper

    from edge.c_export.onnx_graph import read_graph

    constants = read_graph(shipped_bundle.data).constants
    before = "stem_out" if block == 0 else f"block_{block - 1}_out"
    names = (before, f"block_{block}_branch", f"block_{block}_out")
    scales = [constants[f"{name}_scale"] for name in names]
    ends = [helper.make_tensor_value_info(n, TensorProto.UINT8, SKIP.shape) for n in "aby"]
    fixed = [
        helper.make_tensor(f"{n}{i}", kind, [], [value])
        for i, scale in enumerate(scales)
        for n, kind, value in (
            ("s", TensorProto.FLOAT, float(scale)),
            ("z", TensorProto.UINT8, 128 * (i == 1)),
        )
    ]
    reads = ["a", "s0", "z0", "b", "s1", "z1", "s2", "z2"]
    node = helper.make_node("QLinearAdd", reads, ["y"], domain="com.microsoft")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "add", ends[:2], ends[2:], fixed)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    codes = {"a": SKIP.astype(np.uint8), "b": (BRANCH + 128).astype(np.uint8)}
    (found,) = session.run(["y"], codes)
    expected = float_add(SKIP, BRANCH, *(np.float32(scale) for scale in scales))
    assert np.array_equal(np.minimum(found, 127), expected)
    add = network_of(shipped_bundle).blocks[block].add
    assert np.array_equal(sums_of(add), expected)
    assert onnx is not None
