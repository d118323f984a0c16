"""`fidelity --leads`: what may be asked, and from records to the report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.lead_sets import asked, evaluate_sets, label_of
from benchmarks.fidelity.methods import Method
from benchmarks.fidelity.set_tables import tables
from benchmarks.fidelity.targets import MUST, set_targets
from benchmarks.latency.engine_step import float32_bundle
from edge.bundle import Bundle, load_bundle
from edge.errors import InputError
from quantize.any_leads.sampling import NAMED_SETS
from quantize.data import data_folder
from quantize.errors import QuantizeError
from tests.benchmarks.synthetic import simulated_records

BUNDLE = load_bundle()
SHIPPED = Method("INT8 onnxruntime", "", BUNDLE, "onnxruntime")


def test_what_can_be_asked() -> None:
    assert asked(["II,V1,V5", "v5+ii+V1", "i"]).sets == (("II", "V1", "V5"), ("I",))
    assert set(asked(["named"]).sets) == set(NAMED_SETS)
    every = asked(["every", "I,III"])
    assert every.every
    assert len(every.sets) == 511  # I and III are the class of I and II, but other rows
    assert not asked(["named"]).every
    assert {label_of(leads) for leads in NAMED_SETS} == set(MUST)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("X9", InputError, "unknown lead 'X9'"),
        ("", InputError, "unknown lead ''"),
        ("II,V1,II", InputError, "named twice"),
        ("all", InputError, "unknown lead"),
        ("I,II,V1,V2,V3,V4,V5,V6", BenchmarkError, "no lead to reconstruct"),
    ],
)
def test_what_cannot(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        asked([text])


def test_sets_on_every_domain() -> None:
    records = {name: simulated_records(2, name=name) for name in ("validation", "test")}
    methods = {
        "shipped": SHIPPED,
        "calibrated": dataclasses.replace(SHIPPED, calibration_s=2.0),
        "float32": Method("float32", "", float32_bundle(BUNDLE), "onnxruntime"),
    }
    sets = asked(["I", "II,V2", "I,II,V2"])
    results, card = evaluate_sets(methods, sets, records)
    for domain in ("validation", "test"):
        assert list(results[domain]["sets"]) == ["I", "II+V2", "I+II+V2"]
        for of in results[domain]["sets"].values():
            assert set(methods) <= set(of)
            assert of["shipped"]["interval"]["k"] > 0
            assert of["shipped"]["linear"]["r"]["mean"] < 1
            assert abs(of["int8_costs"]["r"]["mean"]) < 0.05
            rmse = {name: of[name]["rmse_uv"]["mean"] for name in methods}
            assert rmse["calibrated"] < rmse["shipped"]
        assert list(results[domain]["by_number"]) == ["k", "1", "2", "3"]
        assert "every" not in results[domain]
    assert set(card["r"]) == set(card["rmse_uv"]) == {"I", "II+V2", "I+II+V2"}
    assert set(results["test"]["sets"]["II+V2"]["shipped"]["by_lead"]) == {
        *("I", "III", "aVR", "aVL", "aVF", "V1", "V3", "V4", "V5", "V6")
    }
    fold_9 = results["validation"]["sets"]["I"]["shipped"]["interval"]
    assert fold_9["covered"] == pytest.approx(0.9, abs=0.01)
    shown = tables(results)
    assert [len(table.rows) for table in shown] == [18, 18, 18, 6, 6]
    for table in shown:
        assert {len(row) for row in table.rows} == {len(table.columns)}
    judged = [target.judge(results) for target in set_targets(["I", "II+V2", "I+II+V2"], results)]
    assert all(row["measured"] is not None for row in judged)
    assert {row["name"] for row in judged} > {"I, mean r", "II+V2, mean RMSE"}


def test_without_fold_9_there_is_no_factor() -> None:
    results, card = evaluate_sets(
        {"shipped": SHIPPED}, asked(["II"]), {"test": simulated_records(1)}
    )
    assert card == {}
    assert results["test"]["sets"]["II"]["shipped"]["interval"] is None
    assert tables(results)[2].rows[0][3] is None


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    try:
        data_folder()
    except QuantizeError as error:
        pytest.skip(f"no recordings: set LEADLIFT_DATA ({error})")
    options = ["--domains", "validation", "--limit", "1"]
    assert main(["fidelity", *options, *arguments]) == 1
    return capsys.readouterr().err


def test_a_model_of_three_leads_has_no_other_sets(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "three.onnx"
    file.write_bytes(tiny_bundle.data)
    said = refused(["--leads", "I", "--model", str(file)], capsys)
    assert "takes II, V1, V5 alone" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--calibration", "2"], "goes with --leads"),
        (["--leads", "I", "--leads-off"], "--leads-off is for II, V1, V5 alone"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in refused(arguments, capsys)


def test_a_reference_of_a_second_is_too_short(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fidelity", "--leads", "I", "--calibration", "1"])
    assert "less than 2 s" in capsys.readouterr().err


def test_the_command_on_real_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        data_folder()
    except QuantizeError as error:
        pytest.skip(f"no recordings: set LEADLIFT_DATA ({error})")
    out = tmp_path / "sets.json"
    options = ["--domains", "validation", "--limit", "2", "--json", str(out)]
    options += ["--calibration", "2", "--cache", str(tmp_path / "cache")]
    assert main(["fidelity", "--leads", "II,V1,V5", "I", *options]) == 0
    report = json.loads(out.read_text())
    assert report["protocol"]["feed"] == "whole records"
    of = report["results"]["validation"]["sets"]["II+V1+V5"]
    assert of["shipped"]["rmse_uv"]["mean"] < of["shipped"]["linear"]["rmse_uv"]["mean"]
    assert of["calibrated"]["rmse_uv"]["mean"] < of["shipped"]["rmse_uv"]["mean"]
    assert len(report["card"]["rmse_uv"]["I"]) == 12
    assert "| II+V1+V5 " in capsys.readouterr().out
