"""Many patients, and this code against an earlier checkout: every target finds its figure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import against
from benchmarks.__main__ import main
from benchmarks.errors import BenchmarkError
from benchmarks.multi import TARGETS

pytestmark = pytest.mark.realtime
ROOT = Path(__file__).parent.parent.parent


def figure(results: dict[str, object], name: str) -> object:
    at: object = results
    for key in name.split("/"):
        assert isinstance(at, dict)
        at = at[key]
    return at


def test_the_command_says_what_a_patient_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "multi.json"
    given = "multi --engine onnxruntime --sizes 1 64 --rounds 2 --seconds 1 --json"
    assert main([*given.split(), str(out)]) == 0
    results = json.loads(out.read_text())["results"]
    assert set(results["cost"]) == {"one", "1", "64"}
    assert results["onnxruntime"] == results["cost"]
    assert results["paced"]["samples_lost"] == 0
    alone = results["cost"]["one"]["per_patient_us"]
    for cost in results["cost"].values():
        assert cost["ratio_of_medians"] == pytest.approx(cost["per_patient_us"] / alone)
    for target in TARGETS:
        figure(results, target.figure)
    assert "a Reconstructor" in capsys.readouterr().out


def test_this_checkout_against_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = np.random.default_rng(0).normal(0, 0.3, (1, 3, 1000)).astype(np.float32)
    monkeypatch.setattr(against, "real_records", lambda n, seconds: (records, records))
    out = tmp_path / "against.json"
    given = [
        "against",
        str(ROOT),
        "--offline-earlier",
        str(ROOT),
        "--engine",
        "onnxruntime",
        "--rounds",
        "1",
        "--json",
        str(out),
    ]
    assert main(given) == 0
    results = json.loads(out.read_text())["results"]
    for target in against.TARGETS:
        assert isinstance(figure(results, target.figure), float), target


def test_what_is_no_checkout_is_said(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="holds no edge: make one with `git worktree add"):
        against.Pair(tmp_path, np.zeros((1, 3, 8), np.float32))


def test_what_is_no_commit_is_said() -> None:
    with (
        pytest.raises(BenchmarkError, match="no commit that this repository holds"),
        against.checkout_of("0000000"),
    ):
        pass
