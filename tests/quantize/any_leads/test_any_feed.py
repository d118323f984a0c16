"""The feed of any leads: blind to what is not measured, honest about its own targets, stateless by step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the feed makes tensors: install '.[test]'")

from edge.lead_subsets import TWELVE, class_of
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, LEADS, RECONSTRUCTED_LEADS
from edge.signal.conditioning import Conditioning
from quantize.any_leads.drawn import Mixture, Source
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.sampling import NAMED_SETS, Sampling
from quantize.augment import Augmentation, Noise
from quantize.data import Records
from quantize.errors import QuantizeError
from quantize.feed import Batch, Feed, samples_from_frames
from quantize.prepared import SEEN, TRUTH, prepare

N = 500
SETS = [*NAMED_SETS, ("aVR",), ("III", "V4"), ("aVL", "aVF", "V6")]


def batches(
    feed: AnyFeed, mixture: Mixture, steps: range, how: Augmentation | None = None, size: int = 8
) -> list[Batch]:
    how = how or Augmentation(white_noise=0.3)
    return list(feed.batches(mixture, size, how, Sampling(), N, 5, steps))


def fields(batch: Batch) -> list[torch.Tensor]:
    names = ("ecg", "mask", "anchor", "target", "truth", "projection")
    return [getattr(batch, name) for name in names]


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(fields(a), fields(b), strict=True))


def test_a_step_is_the_same_wherever_the_run_began(feed: AnyFeed, mixture: Mixture) -> None:
    run = batches(feed, mixture, range(4))
    later = batches(feed, mixture, range(2, 4))
    assert equal(run[2], later[0]) and equal(run[3], later[1])
    assert not equal(run[2], run[3])
    assert run[0].ecg.shape == (8, 12, 4, N // 4)
    assert run[0].target.shape == (8, 8, N)


@pytest.mark.parametrize("leads", SETS, ids="+".join)
def test_no_lead_that_is_not_measured_reaches_the_network(
    feed: AnyFeed, mixture: Mixture, leads: tuple[str, ...]
) -> None:
    signals = mixture.sources[0].records.signals[1].astype(np.float32)
    which = class_of(leads)
    before = feed.whole(signals, which)
    assert before.projection is not None
    # What no measured lead sees, by as much as one likes.
    hidden = before.projection[0].numpy() @ np.random.default_rng(0).standard_normal((8, 100))
    changed = signals.copy()
    changed[..., 200:300] += hidden.astype(np.float32)
    after = feed.whole(changed, which)
    torch.testing.assert_close(before.ecg, after.ecg, rtol=0, atol=1e-5)
    for name in ("mask", "anchor", "projection"):
        assert torch.equal(getattr(before, name), getattr(after, name))
    assert (before.target - after.target).abs().max() > 0.1


@pytest.mark.parametrize("leads", SETS, ids="+".join)
def test_what_is_measured_needs_no_residual(
    feed: AnyFeed, simulated: Records, leads: tuple[str, ...]
) -> None:
    """The target lies in what the projection keeps: truth = anchor + target, and measured leads are right."""
    signals = prepare(simulated, Conditioning(), 4, (1.0,)).signals[0].copy()
    signals[:, SEEN] = signals[:, TRUTH]  # as if the filters did nothing
    batch = feed.whole(signals, class_of(leads))
    assert batch.projection is not None
    torch.testing.assert_close(batch.projection @ batch.target, batch.target, rtol=0, atol=2e-3)
    rows = [LEADS.index(lead) for lead in leads]
    missed = torch.from_numpy(TWELVE.astype(np.float32)) @ batch.target
    assert missed[:, rows].abs().max() < 2e-3


def test_for_the_special_set_it_shows_what_the_special_feed_shows(
    feed: AnyFeed, mixture: Mixture, moments: np.ndarray
) -> None:
    signals = mixture.sources[0].records.signals[1]
    special = Feed(Conditioning(), moments).whole(signals)
    any_of = feed.whole(signals, class_of(INPUT_LEADS))
    inputs = [LEADS.index(lead) for lead in INPUT_LEADS]
    outputs = [INDEPENDENT_LEADS.index(lead) for lead in RECONSTRUCTED_LEADS]
    torch.testing.assert_close(any_of.ecg[:, inputs], special.ecg)
    assert not np.delete(any_of.ecg.numpy(), inputs, 1).any()
    for name in ("target", "truth"):
        one, other = getattr(any_of, name)[:, outputs], getattr(special, name)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_augmentation_leaves_truth_the_sum_of_anchor_and_target(
    feed: AnyFeed, mixture: Mixture, moments: np.ndarray
) -> None:
    """Noise is on the inputs alone, an own anchor changes nothing of the truth."""
    recorded = np.random.default_rng(1).standard_normal((6, 5000)).astype(np.float32)
    noisy = AnyFeed(moments, noise=Noise(recorded, Conditioning(), 4))
    plain = Augmentation.none()
    loud = replace(plain, noise=1.0, white_noise=1.0)
    own = replace(plain, own_anchor=1.0)
    quiet, with_noise, with_own = (
        batches(noisy, mixture, range(1), how)[0] for how in (plain, loud, own)
    )
    for other in (with_noise, with_own):
        assert torch.equal(quiet.truth, other.truth)
        assert torch.equal(quiet.mask, other.mask)
    assert torch.equal(quiet.ecg, with_own.ecg)
    assert not torch.allclose(quiet.anchor, with_own.anchor, atol=1e-3)
    on = quiet.mask[:, :, 0].bool()
    differs = (samples_from_frames(with_noise.ecg) != samples_from_frames(quiet.ecg)).any(-1)
    assert torch.equal(differs, on)


def test_white_noise_reaches_where_100_hz_records_have_nothing(
    feed: AnyFeed, mixture: Mixture
) -> None:
    plain = Augmentation.none()
    quiet, loud = (
        samples_from_frames(batches(feed, mixture, range(1), how)[0].ecg).numpy()
        for how in (plain, replace(plain, white_noise=1.0))
    )
    spectrum = np.abs(np.fft.rfft(loud - quiet, axis=-1)) ** 2
    f = np.fft.rfftfreq(N, 1 / 250)
    low, high = (spectrum[..., band].mean() for band in ((f > 5) & (f < 45), f > 60))
    assert high == pytest.approx(low, rel=0.3)


def test_a_mixture_draws_by_shares_and_only_what_trains(mixture: Mixture) -> None:
    first, second = mixture.sources
    some = Mixture(
        Source(first.records, np.array([1, 3]), 3.0), Source(second.records, np.array([0]), 1.0)
    )
    assert len(some) == 3
    drawn = some.draw(4000, np.random.default_rng(0))
    counts = Counter(drawn)
    assert set(counts) == {(0, 1), (0, 3), (1, 0)}
    assert counts[1, 0] / 4000 == pytest.approx(0.25, abs=0.03)
    assert counts[0, 1] == pytest.approx(counts[0, 3], rel=0.15)


def test_nobody_left_to_train_on_is_one_line(mixture: Mixture) -> None:
    with pytest.raises(QuantizeError, match="ask for more patients"):
        Mixture(Source(mixture.sources[0].records, np.array([], np.intp), 1.0))
