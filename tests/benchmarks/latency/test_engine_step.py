"""The float32 twin as a bundle, what counts as a float convolution, and a tiny measurement."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from benchmarks.latency.engine_step import (
    _works_on,
    float32_bundle,
    inputs,
    measure_engine_step,
    operators,
)
from edge.bundle import load_bundle, read_bundle
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine

BUNDLE = load_bundle()


def test_the_twin_is_a_sound_bundle_with_the_same_weights() -> None:
    twin = float32_bundle(BUNDLE)
    read_bundle(twin.data)
    assert {state.dtype for state in twin.manifest.states} == {"float32"}
    given = inputs(BUNDLE.manifest, 100)
    with OnnxRuntimeEngine(BUNDLE) as int8, OnnxRuntimeEngine(twin) as float32:
        a, b = int8.step(*given)[0].copy(), float32.step(*given)[0].copy()
    assert a.shape == b.shape
    # Rounding to 8 bits is all that lies between them.
    assert np.sqrt(np.mean((a - b) ** 2)) < 0.2 * a.std()
    assert (a != b).any()


def test_the_shipped_graph_has_no_float_convolution_but_the_head() -> None:
    found = operators(BUNDLE)
    assert found["float_convolutions_other_than_head"] == 0
    assert found["float_convolutions_head"] <= 1
    assert found["by_type"]["QLinearConv"] > 0
    twin = operators(float32_bundle(BUNDLE))
    assert twin["float_convolutions_other_than_head"] > 0
    assert "QLinearConv" not in twin["by_type"]


@pytest.mark.parametrize(
    ("after", "works_on"),
    [("Relu", False), ("QLinearConv", True), ("QuantizeLinear", True), ("FusedConv", True)],
)
def test_the_head_is_what_nothing_quantised_follows(after: str, works_on: bool) -> None:
    first = helper.make_node("Conv", ["x", "w"], ["y"])
    between = helper.make_node("Reshape", ["y"], ["z"])
    last = helper.make_node(after, ["z"], ["out"])
    readers = {"x": [first], "y": [between], "z": [last]}
    assert _works_on(first, readers) is works_on
    assert not _works_on(last, readers)


@pytest.mark.parametrize("kind", ["any_bundle", "shipped_bundle"])  # of three leads, of any
def test_inputs_are_a_signal_and_of_the_graphs_types(
    kind: str, request: pytest.FixtureRequest
) -> None:
    m = request.getfixturevalue(kind).manifest
    ecg, mask, anchor = inputs(m, 3)
    assert ecg.shape == (1, len(m.input_leads), m.hop, 3)
    assert anchor.shape == (1, len(m.output_leads), len(m.input_leads), 1, 1)
    assert {a.dtype for a in (ecg, mask, anchor)} == {np.dtype(np.float32)}
    assert mask.sum() == 3
    assert inputs(m, 500)[0][:, mask.ravel() > 0].std() > 0.01


def test_a_measurement_has_every_figure() -> None:
    found = measure_engine_step(BUNDLE, seconds=0.01, warm_up_s=0.0)
    for name, frames in (("1", 1), ("4", 4), ("offline", 3750)):
        step = found[name]
        assert step["frames"] == frames
        assert step["ratio"] > 0
        for spelling in ("int8", "float32"):
            assert step[spelling]["n"] >= step["rounds"]
            assert 0 < step[spelling]["min"] <= step[spelling]["max"]
