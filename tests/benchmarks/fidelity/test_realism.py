"""Realism: what is the same is not told apart and is at no distance; what is not, is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="a classifier needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="benchmarks on records need scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="weights need safetensors: install '.[test]'")

from benchmarks.__main__ import parser
from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.judged import CALIBRATED, CONDITIONED, REAL, SHIPPED
from benchmarks.fidelity.methods import LINEAR
from benchmarks.fidelity.realism import (
    GROUPS,
    IN_FEATURES,
    MADE,
    SEEDS,
    distances,
    measure_realism,
    told_apart,
)
from edge.leads import LEADS
from quantize.classifier.network import Classifier, ClassifierConfig
from quantize.classifier.train import save_classifier
from tests.benchmarks.synthetic import simulated_records

RNG = np.random.default_rng(0)
TRUE = RNG.standard_normal((60, 6))
PATIENTS = [f"p{i // 2}" for i in range(60)]
FEATURES = {
    REAL: TRUE,
    SHIPPED: TRUE + 0.3 * RNG.standard_normal(TRUE.shape),
    LINEAR: TRUE + 4.0,
    CALIBRATED: TRUE.copy(),
    CONDITIONED: TRUE.copy(),
}


def test_the_same_is_not_told_apart_and_another_is() -> None:
    found = told_apart({"0": FEATURES, "1": FEATURES}, {"0": FEATURES, "1": FEATURES}, PATIENTS)
    assert found[CALIBRATED]["mean"] == 0.5 and found[CALIBRATED]["each"] == [0.5, 0.5]
    assert found[CALIBRATED]["mean_95"] == [0.5, 0.5]
    assert found[LINEAR]["mean"] > 0.99
    assert 0.4 < found[SHIPPED]["mean"] < 0.7


def test_a_judge_is_asked_of_other_records_than_it_learned_from() -> None:
    """A judge that learned nothing that holds elsewhere guesses."""
    learned = {arm: RNG.standard_normal((60, 6)) for arm in (REAL, *MADE)}
    asked = {arm: RNG.standard_normal((60, 6)) for arm in (REAL, *MADE)}
    found = told_apart({"0": learned}, {"0": asked}, PATIENTS)
    assert all(0.3 < found[arm]["mean"] < 0.7 for arm in MADE)


def test_distances_paired_and_not() -> None:
    found = distances(FEATURES, PATIENTS)
    assert found[CALIBRATED]["paired"] == pytest.approx(0, abs=1e-6)
    assert found[CALIBRATED]["unpaired"] == found["floor"]["unpaired"]
    assert found["floor"]["unpaired"]["mean"] > 0.1, "other patients are other hearts"
    assert found[LINEAR]["paired"] == pytest.approx(16, rel=0.2)
    assert 0 < found[SHIPPED]["paired"] < found["floor"]["unpaired"]["mean"]


def test_it_is_measured_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights, cache = tmp_path / "random.safetensors", tmp_path / "cache"
    save_classifier(weights, Classifier(ClassifierConfig(LEADS, widths=(8, 8, 8))), {})
    asked = parser().parse_args(
        ["fidelity", "--part", "realism", "--classifier", str(weights), "--cache", str(cache)]
    )
    records = {name: simulated_records(4, name=name) for name in ("validation", "test")}
    result = measure_realism(asked, records)
    told = result.results["test"]["told_apart"]
    assert set(told) == {IN_FEATURES, *GROUPS}
    assert len(told["V3"][SHIPPED]["each"]) == SEEDS
    for table in result.tables:
        assert table.rows and {len(row) for row in table.rows} == {len(table.columns)}
    kept = {file: file.stat().st_mtime_ns for file in cache.iterdir()}
    assert measure_realism(asked, records).results == result.results
    assert {file: file.stat().st_mtime_ns for file in cache.iterdir()} == kept
    with pytest.raises(BenchmarkError, match="learns on fold 9"):
        measure_realism(asked, {"test": records["test"]})
