"""The tables of the page on fidelity, from reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.fidelity import page
from benchmarks.fidelity.lead_sets import asked, evaluate_sets
from benchmarks.fidelity.methods import Method
from benchmarks.report import write_json
from edge.bundle import load_bundle
from tests.benchmarks.synthetic import simulated_records

SHIPPED = Method("INT8", "", load_bundle(), "onnxruntime")


def report_of(folder: Path, results: object) -> str:
    file = folder / "report.json"
    write_json(file, {"results": results})
    return str(file)


def test_sets_and_sigma(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = {name: simulated_records(2, name=name) for name in ("validation", "test", "mobile")}
    results, _ = evaluate_sets({"shipped": SHIPPED}, asked(["I", "II,V2"]), records)
    assert page.main([report_of(tmp_path, results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    sets = [line.split(" | ") for line in lines if line.startswith(("| I |", "| II, V2 |"))]
    assert [len(one) for one in sets] == [len(page.SETS_HEAD)] * 2
    ours = results["test"]["sets"]["I"]["shipped"]
    assert f"**{ours['r']['mean']:.3f} [" in sets[0][3]
    assert sets[0][2] == sets[0][4] == ""  # no rival, no calibration
    sigma = [line for line in lines if line.startswith("| PTB-XL fold 9 |")]
    assert len(sigma) == 2  # one lead, two leads
    assert sigma[0].split(" | ")[1:3] == ["1", "1"]


def test_methods(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def one(r: float) -> dict[str, object]:
        mean = {"mean": r, "mean_95": [r - 0.01, r + 0.01]}
        return {"n_records": 7, "headline": {"r": mean, "rmse_uv": mean | {"mean": 100 * r}}}

    found = {"linear": one(0.8), "shipped": one(0.9), "calibrated": one(0.95), "teacher": one(0.91)}
    assert page.main([report_of(tmp_path, {"test": found})]) == 0
    (line,) = (
        line for line in capsys.readouterr().out.splitlines() if line.startswith("| PTB-XL fold 10")
    )
    cells = line.strip("| ").split(" | ")
    assert cells[:2] == ["PTB-XL fold 10, 7 records", "0.800, 80"]
    assert cells[2] == cells[3] == ""  # no rivals' weights
    assert cells[4] == "0.910, 91"
    assert cells[5].startswith("**0.900 [0.890-0.910], 90 uV")
    assert cells[6] == "0.950, 95"


def test_what_is_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"benchmark": "wire"}))
    assert page.main([str(file)]) == 1
    assert "give reports of" in capsys.readouterr().err
