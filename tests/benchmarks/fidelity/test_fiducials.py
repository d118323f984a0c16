"""Fiducials: beats and their QRS are found; what holds none gives none, and raises nothing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("neurokit2", reason="fiducials need neurokit2: install '.[test]'")

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.fiducials import delineated, fiducials
from firmware_bridge.simulators.ecg import EcgSimulator

RNG = np.random.default_rng(2)


def test_every_beat_of_the_simulator_is_found() -> None:
    lead_ii = EcgSimulator(250.0, 75, seed=4).read(2500)[EcgSimulator.leads.index("II")]
    found = fiducials(lead_ii, 250.0)
    assert found is not None
    assert len(found.r) in (12, 13)
    assert np.abs(np.diff(found.r) - 200).max() < 20
    assert 0.03 < -found.onset / 250 < 0.12
    assert 0.01 < found.j / 250 < 0.12
    assert 0.2 < found.t_end / 250 < 0.5
    near = [lead_ii[r - 5 : r + 6].max() for r in found.r[1:-1]]
    assert np.allclose(near, lead_ii[found.r[1:-1]], atol=0.05)


@pytest.mark.parametrize(
    "lead_ii",
    [
        np.zeros(2000),
        np.full(2000, 3.0),
        np.linspace(0, 1, 2000),
        np.eye(1, 2000, 900)[0],
        np.zeros(40),
        np.where(np.arange(2000) % 900 < 5, 1.0, 0.0),
    ],
    ids=["flat", "constant", "slope", "one spike", "short", "two beats"],
)
def test_what_holds_no_beats_gives_none(lead_ii: np.ndarray) -> None:
    assert fiducials(lead_ii, 250.0) is None


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0])
def test_noise_raises_nothing(size: float) -> None:
    found = fiducials(RNG.normal(0, size, 2000), 250.0)
    assert found is None or found.onset < 0 < found.j <= found.t_end


def test_a_lead_without_waves_is_delineated_as_nothing() -> None:
    r = np.arange(100, 1900, 200)
    assert delineated(np.zeros(2000), r, 250.0).shape == (3, len(r))
    assert np.isnan(delineated(np.zeros(2000), r[:2], 250.0)).all()


def test_without_neurokit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    with pytest.raises(BenchmarkError, match=r"neurokit2.*\[morphology\]"):
        fiducials(np.zeros(2000), 250.0)
