"""Limb leads that contradict each other are found, and named by how much; noise and filters do not count."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import edge
from edge.cli import main
from edge.leads import LEADS
from edge.signal.einthoven import EinthovenCheck, contradiction
from edge.stream import open_stream
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.signals import cuts, pieces

HZ, N = 250.0, 2000
LIMB = LEADS[:6]


def limb(seed: int = 0, noise_mv: float = 0.02) -> np.ndarray:
    ecg = EcgSimulator(HZ, 70, baseline_mv=0.2, seed=seed).read(N)[:6]
    offsets = np.linspace(-200, 200, 6)[:, None]  # of electrodes
    return ecg + offsets + np.random.default_rng(seed).normal(0, noise_mv, ecg.shape)


@pytest.mark.parametrize("leads", [("I", "II", "III"), LIMB, ("aVR", "aVL", "aVF"), ("I", "II")])
def test_leads_that_agree_but_for_noise_are_left_in_peace(leads: tuple[str, ...]) -> None:
    x = limb()[[LIMB.index(lead) for lead in leads]]
    assert contradiction(x, leads, HZ) is None


def test_filters_that_differ_are_left_in_peace() -> None:
    x = limb()[:3].copy()
    x[2] = np.convolve(x[2], np.full(5, 0.2), "same")
    assert contradiction(x, LIMB[:3], HZ) is None


@pytest.mark.parametrize(
    ("leads", "spoil", "says"),
    [
        (LIMB[:3], lambda x: x * np.array([[1], [1], [-1]]), "III inverted or I and II exchanged"),
        (LIMB, lambda x: x * np.array([[1], [-1], [1], [1], [1], [1]]), "II inverted"),
        (LIMB, lambda x: x[[0, 1, 2, 4, 3, 5]], "aVR and aVL exchanged"),
    ],
)
def test_one_mistake_is_named(leads: tuple[str, ...], spoil, says: str) -> None:  # type: ignore[no-untyped-def]
    found = contradiction(spoil(limb()[: len(leads)]), leads, HZ)
    assert found is not None and found.rms_mv > 0.03
    line = str(found)
    assert line.startswith(f"limb leads {', '.join(leads)} contradict Einthoven's law by ")
    assert f"uV; {says}, it seems: check the electrodes" in line


def test_what_no_single_mistake_explains_is_said_without_one() -> None:
    x = limb()[:3].copy()
    x[2] = limb(seed=9)[1] * 1.7
    found = contradiction(x, LIMB[:3], HZ)
    assert found is not None and found.mistakes == ()
    assert "uV; check the electrodes" in str(found)


def test_an_artefact_or_too_little_decides_nothing() -> None:
    x = limb()[:3].copy()
    x[2, 300:340] += 5.0
    assert contradiction(x, LIMB[:3], HZ) is None
    assert contradiction(-limb()[:3, :900] * [[1], [1], [-1]], LIMB[:3], HZ) is None


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=cuts(N))
def test_a_stream_says_it_once_however_it_is_cut(at: list[int]) -> None:
    x = (limb()[:3] * [[1], [1], [-1]]).astype(np.float32)
    check = EinthovenCheck(LIMB[:3], HZ)
    found = [one for piece in pieces(N, at) if (one := check.push(x[:, piece])) is not None]
    assert len(found) == 1 and check.decided


def test_files_and_arrays_say_it_and_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = (limb()[:3] * [[1], [1], [-1]]).astype(np.float32)
    np.savez(tmp_path / "in.npz", ecg_mv=x, leads=LIMB[:3], sampling_hz=HZ)
    out = tmp_path / "out.npz"
    assert main(["reconstruct", str(tmp_path / "in.npz"), str(out), "--leads", "I,II,III"]) == 0
    assert "limb leads I, II, III contradict Einthoven's law by" in capsys.readouterr().err
    with pytest.warns(UserWarning, match="contradict Einthoven's law by"):
        shown = edge.reconstruct(x, leads=LIMB[:3])
    assert np.isfinite(shown).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edge.reconstruct(limb()[:3], leads=LIMB[:3])


@pytest.mark.realtime
def test_a_live_stream_that_agrees_says_nothing() -> None:
    with open_stream("sim:?leads=I,II,III", leads=("I", "II", "III")) as stream:
        for block in stream:
            if block.first_sample > 6 * HZ:
                break
        assert stream.runtime.warnings == ()
