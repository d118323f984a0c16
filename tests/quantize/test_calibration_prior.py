"""Weights of training patients: of each the fit of its own record, for any set of leads."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("scipy", reason="simulated records need scipy: pip install '.[test]'")

from edge.calibrate import prior
from edge.lead_subsets import class_of
from edge.patient.patient import TAPS
from quantize import calibration_prior as module
from quantize.__main__ import main
from quantize.calibration_prior import weights_of
from quantize.data import Records
from tests.benchmarks.synthetic import simulated_records

COMMAND = ["calibration-prior", "--records", "4"]


def of(classes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command makes priors of these alone, from simulated records."""
    records = simulated_records(4, seconds=6.0)

    def simulated(name: str) -> Records:
        assert name == "train"
        return records

    monkeypatch.setattr(module, "open_classes", lambda: classes)
    monkeypatch.setattr(module, "load", simulated)


@pytest.mark.parametrize("leads", [("II", "V1", "V5"), ("aVF",)], ids="+".join)
def test_one_map_a_patient_that_is_of_that_patient_alone(leads: tuple[str, ...]) -> None:
    ecg_mv = simulated_records(3, seconds=6.0).millivolts()
    every = weights_of(ecg_mv, 250.0, class_of(leads))
    features = prior.Features.of(class_of(leads))
    assert every.shape == (3, len(features.open), len(TAPS) * len(features))
    assert 0 < np.abs(every).max() < module.MOST_WEIGHT
    alone = weights_of(ecg_mv[1:2], 250.0, class_of(leads))
    np.testing.assert_allclose(alone[0], every[1], atol=1e-6)


def test_the_command_writes_a_prior_of_every_class_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [class_of(("II", "V1", "V5")), class_of(("I",))]
    of(few, monkeypatch)
    file = tmp_path / "prior.npz"
    assert main([*COMMAND, "--jobs", "2", "--output", str(file)]) == 0
    assert "2 classes of 4 records" in capsys.readouterr().out
    with np.load(file, allow_pickle=False) as stored:
        assert stored["classes"].tolist() == few


def die(ecg_mv: NDArray[np.float32], sampling_hz: float, which: int) -> None:
    os._exit(9)


def test_a_process_that_is_killed_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of([class_of(("I",))], monkeypatch)
    monkeypatch.setattr(module, "weights_of", die)
    file = tmp_path / "prior.npz"
    assert main([*COMMAND, "--output", str(file)]) == 1
    assert "ended its process twice" in capsys.readouterr().err
    assert not file.exists()
