"""What quantising each tensor costs: the right tensor is taken out, and nothing else is."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="quantize needs torch: install '.[test]'")
onnx = pytest.importorskip("onnx", reason="quantize needs onnx: install '.[test]'")

from onnx import numpy_helper

from benchmarks.fidelity.command import lead_scores
from benchmarks.fidelity.methods import Method, predict
from benchmarks.latency.engine_step import float32_bundle
from edge.bundle import Bundle
from edge.leads import RECONSTRUCTED_LEADS
from quantize.__main__ import main
from quantize.data import Records
from quantize.errors import QuantizeError
from quantize.export import graph_from_student
from quantize.sensitivity import (
    ALL_ACTIVATIONS,
    Quantised,
    _Scorer,
    moved_weights,
    quantised_tensors,
    sensitivity,
    weights_of,
    without,
)
from quantize.student import INPUT_STEP_MV
from tests.benchmarks.synthetic import simulated_records

if TYPE_CHECKING:
    from quantize.student import Student

BLOCKS = 3  # of the tiny bundle


@pytest.fixture(scope="module")
def records() -> Records:
    return simulated_records(2)


def tensors_of(bundle: Bundle) -> dict[str, Quantised]:
    return {t.name: t for t in quantised_tensors(onnx.load_from_string(bundle.data))}


def test_every_quantised_tensor_is_found(tiny_bundle: Bundle) -> None:
    found = tensors_of(tiny_bundle)
    inside = ("inner", "branch", "out")
    activations = ["seen", "stem_out", *(f"block_{i}_{n}" for i in range(BLOCKS) for n in inside)]
    weights = ["stem", *(f"block_{i}_{n}" for i in range(BLOCKS) for n in ("dilated", "pointwise"))]
    assert {n for n, t in found.items() if t.kind == "activation"} == {
        f"{name}_codes" for name in activations
    }
    assert {n for n, t in found.items() if t.kind == "weight"} == {
        f"{name}_weight" for name in (*weights, "head")
    }
    assert found["seen_codes"].step == INPUT_STEP_MV


def test_one_pair_goes_and_its_state_with_it(tiny_bundle: Bundle) -> None:
    model = onnx.load_from_string(tiny_bundle.data)
    tensor = tensors_of(tiny_bundle)["stem_out_codes"]
    variant = without(model, tensor, {})
    onnx.checker.check_model(variant, full_check=True)
    before, after = (
        {n.output[0] for n in m.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")}
        for m in (model, variant)
    )
    assert before - after == {"stem_out_codes", "block_0_in", "block_0_skip"}
    assert after < before
    for values in (variant.graph.input, variant.graph.output):
        types = [v.type.tensor_type.elem_type for v in values if v.name.startswith("state_")]
        assert types == [onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8, onnx.TensorProto.UINT8]
    assert model.SerializeToString() == onnx.load_from_string(tiny_bundle.data).SerializeToString()


def test_without_any_pair_it_is_the_float32_twin(tiny_bundle: Bundle, records: Records) -> None:
    model = onnx.load_from_string(tiny_bundle.data)
    for tensor in tensors_of(tiny_bundle).values():
        if tensor.kind == "activation":
            model = without(model, tensor, {})
    scorer = _Scorer(tiny_bundle, records)
    bare, twin = (
        scorer.outputs(m) for m in (model, onnx.load_from_string(float32_bundle(tiny_bundle).data))
    )
    np.testing.assert_allclose(bare, twin, atol=1e-5)
    assert np.abs(bare - scorer.outputs(onnx.load_from_string(tiny_bundle.data))).max() > 1e-3


def test_a_weight_at_its_codes_changes_nothing(tiny_bundle: Bundle, records: Records) -> None:
    model = onnx.load_from_string(tiny_bundle.data)
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    tensor = tensors_of(tiny_bundle)["block_1_dilated_weight"]
    codes, scale = (constants[f"{tensor.name}_{part}"] for part in ("codes", "scale"))
    weights = {tensor.name: codes * scale.reshape(-1, 1, 1, 1)}
    scorer = _Scorer(tiny_bundle, records)
    same, moved = (
        scorer.outputs(without(model, tensor, w)) for w in (weights, moved_weights(model))
    )
    expected = scorer.outputs(model)
    np.testing.assert_array_equal(same, expected)
    assert np.abs(moved - expected).max() > 1e-4


def test_a_moved_weight_still_rounds_to_its_codes(tiny_bundle: Bundle) -> None:
    model = onnx.load_from_string(tiny_bundle.data)
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    moved = moved_weights(model)
    for name, value in moved.items():
        if name != "head_weight":
            steps = value / constants[f"{name}_scale"].reshape(-1, 1, 1, 1)
            off = np.abs(steps - constants[f"{name}_codes"])
            assert 0.4 < off.max() < 0.5001
    assert np.array_equal(moved["head_weight"], moved_weights(model)["head_weight"])


def test_the_weights_before_rounding_are_those_of_the_run(
    tiny_bundle: Bundle, tiny_student: Student
) -> None:
    weights = weights_of(tiny_bundle, tiny_student)
    stem = tiny_student.stem.conv.weight.detach().numpy()
    assert np.isin(stem.ravel(), weights["stem_weight"].ravel()).all()
    other = copy.deepcopy(tiny_student)
    other.stem.conv.weight.data *= 1.1
    with pytest.raises(QuantizeError, match="not what this run rounds to"):
        weights_of(tiny_bundle, other)


def test_it_scores_as_the_benchmark_does(tiny_bundle: Bundle, records: Records) -> None:
    costs = sensitivity(tiny_bundle, records, say=lambda _: None)
    made = predict(Method("INT8", "", tiny_bundle, "onnxruntime"), records, hop_by_hop=False)
    scores = lead_scores(made, records, None)
    n = len(RECONSTRUCTED_LEADS)
    assert costs[0].r == pytest.approx(scores["r"][:, :n].mean(), abs=1e-4)
    assert costs[0].rmse_uv == pytest.approx(scores["rmse_uv"][:, :n].mean(), abs=0.05)
    assert [c.name for c in costs[1:-1]] == [
        name.removesuffix("_codes") for name in tensors_of(tiny_bundle)
    ]
    assert costs[-1].name == ALL_ACTIVATIONS
    assert all(c.moved_uv > 0 for c in costs[1:])
    assert costs[1].r_change == pytest.approx(costs[1].r - costs[0].r)


def test_a_coarser_step_costs_more(tiny_bundle: Bundle, records: Records) -> None:
    model = onnx.load_from_string(tiny_bundle.data)
    for constant in model.graph.initializer:
        if constant.name == "seen_scale":
            scale = np.float32(16) * numpy_helper.to_array(constant)
            constant.CopyFrom(numpy_helper.from_array(scale, "seen_scale"))
    coarse = dataclasses.replace(tiny_bundle, data=model.SerializeToString())
    fine_cost, coarse_cost = (
        next(c for c in sensitivity(b, records, say=lambda _: None) if c.name == "seen")
        for b in (tiny_bundle, coarse)
    )
    assert coarse_cost.step == pytest.approx(16 * fine_cost.step)
    assert coarse_cost.moved_uv > 4 * fine_cost.moved_uv


def test_a_float32_bundle_is_refused(
    tiny_student: Student, tiny_bundle: Bundle, records: Records
) -> None:
    graph, states = graph_from_student(tiny_student, float32=True)
    bundle = Bundle(graph, dataclasses.replace(tiny_bundle.manifest, states=states))
    with pytest.raises(QuantizeError, match="not quantised"):
        sensitivity(bundle, records)


def test_the_command_writes_what_it_prints(
    ptbxl_fold10: Records, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, report = tmp_path / "tiny.onnx", tmp_path / "costs.json"
    model.write_bytes(tiny_bundle.data)
    given = ["sensitivity", "--model", str(model), "--records", "2", "--json", str(report)]
    assert main(given) == 0
    said = json.loads(report.read_text())
    assert said["bundle_sha256"] == tiny_bundle.sha256
    assert said["records"] == 2
    table = capsys.readouterr().out.split("INT8 bundle, 2 records")[1].splitlines()[1:]
    assert len(table) == len(said["costs"]) - 1
    assert {row.split(" weight")[0].split(" activation")[0].strip() for row in table} >= {"seen"}
