"""Look-ahead: the decoder answers late, and whatever else is known waits for it, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge
from edge.bundle import Bundle
from edge.calibrate.fit import calibrate
from edge.leads import INPUT_LEADS, LEADS, RECONSTRUCTED_LEADS, lead_indices
from edge.live.runtime import Runtime
from edge.quality import Quality
from edge.reconstructor import Reconstructor
from edge.signal.alignment import Delay
from edge.signal.anchor import anchor_from_moments
from edge.signal.conditioning import Conditioner
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.fakes import ListSink, MemoryDevice
from tests.edge.signals import cuts, joined, pieces, three_leads

IN, OUT = lead_indices(INPUT_LEADS), lead_indices(RECONSTRUCTED_LEADS)
N, LATE = 2000, 20

many = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def prompt(tiny_bundle: Bundle) -> Reconstructor:
    """Zero look-ahead: what the late one is held against."""
    return Reconstructor.open(tiny_bundle)


@pytest.fixture
def late(tiny_bundle: Bundle) -> Reconstructor:
    """The same graph, whose answer is taken as that to the sample LATE before."""
    return Reconstructor.open(
        Bundle(tiny_bundle.data, replace(tiny_bundle.manifest, lookahead=LATE))
    )


def damaged() -> np.ndarray:
    x = three_leads(N, seed=1)
    x[1, 500:900] = np.nan  # a lead off
    x[:, 1200:1300] = np.nan  # a long gap
    x[:, 1500:1510] = np.nan  # one that is filled
    return x


def test_a_delay_line_is_the_same_however_it_is_fed() -> None:
    x = np.arange(2 * 50.0).reshape(2, 50)
    delay = Delay(2, 7, -1.0, float)
    whole = delay.push(x)
    assert (whole[:, :7] == -1).all()
    assert (whole[:, 7:] == x[:, :-7]).all()
    delay.reset()
    cut = [delay.push(x[:, p]) for p in pieces(50, [1, 2, 20, 21, 44])]
    assert (np.concatenate(cut, 1) == whole).all()


def test_the_latency_is_said(late: Reconstructor) -> None:
    assert late.lookahead == LATE
    assert late.algorithmic_latency_s == pytest.approx((4 + LATE) / 250)


def test_what_is_measured_keeps_its_place(prompt: Reconstructor, late: Reconstructor) -> None:
    now, then = prompt.whole(damaged()), late.whole(damaged())
    assert then.first_sample == 0
    assert then.n_samples == now.n_samples == N
    np.testing.assert_array_equal(then.ecg_mv[IN], now.ecg_mv[IN])
    np.testing.assert_array_equal(then.quality, now.quality)
    assert np.isnan(then.ecg_mv[LEADS.index("V1"), 560:900]).all()
    assert (then.sigma_mv[IN][np.isfinite(then.ecg_mv[IN])] == 0).all()
    # What only the others give is there while V1 is off.
    assert np.isfinite(then.ecg_mv[OUT, 560:860]).all()


def test_the_residual_is_that_of_later(prompt: Reconstructor, late: Reconstructor) -> None:
    x = three_leads(N)
    now, then = prompt.whole(x).ecg_mv[OUT], late.push(x).ecg_mv[OUT]
    m = prompt.bundle.manifest
    conditioned = Conditioner(prompt.conditioning, 250.0, 3, 4).push(x)[0]
    base = anchor_from_moments(m.moments, INPUT_LEADS, RECONSTRUCTED_LEADS) @ conditioned
    assert np.abs(now - base).max() > 0.01
    expected = base[:, :-LATE] + (now - base)[:, LATE:]
    np.testing.assert_allclose(then, expected, atol=1e-5)


@many
@given(at=cuts(N))
def test_any_chunking_gives_the_same(late: Reconstructor, at: list[int]) -> None:
    x = damaged()
    whole = late.whole(x)
    late.reset()
    block = joined([*(late.push(x[:, p]) for p in pieces(N, at)), late.flush()])
    assert block.first_sample == 0
    np.testing.assert_allclose(block.ecg_mv, whole.ecg_mv, atol=1e-5, rtol=1e-7)
    np.testing.assert_allclose(block.sigma_mv, whole.sigma_mv, rtol=1e-4)
    assert np.array_equal(block.quality, whole.quality)


@many
@given(sizes=st.lists(st.integers(0, 40), max_size=20))
def test_a_hop_and_the_look_ahead_are_held_back(late: Reconstructor, sizes: list[int]) -> None:
    late.reset()
    fed = out = 0
    for size in sizes:
        block = late.push(np.zeros((3, size)))
        assert block.first_sample == out
        fed, out = fed + size, out + block.n_samples
        assert fed - out < LATE + late.hop
    tail = late.flush()
    assert tail.first_sample == out
    assert tail.n_samples == fed - out


@pytest.mark.parametrize("n", [0, 3, 15, 1001])
def test_a_recording_comes_out_as_long_as_it_is(
    late: Reconstructor, n: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    blocks = list(edge.offline.reconstruct_pieces(late, iter([three_leads(n)]), 250.0))
    assert sum(block.n_samples for block in blocks) == n
    assert all(np.isfinite(block.ecg_mv).all() for block in blocks)


def test_after_a_gap_that_nobody_has_the_index_is_right(late: Reconstructor) -> None:
    x = three_leads(400)
    before = late.push(x[:, :202])
    late.skip(1000)
    after = late.push(x)
    assert before.n_samples == 200 - LATE
    assert after.first_sample == 202 + 1000
    assert after.n_samples == 400 - LATE
    late.reset()
    np.testing.assert_array_equal(after.ecg_mv, late.push(x).ecg_mv)


def test_who_flushes_before_a_gap_loses_nothing(late: Reconstructor) -> None:
    x = three_leads(400)
    before = late.push(x[:, :202])
    tail = late.flush()
    assert tail.first_sample == before.n_samples
    assert before.n_samples + tail.n_samples == 202
    assert late.flush().n_samples == 0
    late.skip(1000)
    assert late.push(x).first_sample == 202 + 1000


def test_where_all_leads_are_off_nothing_is_invented(late: Reconstructor) -> None:
    x = three_leads(N)
    x[:, 800:1200] = np.nan
    block = late.whole(x)
    off = (block.quality & Quality.LEAD_OFF).all(0)
    assert off[860:1200].all() and not off[:800].any()
    assert np.isnan(block.ecg_mv[:, off]).all() and np.isnan(block.sigma_mv[:, off]).all()
    ended = np.flatnonzero(off)[0]
    # Measured up to the end; what the decoder would have said after it is not there to be had.
    assert np.isfinite(block.ecg_mv[IN, :ended]).all()
    assert np.isfinite(block.ecg_mv[:, : ended - LATE]).all()
    assert np.isfinite(block.ecg_mv[:, 1200:]).all()


def test_a_patient_is_fitted_to_the_late_answer(late: Reconstructor) -> None:
    twelve = EcgSimulator(250.0, 70, seed=4).read(1000)
    patient = calibrate(late, twelve, 250.0)
    fitted = Reconstructor(late.engine, patient=patient)
    assert fitted.lookahead == LATE
    errors = [
        np.abs(r.whole(twelve[IN]).ecg_mv[OUT, 500:] - twelve[OUT, 500:]).mean()
        for r in (fitted, late)
    ]
    assert errors[0] < errors[1]


def test_a_live_stream_loses_nothing_to_it(late: Reconstructor) -> None:
    """Neither before a gap nor at the end."""
    device, sink = MemoryDevice(), ListSink()
    device.say_info()
    device.say(10, n_frames=20)
    device.frame(80)  # lost
    device.say(10, n_frames=20)
    runtime = Runtime(device.source, late, {"list:": sink})
    device.transport.end()
    runtime.run()
    out = [i for b in sink.blocks for i in range(b.first_sample, b.first_sample + b.n_samples)]
    assert out == [*range(200), *range(280, 480)]
    assert (runtime.samples_out, runtime.samples_lost, runtime.gaps) == (400, 80, 1)
