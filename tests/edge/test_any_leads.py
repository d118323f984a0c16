"""Any of the twelve leads through the reconstructor: exact where measured, honest elsewhere, at any time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge
from edge.bundle import Bundle
from edge.engines.registry import open_engine
from edge.errors import InputError
from edge.lead_set import LeadSet
from edge.lead_subsets import TWELVE, classes_of, every_subset, known
from edge.leads import LEADS, LIMB_FROM_I_II, Provenance
from edge.quality import Quality
from edge.reconstructor import Reconstructor
from edge.signal.conditioning import Conditioner
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.signals import cuts, joined, pieces

EVERY = every_subset()
SETS = [
    ("II", "V1", "V5"),
    ("I",),
    ("aVL",),
    ("II", "I"),
    ("V6", "aVF", "V1"),
    ("V1", "V2", "V3", "V4", "V5", "V6"),
    ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"),
    LEADS,
]


def twelve(n_samples: int, seed: int = 0) -> np.ndarray:
    simulator = EcgSimulator(250.0, 75, baseline_mv=0.1, muscle_mv=0.01, seed=seed)
    return simulator.read(n_samples)


def rows(leads: tuple[str, ...]) -> list[int]:
    return [LEADS.index(lead) for lead in leads]


def conditioned(r: Reconstructor, x: np.ndarray) -> np.ndarray:
    return Conditioner(r.conditioning, r.sampling_hz, len(x), r.hop).push(x)[0]


@pytest.fixture(scope="module")
def engine(shipped_bundle: Bundle) -> Iterator[edge.Engine]:
    with open_engine(shipped_bundle, "onnxruntime").engine as opened:
        yield opened


def test_every_one_of_the_4095_subsets_comes_out_as_it_went_in(shipped_bundle: Bundle) -> None:
    """Whatever the decoder says: measured leads to the bit, the identities, sigma where nothing is known."""
    rng = np.random.default_rng(0)
    eight = rng.normal(size=(8, 4)).astype(np.float32)
    x, decoded = (TWELVE @ eight).astype(np.float32), rng.normal(size=(8, 4)).astype(np.float32)
    for subset in EVERY:
        leads = LeadSet(shipped_bundle.manifest, tuple(np.array(LEADS)[subset].tolist()))
        present, certain = leads.all_present, known(int(classes_of(subset)))
        shown = present.twelve @ np.concatenate([decoded, x[subset]])
        assert np.array_equal(shown[subset], x[subset])
        np.testing.assert_allclose(shown[certain], x[certain], atol=1e-6)
        np.testing.assert_allclose(shown[2:6], LIMB_FROM_I_II @ shown[:2], atol=1e-5)
        assert np.array_equal(present.sigma.any(1), ~certain)
        assert [p.is_estimate for p in leads.provenance] == (~certain).tolist()
        rows_in = leads.engine_rows(present, x[subset])
        assert np.array_equal(present.mask[0, :, 0, 0], certain)
        np.testing.assert_allclose(rows_in[0, :, :, 0], x * certain[:, None], atol=1e-6)


def test_every_one_of_the_511_classes_streams(engine: edge.Engine) -> None:
    x = twelve(16)
    one_of_each = {int(c): s for c, s in zip(classes_of(EVERY), EVERY, strict=True)}
    for which, subset in one_of_each.items():
        r = Reconstructor(engine, leads=tuple(np.array(LEADS)[subset].tolist()))
        block = r.push(x[subset])
        assert np.array_equal(block.ecg_mv[subset], conditioned(r, x[subset]))
        assert np.isfinite(block.ecg_mv).all()
        assert np.array_equal((block.sigma_mv > 0).all(1), ~known(which))
        assert np.array_equal((block.sigma_mv == 0).all(1), known(which))


@pytest.mark.parametrize("leads", SETS, ids="+".join)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=cuts(400))
def test_streamed_is_whole(engine: edge.Engine, leads: tuple[str, ...], at: list[int]) -> None:
    x = twelve(400)[rows(leads)]
    r = Reconstructor(engine, leads=leads)
    whole = r.whole(x)
    r.reset()
    cut = joined([r.push(x[:, piece]) for piece in pieces(400, at)])
    np.testing.assert_allclose(cut.ecg_mv, whole.ecg_mv, atol=1e-5)
    np.testing.assert_allclose(cut.sigma_mv, whole.sigma_mv, rtol=1e-4)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(subset=st.sampled_from(range(len(EVERY))), seed=st.integers(0, 99))
def test_the_order_of_the_rows_is_the_callers(engine: edge.Engine, subset: int, seed: int) -> None:
    leads = np.array(LEADS)[EVERY[subset]]
    order = np.random.default_rng(seed).permutation(len(leads))
    x = twelve(120, seed)[EVERY[subset]]
    straight = Reconstructor(engine, leads=tuple(leads.tolist())).push(x)
    turned = Reconstructor(engine, leads=tuple(leads[order].tolist())).push(x[order])
    np.testing.assert_allclose(turned.ecg_mv, straight.ecg_mv, atol=1e-5)


@pytest.mark.parametrize("leads", SETS, ids="+".join)
def test_a_lead_that_goes_and_comes_changes_all_that_follows_without_a_reset(
    engine: edge.Engine, leads: tuple[str, ...]
) -> None:
    if len(leads) == 1:
        pytest.skip("with its only lead off nothing is left")
    n, off = 3000, slice(1000, 2000)
    x = twelve(n)[rows(leads)]
    x[0, off] = np.nan
    r = Reconstructor(engine, leads=leads)
    block = r.push(x)
    lost, others = LEADS.index(leads[0]), rows(leads[1:])
    inside = slice(1300, 1990)  # lead-off is declared a little late
    assert np.isnan(block.ecg_mv[lost, inside]).all()
    assert (block.quality[lost, inside] & Quality.LEAD_OFF).all()
    assert np.isfinite(block.ecg_mv[others]).all()
    assert (block.sigma_mv[others, inside] == 0).all()
    assert np.isfinite(block.ecg_mv[:, :900]).all() and np.isfinite(block.ecg_mv[:, 2900:]).all()
    decoded = [i for i, p in enumerate(block.provenance) if p is Provenance.RECONSTRUCTED]
    assert np.isfinite(block.ecg_mv[np.ix_(decoded, range(n))]).all()
    undisturbed = Reconstructor(engine, leads=leads).push(twelve(n)[rows(leads)])
    if decoded:
        both = [b.sigma_mv[decoded] for b in (block, undisturbed)]
        assert not np.allclose(both[0][:, inside], both[1][:, inside], rtol=1e-2)
        assert np.array_equal(both[0][:, :900], both[1][:, :900])


def test_what_still_follows_from_other_limb_leads_goes_on(engine: edge.Engine) -> None:
    x = twelve(1500)[[0, 1, 2]]
    x[1, 500:] = np.nan
    block = Reconstructor(engine, leads=("I", "II", "III")).push(x)
    late = slice(1000, 1500)
    assert np.isnan(block.ecg_mv[1, late]).all()
    for lead in ("I", "III", "aVR", "aVL", "aVF"):
        row = LEADS.index(lead)
        assert np.isfinite(block.ecg_mv[row, late]).all()
        assert (block.sigma_mv[row, late] == 0).all()
    one, three = block.ecg_mv[[0, 2], late]
    np.testing.assert_allclose(block.ecg_mv[5, late], three + one / 2, atol=1e-5)


def test_what_rests_on_a_lead_that_is_off_is_not_invented(engine: edge.Engine) -> None:
    x = twelve(1500)[[0, 1]]
    x[1, 500:] = np.nan
    block = Reconstructor(engine, leads=("I", "II")).push(x)
    assert np.isnan(block.ecg_mv[1:6, 1000:]).all()
    assert np.isfinite(block.ecg_mv[[0, *range(6, 12)], 1000:]).all()


def test_flags_go_where_their_lead_goes(engine: edge.Engine) -> None:
    x = twelve(400)[[0, 1, 7]]
    bits = np.zeros(x.shape, np.uint8)
    bits[2, 300:] = Quality.CLIPPED
    block = Reconstructor(engine, leads=("I", "II", "V2")).push(x, quality=bits)
    clipped = (block.quality[:, 320:] & Quality.CLIPPED).all(1)
    unclipped = (block.quality[:, 320:] & Quality.CLIPPED == 0).all(1)
    assert clipped.tolist() == [False] * 6 + [True] * 6
    assert unclipped.tolist() == [True] * 6 + [False] * 6


@pytest.mark.parametrize(
    ("leads", "says"),
    [
        ((), "no lead is measured: name one or more of I, II"),
        (("V7",), "unknown lead 'V7': use names from I, II"),
        (("I", "I"), "a lead is named twice in I, I: name each once"),
        ("II", r"leads are a sequence of names in the order of the rows, as in .*, not 'II'"),
        ({"II", "V1", "V5"}, "leads are a sequence of names in the order of the rows"),
        ({"II": 0, "V1": 1}, "leads are a sequence of names in the order of the rows"),
        (5, "leads are a sequence of names in the order of the rows, .*, not 5"),
        (("I", 2), "leads are a sequence of names"),
    ],
)
def test_leads_that_cannot_be_are_one_line(leads: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Reconstructor.open(leads=leads)  # type: ignore[arg-type]


def test_a_model_of_three_leads_says_what_it_takes(tiny_bundle: Bundle) -> None:
    with pytest.raises(InputError, match="the model tiny takes II, V1, V5, got I: name these, or"):
        Reconstructor.open(tiny_bundle, leads=("I",))
    with Reconstructor.open(tiny_bundle, leads=("V5", "II", "V1")) as r:
        x = twelve(400)[rows(("II", "V1", "V5"))]
        turned = r.push(x[[2, 0, 1]])
    with Reconstructor.open(tiny_bundle) as r:
        np.testing.assert_allclose(turned.ecg_mv, r.push(x).ecg_mv, atol=1e-5)


def test_what_is_contradictory_passes_through(engine: edge.Engine) -> None:
    x = np.random.default_rng(0).normal(size=(12, 40)).astype(np.float32)
    r = Reconstructor(engine, leads=LEADS)
    assert np.array_equal(r.push(x).ecg_mv, conditioned(r, x))


def test_present_leads_are_made_once(shipped_bundle: Bundle) -> None:
    leads = LeadSet(shipped_bundle.manifest, ("I", "II"))
    on = np.array([True, False])
    assert leads.present(on) is leads.present(on.copy())
    assert not leads.present(on).mask.flags.writeable


def test_edge_open_opens_a_reconstructor_of_any_leads() -> None:
    with edge.open(leads=("I", "II")) as r:
        assert r.leads == ("I", "II")
        assert r.push(twelve(8)[:2]).n_samples == 8
    with edge.open() as r:
        assert r.leads == ("II", "V1", "V5")
