"""One set of weights and scales in other number types: the same integers, or the same floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine, open_session
from edge.engines.torch_engine import TorchEngine
from tests.edge.engines.given import int8_bundle, run, simulated

if TYPE_CHECKING:
    from quantize.student import Student

onnx = pytest.importorskip("onnx", reason="graphs are rewritten with onnx: install '.[test]'")

from edge.engines.graph_rewrites import float32_graph, int8_graph, rewritten_states


@pytest.fixture(params=["tiny_bundle", "shipped_bundle"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    found: Bundle = request.getfixturevalue(request.param)
    return found


def test_int8_and_uint8_hold_the_same_integers(bundle: Bundle) -> None:
    """In torch, whose sums are exact: ONNX Runtime leaves convolutions of int8 in float32."""
    pytest.importorskip("torch", reason="exact sums need torch: install '.[test]'")
    given = simulated(bundle.manifest, 250)
    unsigned, signed = TorchEngine(bundle), TorchEngine(int8_bundle(bundle))
    expected, sigma = run(unsigned, given)
    ecg_mv, log_sigma = run(signed, given)
    for name, codes in unsigned.state().items():
        assert codes.max() <= 127
        other = signed.state()[name]
        assert other.dtype == np.int8
        assert np.array_equal(codes.transpose(0, 3, 1, 2), other)  # channels first
    assert np.array_equal(ecg_mv, expected) and np.array_equal(log_sigma, sigma)


def test_int8_changes_types_and_layout_alone(bundle: Bundle) -> None:
    model = onnx.load_from_string(bundle.data)
    before, after = model.graph, int8_graph(model).graph
    kept = [n.op_type for n in before.node if n.op_type not in ("Transpose", "Clip")]
    kept.insert(kept.index("QuantizeLinear"), "Add")  # of leads: less 128
    assert kept == [n.op_type for n in after.node]
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in before.initializer}
    for constant in after.initializer:
        assert constant.data_type != onnx.TensorProto.UINT8
        if not constant.name.endswith(("_axis", "_offset")):
            value = onnx.numpy_helper.to_array(constant)
            assert np.array_equal(value.astype(float), constants[constant.name].astype(float))
    assert [v.name for v in after.input] == [v.name for v in before.input]
    assert [v.name for v in after.output] == [v.name for v in before.output]
    for value in [*after.input, *after.output]:
        assert value.type.tensor_type.elem_type != onnx.TensorProto.UINT8
    onnx.checker.check_model(int8_graph(model), full_check=True)


def test_rewrites_are_deterministic_and_leave_the_original_alone(bundle: Bundle) -> None:
    model = onnx.load_from_string(bundle.data)
    before = model.SerializeToString(deterministic=True)
    for rewrite in (int8_graph, float32_graph):
        one, other = (
            rewrite(onnx.load_from_string(bundle.data)).SerializeToString(deterministic=True)
            for _ in range(2)
        )
        assert one == other
        assert rewrite(model).SerializeToString(deterministic=True) == one
        assert not rewrite(model).metadata_props  # no longer the bundle that was signed
    assert model.SerializeToString(deterministic=True) == before


def test_the_float32_twin_has_no_quantisers(bundle: Bundle) -> None:
    twin = float32_graph(onnx.load_from_string(bundle.data))
    onnx.checker.check_model(twin, full_check=True)
    assert not {"QuantizeLinear", "DequantizeLinear"} & {n.op_type for n in twin.graph.node}
    written = onnx.load_from_string(bundle.data).graph
    assert [v.name for v in twin.graph.input] == [v.name for v in written.input]
    assert [v.name for v in twin.graph.output] == [v.name for v in written.output]


def test_the_float32_twin_is_the_student_without_its_quantisers(
    tiny_bundle: Bundle, tiny_student: Student
) -> None:
    import torch

    ecg, mask, anchor = simulated(tiny_bundle.manifest, 200)
    twin = float32_graph(onnx.load_from_string(tiny_bundle.data))
    session = open_session(twin.SerializeToString(), quantised=False)
    states = {
        s.input: np.zeros((1, *s.shape), np.float32)
        for s in rewritten_states(tiny_bundle.manifest.states, "float32")
    }
    ecg_mv, log_sigma = session.run(
        ["ecg_mv", "log_sigma"], {"ecg": ecg, "mask": mask, "anchor": anchor, **states}
    )
    activations = [(quantizer, quantizer.mode) for quantizer in tiny_student.quantizers()]
    try:
        for quantizer, _ in activations:
            quantizer.mode = "off"  # the weights stay rounded, as they are in the twin
        with torch.no_grad():
            residual, sigma = tiny_student(
                torch.from_numpy(ecg),
                torch.from_numpy(mask[:, :, 0]),
                torch.from_numpy(anchor[..., 0, 0].copy()),
            )
    finally:
        for quantizer, mode in activations:
            quantizer.mode = mode
    predicted = np.einsum("boi,bint->bont", anchor[..., 0, 0], ecg)
    np.testing.assert_allclose(ecg_mv, predicted + residual.numpy(), atol=1e-4)
    np.testing.assert_allclose(log_sigma, sigma.numpy(), atol=1e-4)
    assert np.abs(residual.numpy()).max() > 0.01  # else the test would say nothing


def test_the_quantised_graph_is_the_student_in_quantised_mode(
    tiny_bundle: Bundle, tiny_student: Student
) -> None:
    import torch

    ecg, mask, anchor = simulated(tiny_bundle.manifest, 200)
    ecg_mv, _ = run(OnnxRuntimeEngine(tiny_bundle), (ecg, mask, anchor))
    with torch.no_grad():
        residual, _ = tiny_student(
            torch.from_numpy(ecg),
            torch.from_numpy(mask[:, :, 0]),
            torch.from_numpy(anchor[..., 0, 0].copy()),
        )
    predicted = np.einsum("boi,bint->bont", anchor[..., 0, 0], ecg)[0]
    error = ecg_mv - predicted - residual.numpy()[0]
    assert np.sqrt(np.mean(np.square(error))) < 0.002
