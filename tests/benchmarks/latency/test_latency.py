"""The latency report: every target finds its figure, and only what was asked for is measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.__main__ import main, parser
from benchmarks.latency.command import PARTS, TARGETS, measure_push, tables
from benchmarks.latency.engine_step import measure_engine_step
from benchmarks.latency.engines import measure_engines
from benchmarks.latency.live import run_live
from benchmarks.latency.probes import measure_import, measure_reconstruct
from benchmarks.report import samples_needed
from edge.bundle import load_bundle
from edge.engines.registry import AUTO

pytestmark = pytest.mark.realtime


def test_every_target_finds_its_figure() -> None:
    bundle = load_bundle()
    if shutil.which("cc") is None:
        pytest.skip("no cc on this machine: a target bounds the engine c")
    results = {
        "engine_step": measure_engine_step(bundle, 0.001, 0.0),
        "engines": measure_engines(bundle, 0.001, 0.0),
        "push": measure_push(bundle, calls=1, warm_up_s=0.0),
        "live": run_live(bundle, seconds=1.5).results,
        "reconstruct": measure_reconstruct(seconds=4.0),
        "import": measure_import(1),
        "demo": {"peak_mb": 1.0},
    }
    assert set(results) == set(PARTS)
    few = ("p50", "p90", "p99", "p99.9")  # None when a run this short cannot tell
    for target in TARGETS:
        *parents, name = target.figure.split("/")
        at = results
        for key in parents:
            at = at[key]
        assert name in at, target
        assert at[name] is not None or name in few, target
    durations, ratios, engines, algorithmic = tables(results)
    n_engines = len(results["engines"]["engines"])
    assert len(durations.rows) == 3 * 2 + n_engines + 1 + 2
    assert len(engines.rows) == n_engines
    assert len(ratios.rows) == 3
    assert algorithmic.rows[-1][0] == "sum"
    assert {len(row) for row in durations.rows} == {len(durations.columns)}


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
    assert main(["latency", "--parts", "import", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert list(report["results"]) == ["import"]
    assert report["benchmark"] == "latency"
    assert {row["name"]: row["met"] for row in report["targets"]}["samples lost live"] is None
    about = report["environment"]
    assert about["bundle_sha256"] == load_bundle().sha256
    assert {"load_before", "load_after", "cpu", "kernel", "date"} <= set(about)
    assert about["engine"] in AUTO
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| import")]
    assert len(rows) == 1  # what was not asked for has no verdict


def test_an_unknown_part_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["latency", "--parts", "everything"])
    assert "invalid choice" in capsys.readouterr().err
