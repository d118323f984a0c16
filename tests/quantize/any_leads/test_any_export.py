"""What is trained for any leads is what streams: the bundle scores as the network does, set by set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="checkpoints need safetensors: install '.[test]'")
pytest.importorskip("onnx", reason="export needs onnx: install '.[test]'")

from edge.bundle import load_bundle
from edge.lead_subsets import INDEPENDENT_ROWS, TWELVE, class_of, known
from edge.leads import INDEPENDENT_LEADS, LEADS, lead_indices
from edge.reconstructor import Reconstructor
from quantize.__main__ import main
from quantize.any_leads import int8
from quantize.any_leads.checkpoint import load_checkpoint
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.int8 import quantised
from quantize.any_leads.scores import EDGE_S, r_and_rmse, score_sets
from quantize.any_leads.train import LAST, AnySchedule, Experiment, train_any
from quantize.data import SCORED_S, Records, zero_phase_highpass
from quantize.student import Student, StudentConfig

SCHEDULE = AnySchedule(steps=40, batch=4, crop_s=2.0, warm_up=0, average=0.5)
SETS = [("II", "V1", "V5"), ("I",), ("aVF", "V2"), ("II", "III"), ("V1", "V2", "V3")]


@pytest.fixture
def run(
    experiment: Experiment,
    small: StudentConfig,
    moments: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with a network that was trained a little, and rounded."""
    from dataclasses import replace

    monkeypatch.setattr(int8, "CALIBRATION_STEPS", 8)
    experiment = replace(experiment, about={"moments": moments.tolist()})
    train_any(lambda: Student(small), experiment, SCHEDULE, tmp_path, lambda _: None)
    quantised(experiment, SCHEDULE, tmp_path / LAST, tmp_path, 10, lambda _: None)
    return tmp_path


def test_the_bundle_streams_what_the_network_scores(
    run: Path, simulated: Records, moments: np.ndarray
) -> None:
    file = run / "any.onnx"
    assert main(["any-leads-export", "--run", str(run), "--output", str(file)]) == 0
    bundle = load_bundle(file)
    assert bundle.manifest.any_leads and bundle.manifest.training["qat_steps"] == 10
    student = load_checkpoint(run / int8.QAT).student()
    classes = [class_of(leads) for leads in SETS]
    expected = list(score_sets(student, simulated, AnyFeed(moments), classes))
    hz = simulated.sampling_hz
    until = min(SCORED_S[1], simulated.ecg_uv.shape[-1] / hz - EDGE_S)
    scored = slice(*(round(s * hz) for s in (SCORED_S[0], until)))
    for leads, which, score in zip(SETS, classes, expected, strict=True):
        rows = ~known(which)[INDEPENDENT_ROWS]
        r, rmse_uv = [], []
        with Reconstructor.open(bundle, "onnxruntime", leads=leads) as reconstructor:
            for ecg_mv in simulated.millivolts():
                measured = (TWELVE @ ecg_mv)[lead_indices(leads)].astype(np.float32)
                shown = reconstructor.whole(measured).ecg_mv[lead_indices(INDEPENDENT_LEADS)]
                truth, made = (
                    zero_phase_highpass(one[rows].astype(np.float64), hz)[:, scored]
                    for one in (ecg_mv[:, : shown.shape[1]], shown)
                )
                one_r, one_rmse = r_and_rmse(truth, made)
                r.append(one_r)
                rmse_uv.append(1000 * one_rmse)
        assert np.nanmean(r) == pytest.approx(score.r, abs=3e-3)
        assert np.mean(rmse_uv) == pytest.approx(score.rmse_uv, rel=0.02)


def test_float32_is_exported_too_and_what_is_not_rounded_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, source = str(run / "any32.onnx"), str(run / LAST)
    given = ["any-leads-export", "--checkpoint", source, "--output", file]
    assert main(given) == 1
    assert (
        "is not quantised: run `python -m quantize any-leads --qat 500`" in capsys.readouterr().err
    )
    assert main([*given, "--float32"]) == 0
    assert {state.dtype for state in load_bundle(file).manifest.states} == {"float32"}
    with Reconstructor.open(file, leads=LEADS[:1]) as r:
        assert np.isfinite(r.push(np.zeros((1, 40))).ecg_mv).all()
