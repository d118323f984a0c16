"""Limb leads that contradict Einthoven's law are said, with the mistake; noise and filters are not."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edge
from edge.cli import main
from edge.leads import LEADS
from edge.signal.einthoven import Contradiction, IdentityCheck, contradiction
from firmware_bridge.simulators.ecg import EcgSimulator

LIMB = LEADS[:6]
HZ = 250.0


def ecg(
    leads: Sequence[str], hz: float = HZ, seconds: int = 10, **noise: float
) -> NDArray[np.float32]:
    twelve = EcgSimulator(hz, 70, seed=1, **noise).read(round(seconds * hz))
    return twelve[[LEADS.index(lead) for lead in leads]]


def found(x: NDArray[np.float32], leads: Sequence[str] = LIMB, hz: float = HZ) -> Contradiction:
    result = contradiction(x, hz, leads)
    assert result is not None
    return result


@pytest.mark.parametrize(
    "leads", [LIMB, ("III", "V1", "I", "II"), ("aVF", "aVL", "aVR"), ("aVL", "II", "I")]
)
@pytest.mark.parametrize("hz", [100.0, 250.0, 1000.0])
def test_leads_that_agree_are_no_matter(leads: tuple[str, ...], hz: float) -> None:
    x = ecg(leads, hz, baseline_mv=0.2, mains_mv=0.1)
    offsets = np.linspace(-200, 200, len(leads))[:, None]
    assert contradiction(x + offsets.astype(np.float32), hz, leads) is None


@pytest.mark.parametrize("noise_mv", [0.01, 0.1, 1.0])
def test_noise_of_each_lead_is_no_contradiction(noise_mv: float) -> None:
    x = ecg(("I", "II", "III"))
    rng = np.random.default_rng(0)
    assert contradiction(x + noise_mv * rng.standard_normal(x.shape), HZ, LIMB[:3]) is None


@pytest.mark.parametrize("mains_mv", [0.05, 1.0])
@pytest.mark.parametrize("hz", [250.0, 1000.0])
def test_mains_of_each_lead_is_no_contradiction(mains_mv: float, hz: float) -> None:
    x = ecg(("I", "II", "III"), hz)
    t = np.arange(x.shape[1]) / hz
    mains = mains_mv * np.sin(2 * np.pi * 50 * t + np.array([[0.3], [1.9], [4.0]]))
    assert contradiction(x + mains, hz, LIMB[:3]) is None


def test_filters_that_differ_are_no_contradiction() -> None:
    """First-order high-passes of 0.05 to 0.5 Hz, and low-passes of 40 and 100 Hz."""
    x = ecg(("I", "II", "III"), 500.0, baseline_mv=0.2).astype(np.float64)

    def low_passed(row: NDArray[np.float64], cutoff_hz: float) -> NDArray[np.float64]:
        share, out = 1 - np.exp(-2 * np.pi * cutoff_hz / 500.0), row.copy()
        for i in range(1, len(row)):
            out[i] = out[i - 1] + share * (row[i] - out[i - 1])
        return out

    x = np.stack([row - low_passed(row, hz) for row, hz in zip(x, (0.05, 0.5, 0.15), strict=True)])
    x = np.stack([low_passed(row, hz) for row, hz in zip(x, (40.0, 100.0, 150.0), strict=True)])
    assert contradiction(x, 500.0, LIMB[:3]) is None


@pytest.mark.parametrize("lead", LIMB)
@pytest.mark.parametrize("noise_mv", [0.0, 0.03])
def test_an_inverted_lead_is_named(lead: str, noise_mv: float) -> None:
    x = ecg(LIMB) + noise_mv * np.random.default_rng(0).standard_normal((6, 2500))
    x[LIMB.index(lead)] *= -1
    assert found(x).mistakes == (f"{lead} is inverted",)


@pytest.mark.parametrize("pair", [("I", "II"), ("II", "aVR"), ("III", "aVL"), ("I", "aVF")])
def test_leads_that_were_exchanged_are_named(pair: tuple[str, str]) -> None:
    x = ecg(LIMB)
    i, j = (LIMB.index(lead) for lead in pair)
    x[[i, j]] = x[[j, i]]
    assert found(x).mistakes == (f"{pair[0]} and {pair[1]} are exchanged",)


def test_of_three_leads_both_explanations_are_named() -> None:
    x = ecg(("I", "II", "III"))
    x[2] *= -1
    assert set(found(x, LIMB[:3]).mistakes) == {"III is inverted", "I and II are exchanged"}


def test_how_much_is_said_in_microvolts() -> None:
    x = ecg(("I", "II", "III"))
    x[2] *= -1
    text = str(found(x, LIMB[:3]))
    mv = x - x.mean(axis=1, keepdims=True)
    whole_uv = 1e3 * np.sqrt(np.square(mv[0] - mv[1] + mv[2]).mean())
    assert found(x, LIMB[:3]).rms_uv == pytest.approx(whole_uv, rel=0.4)
    assert text.startswith("the limb leads I, II, III contradict Einthoven's law by ")
    assert "\n" not in text


def test_what_no_single_mistake_explains_names_none() -> None:
    x = ecg(("I", "II", "III"))
    x[2] = ecg(("V2",))[0]
    assert found(x, LIMB[:3]).mistakes == ()


def test_an_electrode_that_is_off_hides_no_mistake_of_others() -> None:
    x = ecg(LIMB)
    x[0] = np.nan
    x[2] *= -1
    assert found(x).mistakes == ("III is inverted",)


def test_too_little_to_know_says_nothing() -> None:
    x = ecg(LIMB)
    x[2] *= -1
    assert contradiction(x[:, :1000], HZ, LIMB) is None
    assert contradiction(x[:2], HZ, LIMB[:2]) is None
    assert contradiction(x[:, :0], HZ, LIMB) is None


@pytest.mark.parametrize("size", [1, 33, 10_000])
def test_a_stream_is_told_once_whatever_the_chunks(size: int) -> None:
    x = ecg(LIMB, seconds=24)
    x[:, :1000] = np.nan  # electrodes off at first
    x[3] *= -1
    check = IdentityCheck(LIMB, HZ)
    said = [check.push(x[:, i : i + size]) for i in range(0, x.shape[1], size)]
    (one,) = [verdict for verdict in said if verdict is not None]
    assert one.mistakes == ("aVR is inverted",)
    assert check.decided


def test_a_whole_recording_warns_and_goes_on() -> None:
    x = ecg(("I", "II", "III"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edge.reconstruct(x, HZ, leads=("I", "II", "III"))
    x[0] *= -1
    with pytest.warns(UserWarning, match="contradict Einthoven's law by .* I is inverted"):
        out = edge.reconstruct(x, HZ, leads=("I", "II", "III"))
    assert np.isfinite(out).all()


def test_a_recording_is_looked_at_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = ecg(("I", "II", "III"), seconds=50)
    x[2, 7500:] *= -1
    with pytest.warns(UserWarning, match="it seems that III is inverted"):
        edge.reconstruct(x, HZ, leads=("I", "II", "III"))
    np.savez(tmp_path / "in.npz", ecg_mv=x, leads=["I", "II", "III"], sampling_hz=HZ)
    assert main(["reconstruct", str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]) == 0
    assert capsys.readouterr().err.count("it seems that III is inverted") == 1
