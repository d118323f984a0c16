"""The feed is the one that ships: conditioned by edge, blind to the targets, honest about lead-off."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the feed makes tensors: install leadlift[test]")

from edge.conditioning import Conditioner, Conditioning
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, RECONSTRUCTED_LEADS
from quantize.data import Records, zero_phase_highpass
from quantize.feed import MASKS, Augmentation, Feed, samples_from_frames, time_stretch

ALL_ON = len(MASKS) - 1
INPUTS = [INDEPENDENT_LEADS.index(lead) for lead in INPUT_LEADS]
OUTPUTS = [INDEPENDENT_LEADS.index(lead) for lead in RECONSTRUCTED_LEADS]


@pytest.fixture
def ecg() -> np.ndarray:
    return (
        np.random.default_rng(2).standard_normal((3, 8, 1000)).cumsum(-1).astype(np.float32) * 0.02
    )


def test_the_inputs_are_what_the_conditioner_of_edge_gives(
    ecg: np.ndarray, moments: np.ndarray
) -> None:
    batch = Feed(Conditioning(), moments).prepare(ecg, 250.0, np.full(3, ALL_ON))
    _, residual, _ = Conditioner(Conditioning(), 250.0, 3, 4).push(ecg[1, INPUTS])
    given = samples_from_frames(batch.ecg)[1].numpy()
    np.testing.assert_allclose(given, residual, atol=1e-6)


def test_no_target_lead_reaches_the_student(ecg: np.ndarray, moments: np.ndarray) -> None:
    feed = Feed(Conditioning(), moments)
    before = feed.prepare(ecg, 250.0, np.full(3, ALL_ON))
    ecg[:, OUTPUTS] = 7.0
    after = feed.prepare(ecg, 250.0, np.full(3, ALL_ON))
    for name in ("ecg", "mask", "anchor"):
        assert torch.equal(getattr(before, name), getattr(after, name))
    assert not torch.equal(before.target, after.target)


def test_a_lead_that_is_off_is_zero_in_signal_mask_and_anchor(
    ecg: np.ndarray, moments: np.ndarray
) -> None:
    subset = int(np.flatnonzero((MASKS == [True, False, True]).all(1))[0])
    batch = Feed(Conditioning(), moments).prepare(ecg, 250.0, np.full(3, subset))
    assert not batch.ecg[:, 1].any()
    assert not batch.anchor[:, :, 1].any()
    assert batch.mask[0, :, 0].tolist() == [1, 0, 1]


def test_the_target_is_what_the_anchor_leaves_zero_phase(
    ecg: np.ndarray, moments: np.ndarray
) -> None:
    feed = Feed(Conditioning(), moments)
    batch = feed.prepare(ecg, 250.0, np.full(3, ALL_ON))
    conditioned, _, _ = Conditioner(Conditioning(), 250.0, 3, 4).push(ecg[0, INPUTS])
    left = ecg[0, OUTPUTS] - feed.anchors[ALL_ON] @ conditioned
    np.testing.assert_allclose(batch.target[0], zero_phase_highpass(left, 250.0), atol=1e-5)


def test_batches_are_seeded_and_cropped_to_whole_frames(moments: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    ids = [str(i) for i in range(8)]
    records = Records(
        "any", rng.integers(-500, 500, (8, 8, 2500)).astype(np.int16), 250.0, ids, ids
    )
    feed = Feed(Conditioning(), moments)
    once, again = (list(feed.batches(records, 4, Augmentation(), 2.0, seed=5)) for _ in range(2))
    assert len(once) == 2
    assert once[0].ecg.shape == (4, 3, 4, 125)
    assert once[0].truth.shape == (4, 5, 500)
    assert torch.equal(once[1].ecg, again[1].ecg)
    other = next(iter(feed.batches(records, 4, Augmentation(), 2.0, seed=6)))
    assert not torch.equal(once[0].ecg, other.ecg)


def test_stretching_keeps_the_waveform() -> None:
    t = np.arange(2500) / 250
    sine = np.sin(2 * np.pi * 5 * t).astype(np.float32)
    slower = time_stretch(sine, 1.1, 4)
    assert len(slower) % 4 == 0
    expected = np.sin(2 * np.pi * 5 * (np.arange(len(slower)) / 1.1 + 1) / 250)
    np.testing.assert_allclose(slower, expected, atol=2e-3)
