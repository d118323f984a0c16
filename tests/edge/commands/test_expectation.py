"""What a command says of the leads in use: the figures before, a warning where they are rough or poor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.cli import main
from edge.commands.common import live_report
from edge.commands.expectation import doubt, expectation
from edge.live.description import live_metadata
from edge.live.runtime import Runtime
from edge.reconstructor import Reconstructor
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.source import open_source
from tests.edge.cards import DEFAULT, card, carded, write_runnable
from tests.edge.references import some_patient

FAIR = "II, V1, V5: expects r .92, 86 uV over I, V2, V3, V4, V6 (PTB-XL fold 9): fair"


def of(*leads: str, bundle: Bundle | None = None) -> Reconstructor:
    return Reconstructor.open(bundle or carded(), leads=leads or None)


def worse() -> dict[str, object]:
    """The card of the tests, with figures of II, V1, V5 that are rough, none of them poor."""
    sets = card()
    sets["r"][DEFAULT] = [0.8] * 12
    sets["rmse_uv"][DEFAULT] = [120] * 12
    return sets


def test_a_good_set_says_its_figures_and_the_leads_that_are_poor() -> None:
    with of() as reconstructor:
        assert expectation(reconstructor) == f"{FAIR}; poor: aVL r .50, 59 uV"
        assert doubt(reconstructor) is None


def test_a_rough_set_says_what_is_poor_and_where_others_are() -> None:
    with of("I") as reconstructor:
        assert (
            doubt(reconstructor)
            == expectation(reconstructor)
            == (
                "I: expects r .80, 114 uV over II, V1, V2, V3, V4, V5, V6 (PTB-XL fold 9): rough; "
                "poor: V2 r .80, 200 uV; `leadlift leads` shows what other leads give"
            )
        )


def test_a_rough_set_without_a_poor_lead_names_the_rough_ones() -> None:
    with of(bundle=carded(worse())) as reconstructor:
        said = doubt(reconstructor)
    assert said is not None and "rough: I r .80, 120 uV, III r .80, 120 uV" in said


def test_a_set_without_a_card_was_not_measured() -> None:
    for bundle, leads in ((carded({}), ("I",)), (carded(), ("V3",))):
        with of(*leads, bundle=bundle) as reconstructor:
            said = expectation(reconstructor)
            assert said == f"{leads[0]}: fidelity not measured: the model has no card of it"
            assert doubt(reconstructor) is None


def test_with_a_calibration_nothing_is_said() -> None:
    """It is better than the card, by how much depends on the person."""
    bundle = carded(worse())
    with Reconstructor.open(bundle, patient=some_patient(bundle)) as reconstructor:
        assert expectation(reconstructor) is None and doubt(reconstructor) is None
        runtime = Runtime(open_source("sim:"), reconstructor)
        assert live_metadata(runtime, reconstructor).card is None
        assert live_report(runtime, reconstructor)["expected"] is None


def test_a_live_run_gives_its_sinks_the_card() -> None:
    with of() as reconstructor:
        runtime = Runtime(open_source("sim:"), reconstructor)
        given = live_metadata(runtime, reconstructor).card
    assert given is not None and given.of(("I",)) is not None


@pytest.mark.realtime
def test_run_says_it_before_the_first_sample_and_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, report = write_runnable(tmp_path / "model.onnx"), tmp_path / "report.json"
    arguments = ["run", "--source", "sim:", "--seconds", "1", "--sink", f"file:{tmp_path}/out.npz"]
    arguments += ["--engine", "onnxruntime"]  # one that is compiled for a new model says so
    arguments += ["--model", str(model), "--report", str(report)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == f"leads      {FAIR}; poor: aVL r .50, 59 uV"
    assert said.err == ""
    assert json.loads(report.read_text())["expected"]["word"] == "fair"


@pytest.mark.realtime
def test_run_warns_of_a_rough_set_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_runnable(tmp_path / "model.onnx", worse())
    arguments = ["run", "--source", "sim:", "--seconds", "1", "--sink", f"file:{tmp_path}/out.npz"]
    arguments += ["--engine", "onnxruntime"]  # one that is compiled for a new model says so
    assert main([*arguments, "--model", str(model)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("leadlift: II, V1, V5: expects r .80, 120 uV") and "rough" in line


@pytest.mark.parametrize(("sets", "warned"), [(None, False), (worse(), True), ({}, False)])
def test_reconstruct_warns_of_a_rough_set_alone(
    sets: object, warned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, given = write_runnable(tmp_path / "model.onnx", sets), tmp_path / "in.npz"
    simulator = EcgSimulator(250.0)
    np.savez(given, ecg_mv=simulator.read(1000), leads=simulator.leads, sampling_hz=250.0)
    arguments = ["reconstruct", str(given), str(tmp_path / "out.npz"), "--model", str(model)]
    assert main(arguments) == 0
    said = capsys.readouterr().err.splitlines()
    expected = ["leadlift: warning: II, V1, V5: expects r .80, 120 uV"] if warned else []
    assert [line[: len(expected[0])] for line in said] == expected
