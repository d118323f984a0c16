"""Values that are not millivolts are told from those that are, offsets and artefacts included."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.signal.plausibility import UnitCheck, implausible_unit
from firmware_bridge.simulators.ecg import EcgSimulator


def ecg(seconds: float = 8.0, hz: float = 250.0) -> NDArray[np.float64]:
    """Leads II, V1, V5 of the simulator, in mV."""
    simulator = EcgSimulator(hz, 65.0, seed=4)
    rows = [simulator.leads.index(lead) for lead in ("II", "V1", "V5")]
    return np.asarray(simulator.read(round(seconds * hz))[rows], np.float64)


@pytest.mark.parametrize("hz", [100.0, 250.0, 500.0])
@pytest.mark.parametrize(("times", "unit"), [(1e3, "uV"), (1e-3, "V"), (1e6, "")])
def test_another_unit_is_named(times: float, unit: str, hz: float) -> None:
    verdict = implausible_unit(ecg(hz=hz) * times + 300.0 * (times > 1), hz)
    assert verdict is not None
    assert verdict.unit == unit
    assert verdict.unit_mv == {"uV": 1e-3, "V": 1e3, "": None}[unit]
    assert "\n" not in str(verdict)


@pytest.mark.parametrize("seconds", [2.0, 2.5, 3.0, 3.9])
def test_microvolts_are_told_of_two_seconds(seconds: float) -> None:
    verdict = implausible_unit(ecg(seconds) * 1e3 + 300.0, 250.0)
    assert verdict is not None
    assert verdict.unit == "uV"


OFFSETS = np.array([[300.0], [-300.0], [120.0]])


@pytest.mark.parametrize(
    "signal",
    [
        ecg(),
        ecg() + OFFSETS,
        ecg() + OFFSETS + np.where(np.arange(2000) > 1000, 250.0, 0.0),  # a step
        np.where(np.arange(2000) % 500 < 20, 800.0, ecg()),  # an artefact every 2 s
        np.where([[True], [False], [False]], ecg() * 1e3, ecg()),  # one electrode floats
        ecg() * 0.05,  # low voltage
        ecg() * 5,
        np.zeros((3, 2000)),
        np.full((3, 2000), np.nan),
        np.random.default_rng(0).normal(0, 1e-3, (3, 2000)),  # the noise of shorted inputs
        ecg(1.9) * 1e3,  # too short to say
        ecg(3.0) * 1e-3,
        np.where(np.arange(625) > 300, 250.0, ecg(2.5)),  # a step in 2 s
        np.where(np.arange(625) < 20, 800.0, ecg(2.5)),  # an artefact in one of them
        ecg(2.5) + 300.0 * np.exp(-np.arange(625) / 250.0),  # an offset that settles
        ecg(3.0)
        + 300.0 * np.sin(np.arange(750) * 2 * np.pi * 50 / 250 + 0.5),  # mains, electrodes off
        np.random.default_rng(1).normal(0, 100.0, (3, 750)),
    ],
)
def test_millivolts_and_what_cannot_be_known_pass(signal: NDArray[np.float64]) -> None:
    assert implausible_unit(signal, 250.0) is None


@pytest.mark.parametrize("step", [1, 7, 250, 5000])
def test_a_stream_is_told_once_whatever_the_chunking(step: int) -> None:
    signal = (ecg(20.0) * 1e3).astype(np.float32)
    signal[:, :1300] = 0.0  # electrodes not on yet
    check = UnitCheck(3, 250.0)
    verdicts = [check.push(signal[:, at : at + step]) for at in range(0, signal.shape[1], step)]
    assert [verdict.unit for verdict in verdicts if verdict is not None] == ["uV"]
    assert check.decided


def test_a_stream_in_millivolts_is_decided_and_costs_nothing_more() -> None:
    check = UnitCheck(3, 250.0)
    assert check.push(ecg(6.0).astype(np.float32)) is None
    assert check.decided


def test_values_that_fit_no_unit_get_none() -> None:
    lead = ecg()[:1] / np.ptp(ecg()[0])
    doubt = implausible_unit(40.0 * lead, 250.0)  # 40 uV, if they were microvolts
    assert doubt is not None
    assert doubt.unit == ""
