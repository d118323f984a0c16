"""Exchanged and inverted leads are said within seconds; leads as they are named, mostly not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundle import load_bundle
from edge.lead_subsets import TWELVE
from edge.leads import INPUT_LEADS, LEADS, lead_indices
from edge.signal.conditioning import Conditioner, Conditioning
from edge.signal.einthoven import single_mistakes
from edge.signal.misplacement import Misplacement, MisplacementCheck, Mistakes
from firmware_bridge.simulators.ecg import EcgSimulator

if TYPE_CHECKING:
    from quantize.data import Records

HZ = 250.0
SETS = (INPUT_LEADS, ("I", "II", "V2", "V5"), ("V1", "V2", "V3", "V4", "V5", "V6"), LEADS)


@pytest.fixture(scope="module")
def moments() -> NDArray[np.float64]:
    return load_bundle(None).manifest.moments


def ecg(leads: Sequence[str], seconds: float = 12, seed: int = 1) -> NDArray[np.float32]:
    twelve = EcgSimulator(HZ, 70, seed=seed, baseline_mv=0.2, mains_mv=0.02).read(
        round(seconds * HZ)
    )
    seen = Conditioner(Conditioning(), HZ, len(leads), 4).push(twelve[lead_indices(tuple(leads))])[
        0
    ]
    return seen[:, round(2 * HZ) :]


def found(
    x: NDArray[np.floating], leads: Sequence[str], moments: NDArray[np.float64], n: int = 10**6
) -> list[Misplacement]:
    """All that is said of a stream that comes in blocks of n."""
    check = MisplacementCheck(leads, moments, HZ)
    said = [check.push(x[:, i : i + n]) for i in range(0, x.shape[1], n)]
    return [one for one in said if one is not None]


@pytest.mark.parametrize("leads", SETS)
def test_a_simulated_heart_as_wired_is_no_matter(
    leads: tuple[str, ...], moments: NDArray[np.float64]
) -> None:
    for seed in range(3):
        assert found(ecg(leads, seed=seed), leads, moments) == []


@pytest.mark.parametrize("leads", SETS)
@pytest.mark.parametrize("gain", [0.2, 1.0, 30.0])
def test_each_mistake_that_can_be_told_is_told(
    leads: tuple[str, ...], gain: float, moments: NDArray[np.float64]
) -> None:
    mistakes = Mistakes(leads, moments)
    x = gain * ecg(leads)[mistakes.rows]
    names = [leads[row] for row in mistakes.rows]
    missed = []
    for name, change in single_mistakes(names):
        said = found(change @ x, names, moments)
        assert len(said) <= 1
        if name in mistakes.names and not (said and name in said[0].mistakes):
            missed.append(name)
    assert len(missed) <= 0.1 * len(mistakes.names), missed
    assert set(mistakes.names).isdisjoint(mistakes.not_told)


def test_what_is_not_told_of_the_default_leads_is_known(moments: NDArray[np.float64]) -> None:
    assert set(Mistakes(INPUT_LEADS, moments).not_told) == {
        "V1 is inverted",
        "II and V5 are exchanged",
    }
    alone = MisplacementCheck(("II",), moments, HZ)
    assert alone.decided
    assert alone.mistakes.names == ()
    assert alone.push(np.ones((1, 2000))) is None


def test_it_is_said_after_four_good_seconds_whatever_the_blocks(
    moments: NDArray[np.float64],
) -> None:
    x = ecg(INPUT_LEADS)[[0, 2, 1]]
    assert found(x[:, : round(4 * HZ) - 1], INPUT_LEADS, moments) == []
    (whole,) = found(x[:, : round(4 * HZ)], INPUT_LEADS, moments)
    assert whole.mistakes[0] == "V1 and V5 are exchanged"
    assert "V1 and V5 are exchanged" in str(whole)
    for n in (1, 7, 250, 999):
        assert found(x, INPUT_LEADS, moments, n) == [whole]


def test_seconds_without_a_signal_do_not_count(moments: NDArray[np.float64]) -> None:
    x = ecg(INPUT_LEADS, 20)[[0, 2, 1]]
    x[1, ::200] = np.nan
    assert found(x[:, : round(10 * HZ)], INPUT_LEADS, moments) == []
    x[:, : round(5 * HZ)] = 0.0
    clean = np.nan_to_num(x)
    check = MisplacementCheck(INPUT_LEADS, moments, HZ)
    assert check.push(clean[:, : round(8 * HZ)]) is None
    assert not check.decided
    assert check.push(clean[:, round(8 * HZ) : round(9 * HZ)]) is not None
    assert check.decided
    assert check.push(clean) is None


def test_leads_that_follow_from_others_are_left_to_einthoven(moments: NDArray[np.float64]) -> None:
    mistakes = Mistakes(("I", "II", "III", "aVF", "V1"), moments)
    assert mistakes.rows.tolist() == [0, 1, 4]
    of = TWELVE[lead_indices(("I", "II", "V1"))]
    usual = of @ moments @ of.T
    assert mistakes.found(1e6 * usual) is None
    exchanged = usual[np.ix_([0, 2, 1], [0, 2, 1])]
    said = mistakes.found(1e6 * exchanged)
    assert said is not None
    assert said.mistakes[0] == "II and V1 are exchanged"


def test_of_real_hearts_few_are_doubted_and_most_mistakes_are_found(
    ptbxl_fold10: Records, moments: NDArray[np.float64]
) -> None:
    """Within four seconds; the other data sets are scored by `benchmarks misplacement`."""
    x = ptbxl_fold10.take(120).millivolts(INPUT_LEADS)
    n, leads, length = x.shape
    rows = np.ascontiguousarray(x.reshape(-1, length)[:, : length // 4 * 4], np.float32)
    seen = Conditioner(Conditioning(), HZ, len(rows), 4).push(rows)[0].reshape(n, leads, -1)
    first = seen[:, :, round(HZ) : round(5 * HZ)]
    assert sum(bool(found(one, INPUT_LEADS, moments)) for one in first) <= 0.05 * n
    for name, change in single_mistakes(INPUT_LEADS):
        if name in Mistakes(INPUT_LEADS, moments).names:
            assert sum(bool(found(change @ one, INPUT_LEADS, moments)) for one in first) >= 0.95 * n
