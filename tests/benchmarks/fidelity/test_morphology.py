"""Morphology: levels are read where they are, errors and shares counted, and a run goes on where it ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("neurokit2", reason="morphology needs neurokit2: install '.[test]'")

from benchmarks.__main__ import main
from benchmarks.fidelity.fiducials import Fiducials
from benchmarks.fidelity.methods import LINEAR, Predictions, truth_mv
from benchmarks.fidelity.morphology import (
    LEVELS,
    SHIPPED,
    TIMES,
    TRUTH,
    levels,
    measured,
    mutual_information,
)
from benchmarks.fidelity.morphology_report import (
    TARGETS,
    bland_altman,
    by_record,
    slope,
    summaries,
)
from benchmarks.fidelity.scores import Bootstrap
from edge.leads import LEADS, RECONSTRUCTED_LEADS
from quantize.data import Records
from tests.benchmarks.synthetic import simulated_records

BEATS = Fiducials(np.array([100, 300, 500]), onset=-10, j=10, t_end=75)
N = 700


def drawn(st_mv: float = 0.1, r_mv: float = 1.0, t_mv: float = 0.4, late: int = 0) -> np.ndarray:
    """(1, N) mV: rectangles where BEATS says, on a level of 0.2 mV."""
    ecg = np.full(N, 0.2)
    for r in BEATS.r:
        ecg[r + late] += r_mv
        ecg[r + 5] -= 0.3
        ecg[r + 11 : r + 40] += st_mv
        ecg[r + 50] += t_mv
    return ecg[None]


def perfect(records: Records) -> Predictions:
    truth, n = truth_mv(records, records.ecg_uv.shape[-1]), len(records)
    sigma = np.ones((n, 5, truth.shape[-1]), np.float32)
    return Predictions(truth, sigma, np.zeros(n), np.zeros(n, bool))


def test_levels_are_read_above_the_level_before_the_qrs() -> None:
    found, t_at = levels(drawn(), BEATS, 250.0)
    shown = {name: values[:, 0].round(6).tolist() for name, values in found.items()}
    assert shown == {
        "st60_uv": [100.0] * 3,
        "st80_uv": [100.0] * 3,
        "r_uv": [1000.0] * 3,
        "s_uv": [-300.0] * 3,
        "t_uv": [400.0] * 3,
        "peak_ms": [0.0] * 3,
    }
    assert t_at.tolist() == [[150, 350, 550]]


@pytest.mark.parametrize(
    ("name", "changed", "expected"),
    [
        ("st60_uv", {"st_mv": 0.22}, 220),
        ("st80_uv", {"st_mv": -0.1}, -100),
        ("r_uv", {"r_mv": 0.6}, 600),
        ("t_uv", {"t_mv": -0.15}, -150),
        ("peak_ms", {"late": 2}, 8),
    ],
)
def test_each_level_follows_its_own_wave(name: str, changed: Any, expected: float) -> None:
    _, t_at = levels(drawn(), BEATS, 250.0)
    found, _ = levels(drawn(**changed), BEATS, 250.0, t_at)
    assert found[name][:, 0] == pytest.approx([expected] * 3)


def test_t_is_read_where_the_true_peak_is() -> None:
    ecg = drawn(t_mv=0.0)
    ecg[0, BEATS.r + 60] += 2.0  # a larger one elsewhere
    found, _ = levels(ecg, BEATS, 250.0, np.array([BEATS.r + 50]))
    assert found["t_uv"][:, 0] == pytest.approx([0.0] * 3)


def test_without_a_t_wave_there_is_no_t() -> None:
    found, _ = levels(drawn(), Fiducials(BEATS.r, -10, 10, 10), 250.0)
    assert np.isnan(found["t_uv"]).all()
    assert np.isfinite(found["st80_uv"]).all()


def test_mutual_information_of_gaussians() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2, 4000))
    rho = np.array([[0.0], [0.9]])
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=x.shape)
    assert mutual_information(x, y) == pytest.approx([0, -0.5 * np.log2(1 - 0.81)], abs=0.08)


def test_the_truth_has_no_error() -> None:
    records = simulated_records(3)
    found = measured({SHIPPED: perfect(records)}, records)
    assert set(found.beats[TRUTH]) == {*LEVELS, *TIMES}
    of = summaries(found, records)
    assert of["n_beats"] >= 3 * 6
    assert of["records_without_beats"] == 0
    for name in (*LEVELS, *TIMES, "mse_mv2", "mae_mv"):
        assert of[SHIPPED][name]["mean"] == pytest.approx(0, abs=1e-9)
    assert of[SHIPPED]["ssim"]["mean"] == pytest.approx(1)
    assert of[SHIPPED]["over"]["st60_uv"]["50"]["lead_beats"]["share"] == 0
    assert [t.judge({"test": of})["met"] for t in TARGETS] == [True] * 3


def test_an_st_that_is_off_in_one_lead_is_counted_there() -> None:
    records = simulated_records(2)
    found = measured({SHIPPED: perfect(records)}, records)
    found.beats[SHIPPED]["st60_uv"] = found.beats[TRUTH]["st60_uv"].copy()
    found.beats[SHIPPED]["st60_uv"][:, RECONSTRUCTED_LEADS.index("V3")] += 80
    of = summaries(found, records)[SHIPPED]
    assert of["by_lead"]["V3"]["st60_uv"]["mean"] == pytest.approx(80)
    assert of["st60_uv"]["mean"] == pytest.approx(16)
    over = of["over"]["st60_uv"]["50"]
    assert over["lead_beats"] == {"share": pytest.approx(0.2), "share_95": pytest.approx([0.2] * 2)}
    assert over["beats_with_a_lead"]["share"] == 1
    assert over["by_lead"]["V3"]["share"] == 1
    assert over["by_lead"]["V4"]["share"] == 0
    assert of["over"]["st60_uv"]["100"]["beats_with_a_lead"]["share"] == 0


def test_records_without_beats_are_said_and_images_stay() -> None:
    records = simulated_records(2)
    records.ecg_uv[1] = 0
    of = summaries(measured({SHIPPED: perfect(records)}, records), records)
    assert of["records_without_beats"] == 1
    assert of[SHIPPED]["st60_uv"]["n"] == 1
    records.ecg_uv[:] = 0
    of = summaries(measured({SHIPPED: perfect(records)}, records), records)
    assert of["n_beats"] == 0
    assert np.isnan(of[SHIPPED]["st60_uv"]["mean"])
    assert not [t for t in TARGETS if t.judge({"test": of})["met"]]


def test_means_over_the_beats_of_a_record() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan], [5.0, 7.0]])
    found = by_record(values, np.array([0, 0, 2]), 3)
    assert np.array_equal(found, [[2, np.nan], [np.nan, np.nan], [5, 7]], equal_nan=True)


def test_regression_to_the_mean_is_a_slope_below_zero() -> None:
    true = np.linspace(200, 1800, 30)
    bootstrap = Bootstrap([str(i) for i in range(30)])
    found = slope(true, -0.4 * (true - 700), bootstrap)
    assert found["mean"] == pytest.approx(-0.4)
    assert found["mean_95"] == pytest.approx([-0.4, -0.4])


def test_limits_of_agreement() -> None:
    rng = np.random.default_rng(8)
    error = np.append(rng.normal(50, 100, 900), np.nan)
    found = bland_altman(error, Bootstrap([str(i) for i in range(901)]))
    assert found["bias"] == pytest.approx(50, abs=12)
    assert found["limits"] == pytest.approx([50 - 196, 50 + 196], abs=25)
    low, high = found["spread_95"]
    assert low < found["spread"] < high
    assert bland_altman(np.array([np.nan, 1.0]), Bootstrap(["a", "b"])) == {}


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    records = simulated_records(17)  # two parts
    made = {SHIPPED: perfect(records)}
    first = measured(made, records, folder=tmp_path, name="x")
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    files[1].unlink()
    done = []
    again = measured(made, records, folder=tmp_path, name="x", advance=done.append)
    assert done == [16, 1]
    assert np.array_equal(first.record, again.record)
    assert first.record.max() == 16
    for of in (TRUTH, SHIPPED):
        for name, values in first.beats[of].items():
            assert np.array_equal(values, again.beats[of][name], equal_nan=True)


def test_the_command_on_real_records(
    ptbxl_fold10: Records, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "morphology.json"
    asked = ["fidelity", "--part", "morphology", "--domains", "test", "--limit", "5"]
    pytest.importorskip("matplotlib", reason="plots need matplotlib: install '.[plot]'")
    asked += ["--cache", str(tmp_path / "cache"), "--plots", str(tmp_path)]
    assert main([*asked, "--json", str(out)]) == 0
    assert (tmp_path / "agreement-test.png").stat().st_size > 10_000
    report = json.loads(out.read_text())
    of = report["results"]["test"]
    assert of["n_records"] == 5
    assert of["n_beats"] > 30
    assert 0.4 < of[SHIPPED]["ssim"]["mean"] < 1
    assert 1 < of[SHIPPED]["st60_uv"]["mean"] < 150
    assert of[SHIPPED]["ssim"]["mean"] > of[LINEAR]["ssim"]["mean"]
    assert {row["name"] for row in report["targets"]} == {target.name for target in TARGETS}
    assert report["protocol"]["bandwidth"].startswith("0.5 Hz")
    shown = capsys.readouterr().out
    for lead in RECONSTRUCTED_LEADS:
        assert f"| {lead} " in shown
    assert set(of["truth"]["qrs_ms"]) == set(RECONSTRUCTED_LEADS) < set(LEADS)


@pytest.mark.parametrize("option", ["--rivals", "--leads-off", "--leads=I,II"])
def test_options_of_other_parts_are_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fidelity", "--part", "morphology", option]) == 1
    assert f"{option.split('=')[0]} is not for --part morphology" in capsys.readouterr().err


def test_the_part_of_leads_is_the_option_of_leads(
    ptbxl_fold10: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "leads.json"
    monkeypatch.setattr("benchmarks.fidelity.lead_sets.NAMED_SETS", (("I",), ("II", "V2")))
    asked = ["fidelity", "--part", "leads", "--domains", "test", "--limit", "2"]
    assert main([*asked, "--json", str(out)]) == 0
    assert set(json.loads(out.read_text())["results"]["test"]["sets"]) == {"I", "II+V2"}
