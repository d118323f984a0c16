"""What is missing stays missing: lead-off, gaps, and the quality bits that say so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edge.bundle import Bundle, read_bundle, write_bundle
from edge.engines.base import Array
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.leads import INPUT_LEADS, LEADS, RECONSTRUCTED_LEADS, lead_indices
from edge.quality import Quality
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock
from edge.signal.conditioning import BLOCK_HOPS
from edge.signal.presence import FLAT_S
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.signals import ROWS, three_leads

N, START, STOP = 2000, 800, 1400  # leads are off from START to STOP
FILL = 25  # samples that are held before a lead counts as off
OFF = slice((START + FILL) // 4 * 4, STOP)
IN, OUT = lead_indices(INPUT_LEADS), lead_indices(RECONSTRUCTED_LEADS)


@pytest.fixture
def reconstructor(any_bundle: Bundle) -> Reconstructor:
    return Reconstructor.open(any_bundle)


def without(*leads: str) -> np.ndarray:
    x = three_leads(N)
    x[[INPUT_LEADS.index(lead) for lead in leads], START:STOP] = np.nan
    return x


def missing_in(block: TwelveLeadBlock, at: slice) -> set[str]:
    """Leads that are NaN all through; asserts that the others are finite all through."""
    nan = np.isnan(block.ecg_mv[:, at])
    assert (nan.all(1) == nan.any(1)).all()
    assert np.array_equal(nan, np.isnan(block.sigma_mv[:, at]))
    return {LEADS[i] for i in np.flatnonzero(nan.all(1))}


def bits(block: TwelveLeadBlock, lead: str, flag: Quality) -> np.ndarray:
    return (block.quality[LEADS.index(lead)] & flag) != 0


@pytest.mark.parametrize(
    ("off", "missing"),
    [
        (["V1"], {"V1"}),
        (["V5"], {"V5"}),
        (["V1", "V5"], {"V1", "V5"}),
        (["II"], {"II", "III", "aVR", "aVL", "aVF"}),
        (["II", "V1"], {"II", "III", "aVR", "aVL", "aVF", "V1"}),
        (["II", "V1", "V5"], set(LEADS)),
    ],
)
def test_a_lead_that_is_off_is_nan_with_all_that_needs_it(
    reconstructor: Reconstructor, off: list[str], missing: set[str]
) -> None:
    block = reconstructor.push(without(*off))
    assert missing_in(block, OFF) == missing
    assert missing_in(block, slice(0, OFF.start)) == set()
    assert missing_in(block, slice(STOP, N)) == set()


def test_valid_and_not_finite_are_the_same_as_nan(reconstructor: Reconstructor) -> None:
    expected = reconstructor.push(without("V1"))
    for value in (np.inf, -np.inf):
        x = np.where(np.isnan(without("V1")), value, without("V1"))
        reconstructor.reset()
        block = reconstructor.push(x)
        assert np.array_equal(block.ecg_mv, expected.ecg_mv, equal_nan=True)
    valid = np.ones((3, N), bool)
    valid[1, START:STOP] = False
    reconstructor.reset()
    block = reconstructor.push(three_leads(N), valid)
    assert np.array_equal(block.ecg_mv, expected.ecg_mv, equal_nan=True)
    assert np.array_equal(block.quality, expected.quality)


def test_what_lies_under_a_mask_is_never_looked_at(reconstructor: Reconstructor) -> None:
    valid = np.isfinite(without("II", "V5"))
    x = three_leads(N)
    expected = reconstructor.push(x, valid)
    reconstructor.reset()
    block = reconstructor.push(np.where(valid, x, 1e6).astype(np.float32), valid)
    assert np.array_equal(block.ecg_mv, expected.ecg_mv, equal_nan=True)


def test_bits_of_a_lead_that_is_off(reconstructor: Reconstructor) -> None:
    block = reconstructor.push(without("V1"))
    inside = np.zeros(N, bool)
    inside[OFF] = True
    for lead in ("V1", *RECONSTRUCTED_LEADS, "III", "aVR", "aVL", "aVF"):
        assert np.array_equal(bits(block, lead, Quality.LEAD_OFF), inside), lead
    for lead in ("II", "V5"):
        assert not bits(block, lead, Quality.LEAD_OFF).any()
        assert not bits(block, lead, Quality.SETTLING)[OFF].any()
    held = bits(block, "V1", Quality.INTERPOLATED)
    assert np.array_equal(np.flatnonzero(held), np.arange(START, OFF.start))
    assert bits(block, "V1", Quality.SETTLING)[STOP : STOP + 400].all()
    assert bits(block, "V2", Quality.SETTLING)[STOP : STOP + 400].all()
    assert not bits(block, "V1", Quality.GAP).any()  # the other leads went on


def test_a_short_gap_is_filled_and_flagged(reconstructor: Reconstructor) -> None:
    x = three_leads(N)
    x[:, 1000:1025] = np.nan
    block = reconstructor.push(x)
    assert missing_in(block, slice(0, N)) == set()
    at = np.zeros(N, bool)
    at[1000:1025] = True
    for lead in LEADS:
        assert np.array_equal(bits(block, lead, Quality.INTERPOLATED), at)
        assert np.array_equal(bits(block, lead, Quality.GAP), at)
        assert not bits(block, lead, Quality.LEAD_OFF).any()
        assert not bits(block, lead, Quality.SETTLING)[600:].any()


def test_a_long_gap_resets_the_state(reconstructor: Reconstructor) -> None:
    """What comes after it is what a stream that begins there gives."""
    x = three_leads(N)
    x[:, START:STOP] = np.nan
    block = reconstructor.push(x)
    for lead in LEADS:
        assert bits(block, lead, Quality.GAP)[START:STOP].all()
        assert bits(block, lead, Quality.LEAD_OFF)[OFF].all()
    fresh = Reconstructor.open(reconstructor.bundle).push(x[:, STOP:])
    np.testing.assert_allclose(block.ecg_mv[:, STOP:], fresh.ecg_mv, atol=1e-5)
    np.testing.assert_allclose(block.sigma_mv[:, STOP:], fresh.sigma_mv, rtol=1e-4)
    assert np.array_equal(block.quality[:, STOP:], fresh.quality)


class Watched(OnnxRuntimeEngine):
    """Keeps what the decoder is shown."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.shown: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        self.shown.append((ecg.copy(), np.broadcast_to(mask, ecg.shape).copy(), anchor.copy()))
        return super().step(ecg, mask, anchor)


