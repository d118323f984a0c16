"""Offline methods: what the teachers predict, taken through the same score; absent weights are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="teachers need torch: install '.[test]'")
pytest.importorskip("safetensors", reason="weights need safetensors: install '.[test]'")

from benchmarks.fidelity.methods import Method, linear_predictions, predict
from benchmarks.fidelity.offline_methods import offline_methods
from edge.bundle import load_bundle
from edge.leads import INPUT_LEADS, LEADS, RECONSTRUCTED_LEADS, lead_indices
from quantize.teacher import Member, Teacher, TeacherConfig, save_teacher
from quantize.vae import VaeConfig, WearEcgVae
from quantize.vae_train import load_vae, save_vae
from quantize.vae_train import predict as decode
from tests.benchmarks.synthetic import simulated_records

BUNDLE = load_bundle()
INPUTS, OUTPUTS = lead_indices(INPUT_LEADS), lead_indices(RECONSTRUCTED_LEADS)


def untrained_teacher(file: Path, bias_mv: float = 0.0) -> None:
    members = [Member(TeacherConfig(channels=8, dilations=(1,))) for _ in range(2)]
    for member in members:
        torch.nn.init.constant_(member.residual_head.bias, bias_mv)
    save_teacher(file, Teacher(members), {})


def test_an_untrained_teacher_is_the_linear_map_and_its_residual_is_added(tmp_path: Path) -> None:
    records, file = simulated_records(2), tmp_path / "teacher.safetensors"
    streamed = predict(Method("INT8", "", BUNDLE, "onnxruntime"), records, hop_by_hop=False)
    linear = linear_predictions(BUNDLE, streamed)
    for bias_mv in (0.0, 0.5):
        untrained_teacher(file, bias_mv)
        (method,), _ = offline_methods(file, tmp_path / "none", tmp_path / "none")
        made = method.predict(BUNDLE, streamed, records)
        assert made.ecg_mv[:, INPUTS] == pytest.approx(streamed.ecg_mv[:, INPUTS])
        expected = linear.ecg_mv[:, OUTPUTS] + bias_mv
        np.testing.assert_allclose(made.ecg_mv[:, OUTPUTS], expected, atol=1e-3)
        i, ii, iii = made.ecg_mv[0, :3]
        np.testing.assert_allclose(iii, ii - i, atol=1e-5)
        assert method.has_sigma
        np.testing.assert_allclose(made.sigma_mv, np.exp(-2.3), rtol=1e-2)


def test_of_the_vae_the_decoded_leads_count_and_the_measured_stay(tmp_path: Path) -> None:
    records, file = simulated_records(1), tmp_path / "vae.safetensors"
    torch.manual_seed(0)
    vae = WearEcgVae(VaeConfig(width=4))
    save_vae(file, vae, {})
    (method,), _ = offline_methods(tmp_path / "none", file, tmp_path / "none")
    streamed = predict(Method("INT8", "", BUNDLE, "onnxruntime"), records, hop_by_hop=False)
    made = method.predict(BUNDLE, streamed, records)
    assert (made.ecg_mv[:, INPUTS] == streamed.ecg_mv[:, INPUTS]).all()
    expected = decode(load_vae(file)[0], records)[:, OUTPUTS]
    np.testing.assert_allclose(made.ecg_mv[:, OUTPUTS], expected, atol=1e-5)
    assert made.ecg_mv.shape[1] == len(LEADS)
    assert not method.has_sigma


def test_weights_that_are_not_here_are_named(tmp_path: Path) -> None:
    methods, skipped = offline_methods(*(tmp_path / f"{name}.safetensors" for name in "abc"))
    assert methods == ()
    assert skipped["teacher"] == "skipped: its weights a.safetensors are not here"
    assert "b.safetensors" in skipped["WearECG VAE"]
    assert "c.safetensors" in skipped["L2G-ECG AAE"]
