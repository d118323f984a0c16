"""The maps on the stream: the sum that they say, at the taps that they name, however the stream is cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from edge.bundle import Manifest
from edge.leads import INPUT_LEADS, LEADS, RECONSTRUCTED_LEADS
from edge.patient.patient import TAPS, OutputMap, Patient, Reference, mask_names
from edge.patient.patient_map import SIGMA_EXPONENT, PatientMap
from edge.signal.conditioning import Conditioning
from tests.edge.signals import cuts, pieces

N = 96
ALL = np.ones(3, bool)
MANIFEST = Manifest(
    "three leads",
    250.0,
    4,
    0,
    1,
    INPUT_LEADS,
    RECONSTRUCTED_LEADS,
    (),
    Conditioning(),
    tuple(map(tuple, np.eye(8).tolist())),
)


def mapped(patient: Patient) -> PatientMap:
    """On the rows of a decoder of II, V1, V5."""
    return PatientMap(patient, MANIFEST, INPUT_LEADS)


@pytest.fixture(scope="module")
def patient() -> Patient:
    """Random maps for II, V1, V5 alone: no decoder is needed to apply them."""
    rng = np.random.default_rng(8)
    maps = {
        name: OutputMap(
            rng.normal(0, 0.2, (5, len(TAPS) * 8)), rng.uniform(0.01, 0.1, 5), rng.normal(-3, 1, 5)
        )
        for name in mask_names(3)
    }
    about = Reference("random", 2.0, 250.0, LEADS, "2026-11-29T00:00:00")
    leads = INPUT_LEADS, RECONSTRUCTED_LEADS, RECONSTRUCTED_LEADS
    return Patient("0" * 64, "none", *leads, about, {}, np.eye(8), maps)


def signals(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(8, N)).astype(np.float32), rng.normal(size=(5, N)).astype(np.float32)


def test_it_adds_the_weighted_taps(patient: Patient) -> None:
    leads, log_sigma = signals()
    expected = leads[:5].astype(np.float64)
    seen = np.concatenate([leads[5:], leads[:5]]).astype(np.float64)
    one = patient.maps["111"]
    for i, tap in enumerate(TAPS):
        weights = one.weights[:, 8 * i : 8 * (i + 1)]
        for n in range(N):
            expected[:, n] += weights @ seen[:, max(0, n - tap)]
    corrected, scaled = leads.copy(), log_sigma.copy()
    mapped(patient).apply(ALL, corrected, scaled)
    assert corrected[:5] == pytest.approx(expected, abs=1e-5)
    assert (corrected[5:] == leads[5:]).all()
    typical = np.log(one.sigma_mv)[:, None]
    assert scaled == pytest.approx(
        typical + SIGMA_EXPONENT * (log_sigma - one.log_sigma[:, None]), abs=1e-4
    )


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=cuts(N))
def test_any_chunking_gives_the_same(patient: Patient, at: list[int]) -> None:
    leads, log_sigma = signals(1)
    whole, whole_sigma = leads.copy(), log_sigma.copy()
    mapped(patient).apply(ALL, whole, whole_sigma)
    cut = mapped(patient)
    for piece in pieces(N, at):
        if piece.start < piece.stop:
            ecg, sigma = leads[:, piece].copy(), log_sigma[:, piece].copy()
            cut.apply(ALL, ecg, sigma)
            assert np.abs(ecg - whole[:, piece]).max() <= 1e-6
            assert np.abs(sigma - whole_sigma[:, piece]).max() <= 1e-6


def test_a_reset_forgets_the_past(patient: Patient) -> None:
    leads, log_sigma = signals(2)
    fresh, used = mapped(patient), mapped(patient)
    used.apply(ALL, signals(3)[0], signals(3)[1])
    used.reset()
    a, b = leads.copy(), leads.copy()
    fresh.apply(ALL, a, log_sigma.copy())
    used.apply(ALL, b, log_sigma.copy())
    assert (a == b).all()


def test_without_a_map_nothing_changes(patient: Patient) -> None:
    leads, log_sigma = signals(4)
    a, b = leads.copy(), log_sigma.copy()
    mapped(dataclasses.replace(patient, maps={})).apply(ALL, a, b)
    assert (a == leads).all() and (b == log_sigma).all()
