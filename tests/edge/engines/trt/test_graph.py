"""The graph that TensorRT gets: the shipped integers, every weight as codes, nothing left open."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from edge.bundle import Bundle
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine, open_session
from edge.errors import EngineBuildError, InputError
from tests.edge.engines.given import Given, given_from_leads, int8_bundle, run, simulated
from tests.edge.engines.trt.rtx import constant_of, node_of, set_constant, spoiled

onnx = pytest.importorskip("onnx", reason="graphs are rewritten with onnx: install '.[test]'")

from edge.engines.graph_rewrites import rewritten_states, tensorrt_graph
from edge.engines.trt.graph import MAX_FRAMES, static_int8_graph


@pytest.fixture(params=["tiny_bundle", "shipped_bundle", "untrained_bundle"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    found: Bundle = request.getfixturevalue(request.param)
    return found


def streamed(bundle: Bundle, frames: int, given: Given) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """`ecg_mv` and the last state, from the static graph run by ONNX Runtime, `frames` at a time."""
    session = open_session(static_int8_graph(bundle, frames))
    states = rewritten_states(bundle.manifest.states, "int8")
    ecg, mask, anchor = given
    feed = {s.input: np.zeros((1, *s.shape), s.dtype) for s in states}
    pieces = []
    for start in range(0, ecg.shape[-1], frames):
        at = slice(start, start + frames)
        names = ["ecg_mv", *(s.output for s in states)]
        ecg_mv, *codes = session.run(
            names, {"ecg": ecg[..., at], "mask": mask[..., at], "anchor": anchor, **feed}
        )
        feed = dict(zip(feed, codes, strict=True))
        pieces.append(ecg_mv[0])
    return np.concatenate(pieces, -1), feed


def assert_same_decoder(bundle: Bundle, frames: int, given: Given) -> None:
    """Within the bounds across engines, against the int8 graph whose dimensions are open.

    That this has the codes of the bundle `test_graph_rewrites` shows, in exact sums: ONNX Runtime leaves
    convolutions of int8 in float, whose rounding depends on the frames of a step.
    """
    engine = OnnxRuntimeEngine(int8_bundle(bundle))
    expected, _ = run(engine, given, frames)
    ecg_mv, state = streamed(bundle, frames, given)
    for a, b in zip(
        ecg_mv.reshape(len(ecg_mv), -1), expected.reshape(len(ecg_mv), -1), strict=True
    ):
        assert np.sqrt(np.mean(np.square(a - b))) <= 0.002
        assert np.corrcoef(a, b)[0, 1] >= 0.9999
    counted = differing = 0
    for name, codes in engine.state().items():
        apart = np.abs(codes.astype(int) - state[name].astype(int))
        assert apart.max() <= 1
        counted, differing = counted + codes.size, differing + int((apart > 0).sum())
    assert differing <= 0.002 * counted


@pytest.mark.parametrize("frames", [1, 8, 64])
@pytest.mark.parametrize("name", ["tiny_bundle", "shipped_bundle"])
def test_it_is_the_decoder_that_ships(
    request: pytest.FixtureRequest, name: str, frames: int
) -> None:
    bundle = request.getfixturevalue(name)
    assert_same_decoder(bundle, frames, simulated(bundle.manifest, 192))


def test_it_is_the_decoder_that_ships_on_real_records(shipped_bundle: Bundle, ptbxl_fold10) -> None:  # type: ignore[no-untyped-def]
    for record in ptbxl_fold10.take(3).millivolts(("II", "V1", "V5")):
        given = given_from_leads(shipped_bundle.manifest, record)
        whole = given[0].shape[-1] // 25 * 25
        assert_same_decoder(
            shipped_bundle, 25, (given[0][..., :whole], given[1][..., :whole], given[2])
        )


@pytest.mark.parametrize("frames", [1, 7, 32])
def test_every_dimension_is_fixed(bundle: Bundle, frames: int) -> None:
    model = onnx.load_from_string(static_int8_graph(bundle, frames))
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    ends = [*inferred.input, *inferred.output]
    for value in [*ends, *inferred.value_info]:
        assert all(dim.dim_value >= 1 for dim in value.type.tensor_type.shape.dim), value.name
        assert value.type.tensor_type.elem_type != onnx.TensorProto.UINT8
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in ends}
    m = bundle.manifest
    assert shapes["ecg"] == (1, len(m.input_leads), m.hop, frames)
    assert shapes["ecg_mv"] == (1, len(m.output_leads), m.hop, frames)
    for state in rewritten_states(m.states, "int8"):
        assert shapes[state.input] == shapes[state.output] == (1, *state.shape)
    for node in model.graph.node:
        if node.op_type == "Slice":
            bounds = [constant_of(model.graph, name) for name in node.input[1:]]
            assert [b.shape for b in bounds] == [(4,)] * 4
            assert {b.dtype for b in bounds} == {np.dtype(np.int32)}
        if node.op_type == "Reshape":
            assert (constant_of(model.graph, node.input[1]) >= 1).all()


def test_every_weight_is_codes_that_give_the_stored_floats_exactly(bundle: Bundle) -> None:
    before = onnx.load_from_string(bundle.data).graph
    after = onnx.load_from_string(static_int8_graph(bundle, 1)).graph
    stored = {c.name for c in before.initializer}
    recovered = 0
    for conv in (node for node in after.node if node.op_type == "Conv"):
        weight = node_of(after, conv.input[1])
        assert weight.op_type == "DequantizeLinear"
        codes, scale, zero = (constant_of(after, name) for name in weight.input)
        assert codes.dtype == zero.dtype == np.int8
        assert scale.shape == zero.shape == codes.shape[:1]
        assert not zero.any()
        if conv.input[1] in stored:  # the head, which ONNX Runtime gets as float32
            product = codes * scale.reshape(-1, 1, 1, 1)
            assert product.dtype == np.float32
            assert np.array_equal(product, constant_of(before, conv.input[1]))
            recovered += 1
    assert recovered == 1


@st.composite
def weights(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Codes with a 127 in every channel but one that is zero, and a scale for each."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(2, 9)), 1, 1)
    codes = draw(hypothesis_numpy.arrays(np.int8, shape, elements=st.integers(-127, 127)))
    codes[:, 0] = 127
    codes[-1] = 0
    exponents = draw(
        hypothesis_numpy.arrays(np.float32, shape[0], elements=st.floats(-20, 5, width=32))
    )
    return codes, np.exp2(exponents).astype(np.float32)


@settings(max_examples=200)
@given(weights())
def test_any_rounded_weight_is_recovered(made: tuple[np.ndarray, np.ndarray]) -> None:
    codes, scale = made
    stored = codes * scale.reshape(-1, 1, 1, 1)
    graph = tensorrt_graph(model_of(stored)).graph
    assert np.array_equal(constant_of(graph, "weight_codes"), codes)
    again = constant_of(graph, "weight_codes") * constant_of(graph, "weight_scale").reshape(
        -1, 1, 1, 1
    )
    assert np.array_equal(again, stored)


def model_of(weight: np.ndarray) -> Any:
    """A model of one convolution."""
    make = onnx.helper
    ends = [
        make.make_tensor_value_info(name, 1, ["batch", channels, 1, "frames"])
        for name, channels in (("x", weight.shape[1]), ("y", len(weight)))
    ]
    constants = [onnx.numpy_helper.from_array(weight, "weight")]
    nodes = [make.make_node("Conv", ["x", "weight"], ["y"], name="y")]
    return make.make_model(make.make_graph(nodes, "one", ends[:1], ends[1:], constants))


def test_the_same_bundle_gives_the_same_bytes_and_stays_as_it_is(bundle: Bundle) -> None:
    before = bundle.data
    assert static_int8_graph(bundle, 4) == static_int8_graph(bundle, 4)
    assert static_int8_graph(bundle, 4) != static_int8_graph(bundle, 5)
    assert bundle.data == before


@pytest.mark.parametrize("frames", [0, -1, MAX_FRAMES + 1])
def test_a_step_of_no_or_too_many_frames_is_the_callers_error(
    shipped_bundle: Bundle, frames: int
) -> None:
    with pytest.raises(InputError, match="an engine steps 1 to 4096 frames, not "):
        static_int8_graph(shipped_bundle, frames)


def open_dimension(graph: Any) -> None:
    graph.input[0].type.tensor_type.shape.dim[1].dim_param = "leads"


def computed_bounds(graph: Any) -> None:
    node = next(node for node in graph.node if node.op_type == "Slice")
    node.input[1] = "ecg"


def no_axes(graph: Any) -> None:
    node = next(node for node in graph.node if node.op_type == "Slice")
    del node.input[3:]


def impossible_shape(graph: Any) -> None:
    set_constant(graph, "head_shape", np.array([0, 3, 7, -1], np.int64))


def trained_weight(graph: Any) -> None:
    weight = constant_of(graph, "head_weight")
    set_constant(graph, "head_weight", (weight * np.float32(0.999) + np.float32(1e-3)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            open_dimension,
            "ecg has the dynamic dimension 'leads': only batch and frames may be left",
        ),
        (computed_bounds, "export"),
        (no_axes, "export"),
        (
            impossible_shape,
            "the model's shapes do not fit together .*head_leads.*: export it again",
        ),
        (trained_weight, "the weights of head are no int8 codes times a scale"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_graph_that_is_not_ours_is_refused_in_a_line(
    tiny_bundle: Bundle, change: Any, says: str
) -> None:
    bad = dataclasses.replace(tiny_bundle, data=spoiled(tiny_bundle.data, change))
    with pytest.raises(EngineBuildError, match=says) as caught:
        static_int8_graph(bad, 1)
    assert "\n" not in str(caught.value)


def test_a_truncated_model_is_refused(shipped_bundle: Bundle) -> None:
    bad = dataclasses.replace(shipped_bundle, data=shipped_bundle.data[:1000])
    with pytest.raises(
        EngineBuildError, match="does not parse as ONNX: it is truncated or no model"
    ):
        static_int8_graph(bad, 1)
