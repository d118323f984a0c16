"""Every benchmark in its quick form: figures have their shape and order; nobody asks how fast."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="benchmarks of the decoder need '.[test]'")
pytest.importorskip("scipy", reason="benchmarks of the filters need '.[test]'")
pytest.importorskip("torch", reason="benchmarks beside other networks need '.[test]'")

from benchmarks.__main__ import MEASUREMENTS, main, parser
from benchmarks.against import EARLIER, EARLIER_OFFLINE
from benchmarks.quick import QUICK
from benchmarks.report import samples_needed
from edge.bundle import load_bundle
from edge.engines.registry import REFERENCE

ROOT = Path(__file__).parents[2]
OF_RECORDS = ("against", "fidelity", "misplacement")
ELSEWHERE = {
    "device": "a GPU",
    "view": "a browser: test_view",
    "peers": "test_peers",
    "turing": "test_turing",
}
"""Needs what this machine lacks, or is run in its quick form by a test of its own."""


def test_every_benchmark_has_a_quick_form() -> None:
    names = {module.__name__.removesuffix(".command").split(".")[-1] for module in MEASUREMENTS}
    assert names == set(QUICK)
    for name, values in QUICK.items():
        given = [name, "--quick", *(["kit"] if name == "turing" else [])]
        assert set(values) < set(vars(parser().parse_args(given))), name


@pytest.mark.parametrize("name", [name for name in QUICK if name not in ELSEWHERE])
def test_the_quick_form(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if name in OF_RECORDS:
        request.getfixturevalue("ptbxl_fold10")
    if name == "against":
        for commit in (EARLIER, EARLIER_OFFLINE):
            held = subprocess.run(["git", "cat-file", "-e", commit], cwd=ROOT, capture_output=True)
            if held.returncode:
                pytest.skip(f"this repository does not hold {commit}: a shallow clone?")
    out = tmp_path / "report.json"
    assert main([name, "--quick", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["benchmark"] == name
    about = report["environment"]
    assert about["bundle_sha256"] == load_bundle().sha256
    assert about["threads"] == 1
    assert {"cpu", "governor", "packages", "git_commit", "seed", "load_after"} <= set(about)
    found = [node for node in nodes(report["results"]) if node]
    assert found
    for node in found:
        check(node)
    for target in report["targets"]:
        if target["figure"].split("/")[0] in report["results"] and name != "fidelity":
            assert target["measured"] is not None or target["undecided"], target


def test_engines_agree_in_the_quick_form(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    assert main(["latency", "--quick", "--parts", "engines", "--json", str(out)]) == 0
    found = json.loads(out.read_text())["results"]["engines"]
    engines = found["engines"]
    assert engines[REFERENCE]["difference_mv"] == 0
    assert engines[REFERENCE]["ratio"] == 1
    assert (
        0 < engines["onnxruntime float32"]["difference_mv"] < 0.5
    )  # eight bits are all that lies between
    exact = set(engines) - {REFERENCE, "onnxruntime float32", "torch float32"}
    exact = {name for name in exact if not name.endswith("small model")}  # of another decoder
    assert all(engines[name]["difference_mv"] < 1e-4 for name in exact)
    twins = [engines[f"{name} float32"]["difference_mv"] for name in ("torch", "onnxruntime")]
    assert twins[0] == pytest.approx(twins[1], abs=1e-3)
    assert found["fastest"]["engine"] in {REFERENCE, *exact}


def nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping in a report."""
    if isinstance(tree, Mapping):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for item in tree:
            yield from nodes(item)


def check(node: Mapping[str, Any]) -> None:
    """Durations are in order, and told only where there are enough; ratios lie in their intervals."""
    if "p50" in node and "n" in node:
        names = ("min", "p50", "p90", "p99", "p99.9", "max")
        told = [node[name] for name in names if node.get(name) is not None]
        assert told == sorted(told)
        assert all(value >= 0 and math.isfinite(value) for value in told)
        for percent in (50, 90, 99, 99.9):
            name = f"p{percent:g}"
            assert (node.get(name) is not None) <= (node["n"] >= samples_needed(percent)), name
    if "ratio" in node and node.get("interval"):
        low, high = node["interval"]
        assert low <= node["ratio"] <= high
    if "ecdf" in node:
        assert node["ecdf"]["us"] == sorted(node["ecdf"]["us"])
        assert len(node["ecdf"]["us"]) == len(node["ecdf"]["percent"])
