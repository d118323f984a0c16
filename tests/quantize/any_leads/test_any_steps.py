"""`any-leads` and `any-leads-scores` from the command line; which patients train, and their moments."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="quantize needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="checkpoints need safetensors: install '.[test]'")

from quantize.__main__ import main
from quantize.any_leads import steps
from quantize.any_leads.card import sets_card
from quantize.any_leads.checkpoint import load_checkpoint
from quantize.any_leads.drawn import Mixture, Source
from quantize.any_leads.steps import chosen_rows, mean_moments
from quantize.any_leads.train import LAST
from quantize.data import Records


def records(name: str, patients: list[str]) -> Records:
    empty = np.zeros((len(patients), 8, 4), np.int16)
    return Records(name, empty, 250.0, [f"{name}{i}" for i in range(len(patients))], patients)


def test_so_many_patients_are_drawn_from_all_with_all_their_records() -> None:
    sources = [records("a", ["1", "1", "2", "3"]), records("b", ["4", "1", "5"])]
    every = chosen_rows(sources, None, 0)
    assert [len(rows) for rows in every] == [4, 3]
    seen = set()
    for seed in range(40):
        rows = chosen_rows(sources, 2, seed)
        patients = {
            one.patient_id[i] for one, of in zip(sources, rows, strict=True) for i in of.tolist()
        }
        assert len(patients) == 2
        if "1" in patients:  # never a part of somebody
            assert {0, 1} <= set(rows[0].tolist()) and 1 in rows[1]
        seen |= patients
    assert seen == {"1", "2", "3", "4", "5"}
    again = chosen_rows(sources, 2, 3)
    assert all((a == b).all() for a, b in zip(again, chosen_rows(sources, 2, 3), strict=True))


def test_moments_are_those_of_who_trains(mixture: Mixture) -> None:
    first, second = mixture.sources
    some = [
        Source(first.records, np.array([2]), 0.9),
        Source(second.records, np.array([0, 1]), 0.1),
    ]
    each = [first.records.moments[2], *second.records.moments]
    np.testing.assert_allclose(mean_moments(some), np.mean(each, 0))


def test_a_quick_run_learns_is_cooled_and_scored(
    ptbxl_fold10: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, report = tmp_path / "run", tmp_path / "scores.json"
    train = ["any-leads", "--quick", "--run", str(run)]
    score = ["any-leads-scores", "--run", str(run), "--records", "24", "--json", str(report)]
    assert main([*train, "--steps", "70"]) == 0
    assert main([*train, "--cooldown", "30"]) == 0
    assert "going on after step 70" in capsys.readouterr().out
    assert main(score) == 0
    assert "cooldown.safetensors: step 100" in capsys.readouterr().out
    found = json.loads(report.read_text())
    assert found["data"] == "validation" and len(found["sets"]) == 11
    assert len(sets_card(found)["r"]) == 11
    by_set = {row["leads"]: row for row in found["sets"]}
    for leads in ("I", "II", "I+II"):  # 64 records teach this much
        assert by_set[leads]["r"] > by_set[leads]["linear_r"]
        assert by_set[leads]["rmse_uv"] < by_set[leads]["linear_rmse_uv"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["any-leads-scores"], "no run in"),
        (["any-leads-scores", "--checkpoint", "nowhere"], "nowhere is missing"),
        (["any-leads", "--quick", "--cooldown", "5"], "last.safetensors is missing"),
    ],
)
def test_what_was_not_run_is_one_line(
    ptbxl_fold10: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    said: str,
) -> None:
    assert main([*more, "--run", str(tmp_path / "run")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "torch finds no GPU"),
        (["--narrow", "wide.safetensors"], "run on the CPU"),
        (["--adversarial", "0.1"], "run on the CPU"),
        (["--lookahead", "26"], "give one from 0 to 25"),
    ],
    ids=str,
)
def test_what_no_gpu_can_do_here_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    said: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["any-leads", "--device", "cuda", "--run", str(tmp_path / "run"), *more]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0]
    assert not (tmp_path / "run").exists()


def test_a_network_of_another_shape_is_made_as_asked(
    ptbxl_fold10: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "VALIDATION_RECORDS", 2)
    shape = ["--channels", "8", "--dilations", "1,2, 4", "--dropout", "0.2", "--lookahead", "3"]
    more = ["--rate", "0.001", "--batch", "4", "--steps", "2"]
    assert main(["any-leads", "--quick", "--run", str(tmp_path / "run"), *shape, *more]) == 0
    made = load_checkpoint(tmp_path / "run" / LAST)
    config = made.config()
    assert (config.channels, config.dilations) == (8, (1, 2, 4))
    assert (config.dropout, config.lookahead) == (0.2, 3)
    assert (made.about["schedule"]["rate"], made.about["schedule"]["batch"]) == (0.001, 4)


@pytest.mark.parametrize("value", ["-0.1", "1.5", "nan", "half"])
def test_a_share_that_is_none_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["any-leads", f"--first={value}"])
    assert "give a number" in capsys.readouterr().err


def test_a_narrower_one_begins_as_a_wide_one_and_goes_on_where_it_was(
    ptbxl_fold10: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "VALIDATION_RECORDS", 2)
    wide = tmp_path / "wide" / LAST
    train = ["any-leads", "--quick", "--run"]
    assert main([*train, str(wide.parent), "--steps", "4"]) == 0
    narrow = ["--channels", "16", "--narrow", str(wide), "--teacher", str(wide), "--first", "1"]
    assert main([*train, str(tmp_path / "whole"), *narrow, "--steps", "3"]) == 0
    for until in ("2", "3"):
        assert main([*train, str(tmp_path / "parts"), *narrow, "--steps", until]) == 0
    assert "going on after step 2" in capsys.readouterr().out
    whole, parts = (load_checkpoint(tmp_path / one / LAST) for one in ("whole", "parts"))
    assert all((whole.tensors[name] == parts.tensors[name]).all() for name in whole.tensors)
    assert whole.config().channels == 16
    assert whole.about["sampling"]["first"] == 1 and whole.about["teacher_step"] == 4
    assert whole.about["moments"] == load_checkpoint(wide).about["moments"]
    assert json.loads((tmp_path / "whole" / "log.jsonl").read_text())["teacher_uv"] > 0
    assert main([*train, str(tmp_path / "both"), *narrow, "--start", str(wide)]) == 1
    assert "give one" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--steps", "--cooldown", "--qat", "--patients", "--channels"])
@pytest.mark.parametrize("value", ["0", "-3", "many"])
def test_a_number_that_is_none_is_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["any-leads", f"{option}={value}"])
    assert "give a whole number, 1 at least" in capsys.readouterr().err
