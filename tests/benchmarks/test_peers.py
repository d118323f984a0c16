"""Ratios have intervals, and a peer that is not there is named and never made up."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.errors import BenchmarkError
from benchmarks.file_peers import check_same, cleaning, reading
from benchmarks.peers import OURS, compared

pytest.importorskip("scipy", reason="needs '.[test]'")


def test_ours_beside_itself_is_one() -> None:
    found = compared({"a": lambda: None, "b": lambda: sum(range(2000))}, 5, 0.0)
    assert found["a"]["ratio"] == 1.0
    assert found["a"]["interval"] == (1.0, 1.0)
    assert found["b"]["rounds"] == 5


def test_peers_that_are_missing_are_skipped_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] in ("mne_lsl", "brainflow", "wfdb", "neurokit2"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    out = tmp_path / "peers.json"
    assert main(["peers", "--quick", "--json", str(out)]) == 0
    results = json.loads(out.read_text())["results"]
    assert set(results["read"]["250"]) == {OURS, "leadlift, copied"}
    assert set(results["push"]["250"]) == {OURS}
    assert results["contiguous_read_copies"] == 0
    assert set(results["conditioning"]) == {OURS, "SciPy sosfilt"}
    assert set(results["reading"]["10 s at 500 Hz"]) == set(results["cleaning"]) == {OURS}
    assert set(results["skipped"]) == {
        "MNE-LSL, 250 Hz",
        "BrainFlow, all rows, 250 Hz",
        "wfdb",
        "neurokit2, reading",
        "neurokit2 ecg_clean",
    }
    assert "'.[peers]'" in capsys.readouterr().out


def test_others_read_the_values_that_were_written_as_we_do(tmp_path: Path) -> None:
    """The comparison is of readers of one record, and an other's values end it."""
    pytest.importorskip("wfdb", reason="needs '.[peers]'")
    skipped: dict[str, str] = {}
    with reading(2.0, 500.0, skipped) as steps:
        assert set(steps) == {OURS, "wfdb"}
    assert list(skipped) == ["neurokit2, reading"]
    with pytest.raises(BenchmarkError, match="wfdb reads other values than leadlift"):
        check_same({OURS: np.zeros((12, 5)), "wfdb": np.full((12, 5), 0.001)})


def test_neurokit_cleans_what_our_filters_take() -> None:
    pytest.importorskip("neurokit2", reason="needs '.[peers]'")
    skipped: dict[str, str] = {}
    steps = cleaning(None, 4.0, skipped)
    assert not skipped
    for step in steps.values():
        made = np.asarray(step()[0])  # type: ignore[index]
        assert np.isfinite(made).all()
