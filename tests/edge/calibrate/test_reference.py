"""What may not calibrate: every fault of an electrode, a cable or a name, each refused with its reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.calibrate.fit import calibrate
from edge.calibrate.reference import check_order, longest_run
from edge.errors import PatientError, ReferenceRefusedError
from edge.leads import INDEPENDENT_LEADS, LEADS
from edge.reconstructor import Reconstructor
from tests.edge.references import INDEPENDENT, twelve_leads

Fault = Callable[[np.ndarray], None]
V3, III, RATE = LEADS.index("V3"), LEADS.index("III"), 250.0


@pytest.fixture(scope="module")
def reconstructor(any_bundle: Bundle) -> Reconstructor:
    return Reconstructor.open(any_bundle, "onnxruntime")


def missing(x: np.ndarray) -> None:
    x[V3, 100:120] = np.nan


def zero(x: np.ndarray) -> None:
    x[V3] = 0.0


def flat(x: np.ndarray) -> None:
    x[V3, 100:300] = x[V3, 100]


def tiny(x: np.ndarray) -> None:
    x[V3] *= 1e-3


def clipped(x: np.ndarray) -> None:
    x[V3] = np.clip(5 * x[V3], -1.2, 1.2)


def noisy(x: np.ndarray) -> None:
    x[V3] += np.random.default_rng(0).normal(0, 0.4, x.shape[1])


def identity_broken(x: np.ndarray) -> None:
    x[III] *= -1


def limb_leads_swapped_by_name(x: np.ndarray) -> None:
    x[[0, 2]] = x[[2, 0]]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (missing, "V3 has missing samples"),
        (zero, "V3 is zero throughout"),
        (flat, "V3 is flat"),
        (tiny, "V3 is flat"),
        (clipped, "V3 is clipped at"),
        (noisy, "V3 noisy"),
        (identity_broken, "III is not"),
        (limb_leads_swapped_by_name, "wrong order"),
    ],
)
def test_a_fault_is_refused_with_its_reason(
    reconstructor: Reconstructor, fault: Fault, reason: str
) -> None:
    x = twelve_leads()
    calibrate(reconstructor, x, RATE, LEADS)  # sound as it is
    fault(x)
    with pytest.raises(ReferenceRefusedError, match=reason) as refused:
        calibrate(reconstructor, x, RATE, LEADS)
    assert len(str(refused.value).splitlines()) == 1
    assert isinstance(refused.value, PatientError)


def test_too_short_is_refused(reconstructor: Reconstructor) -> None:
    with pytest.raises(ReferenceRefusedError, match=r"1\.90 s are too short"):
        calibrate(reconstructor, twelve_leads(1.9), RATE, LEADS)


def test_a_missing_lead_is_named(reconstructor: Reconstructor) -> None:
    x = twelve_leads()
    kept = [lead for lead in LEADS if lead not in ("V2", "V6")]
    with pytest.raises(ReferenceRefusedError, match="V2, V6 is missing"):
        calibrate(reconstructor, x[[LEADS.index(lead) for lead in kept]], RATE, kept)


def test_noise_alone_is_refused(reconstructor: Reconstructor) -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, (8, 500)).astype(np.float32)
    with pytest.raises(ReferenceRefusedError, match="unexplained"):
        calibrate(reconstructor, noise, RATE, INDEPENDENT_LEADS, trust_order=True)


POPULATION = np.array(
    # PTB-XL folds 1-8, I, II, V1 to V6, mV^2 x 1000: rounded, what the order of leads is judged by
    [
        [20, 12, -18, -9, 5, 19, 25, 21],
        [12, 22, -13, -7, 11, 26, 27, 22],
        [-18, -13, 38, 46, 25, -6, -24, -24],
        [-9, -7, 46, 97, 71, 25, -9, -18],
        [5, 11, 25, 71, 87, 58, 21, 5],
        [19, 26, -6, 25, 58, 72, 51, 31],
        [25, 27, -24, -9, 21, 51, 58, 42],
        [21, 22, -24, -18, 5, 31, 42, 37],
    ]
)


def exchanged(a: str, b: str) -> np.ndarray:
    t = np.eye(8)
    i, j = INDEPENDENT_LEADS.index(a), INDEPENDENT_LEADS.index(b)
    t[[i, j]] = t[[j, i]]
    return t


def arms_exchanged() -> np.ndarray:
    t = np.eye(8)
    t[0, 0], t[1, :2] = -1, (-1, 1)
    return t


def inverted(lead: str) -> np.ndarray:
    t = np.eye(8)
    t[INDEPENDENT_LEADS.index(lead)] *= -1
    return t


@pytest.mark.parametrize(
    ("mistake", "reason"),
    [
        (exchanged("V2", "V5"), "V2 and V5 exchanged"),
        (exchanged("V1", "V3"), "V1 and V3 exchanged"),
        (exchanged("II", "V1"), "II and V1 exchanged"),
        (arms_exchanged(), "right and left arm exchanged"),
        (inverted("V4"), "V4 inverted"),
        (np.eye(8)[[0, 1, 7, 6, 5, 4, 3, 2]], "V1 to V6 in reverse"),
    ],
)
def test_a_wrong_order_is_named(mistake: np.ndarray, reason: str) -> None:
    population = POPULATION / 1000
    check_order(population, population)
    with pytest.raises(ReferenceRefusedError, match=f"{reason}.*--trust-order"):
        check_order(mistake @ population @ mistake.T, population)


def test_the_user_may_insist(reconstructor: Reconstructor) -> None:
    x = twelve_leads()[INDEPENDENT]
    x[2:] = x[:1:-1].copy()
    with pytest.raises(ReferenceRefusedError, match="it seems"):
        calibrate(reconstructor, x, RATE, INDEPENDENT_LEADS)
    calibrate(reconstructor, x, RATE, INDEPENDENT_LEADS, trust_order=True)


@pytest.mark.parametrize(
    ("signal", "run"), [([1, 1, 1, 2], 3), ([1, 2, 2, 2], 3), ([1, 2, 3], 1), ([5, 5], 2)]
)
def test_runs_are_counted(signal: list[float], run: int) -> None:
    assert longest_run(np.array(signal, np.float64), 0.0) == run
