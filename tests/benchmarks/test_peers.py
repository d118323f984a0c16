"""Ratios have intervals, and a peer that is not there is named and never made up."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.peers import OURS, compared

pytest.importorskip("scipy", reason="needs leadlift[test]")


def test_ours_beside_itself_is_one() -> None:
    found = compared({"a": lambda: None, "b": lambda: sum(range(2000))}, 5, 0.0)
    assert found["a"]["ratio"] == 1.0
    assert found["a"]["interval"] == (1.0, 1.0)
    assert found["b"]["rounds"] == 5


def test_peers_that_are_missing_are_skipped_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.split(".")[0] in ("mne_lsl", "brainflow"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    out = tmp_path / "peers.json"
    assert main(["peers", "--quick", "--json", str(out)]) == 0
    results = json.loads(out.read_text())["results"]
    assert set(results["read"]["250"]) == {OURS, "leadlift, copied"}
    assert set(results["push"]["250"]) == {OURS}
    assert results["contiguous_read_copies"] == 0
    assert set(results["conditioning"]) == {OURS, "SciPy sosfilt"}
    assert set(results["skipped"]) == {"MNE-LSL, 250 Hz", "BrainFlow, all rows, 250 Hz"}
    assert "leadlift[peers]" in capsys.readouterr().out