def test_the_decoder_is_shown_nothing_of_a_lead_that_is_off(any_bundle: Bundle) -> None:
    """Zero, with a mask and an anchor that say so: as it was trained."""
    engine = Watched(any_bundle)
    Reconstructor(engine).push(without("V1"))
    ecg, mask = (np.concatenate([s[i] for s in engine.shown], axis=-1) for i in (0, 1))
    off = slice(OFF.start // 4, STOP // 4)
    rows = [engine.manifest.input_leads.index(lead) for lead in INPUT_LEADS]
    assert ecg.shape == mask.shape == (1, len(engine.manifest.input_leads), 4, N // 4)
    assert not np.delete(ecg, rows, axis=1).any() and not np.delete(mask, rows, axis=1).any()
    ecg, mask = ecg[:, rows], mask[:, rows]
    assert np.isfinite(ecg).all()
    assert (ecg[0, 1, :, off] == 0).all()
    assert (mask[0, 1, :, off] == 0).all()
    assert mask.sum() == 4 * (3 * N // 4 - (off.stop - off.start))
    assert ecg[0, [0, 2]][..., off].any(1).all()
    (_, first, whole), (_, inside, two), (_, last, again) = engine.shown
    first, inside, last = (one[:, rows] for one in (first, inside, last))
    whole, two, again = (one[:, :, rows] for one in (whole, two, again))
    assert first.all() and last.all() and not inside[:, 1].any()
    assert (two[0, :, 1] == 0).all()
    assert np.array_equal(whole, again)
    assert not np.array_equal(two[0, :, 0], whole[0, :, 0])


def test_a_lead_that_was_never_there(reconstructor: Reconstructor) -> None:
    x = three_leads(N)
    x[2] = np.nan
    block = reconstructor.push(x)
    assert missing_in(block, slice(0, N)) == {"V5"}
    assert bits(block, "V6", Quality.LEAD_OFF).all()
    reconstructor.reset()
    nothing = reconstructor.push(np.full((3, 100), np.nan))
    assert nothing.n_samples == 100
    assert missing_in(nothing, slice(0, 100)) == set(LEADS)


def test_an_all_zero_lead_is_off_after_2_s(reconstructor: Reconstructor) -> None:
    x = three_leads(N)
    x[1] = 0.0
    block = reconstructor.push(x)
    late = slice(round(FLAT_S * 250) + 4, N)
    assert missing_in(block, late) == {"V1"}
    assert bits(block, "V3", Quality.LEAD_OFF)[late].all()


def test_no_lead_off_means_no_bits_but_settling_at_the_start(reconstructor: Reconstructor) -> None:
    block = reconstructor.push(three_leads(N))
    assert (block.quality[:, :500] == Quality.SETTLING).all()
    assert (block.quality[:, 500:] == Quality.OK).all()


def test_a_step_settles_and_is_flagged_where_it_shows(reconstructor: Reconstructor) -> None:
    x = three_leads(N)
    x[0, 1000:] += 200.0
    block = reconstructor.push(x)
    noticed = 3 * BLOCK_HOPS * reconstructor.hop // 2  # at the latest, wherever blocks begin
    window = slice(1000 + noticed, 1000 + 500)
    for lead in ("II", *RECONSTRUCTED_LEADS, "III", "aVR", "aVL", "aVF"):
        assert bits(block, lead, Quality.SETTLING)[window].all(), lead
    for lead in ("V1", "V5"):
        assert not bits(block, lead, Quality.SETTLING)[1000:].any()


@pytest.mark.parametrize("phase", range(0, 200, 40))  # of a beat: 75 a minute
def test_a_lead_that_comes_back_alone_is_right_once_it_has_no_flag(
    reconstructor: Reconstructor, phase: int
) -> None:
    x = EcgSimulator(250.0, 75, baseline_mv=0.03, seed=2).read(3000)[ROWS]
    right = reconstructor.whole(x).ecg_mv
    x[1, 1000 : 1300 + phase] = np.nan
    block = reconstructor.whole(x)
    v1 = lead_indices(["V1"])[0]
    clean = block.quality[v1] == 0
    assert clean[1800 + phase + reconstructor.hop :].all()
    assert np.abs(block.ecg_mv - right)[v1, clean].max() < 0.06


def test_known_bits_travel_to_the_leads_they_touch(reconstructor: Reconstructor) -> None:
    quality = np.zeros((3, N), np.uint8)
    quality[0, 1000:1010] = Quality.CLIPPED
    quality[1, 1200:1205] = Quality.GAP
    block = reconstructor.push(three_leads(N), quality=quality)
    expected = np.zeros(N, bool)
    expected[1000:1010] = True
    for lead in ("II", "I", "V2", "V6", "III", "aVR", "aVL", "aVF"):
        assert np.array_equal(bits(block, lead, Quality.CLIPPED), expected), lead
    for lead in ("V1", "V5"):
        assert not bits(block, lead, Quality.CLIPPED).any()
    assert bits(block, "V1", Quality.GAP).sum() == 5
    assert not bits(block, "II", Quality.GAP).any()


def test_noise_is_flagged(reconstructor: Reconstructor) -> None:
    x = three_leads(N)
    x[2, 800:] += np.random.default_rng(0).normal(0, 0.4, N - 800).astype(np.float32)
    block = reconstructor.push(x)
    assert bits(block, "V5", Quality.NOISY)[1100:].all()
    assert bits(block, "V6", Quality.NOISY)[1100:].all()
    assert not bits(block, "V1", Quality.NOISY).any()


def test_sigma_is_larger_when_a_lead_is_off(shipped_bundle: Bundle, ptbxl_fold10) -> None:  # type: ignore[no-untyped-def]
    """Over real records, after the start: log sigma of the five leads, each input off in turn."""
    records = ptbxl_fold10.take(24).millivolts(INPUT_LEADS)

    def log_sigma(bundle: Bundle, off: str | None) -> dict[str, float]:
        r, rows = Reconstructor.open(bundle, "onnxruntime"), []
        for record in records:
            x = record.copy()
            if off is not None:
                x[INPUT_LEADS.index(off)] = np.nan
            r.reset()
            rows.append(np.log(r.push(x).sigma_mv[OUT, 750:]).mean(1))
        return dict(zip(RECONSTRUCTED_LEADS, np.mean(rows, axis=0), strict=True))

    complete = log_sigma(shipped_bundle, None)
    for lead in INPUT_LEADS:
        assert sum(log_sigma(shipped_bundle, lead).values()) > sum(complete.values()), lead
    # Where the lost lead is the neighbour, by a lot; II tells little that V5 does not. So says the decoder:
    # the share of the amplitude, which is added to that, is there with the lead and without.
    manifest = dataclasses.replace(shipped_bundle.manifest, sigma_amplitude=0.0)
    decoder = read_bundle(write_bundle(shipped_bundle.data, manifest))
    complete = log_sigma(decoder, None)
    without_one = {lead: log_sigma(decoder, lead) for lead in ("V1", "V5")}
    assert without_one["V1"]["V2"] > complete["V2"] + 0.1
    assert without_one["V5"]["V6"] > complete["V6"] + 0.1
    assert without_one["V5"]["V4"] > complete["V4"]
