"""Diagnosis: areas of known answers, differences within patients, and the command with random weights."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="a classifier needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="benchmarks on records need scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="weights need safetensors: install '.[test]'")

from benchmarks.__main__ import main
from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.diagnosis import (
    MACRO,
    TARGETS,
    labelled,
    summaries,
    tables,
)
from benchmarks.fidelity.judged import (
    CALIBRATED,
    CONDITIONED,
    REAL,
    SHIPPED,
    THREE,
    WHOLE,
    Arms,
    judged,
)
from benchmarks.fidelity.judges import Judge, ecgfounder, judges, ours
from benchmarks.fidelity.methods import LINEAR
from benchmarks.report import target_table
from edge.bundle import load_bundle
from edge.leads import INDEPENDENT_LEADS, LEADS
from quantize.classifier.ecgfounder import EcgFounder
from quantize.classifier.network import Classifier, ClassifierConfig
from quantize.classifier.records import SUPERCLASSES
from quantize.classifier.train import save_classifier
from quantize.data import Records
from tests.benchmarks.synthetic import simulated_records

RNG = np.random.default_rng(0)
N = 120
LABELS = RNG.random((N, 5)) < 0.4
PATIENTS = [f"p{i // 2}" for i in range(N)]
GOOD = LABELS + 0.6 * RNG.standard_normal((N, 5))
WORSE = LABELS + 2.0 * RNG.standard_normal((N, 5))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network of random numbers."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("judge") / "random.safetensors"
    save_classifier(file, Classifier(ClassifierConfig(LEADS, widths=(8, 8, 16))), {})
    return file


def test_areas_and_what_is_lost() -> None:
    found = summaries({REAL: GOOD, SHIPPED: GOOD, LINEAR: WORSE}, LABELS, PATIENTS)
    same = found["differences"][f"{REAL} - {SHIPPED}"][MACRO]
    assert same == {"mean": 0.0, "mean_95": [0.0, 0.0]}
    assert found["non_inferiority"] == {"margin": 0.02, "lost_at_most": 0.0, "non_inferior": True}
    lost = found["differences"][f"{REAL} - {LINEAR}"]
    assert lost[MACRO]["mean"] == pytest.approx(
        np.mean([lost[one]["mean"] for one in SUPERCLASSES])
    )
    assert lost[MACRO]["mean_95"][0] > 0.02
    low, high = found["auroc"][REAL][MACRO]["mean_95"]
    assert 0.8 < low < found["auroc"][REAL][MACRO]["mean"] < high < 1
    assert f"{REAL} - {THREE}" not in found["differences"]
    assert found["n"] == dict(zip(SUPERCLASSES, LABELS[LABELS.any(1)].sum(0), strict=True))


def test_what_loses_too_much_is_not_non_inferior() -> None:
    found = summaries({REAL: GOOD, SHIPPED: WORSE}, LABELS, PATIENTS)
    assert not found["non_inferiority"]["non_inferior"]


def test_records_without_a_superclass_do_not_count() -> None:
    labels = LABELS.copy()
    labels[:40] = False
    noise = GOOD.copy()
    noise[:40] = 100.0
    found = summaries({REAL: noise, SHIPPED: GOOD}, labels, PATIENTS)
    assert found["auroc"][REAL] == found["auroc"][SHIPPED]
    assert found["n_records"] == int(labels.any(1).sum())
    with pytest.raises(BenchmarkError, match="no record has a superclass"):
        summaries({REAL: GOOD, SHIPPED: GOOD}, np.zeros_like(LABELS), PATIENTS)


def test_tables_say_all_that_was_found() -> None:
    arms = (REAL, SHIPPED, LINEAR, CALIBRATED, THREE, WHOLE)
    found = {"test_100": summaries(dict.fromkeys(arms, GOOD), LABELS, PATIENTS)}
    areas, differences = tables(found)
    assert len(areas.rows) == len(arms) + 1 and len(differences.rows) == 6
    assert {len(row) for row in areas.rows} == {len(areas.columns)}
    assert {len(row) for row in differences.rows} == {len(differences.columns)}
    judged_targets = [target.judge(found) for target in TARGETS]
    assert sum(row["met"] is True for row in judged_targets) == 4
    assert target_table(judged_targets).rows


def test_only_ptb_xl_has_superclasses() -> None:
    records = simulated_records(1)
    assert list(labelled({"test": records, "mobile": records}, "diagnosis")) == ["test"]
    with pytest.raises(BenchmarkError, match="needs PTB-XL"):
        labelled({"mobile": records}, "diagnosis")


def test_another_classifier_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="no classifier 'foo'"):
        judges("foo", None, None)


def test_each_arm_shows_its_own_leads_and_is_kept(weights: Path, tmp_path: Path) -> None:
    arms = Arms(load_bundle(), "onnxruntime", simulated_records(2))
    every = slice(0, 2)
    shown = {arm: arms.scored(arm, every) for arm in (REAL, CONDITIONED, SHIPPED, LINEAR, WHOLE)}
    assert shown[WHOLE].shape == (2, 12, 2500) and shown[REAL].shape == (2, 12, 1980)
    three = [LEADS.index(lead) for lead in ("II", "V1", "V5")]
    # What is measured passes as conditioned.
    for arm in (SHIPPED, LINEAR):
        np.testing.assert_allclose(shown[arm][:, three], shown[CONDITIONED][:, three], atol=2e-3)
        assert np.abs(shown[arm] - shown[CONDITIONED]).max() > 0.02
    judge = ours(weights)
    first = judged(judge, arms, SHIPPED, tmp_path)
    assert first["says"].shape == (2, 5) and first["features"].shape == (2, 16)

    def never(*_: object) -> None:
        raise AssertionError("asked again")

    again = judged(Judge(judge.name, "", judge.sha256, never), arms, SHIPPED, tmp_path)  # type: ignore[arg-type]
    assert np.array_equal(first["says"], again["says"])


def test_a_head_on_the_features_of_ecgfounder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file, data, cache = (tmp_path / name for name in ("12_lead.pth", "data", "cache"))
    torch.save({"state_dict": EcgFounder().state_dict()}, file)
    records = simulated_records(6, seconds=4.0)
    write_ptbxl(data, records, ["train"] * 4 + ["val"] * 2, ["NORM", "MI"] * 3)
    judge = ecgfounder(file, data, cache)
    found = judged(judge, Arms(load_bundle(), "onnxruntime", records), REAL)
    assert found["features"].shape == (6, 1024)
    norm = found["says"][:4, 0]
    assert norm[::2].min() > norm[1::2].max(), "of four, a thousand features tell which is which"
    assert len(list(cache.iterdir())) == 2
    again = judged(ecgfounder(file, data, cache), Arms(load_bundle(), "onnxruntime", records), REAL)
    np.testing.assert_allclose(again["says"], found["says"], atol=1e-5)


def write_ptbxl(folder: Path, records: Records, split: list[str], superclass: list[str]) -> None:
    """As the data set lies on disk."""
    folder.mkdir()
    np.savez(
        folder / "ptbxl.npz",
        ecg_uv=records.ecg_uv,
        leads=INDEPENDENT_LEADS,
        sampling_hz=records.sampling_hz,
        record_id=records.record_id,
    )
    with (folder / "ptbxl.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(("record_id", "patient_id", "split", "superclass"))
        ids = records.record_id, records.patient_id
        writer.writerows(zip(*ids, split, superclass, strict=True))


def test_the_command_on_real_records(
    ptbxl_fold10: Records, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib: install '.[plot]'")
    out, cache = tmp_path / "diagnosis.json", tmp_path / "cache"
    asked = ["fidelity", "--part", "diagnosis", "--domains", "test", "--limit", "24"]
    asked += ["--json", str(out), "--cache", str(cache), "--classifier", str(weights)]
    assert main([*asked, "--plots", str(tmp_path / "plots")]) == 0
    report = json.loads(out.read_text())
    of = report["results"]["test"]
    assert of["n_records"] + of["without_superclass"] == 24
    assert set(of["auroc"]) == {REAL, SHIPPED, LINEAR, CALIBRATED, WHOLE}
    assert 0 <= of["auroc"][SHIPPED]["NORM"]["mean"] <= 1
    # Of so few, none is hypertrophic: no area, no verdict, and no number made up.
    assert of["auroc"][SHIPPED][MACRO]["mean"] is None
    assert all(row["undecided"] for row in report["targets"] if "whole" not in row["name"])
    assert (tmp_path / "plots" / "diagnosis-test.png").stat().st_size > 10_000
    kept = {file: file.stat().st_mtime_ns for file in cache.iterdir()}
    assert main(asked) == 0
    assert {file: file.stat().st_mtime_ns for file in cache.iterdir()} == kept
    assert json.loads(out.read_text())["results"] == report["results"]
    assert "Paired differences" in capsys.readouterr().out


def test_options_of_other_parts_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fidelity", "--part", "robustness", "--classifier", "x"]) == 1
    assert "--classifier goes with --part diagnosis or realism" in capsys.readouterr().err
