"""Fidelity: from records to the report, on simulated records and on the first real ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.fidelity.command import (
    TARGETS,
    evaluate,
    fidelity_card,
    interval_of,
    lead_scores,
    summaries,
)
from benchmarks.fidelity.intervals import Interval
from benchmarks.fidelity.methods import (
    LINEAR,
    PATIENT_LINEAR,
    Predictions,
    calibrated_name,
    methods,
    truth_mv,
)
from benchmarks.fidelity.scores import COVERAGE, METRICS
from benchmarks.fidelity.tables import NOT_MEASURED, arms_of, tables
from edge.bundle import Bundle, load_bundle
from edge.leads import INPUT_LEADS, LEADS
from quantize.data import Records, data_folder
from quantize.errors import QuantizeError
from tests.benchmarks.synthetic import simulated_records


def predictions_off_by(records: Records, noise_mv: float, sigma_mv: float) -> Predictions:
    truth = truth_mv(records, records.ecg_uv.shape[-1])
    rng = np.random.default_rng(3)
    noise = rng.normal(0, noise_mv, truth.shape) if noise_mv else np.zeros_like(truth)
    sigma = np.full((len(records), 5, truth.shape[-1]), sigma_mv, np.float32)
    ecg, n = (truth + noise).astype(np.float32), len(records)
    return Predictions(ecg, sigma, np.zeros(n), np.zeros(n, bool))


def score(made: Predictions, records: Records, k: Interval | None) -> dict[str, Any]:
    return summaries(lead_scores(made, records, k), made, records, k)


def test_the_truth_scores_perfectly() -> None:
    records = simulated_records(2)
    found = score(predictions_off_by(records, 0.0, 1.0), records, Interval(1.0, np.ones(5)))
    for lead in NOT_MEASURED:
        assert found["by_lead"][lead]["r"]["mean"] == pytest.approx(1)
        assert found["by_lead"][lead]["rmse_uv"]["mean"] == pytest.approx(0, abs=1e-6)
    assert found["interval"]["covered"] == 1
    assert found["nine_leads"]["mse_mv2"] == pytest.approx(0, abs=1e-12)


def test_white_noise_scores_as_its_size_and_is_covered_as_its_sigma() -> None:
    records = simulated_records(3)
    made = predictions_off_by(records, 0.05, 0.05)
    k = interval_of(made, records)
    assert k.k == pytest.approx(1.645, abs=0.03)
    found = score(made, records, k)
    assert found["headline"]["rmse_uv"]["mean"] == pytest.approx(50, rel=0.05)
    assert found["nine_leads"]["mse_mv2"] == pytest.approx(0.05**2, rel=0.1)
    assert found["interval"]["covered"] == pytest.approx(COVERAGE, abs=1e-3)


def test_measured_leads_are_in_no_average() -> None:
    records = simulated_records(1)
    made = predictions_off_by(records, 0.0, 1.0)
    made.ecg_mv[:, [LEADS.index(lead) for lead in INPUT_LEADS]] = 99.0
    found = score(made, records, None)
    assert found["headline"]["r"]["mean"] == found["derived"]["r"]["mean"] == pytest.approx(1)
    assert not set(INPUT_LEADS) & set(found["by_lead"])
    assert found["interval"] is None


def test_derived_leads_stand_apart() -> None:
    records = simulated_records(1)
    made = predictions_off_by(records, 0.0, 1.0)
    made.ecg_mv[:, 2:6] *= -1
    found = score(made, records, None)
    assert found["headline"]["r"]["mean"] == pytest.approx(1)
    assert found["derived"]["r"]["mean"] == pytest.approx(-1)


def test_every_arm_on_every_domain(tmp_path: Path) -> None:
    records = {name: simulated_records(2, name=name) for name in ("validation", "test")}
    compared = methods(load_bundle(), ["onnxruntime"])
    table = tmp_path / "scores"
    results = evaluate(
        compared, records, hop_by_hop=False, folder=tmp_path / "cache", scores_folder=table
    )
    assert len(list((tmp_path / "cache").iterdir())) == 2 * len(compared)
    assert results == evaluate(compared, records, hop_by_hop=False, folder=tmp_path / "cache")
    for domain in results.values():
        assert arms_of(domain) == [
            *(LINEAR, PATIENT_LINEAR, "INT8 onnxruntime"),
            *(calibrated_name("onnxruntime"), "float32 twin"),
        ]
        assert set(domain["shipped"]["headline"]) == set(METRICS)
        assert domain[LINEAR]["interval"] is None
        assert domain["shipped"]["interval"]["k"] > 0
        assert domain["calibrated"] is domain[calibrated_name("onnxruntime")]
        assert (
            domain["calibrated"]["headline"]["rmse_uv"]["mean"]
            < (domain["shipped"]["headline"]["rmse_uv"]["mean"])
        )
        for name in ("r", "rmse_uv"):
            difference = (
                domain["float32 twin"]["headline"][name]["mean"]
                - domain["INT8 onnxruntime"]["headline"][name]["mean"]
            )
            assert domain["float32_minus_shipped"][name]["mean"] == pytest.approx(difference)
    with (table / "test-INT8-onnxruntime.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * len(NOT_MEASURED)
    v3 = np.mean([float(row["r"]) for row in rows if row["lead"] == "V3"])
    assert v3 == pytest.approx(results["test"]["shipped"]["by_lead"]["V3"]["r"]["mean"], abs=1e-5)
    judged = [target.judge(results) for target in TARGETS]
    elsewhere = ("cpsc_ptb", "mobile")
    assert all((row["measured"] is None) == row["figure"].startswith(elsewhere) for row in judged)
    assert set(fidelity_card(results)["test"]) == {LINEAR, "shipped", "calibrated"}
    headline, differences, leads, amplitude, sharpness, intervals = tables(results)
    assert len(sharpness.rows) == 10
    assert len(differences.rows) == 8  # all but the shipped one
    assert len(headline.rows) == len(leads.rows) == len(amplitude.rows) == 10
    assert len(intervals.rows) == 6
    assert {len(row) for row in intervals.rows} == {len(intervals.columns)}
    assert {len(row) for row in headline.rows} == {len(headline.columns)}


def test_without_fold_9_there_is_no_factor() -> None:
    compared = methods(load_bundle(), ["onnxruntime"])
    results = evaluate(compared, {"test": simulated_records(1)}, hop_by_hop=False)
    assert results["test"]["shipped"]["interval"] is None


def test_a_model_of_three_leads_is_measured_as_well(tiny_bundle: Bundle) -> None:
    compared = methods(tiny_bundle, ["onnxruntime"], leads_off=True)
    results = evaluate(
        compared, {"validation": simulated_records(1, name="validation")}, hop_by_hop=False
    )
    shipped = results["validation"]["shipped"]
    assert set(shipped["by_lead"]) == set(NOT_MEASURED)
    assert shipped["interval"]["covered"] == pytest.approx(COVERAGE, abs=1e-2)


def test_the_command_on_real_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        data_folder()
    except QuantizeError as error:
        pytest.skip(f"no recordings: set LEADLIFT_DATA ({error})")
    out = tmp_path / "fidelity.json"
    options = ["--limit", "2", "--whole", "--json", str(out), "--cache", str(tmp_path / "cache")]
    also = tmp_path / "another.onnx"
    also.write_bytes(load_bundle().data)
    options += ["--also", str(also)]
    assert main(["fidelity", "--domains", "validation", "test", *options]) == 0
    report = json.loads(out.read_text())
    assert report["protocol"]["feed"] == "whole records"
    assert {"teacher", "WearECG VAE", "another"} <= set(report["results"]["test"])
    assert report["results"]["test"]["against_shipped"]["another"]["r"]["mean"] == 0
    assert report["protocol"]["records_per_domain"] == {"validation": 2, "test": 2}
    # A linear map of real leads: neither noise nor, as of a dipole, near exact.
    assert 0.3 < report["results"]["test"][LINEAR]["headline"]["r"]["mean"] < 0.99
    assert report["environment"]["bundle_sha256"] == load_bundle().sha256
    assert set(report["card"]["scores"]) == {"validation", "test"}
    assert "| test" in capsys.readouterr().out
