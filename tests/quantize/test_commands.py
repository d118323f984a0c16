"""`python -m quantize`, from records to a bundle: each step, and all of them on 64 records."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="quantize needs torch: install '.[test]'")
pytest.importorskip("onnx", reason="quantize needs onnx: install '.[test]'")
pytest.importorskip("safetensors", reason="weights need safetensors: install '.[test]'")

from edge.bundle import load_bundle
from quantize.__main__ import main


def test_a_step_that_was_not_run_is_named(
    ptbxl_fold10: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["qat", "--run", str(tmp_path), "--quick"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "run `python -m quantize distill --run" in said[0]


def test_a_member_that_there_is_not_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["teacher", "--run", str(tmp_path), "--member", "3"]) == 1
    assert (
        "there is no member 3: give one from 0 to 2, or more --members" in capsys.readouterr().err
    )


def test_a_student_without_channels_is_one_line(
    ptbxl_fold10: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = ["distill", "--run", str(tmp_path), "--quick", "--alone", "--channels", "0"]
    assert main(nothing) == 1
    assert capsys.readouterr().err == "quantize distill: 0 channels: give 1 at least\n"


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


def test_learning_beats_the_linear_map(
    ptbxl_fold10: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole chain on 64 records: teacher, distillation, INT8, export, verification."""
    school, run = tmp_path / "teacher", tmp_path / "student"
    weights, bundle = school / "teacher.safetensors", tmp_path / "quick.onnx"
    student = ["--run", str(run), "--quick"]
    taught = [*student, "--teacher", str(weights)]
    learning = ["teacher", "--run", str(school), "--quick"]
    assert main([*learning, "--member", "1"]) == 0
    assert "not yet trained: member_0, member_2" in capsys.readouterr().out
    assert main(learning) == 0
    assert main(["distill", *taught]) == 0
    assert main(["qat", *student, "--alone"]) == 1
    assert "give --teacher or --alone as then" in capsys.readouterr().err
    assert main(["qat", *taught]) == 0
    assert main(["export", *student, "--output", str(bundle)]) == 0
    assert main(["verify", "--model", str(bundle), "--records", "20"]) == 0
    manifest = load_bundle(bundle).manifest
    assert manifest.training["schedule"]["seed"] == 0
    assert manifest.teacher_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()

    from quantize.data import load
    from quantize.feed import Feed
    from quantize.prepared import prepare
    from quantize.student import Student, StudentConfig
    from quantize.train import validate

    spec = manifest.conditioning
    validation = prepare(load("validation").take(64), spec, manifest.hop, (1.0,))
    linear = Student(StudentConfig(channels=8))  # its residual is zero
    before = validate(linear, validation, Feed(spec, manifest.moments))
    lines = (run / "qat.jsonl").read_text().splitlines()
    learned = json.loads(lines[-1])["validation"]
    assert learned["rmse_uv"] < before["rmse_uv"]
    assert learned["r"] > before["r"]


def test_a_vae_from_the_command_line(ptbxl_fold10: object, tmp_path: Path) -> None:
    from quantize.vae_train import load_vae

    narrow = ["--kind", "vae", "--quick", "--width", "8", "--epochs", "1"]
    assert main(["teacher", "--run", str(tmp_path), *narrow]) == 0
    vae, card = load_vae(tmp_path / "wearecg_vae.safetensors")
    assert vae.config.width == 8
    assert all(apart > 0 for apart in card["spread_uv"].values())
