"""Two reports side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.compare import compare, figures
from benchmarks.errors import BenchmarkError


def report(results: dict[str, Any], benchmark: str = "latency", cpu: str = "a") -> dict[str, Any]:
    return {"benchmark": benchmark, "environment": {"cpu": cpu, "cores": 2}, "results": results}


def test_numbers_are_found_by_their_place() -> None:
    results = {"a": {"b": 1, "c": {"d": 2.5}}, "list": [1, 2], "yes": True, "none": None, "t": "x"}
    assert figures(results) == {"a/b": 1, "a/c/d": 2.5}


def test_ratios_and_what_only_one_has() -> None:
    found = compare(
        report({"p50": 2.0, "zero": 0, "old": 1}),
        report({"p50": 3.0, "zero": 1, "new": 1}, cpu="b"),
    )
    assert found["figures"]["p50"] == {"a": 2.0, "b": 3.0, "ratio": 1.5}
    assert found["figures"]["zero"]["ratio"] is None
    assert (found["only_in_a"], found["only_in_b"]) == (["old"], ["new"])
    assert found["environment"] == {"cpu": {"a": "a", "b": "b"}}


def test_two_benchmarks_do_not_compare() -> None:
    with pytest.raises(BenchmarkError, match="same benchmark"):
        compare(report({}), report({}, "fidelity"))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, out = (tmp_path / name for name in ("a.json", "b.json", "out.json"))
    a.write_text(json.dumps(report({"p50": 2.0})))
    b.write_text(json.dumps(report({"p50": 1.0})))
    assert main(["compare", str(a), str(b), "--json", str(out)]) == 0
    assert "| p50 " in capsys.readouterr().out
    assert json.loads(out.read_text())["figures"]["p50"]["ratio"] == 0.5
    assert main(["compare", str(a), str(tmp_path / "none.json")]) == 1
