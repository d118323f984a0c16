"""The card of any leads: compact, by lead, and only from scores that have what it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.bundle import load_bundle
from edge.expected import expected
from edge.leads import LEADS
from quantize.any_leads.card import read_scores, sets_card
from quantize.errors import QuantizeError
from quantize.weights import SHIPPED


def report(**changes: Any) -> dict[str, Any]:
    score = {
        "leads": "I+II",
        "lead_rmse_uv": [0.0] * 6 + [80.4, 150.6, 149.5, 120.0, 99.49, 60.0],
        "lead_r": [None] * 6 + [0.8765, 0.9, -0.0123456, 0.99999, 0.5, 0.25],
    }
    return {"step": 5, "data": "validation", "records": 329, "sets": [score | changes]}


def test_whole_microvolts_three_digits_of_r_and_what_is_known() -> None:
    card = sets_card(report())
    assert card == {
        "folds": "PTB-XL fold 9",
        "records": 329,
        "rmse_uv": {"I+II": [0] * 6 + [80, 151, 150, 120, 99, 60]},
        "r": {"I+II": [None] * 6 + [0.876, 0.9, -0.012, 1.0, 0.5, 0.25]},
    }
    assert all(type(uv) is int for uv in card["rmse_uv"]["I+II"])
    assert json.loads(json.dumps(card)) == card


@pytest.mark.parametrize(
    "changes",
    [
        {"lead_r": [0.5] * 11},
        {"lead_rmse_uv": None},
        {"lead_rmse_uv": [None] * len(LEADS)},
        {"lead_rmse_uv": [float("nan")] * len(LEADS)},
    ],
)
def test_scores_without_figures_by_lead_say_how_to_get_them(changes: dict[str, Any]) -> None:
    with pytest.raises(QuantizeError, match=r"no figures by lead.*any-leads-scores --every-set"):
        sets_card(report(**changes))
    old = report()
    del old["sets"][0]["lead_r"]
    with pytest.raises(QuantizeError, match="lead_r"):
        sets_card(old)


def test_scores_are_read_back_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text(json.dumps(report()))
    assert sets_card(read_scores(file)) == sets_card(report())
    for text in ("{", "[]", "{}"):
        file.write_text(text)
        with pytest.raises(QuantizeError, match="--every-set"):
            read_scores(file)
    with pytest.raises(QuantizeError, match="cannot read the scores"):
        read_scores(tmp_path / "none.json")


def test_the_export_puts_it_into_the_bundle_where_it_is_found(tmp_path: Path) -> None:
    for needed in ("torch", "onnx", "safetensors"):
        pytest.importorskip(needed, reason="exporting needs '.[test]'")
    from quantize.__main__ import main

    file, output = tmp_path / "scores.json", tmp_path / "bundle.onnx"
    file.write_text(json.dumps(report()))
    kept = SHIPPED / "any_leads" / "student.safetensors"
    arguments = [
        "any-leads-export",
        "--float32",
        "--checkpoint",
        str(kept),
        "--output",
        str(output),
    ]
    assert main([*arguments, "--sets", str(file)]) == 0
    found = expected(load_bundle(output), ("aVF", "I"))
    assert found is not None and found.rmse_uv[LEADS.index("V2")] == 151
    assert (found.folds, found.records) == ("PTB-XL fold 9", 329)
    output.unlink()
    file.write_text(json.dumps(report(lead_r=None)))
    assert main([*arguments, "--sets", str(file)]) == 1
    assert not output.exists()


def test_a_report_of_the_benchmark_holds_the_card_itself(tmp_path: Path) -> None:
    card = {
        "folds": "PTB-XL fold 9",
        "records": 3,
        "rmse_uv": {"I": [0] * 12},
        "r": {"I": [None] * 12},
    }
    file = tmp_path / "every.json"
    file.write_text(json.dumps({"benchmark": "fidelity", "card": card}))
    assert sets_card(read_scores(file)) == card
