"""The feed is the one that ships: conditioned by edge, blind to the targets, honest about lead-off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the feed makes tensors: install '.[test]'")

from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, RECONSTRUCTED_LEADS
from edge.signal.conditioning import Conditioner, Conditioning
from quantize.augment import Augmentation, Noise
from quantize.data import Records, zero_phase_highpass
from quantize.feed import ALL_ON, MASKS, Feed, samples_from_frames
from quantize.prepared import TRUTH, Prepared, prepare

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


@pytest.fixture
def records() -> Records:
    rng = np.random.default_rng(3)
    ids = [str(i) for i in range(8)]
    walk = rng.integers(-40, 41, (8, 8, 2500)).cumsum(-1)
    return Records("any", walk.astype(np.int16), 250.0, ids, ids)


@pytest.fixture
def kept(records: Records) -> Prepared:
    return prepare(records, Conditioning(), 4, (0.9, 1.0, 1.1))


def fields(batch: object) -> list[torch.Tensor]:
    return [getattr(batch, name) for name in ("ecg", "mask", "anchor", "target", "truth")]


def test_batches_are_seeded_and_cropped_to_whole_frames(
    kept: Prepared, moments: np.ndarray
) -> None:
    feed = Feed(Conditioning(), moments)
    once, again = (list(feed.batches(kept, 4, Augmentation(), 500, seed=5)) for _ in range(2))
    assert len(once) == 2
    assert once[0].ecg.shape == (4, 3, 4, 125)
    assert once[0].truth.shape == (4, 5, 500)
    for a, b in zip(fields(once[1]), fields(again[1]), strict=True):
        assert torch.equal(a, b)
    other = next(iter(feed.batches(kept, 4, Augmentation(), 500, seed=6)))
    assert not torch.equal(once[0].ecg, other.ecg)


def test_without_augmentation_a_batch_is_what_the_raw_records_give(
    records: Records, kept: Prepared, moments: np.ndarray
) -> None:
    """Filtered before or after, the same to what float16 holds."""
    feed = Feed(Conditioning(), moments)
    order = np.random.default_rng(0).permutation(8)[:4]
    drawn = next(iter(feed.batches(kept, 4, Augmentation.none(), None, seed=0)))
    raw = records.ecg_uv[order].astype(np.float32) / np.float32(1000)
    given = feed.prepare(raw, 250.0, np.full(4, ALL_ON))
    scale = given.truth.abs().max().item()
    for a, b in zip(fields(drawn), fields(given), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-3 * scale)


def test_whole_records_come_all_of_them(kept: Prepared, moments: np.ndarray) -> None:
    sizes = [
        len(batch.ecg)
        for batch in Feed(Conditioning(), moments).batches(kept, 3, Augmentation.none(), None, 0)
    ]
    assert sizes == [3, 3, 2]


def test_an_anchor_of_their_own_leaves_the_truth_as_it_is(
    kept: Prepared, moments: np.ndarray
) -> None:
    """Prediction plus target is the truth, whatever the anchor."""
    feed, plain = Feed(Conditioning(), moments), Augmentation.none()
    own = Augmentation(False, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    a, b = (next(iter(feed.batches(kept, 4, how, None, seed=0))) for how in (plain, own))
    assert torch.equal(a.truth, b.truth)
    assert not torch.allclose(a.anchor, b.anchor, atol=1e-3)
    seen = torch.linalg.lstsq(a.anchor, a.truth - a.target).solution
    torch.testing.assert_close(b.anchor @ seen, b.truth - b.target, rtol=0, atol=0.05)


def test_noise_is_on_the_inputs_alone(kept: Prepared, moments: np.ndarray) -> None:
    noise = np.random.default_rng(1).standard_normal((6, 5000)).astype(np.float32)
    feed = Feed(Conditioning(), moments, noise=Noise(noise, Conditioning(), 4))
    noisy = Augmentation(False, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    a = next(iter(feed.batches(kept, 4, Augmentation.none(), 1000, seed=0)))
    b = next(iter(feed.batches(kept, 4, noisy, 1000, seed=0)))
    assert torch.equal(a.truth, b.truth)
    assert (a.ecg != b.ecg).all(2).any(2).all()  # each lead of each record
    assert not torch.equal(a.target, b.target)  # the anchor maps the noise too


def test_whole_records_are_those_that_are_drawn_without_augmentation(
    kept: Prepared, moments: np.ndarray
) -> None:
    feed, order = Feed(Conditioning(), moments), np.random.default_rng(0).permutation(8)
    drawn = next(iter(feed.batches(kept, 8, Augmentation.none(), None, 0)))
    for a, b in zip(fields(drawn), fields(feed.whole(kept.signals[1])), strict=True):
        torch.testing.assert_close(a, b[order])


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation().calm()])
def test_a_lesson_that_is_the_truth_is_the_target_however_the_record_is_changed(
    kept: Prepared, moments: np.ndarray, augmentation: Augmentation
) -> None:
    """Stretched, cropped, turned, with leads off: the lesson goes through it with the record."""
    feed = Feed(Conditioning(), moments)
    knows = replace(kept, taught=tuple(signals[:, TRUTH][:, OUTPUTS] for signals in kept.signals))
    batches = list(feed.batches(knows, 4, augmentation, 500, seed=5))
    assert len(batches) == 2
    for batch, plain in zip(batches, feed.batches(kept, 4, augmentation, 500, seed=5), strict=True):
        assert batch.taught is not None and plain.taught is None
        torch.testing.assert_close(batch.taught, batch.target, rtol=0, atol=1e-4)
        assert torch.equal(batch.target, plain.target)
