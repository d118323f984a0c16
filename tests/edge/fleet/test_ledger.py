"""What a patient's outputs get: each sample once, NaN and GAP for what is lost, 'began anew' in the block."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.fleet.ledger import BEGAN_ANEW, MOST_FILLED_S, Ledger
from edge.leads import Provenance
from edge.quality import Quality
from edge.samples import TwelveLeadBlock

PROVENANCE = (Provenance.MEASURED,) * 12


def block(first: int, n: int) -> TwelveLeadBlock:
    ecg = np.arange(first, first + n, dtype=np.float32) * np.ones((12, 1), np.float32)
    return TwelveLeadBlock(ecg, ecg * 0, (ecg * 0).astype(np.uint8), first, 250.0, PROVENANCE)


events = st.lists(st.tuples(st.integers(-5, 30), st.integers(0, 12), st.booleans()), max_size=20)


@given(events)
def test_whatever_is_lost_no_sample_comes_twice_or_unseen(
    pieces: list[tuple[int, int, bool]],
) -> None:
    ledger, at, written = Ledger(250.0, PROVENANCE), 100, []
    for hole, n, given_up in pieces:
        if given_up:
            written += [*ledger.missing_to(at + max(0, hole) + n)]
            at += max(0, hole) + n
            continue
        first = max(0, at + hole)
        written += [*ledger.follow(block(first, n), anew=False)]
        at = max(at, first + n)
    for one, two in pairwise(written):
        assert two.first_sample == one.first_sample + one.n_samples
    for one in written:
        lost = np.isnan(one.ecg_mv)
        assert lost.all() or not lost.any()
        assert ((one.quality == Quality.GAP) == lost).all()
        if not lost.any():
            assert one.ecg_mv[0].tolist() == [
                *range(one.first_sample, one.first_sample + one.n_samples)
            ]
    missing = sum(one.n_samples for one in written if np.isnan(one.ecg_mv).any())
    assert missing == ledger.samples_missing


def test_a_decoder_that_began_anew_is_in_the_block_but_not_at_the_start() -> None:
    ledger = Ledger(250.0, PROVENANCE)
    [first] = ledger.follow(block(0, 8), anew=True)
    assert first.markers == ()
    [lost] = ledger.missing_to(20)
    gap, again = ledger.follow(block(24, 8), anew=True)
    assert (lost.first_sample, lost.n_samples, gap.first_sample, gap.n_samples) == (8, 12, 20, 4)
    assert [(marker.text, marker.sample) for marker in again.markers] == [(BEGAN_ANEW, 24)]
    assert (ledger.samples_missing, ledger.samples_out, ledger.began_anew) == (16, 16, 1)


def test_a_long_hole_is_a_jump_and_takes_no_memory() -> None:
    ledger = Ledger(250.0, PROVENANCE)
    assert len([*ledger.follow(block(0, 4), anew=True)]) == 1
    [after] = ledger.follow(block(10**9, 4), anew=False)
    assert after.first_sample == 10**9 and ledger.samples_missing == 10**9 - 4
    assert [one.n_samples for one in ledger.missing_to(10**9 + 4 + round(MOST_FILLED_S * 250))] == [
        2500
    ]
