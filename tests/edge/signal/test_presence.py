"""Presence: what is held, what is off and since when, what is noise; whatever the chunking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.quality import GAP_FILL_S
from edge.signal.presence import FLAT_S, NOISY_WINDOW_S, Presence, run_lengths
from tests.edge.signals import cuts, pieces, three_leads

RATE, HOP = 250.0, 4
FILL = round(GAP_FILL_S * RATE)  # 25 samples
N = 1600


def pushed(samples: np.ndarray, missing: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    return Presence(RATE, len(samples), HOP).push(samples, missing)


def gap(start: int, length: int, n: int = N, lead: int = 0) -> np.ndarray:
    missing = np.zeros((3, n), bool)
    missing[lead, start : start + length] = True
    return missing


@pytest.mark.parametrize("start", [400, 401, 403])
def test_a_gap_of_100_ms_is_held(start: int) -> None:
    x = three_leads(N)
    missing = gap(start, FILL)
    held, off, _ = pushed(np.where(missing, np.nan, x).astype(np.float32), missing)
    assert not off.any()
    assert (held[0, start : start + FILL] == x[0, start - 1]).all()
    assert np.array_equal(held[~missing], x[~missing])


@pytest.mark.parametrize("start", [400, 401, 403])
def test_one_sample_more_is_off_until_the_first_whole_hop(start: int) -> None:
    for length in (FILL + 1, 200):
        missing = gap(start, length)
        _, off, _ = pushed(three_leads(N), missing)
        first = (start + FILL) // HOP
        back = -(-(start + length) // HOP)
        assert np.array_equal(np.flatnonzero(off[0]), np.arange(first, back))
        assert not off[1:].any()


def test_off_until_the_first_sample_ever() -> None:
    missing = gap(0, 3)
    held, off, _ = pushed(three_leads(N), missing)
    assert np.array_equal(np.flatnonzero(off[0]), [0])
    assert (held[0, :3] == 0).all()
    assert not off[1:].any()


def test_single_samples_do_not_bring_a_lead_back() -> None:
    missing = gap(400, 400)
    missing[0, 450::7] = False  # one sample in seven: no hop of 4 is whole for long
    missing[0, 800:] = False
    _, off, _ = pushed(three_leads(N), missing)
    whole = ~missing[0].reshape(-1, HOP).any(1)
    assert off[0, (400 + FILL) // HOP : 450 // HOP].all()
    assert not off[0, whole].any()


def test_a_flat_line_is_off_after_2_s_and_back_when_it_moves() -> None:
    x = three_leads(N)
    start, stop = 400, 1200
    x[1, start:stop] = 0.25
    _, off, _ = pushed(x)
    hops = np.flatnonzero(off[1])
    first = (start + FLAT_S * RATE) / HOP
    assert first <= hops[0] <= first + 1
    assert np.array_equal(hops, np.arange(hops[0], stop // HOP))
    assert not off[[0, 2]].any()


def test_an_all_zero_lead_is_off_and_a_slow_heart_on_a_wandering_electrode_is_not() -> None:
    x = np.zeros((2, 2000), np.float32)
    x[1] = 0.05 * np.sin(np.arange(2000) / 900)
    x[1, ::450] += 1.0  # 33 beats a minute and nothing in between
    _, off, _ = pushed(x)
    assert off[0, int(FLAT_S * RATE / HOP) + 1 :].all()
    assert not off[1].any()


def test_all_leads_off_at_once() -> None:
    missing = np.zeros((3, N), bool)
    missing[:, 500:700] = True
    held, off, _ = pushed(three_leads(N), missing)
    assert np.isfinite(held).all()
    assert off.all(0).sum() == off.any(0).sum() == 700 // HOP - (500 + FILL) // HOP


@settings(max_examples=60)
@given(
    at=cuts(N // HOP),
    gaps=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, N), st.integers(1, 3 * FILL)), max_size=5
    ),
    flat=st.none() | st.tuples(st.integers(0, 2), st.integers(0, N)),
    seed=st.integers(0, 3),
)
def test_any_chunking_gives_the_same(
    at: list[int],
    gaps: list[tuple[int, int, int]],
    flat: tuple[int, int] | None,
    seed: int,
) -> None:
    x = three_leads(N, seed=seed)
    x[2, 300:800] += np.random.default_rng(seed).normal(0, 0.3, 500)
    if flat is not None:
        x[flat[0], flat[1] : flat[1] + 700] = 0.0
    missing = np.zeros((3, N), bool)
    for lead, start, length in gaps:
        missing[lead, start : start + length] = True
    whole = pushed(x, missing)
    presence = Presence(RATE, 3, HOP)
    parts = []
    for part in pieces(N // HOP, at):
        samples = slice(part.start * HOP, part.stop * HOP)
        if samples.start == samples.stop:
            continue
        some = missing[:, samples] if missing[:, samples].any() else None
        parts.append(presence.push(x[:, samples], some))
    for one, others in zip(whole, zip(*parts, strict=True), strict=True):
        assert np.array_equal(one, np.concatenate(others, axis=1))


def test_reset_forgets() -> None:
    presence = Presence(RATE, 3, HOP)
    x = three_leads(N)
    x[0] = 0.0
    first = presence.push(x, None)
    presence.reset()
    for one, other in zip(first, presence.push(x, None), strict=True):
        assert np.array_equal(one, other)


def test_noise_is_noticed_within_a_second_and_ends_soon_after() -> None:
    x = three_leads(3000)
    x[1, 1000:2000] += np.random.default_rng(0).normal(0, 0.4, 1000).astype(np.float32)
    _, _, noisy = pushed(x)
    window = round(NOISY_WINDOW_S * RATE)
    assert not noisy[[0, 2]].any()
    assert noisy[1, (1000 + window) // HOP : 2000 // HOP].all()
    assert not noisy[1, : 1000 // HOP].any()
    assert not noisy[1, (2000 + window) // HOP + 1 :].any()


def test_real_records_are_clean_and_real_muscle_noise_is_noisy(ptbxl_fold10) -> None:  # type: ignore[no-untyped-def]
    """PTB-XL with nothing added, and with bursts of NSTDB's muscle artefact of 1 mV RMS."""
    from quantize.data import data_folder

    records = ptbxl_fold10.take(40).millivolts(("II", "V1", "V5"))
    share = np.mean([pushed(record)[2].mean() for record in records])
    assert share < 0.02
    with np.load(data_folder() / "nstdb_noise.npz") as noises:
        muscle = noises["ma"][0, :2500].astype(np.float32)
    muscle *= 1.0 / muscle.std()  # mV
    loud = np.mean([pushed(record + muscle)[2].mean() for record in records])
    assert loud > 0.3


def test_run_lengths() -> None:
    values = np.array([[1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]], bool)
    before = np.array([4, 9])
    assert run_lengths(values, before).tolist() == [[5, 6, 0, 1, 2, 3], [0, 0, 0, 0, 0, 1]]
