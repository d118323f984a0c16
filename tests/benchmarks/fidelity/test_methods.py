"""Predictions: streamed, cached, and the linear map that follows from them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import edge
from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.methods import (
    CALIBRATION_S,
    LINEAR,
    Method,
    cache_key,
    calibrated_name,
    linear_predictions,
    methods,
    patient_linear_predictions,
    predict,
    truth_mv,
)
from benchmarks.latency.engine_step import float32_bundle
from edge.bundle import load_bundle
from edge.calibrate.fit import calibrate
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, LEADS, RECONSTRUCTED_LEADS, lead_indices
from edge.signal.anchor import anchor_from_moments
from tests.benchmarks.synthetic import simulated_records

BUNDLE = load_bundle()
METHOD = Method("INT8", "", BUNDLE, "onnxruntime")
CALIBRATED = dataclasses.replace(METHOD, calibration_s=CALIBRATION_S)


def test_hop_by_hop_is_the_whole_record_is_edge_reconstruct() -> None:
    records = simulated_records(2)
    hops, whole = (predict(METHOD, records, hop_by_hop=h) for h in (True, False))
    assert np.abs(hops.ecg_mv - whole.ecg_mv).max() <= 1e-5
    assert hops.sigma_mv == pytest.approx(whole.sigma_mv, rel=1e-5, abs=1e-5)
    for record, streamed in zip(records.millivolts(INPUT_LEADS), hops.ecg_mv, strict=True):
        assert np.abs(edge.reconstruct(record) - streamed).max() <= 1e-5


def test_records_do_not_know_each_other() -> None:
    records = simulated_records(3)
    alone = dataclasses.replace(records, ecg_uv=records.ecg_uv[2:])
    assert (predict(METHOD, alone).ecg_mv[0] == predict(METHOD, records).ecg_mv[2]).all()


def test_the_linear_map_is_the_anchor_on_the_conditioned_leads() -> None:
    made = predict(METHOD, simulated_records(1))
    linear = linear_predictions(BUNDLE, made)
    inputs, outputs = lead_indices(INPUT_LEADS), lead_indices(RECONSTRUCTED_LEADS)
    assert (linear.ecg_mv[0, inputs] == made.ecg_mv[0, inputs]).all()
    anchor = anchor_from_moments(BUNDLE.manifest.moments, INPUT_LEADS, RECONSTRUCTED_LEADS)
    expected = anchor @ made.ecg_mv[0, inputs]
    assert linear.ecg_mv[0, outputs] == pytest.approx(expected, abs=1e-5)
    i, ii, iii = linear.ecg_mv[0, :3]
    assert iii == pytest.approx(ii - i, abs=1e-6)


def test_the_truth_has_twelve_leads_that_obey_the_identities() -> None:
    records = simulated_records(1)
    truth = truth_mv(records, 1000)
    assert truth.shape == (1, 12, 1000)
    named = dict(zip(LEADS, truth[0], strict=True))
    assert named["V3"] == pytest.approx(records.ecg_uv[0, 4, :1000] / 1000)
    assert named["III"] == pytest.approx(named["II"] - named["I"], abs=1e-5)
    assert named["aVR"] == pytest.approx(-(named["I"] + named["II"]) / 2, abs=1e-5)


def test_what_the_reconstructor_refuses_scores_as_a_flat_line() -> None:
    records = simulated_records(1)
    records.ecg_uv[:] = 0  # every input is flat: off
    made = predict(METHOD, records)
    assert 0 < made.missing[0] <= 1
    assert np.isfinite(made.ecg_mv).all() and np.isfinite(made.sigma_mv).all()


def test_predictions_are_kept_and_taken_again(tmp_path: Path) -> None:
    records = simulated_records(1)
    advanced: list[None] = []
    made = predict(METHOD, records, folder=tmp_path, advance=lambda: advanced.append(None))
    (file,) = tmp_path.iterdir()
    assert file.name == f"{cache_key(METHOD, records, True)}.npz"
    marked = dataclasses.replace(made, ecg_mv=made.ecg_mv + 1)
    np.savez(file, **vars(marked))
    again = predict(METHOD, records, folder=tmp_path, advance=lambda: advanced.append(None))
    assert (again.ecg_mv == marked.ecg_mv).all()
    assert len(advanced) == 2


def test_the_key_tells_apart_all_that_matters() -> None:
    records = simulated_records(2)
    twin = Method("float32 twin", "", float32_bundle(BUNDLE), "onnxruntime")
    other = Method("torch", "", BUNDLE, "torch")
    keys = {
        cache_key(METHOD, records, True),
        cache_key(METHOD, records, False),
        cache_key(METHOD, records.take(1), True),
        cache_key(twin, records, True),
        cache_key(other, records, True),
        cache_key(CALIBRATED, records, True),
    }
    assert len(keys) == 6


def test_the_arms_say_what_they_are(tmp_path: Path) -> None:
    named = {method.name: method for method in methods(BUNDLE, ["onnxruntime", "torch"])}
    assert list(named) == [
        *("INT8 onnxruntime", "INT8 torch"),
        *(calibrated_name("onnxruntime"), "float32 twin"),
    ]
    assert named["float32 twin"].what.startswith("INT8 weights in float32 arithmetic")
    assert LINEAR not in named
    file = tmp_path / "float32.onnx"
    file.write_bytes(float32_bundle(BUNDLE).data)
    assert [method.name for method in methods(BUNDLE, ["onnxruntime"], file)][-1] == "float32"


def test_a_quantised_bundle_is_no_float32_student(tmp_path: Path) -> None:
    file = tmp_path / "int8.onnx"
    file.write_bytes(BUNDLE.data)
    with pytest.raises(BenchmarkError, match="is quantised"):
        methods(BUNDLE, ["onnxruntime"], file)


def test_records_of_another_rate_are_refused() -> None:
    records = dataclasses.replace(simulated_records(1), sampling_hz=500.0)
    with pytest.raises(BenchmarkError, match="500 Hz"):
        predict(METHOD, records)


def test_a_calibrated_arm_is_a_calibration_of_the_records_own_beginning() -> None:
    records = simulated_records(2)
    made = predict(CALIBRATED, records)
    assert not made.refused.any()
    with edge.Reconstructor.open(BUNDLE, "onnxruntime") as r:
        own = calibrate(r, records.millivolts()[1, :, :500], 250.0, INDEPENDENT_LEADS)
    expected = edge.reconstruct(records.millivolts(INPUT_LEADS)[1], patient=own)
    assert np.abs(made.ecg_mv[1] - expected).max() <= 1e-5
    again = predict(CALIBRATED, dataclasses.replace(records, ecg_uv=records.ecg_uv[1:]))
    assert (again.ecg_mv[0] == made.ecg_mv[1]).all()


def test_a_refused_reference_leaves_the_record_uncalibrated() -> None:
    records = simulated_records(2)
    records.ecg_uv[0, 4, :500] = 0  # V3 off while the reference is taken
    made, plain = predict(CALIBRATED, records), predict(METHOD, records)
    assert made.refused.tolist() == [True, False]
    assert (made.ecg_mv[0] == plain.ecg_mv[0]).all()


def test_a_patients_linear_map_fits_its_own_reference() -> None:
    records = simulated_records(2)
    made = predict(METHOD, records)
    own = patient_linear_predictions(BUNDLE, made, records)
    truth = truth_mv(records, made.ecg_mv.shape[-1])
    outputs = lead_indices(RECONSTRUCTED_LEADS)

    def left(ecg_mv: np.ndarray) -> float:
        return float((ecg_mv - truth)[:, outputs, 500:].std(-1).mean())

    assert left(own.ecg_mv) < 0.9 * left(linear_predictions(BUNDLE, made).ecg_mv)


def test_leads_that_are_off_are_never_shown_as_measured_and_sigma_grows() -> None:
    records = simulated_records(2)
    every = methods(BUNDLE, ["onnxruntime"], leads_off=True)
    off = {method.off: method for method in every if method.off}
    assert set(off) == {
        *(("II",), ("V1",), ("V5",)),
        *(("II", "V1"), ("II", "V5"), ("V1", "V5")),
    }
    all_on = predict(METHOD, records)
    assert not all_on.missing.any()
    sigmas = []
    for leads, method in off.items():
        made = predict(method, records)
        assert not made.ecg_mv[:, lead_indices(leads), 250:].any()  # NaN, which scores as flat
        assert made.ecg_mv[:, lead_indices(RECONSTRUCTED_LEADS)].any(-1).all()
        sigmas.append(made.sigma_mv.mean())
    # One pair of leads may tell as much of a simulated heart as three.
    assert np.median(sigmas) > 1.1 * all_on.sigma_mv.mean()
    assert len({cache_key(method, records, True) for method in every}) == len(every)
