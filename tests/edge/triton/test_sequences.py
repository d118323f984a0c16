"""Sequences of an inference server: each as a Reconstructor of its own, an error disturbs no other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.engines.registry import open_engine
from edge.errors import InputError
from edge.leads import LEADS
from edge.multi_reconstructor import MultiReconstructor
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock
from edge.triton.model import parameters
from edge.triton.sequences import Request, Sequences
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.signals import joined

SETS = {3: ("II", "V1", "V5"), 2: ("I", "II")}


@pytest.fixture
def sequences(shipped_bundle: Bundle) -> Iterator[Sequences]:
    with MultiReconstructor(open_engine(shipped_bundle, "onnxruntime").engine, 3) as multi:
        yield Sequences(multi)


def signal(seed: int, n_leads: int = 3, n: int = 500) -> np.ndarray:
    rows = [LEADS.index(lead) for lead in SETS[n_leads]]
    return EcgSimulator(250.0, 60 + seed, seed=seed).read(n)[rows].astype(np.float32)


def block(answer: object) -> TwelveLeadBlock:
    assert isinstance(answer, TwelveLeadBlock), answer
    return answer


def hop_by_hop(bundle: Bundle, ecg_mv: np.ndarray, leads: tuple[str, ...]) -> TwelveLeadBlock:
    with Reconstructor.open(bundle, "onnxruntime", leads=leads) as r:
        return joined(
            [r.push(ecg_mv[:, at : at + r.hop]) for at in range(0, ecg_mv.shape[1], r.hop)]
        )


@pytest.mark.parametrize("frame", [4, 37, 60])
def test_each_has_the_bits_of_a_reconstructor(
    frame: int, sequences: Sequences, shipped_bundle: Bundle
) -> None:
    signals = {7: signal(1), 2**63: signal(2, 2), 9: signal(3)}
    made: dict[int, list[TwelveLeadBlock]] = {key: [] for key in signals}
    for at in range(0, 500, frame):
        asked = [
            Request(
                key,
                ecg[:, at : at + frame],
                start=at == 0,
                end=at + frame >= 500,
                leads=SETS[len(ecg)] if at == 0 else None,
            )
            for key, ecg in signals.items()
        ]
        for one, answer in zip(asked, sequences.answer(asked), strict=True):
            made[one.sequence].append(block(answer))
    for key, ecg in signals.items():
        alone, here = hop_by_hop(shipped_bundle, ecg, SETS[len(ecg)]), joined(made[key])
        for name in ("ecg_mv", "sigma_mv", "quality"):
            np.testing.assert_array_equal(getattr(here, name), getattr(alone, name))


def test_an_error_is_told_to_one_and_disturbs_no_other(
    sequences: Sequences, shipped_bundle: Bundle
) -> None:
    ecg = signal(1)
    good = [Request(1, ecg[:, :60], start=True), Request(1, ecg[:, 60:120])]
    bad = [
        (Request(2, ecg[:, :60]), "sequence 2 is not known here"),
        (Request(3, ecg[:2, :60], start=True), "sequence 3: expected (3, n) samples"),
        (Request(4, ecg[0, :60], start=True), "sequence 4: expected (3, n) samples"),
        (Request(5, ecg[:, :60], start=True, leads=("V9",)), "V9"),
    ]
    made = []
    for request in good:
        answers = sequences.answer([request, *(one for one, _ in bad)])
        made.append(block(answers[0]))
        for answer, (_, said) in zip(answers[1:], bad, strict=True):
            assert isinstance(answer, InputError)
            assert said in str(answer)
            assert "\n" not in str(answer)
    alone = hop_by_hop(shipped_bundle, ecg[:, :120], SETS[3])
    np.testing.assert_array_equal(joined(made).ecg_mv, alone.ecg_mv)


def test_the_one_that_was_silent_longest_makes_room(sequences: Sequences) -> None:
    ecg = signal(1)
    for key in (1, 2, 3):
        block(*sequences.answer([Request(key, ecg[:, :60], start=True)]))
    block(*sequences.answer([Request(1, ecg[:, 60:120])]))
    block(*sequences.answer([Request(4, ecg[:, :60], start=True)]))  # 2 was silent longest
    answers = sequences.answer([Request(key, ecg[:, 60:120]) for key in (1, 2, 3, 4)])
    assert [isinstance(answer, InputError) for answer in answers] == [False, True, False, False]
    together = [Request(key, ecg[:, :60], start=True) for key in (5, 6, 7, 8)]
    *others, last = sequences.answer(together)
    assert all(block(answer).n_samples == 60 for answer in others)
    assert "all 3 slots are taken" in str(last)


def test_a_start_begins_anew_and_an_end_frees_the_slot(sequences: Sequences) -> None:
    ecg = signal(1)
    for key in range(20):
        first = block(*sequences.answer([Request(key, ecg[:, :60], start=True)]))
        again = block(*sequences.answer([Request(key, ecg[:, :60], start=True)]))
        np.testing.assert_array_equal(first.ecg_mv, again.ecg_mv)
        assert again.first_sample == 0
        block(*sequences.answer([Request(key, ecg[:, 60:], end=True)]))
        (over,) = sequences.answer([Request(key, ecg[:, 60:])])
        assert isinstance(over, InputError)


def test_samples_that_nobody_has_are_skipped(sequences: Sequences) -> None:
    ecg = signal(1)
    block(*sequences.answer([Request(1, ecg[:, :60], start=True)]))
    after = block(*sequences.answer([Request(1, ecg[:, 160:220], skip=100)]))
    assert after.first_sample == 160


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("{}", {}),
        ('{"leads": "I, II"}', {"leads": ("I", "II")}),
        ('{"skip": 8, "other": "x"}', {"skip": 8}),
    ],
)
def test_parameters(text: str, found: dict[str, object]) -> None:
    assert parameters(text) == found


@pytest.mark.parametrize(
    "text",
    [
        '{"skip": -1}',
        '{"skip": "8"}',
        '{"skip": true}',
        '{"leads": "V9"}',
        '{"leads": "I=\'CH1\'"}',
        '{"leads": ""}',
    ],
)
def test_parameters_that_make_no_sense(text: str) -> None:
    with pytest.raises(InputError, match=r"skip|lead"):
        parameters(text)
