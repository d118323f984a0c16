"""The impaired link: clean when nothing is set, seeded damage of the size asked for, no overtaking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import SourceSpecError
from firmware_bridge.simulators.link import ImpairedLink

PIECES = [bytes([i % 251]) * 20 for i in range(4000)]


def through(link: ImpairedLink, pieces: list[bytes]) -> list[bytes]:
    out = [d.data for i, piece in enumerate(pieces) for d in link.transmit(piece, i * 0.04)]
    return out + [d.data for d in link.flush(len(pieces) * 0.04)]


@given(st.lists(st.binary(min_size=1, max_size=50)))
def test_a_clean_link_changes_nothing(pieces: list[bytes]) -> None:
    assert through(ImpairedLink(), pieces) == pieces


def test_loss_has_its_share_and_is_counted() -> None:
    link = ImpairedLink(loss=0.1, seed=1)
    out = through(link, PIECES)
    assert len(out) == len(PIECES) - link.pieces_lost
    assert link.pieces_lost / link.pieces_in == pytest.approx(0.1, rel=0.15)


def test_duplicates_and_swaps_keep_every_piece() -> None:
    numbered = [i.to_bytes(2, "big") for i in range(4000)]
    twice = through(ImpairedLink(duplicate=0.2, seed=2), numbered)
    assert sorted(set(twice)) == numbered
    assert len(twice) / len(numbered) == pytest.approx(1.2, rel=0.05)
    swapped = through(ImpairedLink(reorder=0.1, seed=3), numbered)
    assert swapped != numbered
    assert sorted(swapped) == numbered
    places = {piece: i for i, piece in enumerate(swapped)}
    assert max(abs(places[piece] - i) for i, piece in enumerate(numbered)) <= 1


def test_byte_damage_has_its_share_and_is_counted() -> None:
    link = ImpairedLink(bit_flips=0.01, seed=4)
    out = through(link, PIECES)
    assert [len(piece) for piece in out] == [20] * len(PIECES)
    bits = [
        (a ^ b).bit_count()
        for x, y in zip(PIECES, out, strict=True)
        for a, b in zip(x, y, strict=True)
    ]
    assert max(bits) == 1
    assert sum(bits) == link.bytes_damaged
    assert sum(bits) / (20 * len(PIECES)) == pytest.approx(0.01, rel=0.15)
    shorter = through(ImpairedLink(byte_loss=0.05, seed=5), PIECES)
    assert sum(map(len, shorter)) / (20 * len(PIECES)) == pytest.approx(0.95, rel=0.01)


def test_delay_and_jitter_never_overtake() -> None:
    link = ImpairedLink(delay_s=0.02, jitter_s=0.05, reorder=0.1, duplicate=0.1, seed=6)
    times = [d.at_s - i * 0.04 for i, p in enumerate(PIECES) for d in link.transmit(p, i * 0.04)]
    assert min(times) >= 0.02
    link = ImpairedLink(delay_s=0.02, jitter_s=0.05, seed=6)
    at = [d.at_s for i, p in enumerate(PIECES) for d in link.transmit(p, i * 0.04)]
    assert at == sorted(at)


def test_the_seed_decides() -> None:
    damage = {"loss": 0.1, "bit_flips": 0.01, "reorder": 0.1, "jitter_s": 0.01}
    outs = [through(ImpairedLink(**damage, seed=seed), PIECES) for seed in (7, 7, 8)]
    assert outs[0] == outs[1] != outs[2]


@pytest.mark.parametrize("arguments", [{"loss": 1.5}, {"bit_flips": -0.1}, {"delay_s": -1.0}])
def test_impossible_damage_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(SourceSpecError, match="use"):
        ImpairedLink(**arguments)
