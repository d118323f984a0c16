"""What a training record shows: named sets as often as said, every class sooner or later, never all leads."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from edge.lead_subsets import INDEPENDENT_ROWS, N_CLASSES, class_of, known
from quantize.any_leads.sampling import MOST_LEADS, NAMED_SETS, Sampling

N = 20_000
NAMED = [class_of(leads) for leads in NAMED_SETS]


def drawn(sampling: Sampling, n: int = N) -> Counter[int]:
    return Counter(sampling.draw(n, np.random.default_rng(1)).tolist())


def test_the_first_and_the_named_come_as_often_as_said() -> None:
    shares = drawn(Sampling(first=0.3, named=0.5, lead_off=0.0))
    assert shares[NAMED[0]] / N == pytest.approx(0.3 + 0.5 / len(NAMED), abs=0.02)
    for which in NAMED[1:]:
        assert shares[which] / N >= 0.5 / len(NAMED) - 0.01
    assert set(drawn(Sampling(first=0.4, named=0.6, lead_off=0.0))) == set(NAMED)


def test_what_leans_to_the_first_leaves_the_others_their_shares() -> None:
    leaning = Sampling(first=0.2, named=0.4).leaning(0.8)
    assert (leaning.first, leaning.named) == (0.8, pytest.approx(0.1))
    assert Sampling().leaning(Sampling().first) == Sampling()
    assert set(drawn(replace(Sampling().leaning(1.0), lead_off=0.0))) == {NAMED[0]}


def test_every_class_that_leaves_something_open_is_drawn_and_no_other() -> None:
    seen = drawn(Sampling(first=0.0, named=0.0, lead_off=0.0), 60_000)
    assert len(seen) > 480
    for which in seen:
        assert which > 0
        assert not known(which)[INDEPENDENT_ROWS].all()


def test_random_subsets_have_one_to_seven_leads_equally_often() -> None:
    present = Sampling(0.0, 0.0, 0.0).subsets(N, np.random.default_rng(0))
    sizes = Counter(present.sum(1).tolist())
    assert sorted(sizes) == list(range(1, MOST_LEADS + 1))
    for count in sizes.values():
        assert count / N == pytest.approx(1 / MOST_LEADS, abs=0.02)


def test_a_lead_that_is_off_leaves_one_at_least() -> None:
    off = drawn(Sampling(first=1.0, named=0.0, lead_off=1.0))
    assert set(off) == {class_of(pair) for pair in (("II", "V1"), ("II", "V5"), ("V1", "V5"))}
    alone = drawn(Sampling(first=0.0, named=1.0, lead_off=1.0))
    assert 0 not in alone
    assert alone[class_of(("I",))] > 0
    assert max(alone) < N_CLASSES


def test_at_the_end_the_default_leads_come_more_often_and_the_others_still_do() -> None:
    settled = drawn(Sampling().settled(), 60_000)
    assert settled[NAMED[0]] > 1.3 * drawn(Sampling(), 60_000)[NAMED[0]]
    assert len(settled) > 450
