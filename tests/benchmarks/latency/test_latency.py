"""The latency report: every target finds its figure, and only what was asked for is measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main, parser
from benchmarks.latency.command import PARTS, SCENARIOS, measure_push
from benchmarks.report import samples_needed
from edge.bundle import load_bundle
from edge.engines.registry import AUTO

pytestmark = pytest.mark.realtime


def test_a_push_is_a_hop_each_time() -> None:
    found = measure_push(load_bundle(), calls=samples_needed(90), warm_up_s=0.0)
    assert found["n"] == samples_needed(90)
    assert found["min"] <= found["p50"] <= found["p90"] <= found["max"]
    assert found["p99"] is None
    assert found["engine"] in AUTO


def test_the_command_measures_what_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "latency.json"
    assert main(["latency", "--quick", "--parts", "push", "paced", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert list(report["results"]) == ["push", "paced"]
    assert report["benchmark"] == "latency"
    assert {row["name"]: row["met"] for row in report["targets"]}["samples lost live"] is None
    assert report["environment"]["engine"] == report["results"]["push"]["engine"] in AUTO
    shown = capsys.readouterr().out
    assert "push at the pace of the stream" in shown
    assert "p99 needs 662" in shown  # why it is not told
    assert "samples lost live" not in shown  # what was not asked for has no verdict


def test_scenarios_are_of_parts() -> None:
    assert [part for parts in SCENARIOS.values() for part in parts] == list(PARTS)


def test_an_unknown_part_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["latency", "--parts", "everything"])
    assert "invalid choice" in capsys.readouterr().err
