"""What is exported is what was trained: torch = ONNX Runtime = streamed, in both forms."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs torch: install '.[test]'")
pytest.importorskip("onnx", reason="export needs onnx: install '.[test]'")

from edge.bundle import Bundle, read_bundle
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.signal.conditioning import Conditioning
from quantize.errors import QuantizeError
from quantize.export import bundle_from_student
from quantize.student import INPUT_QMAX, INPUT_STEP_MV, Student, StudentConfig
from quantize.verify import BOUNDS, beyond_bounds, verify


def feed(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    ecg = 0.1 * torch.randn(1, 3, 4, frames)  # as loud as an ECG: no code above 127
    mask = torch.ones(1, 3, frames)
    mask[:, 1] = 0
    ecg[:, 1] = 0
    return ecg, mask, 0.5 * torch.randn(1, 5, 3)


def run(
    bundle: Bundle, ecg: torch.Tensor, mask: torch.Tensor, anchor: torch.Tensor
) -> list[np.ndarray]:
    with OnnxRuntimeEngine(bundle) as engine:
        given = mask[:, :, None, :].expand_as(ecg).numpy()
        return list(engine.step(ecg.numpy(), given, anchor[:, :, :, None, None].numpy()))


def both(
    student: Student, ecg: torch.Tensor, mask: torch.Tensor, anchor: torch.Tensor
) -> list[np.ndarray]:
    with torch.no_grad():
        residual, log_sigma = student(ecg, mask, anchor)
    base = torch.einsum("boi,bint->bont", anchor, ecg)
    return [(base + residual)[0].numpy(), log_sigma[0].numpy()]


def test_the_quantised_graph_is_the_student(tiny_student: Student, tiny_bundle: Bundle) -> None:
    given = feed(200)
    for found, expected in zip(run(tiny_bundle, *given), both(tiny_student, *given), strict=True):
        error = np.abs(found - expected)
        assert np.sqrt((error**2).mean()) < 2e-3  # a code may round the other way, seldom


def test_leads_of_any_height_are_the_student(tiny_student: Student, tiny_bundle: Bundle) -> None:
    """Either side of zero, and where the codes end: the two codes of a lead are its one."""
    ecg, mask, anchor = feed(64)
    ecg[0, 0] = torch.linspace(-1.2, 1.2, 256).reshape(64, 4).T * INPUT_QMAX * INPUT_STEP_MV
    given = ecg, mask, 0 * anchor  # what the anchor predicts would be off the scale, too
    for found, expected in zip(run(tiny_bundle, *given), both(tiny_student, *given), strict=True):
        error = np.abs(found - expected)
        assert np.sqrt((error**2).mean()) < 2e-3


def test_the_float32_graph_is_the_student_before_quantisation(
    tiny_student: Student, moments: np.ndarray
) -> None:
    student = copy.deepcopy(tiny_student).set_mode("off")
    bundle = read_bundle(bundle_from_student(student, moments, Conditioning(), float32=True))
    assert {s.dtype for s in bundle.manifest.states} == {"float32"}
    given = feed(200)
    for found, expected in zip(run(bundle, *given), both(student, *given), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_export_is_deterministic(tiny_student: Student, moments: np.ndarray) -> None:
    once, again = (bundle_from_student(tiny_student, moments, Conditioning()) for _ in range(2))
    assert once == again


def test_a_student_without_scales_is_refused(moments: np.ndarray) -> None:
    student = Student(StudentConfig(channels=8, kernel=3, dilations=(1,))).fold()
    with pytest.raises(QuantizeError, match="calibrate the student"):
        bundle_from_student(student, moments, Conditioning())


def test_the_manifest_says_what_the_graph_is(tiny_student: Student, tiny_bundle: Bundle) -> None:
    m, config = tiny_bundle.manifest, tiny_student.config
    assert (m.hop, m.lookahead) == (config.hop, 0)
    assert m.receptive_field == config.receptive_frames * config.hop
    assert [s.shape for s in m.states] == [(1, 2 * d, 16) for d in config.dilations]


def test_verify_holds_on_real_records(tiny_bundle: Bundle, ptbxl_fold10: object) -> None:
    figures = verify(tiny_bundle, ptbxl_fold10.take(3))  # type: ignore[attr-defined]
    assert set(figures) == set(BOUNDS)
    assert beyond_bounds(figures) == []


def test_verify_notices_codes_that_int8_cannot_hold(
    tiny_student: Student, moments: np.ndarray, ptbxl_fold10: object
) -> None:
    student = copy.deepcopy(tiny_student)
    student.stem_out.scale /= 50
    bundle = read_bundle(bundle_from_student(student, moments, Conditioning()))
    figures = verify(bundle, ptbxl_fold10.take(1))  # type: ignore[attr-defined]
    assert any("codes_above_127" in line for line in beyond_bounds(figures))


def test_figures_out_of_bounds_are_named() -> None:
    figures = dict.fromkeys(BOUNDS, 0.0) | {"torch_rmse_uv": float("nan")}
    assert beyond_bounds(figures) == ["torch_rmse_uv is nan, over its bound 2"]
