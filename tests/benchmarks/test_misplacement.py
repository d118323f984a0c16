"""The benchmark of misplaced leads: what it prints and judges, on a few records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="benchmarks on records need scipy: install '.[test]'")

from benchmarks.__main__ import main
from benchmarks.misplacement import share, targets
from quantize.data import Records


def test_every_mistake_that_can_be_told_is_scored(
    ptbxl_fold10: Records, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    asked = ["misplacement", "--domains", "test", "--limit", "12", "--leads", "I,II,V2,V5"]
    assert main([*asked, "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    wired = report["results"]["test"]["wired"]
    assert report["results"]["test"]["records"] == 12
    assert wired["as named"]["within_4_s"]["share"] <= 0.25
    assert wired["V2 and V5 are exchanged"]["within_9_s"]["share"] >= 0.75
    assert set(wired).isdisjoint(report["results"]["not_told"])
    assert {row["name"] for row in report["targets"]} == {
        target.name for target in targets(["test"], tuple(set(wired) - {"as named"}))
    }
    assert "V2 and V5 are exchanged" in capsys.readouterr().out


def test_a_share_has_an_interval_that_holds_it() -> None:
    found = share([True] * 3 + [False])
    assert found["share"] == 0.75
    assert 0 < found["low"] < 0.75 < found["high"] < 1
