"""`python -m quantize`, from records to a bundle; the long chain is in the slow suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="quantize needs torch: install leadlift[test]")
pytest.importorskip("onnx", reason="quantize needs onnx: install leadlift[test]")

from edge.bundle import load_bundle
from quantize.__main__ import main


def test_a_step_that_was_not_run_is_named(
    ptbxl_fold10: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["qat", "--run", str(tmp_path), "--quick"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "run `python -m quantize student --run" in said[0]


def test_no_recordings_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LEADLIFT_DATA", str(tmp_path / "nowhere"))
    assert main(["data"]) == 1
    assert "set LEADLIFT_DATA" in capsys.readouterr().err


def test_the_bundle_that_ships_verifies(ptbxl_fold10: object, tmp_path: Path) -> None:
    report = tmp_path / "verify.json"
    assert main(["verify", "--records", "5", "--json", str(report)]) == 0
    said = json.loads(report.read_text())
    assert said["bundle_sha256"] == load_bundle().sha256
    assert said["streamed_codes_changed"] == 0


@pytest.mark.slow
def test_learning_beats_the_linear_map(ptbxl_fold10: object, tmp_path: Path) -> None:
    """The whole chain on 64 records: training, INT8, export, verification."""
    run, bundle = ["--run", str(tmp_path), "--quick"], str(tmp_path / "quick.onnx")
    assert main(["student", *run]) == 0
    assert main(["qat", *run]) == 0
    assert main(["export", *run, "--output", bundle]) == 0
    assert main(["verify", "--model", bundle, "--records", "20"]) == 0
    assert load_bundle(bundle).manifest.training["schedule"]["seed"] == 0

    from quantize.data import load
    from quantize.feed import Feed
    from quantize.student import Student, StudentConfig
    from quantize.train import validate

    manifest = load_bundle(bundle).manifest
    feed, validation = Feed(manifest.conditioning, manifest.moments), load("validation").take(64)
    linear = validate(Student(StudentConfig(channels=8)), validation, feed)  # its residual is zero
    lines = (tmp_path / "qat.jsonl").read_text().splitlines()
    learned = json.loads(lines[-1])["validation"]
    assert learned["rmse_uv"] < linear["rmse_uv"]
    assert learned["r"] > linear["r"]
