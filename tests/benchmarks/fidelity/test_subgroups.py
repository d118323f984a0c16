"""Subgroups: who is in which, their means and intervals, the worst records, and the honesty of sigma."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="benchmarks on records need scipy: install '.[test]'")

from benchmarks.__main__ import main
from benchmarks.fidelity.groups import FEWEST, groups, heart_rates
from benchmarks.fidelity.method_scores import lead_scores
from benchmarks.fidelity.methods import Predictions, truth_mv
from benchmarks.fidelity.subgroups import NOMINAL, calibration, summaries, tables, worst
from benchmarks.fidelity.training_data import counted, training_data
from edge.bundle import load_bundle
from edge.leads import RECONSTRUCTED_LEADS, lead_indices
from quantize.data import Records
from tests.benchmarks.synthetic import simulated_records

FIVE = lead_indices(RECONSTRUCTED_LEADS)


def row(**told: str) -> dict[str, str]:
    return {"age": "", "sex": "", "superclass": "", "pacemaker": "", "device": "", **told}


def test_each_record_is_where_its_table_puts_it() -> None:
    old = row(age="300.0", sex="1", superclass="CD|MI", device="AT-6  C", pacemaker="ja, pacemaker")
    young = row(age="25", sex="0", superclass="NORM", device="CS-12")
    nobody = row(age="?", sex="x")
    rates = np.array([50.0] * FEWEST + [100.0] * FEWEST + [math.nan] * FEWEST)
    made = groups([old] * FEWEST + [young] * FEWEST + [nobody] * FEWEST, rates)
    first, second = np.arange(30) < FEWEST, (np.arange(30) >= FEWEST) & (np.arange(30) < 20)
    assert {kind: list(of) for kind, of in made.items()} == {
        "age": ["0 to 39", "80 and over"],
        "sex": ["male", "female"],
        "diagnosis": ["NORM", "MI", "CD"],
        "pacemaker": ["yes", "none noted"],
        "device": ["AT-6 C", "CS-12"],
        "heart rate": ["under 60 bpm", "60 to 100 bpm"],
    }
    for kind, name, who in (
        ("age", "80 and over", first),
        ("sex", "female", first),
        ("diagnosis", "MI", first),
        ("diagnosis", "CD", first),
        ("pacemaker", "yes", first),
        ("pacemaker", "none noted", ~first),
        ("heart rate", "60 to 100 bpm", second),
    ):
        assert np.array_equal(made[kind][name], who), (kind, name)


def test_whom_it_learned_from_is_counted_and_what_no_table_says_too() -> None:
    told = row(patient_id="7", age="50", sex="0", superclass="MI", device="AT-6")
    found = counted([told] * FEWEST + [row(patient_id="")] * 3)
    assert found["n_records"] == FEWEST + 3
    assert (found["n_patients_named"], found["n_records_of_unnamed"]) == (1, 3)
    assert found["groups"]["age"] == {"40 to 59": FEWEST, "unknown": 3}
    assert found["groups"]["diagnosis"] == {"MI": FEWEST, "unknown": 3}
    assert found["groups"]["device"] == {"AT-6": FEWEST, "other": 3}


def test_training_records_are_neither_held_out_nor_withdrawn(ptbxl_fold10: object) -> None:
    of = training_data()
    assert of["250 Hz"]["n_records"] == load_bundle().manifest.training["data"]["train"]
    assert of["100 Hz"]["n_records"] == load_bundle().manifest.training["data"]["train_100"]


def test_a_group_of_few_is_no_group() -> None:
    assert "sex" not in groups([row(sex="1")] * (FEWEST - 1), np.full(FEWEST - 1, 70.0))


def test_heart_rate_is_that_of_the_true_lead_ii() -> None:
    records = simulated_records(2)
    assert heart_rates(records) == pytest.approx([60, 67], rel=0.1)


def made_of(noise_mv: float, sigma_mv: float) -> tuple[Predictions, Records]:
    """Truth with Gaussian noise on the five leads, and a sigma that says how much."""
    records = simulated_records(12)
    truth = truth_mv(records, records.ecg_uv.shape[-1]).astype(np.float32)
    rng = np.random.default_rng(0)
    ecg = truth.copy()
    ecg[:, FIVE] += rng.normal(0, noise_mv, truth[:, FIVE].shape).astype(np.float32)
    sigma = np.full(truth[:, FIVE].shape, sigma_mv, np.float32)
    n = len(records)
    return Predictions(ecg, sigma, np.zeros(n), np.zeros(n, bool)), records


def test_sigma_that_is_right_covers_what_it_says_and_half_of_it_less() -> None:
    made, records = made_of(0.1, 0.1)
    found = calibration(made, records)
    for covered in found["covered"].values():
        assert covered == pytest.approx(NOMINAL, abs=0.02)
    half = calibration(*made_of(0.1, 0.05))
    assert max(max(covered) for covered in half["covered"].values()) < 0.72  # of .95


def test_means_of_groups_are_those_of_their_records_and_the_worst_come_first() -> None:
    made, records = made_of(0.05, 0.05)
    made.ecg_mv[3, FIVE] *= -1  # the worst of all
    scores = lead_scores(made, records, None)
    who = np.arange(len(records)) < 4
    found = summaries(scores, records, {"sex": {"male": who}})
    r = scores["r"][:, :5].mean(1)
    assert found["all"]["r"]["mean"] == pytest.approx(r.mean())
    male = found["groups"]["sex"]["male"]
    assert (male["n_records"], male["r"]["mean"]) == (4, pytest.approx(r[:4].mean()))
    assert found["r_quantiles"]["V2"][0] == pytest.approx(scores["r"][:, 1].min())
    rows = [row(superclass="MI", baseline_drift=" , V2", validated_by_human="True")] * len(records)
    last = worst(scores, records, rows, np.full(len(records), 72.0))
    assert last[0]["record_id"] == records.record_id[3]
    assert last[0]["about"] == "MI"
    assert last[0]["noted"] == "baseline drift: V2"
    assert [one["r"] for one in last] == sorted(one["r"] for one in last)
    printed = tables({"test": {**found, "worst": last}})
    assert [table.title for table in printed] == ["Subgroups, test", "Worst records, test"]


def test_the_command_writes_figures_and_a_report(
    ptbxl_fold10: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib: install '.[test]'")
    report, plots = tmp_path / "subgroups.json", tmp_path / "plots"
    part = ["fidelity", "--part", "subgroups", "--whole", "--domains", "test", "--limit", "11"]
    assert main([*part, "--plots", str(plots), "--json", str(report)]) == 0
    found = json.loads(report.read_text())["results"]["test"]
    assert found["all"]["n_records"] == 11
    assert len(found["worst"]) == 10
    assert "Worst records, test" in capsys.readouterr().out
    drawn = {file.name for file in plots.iterdir()}
    kinds = ("subgroups", "ecdf", "sigma", "worst", "overlays")
    assert drawn == {f"{kind}-test.png" for kind in kinds}
