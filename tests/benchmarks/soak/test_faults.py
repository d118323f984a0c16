"""Soak with faults: the checks find what is broken, and a short soak finds nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.soak.account import Account, Tap
from benchmarks.soak.collector import Collector
from benchmarks.soak.comparison import SAME_MV, compare
from benchmarks.soak.device import FaultyDevice, Truth
from benchmarks.soak.episode import RECOVERY_S
from benchmarks.soak.schedule import CALM_S, Fault, Kind, draw
from benchmarks.soak.tolerance import ROUNDING_MV, held, smeared
from benchmarks.soak.transport import Gates
from edge.quality import Quality
from edge.reconstructor import Reconstructor
from edge.signal.conditioning import Conditioner, Conditioning
from edge.signal.filters import highpass1
from firmware_bridge.wire.spec import DELIMITER
from tests.edge.signals import three_leads

SECONDS = 30.0


def test_one_seed_gives_the_same_faults_and_the_same_bytes() -> None:
    said = []
    for _ in range(2):
        rng = np.random.default_rng((7, 3))
        faults = draw(rng, 120.0)
        device = FaultyDevice(Truth(120.0, 1), faults, rng)
        said.append((faults, list(device), device.must_arrive))
    assert said[0] == said[1]
    assert said[0][0] != draw(np.random.default_rng((7, 4)), 120.0)


def test_every_kind_of_fault_is_drawn_and_none_of_the_link_while_another_lasts() -> None:
    faults = draw(np.random.default_rng(1), 500 * CALM_S)
    assert {fault.kind for fault in faults} == set(Kind)
    others = [fault for fault in faults if fault.kind is not Kind.LEAD_OFF]
    for before, after in pairwise(others):
        assert before.end_s <= after.begin_s
    assert all(fault.channels for fault in faults if fault.kind is Kind.LEAD_OFF)


def test_arrivals_never_run_backwards_and_without_faults_all_comes() -> None:
    truth = Truth(SECONDS, 1)
    faults = draw(np.random.default_rng(2), SECONDS)
    arrivals = [p.arrival_ns for p in FaultyDevice(truth, faults, np.random.default_rng(2))]
    assert arrivals == sorted(arrivals)
    device, tap = FaultyDevice(Truth(SECONDS, 1), [], np.random.default_rng(2)), Tap()
    for piece in device:
        tap.receive_data(piece.data)
    account = Account(tap.packets, device.session_starts, truth.codes)
    assert account.arrived.all()
    assert (account.wrong, account.again, account.lost) == (0, 0, 0)
    assert sum(stop - first for first, stop in device.must_arrive) == truth.codes.shape[1]


def test_the_account_finds_a_wrong_value_a_copy_and_a_loss() -> None:
    truth = Truth(SECONDS, 1)
    device, tap = FaultyDevice(truth, [], np.random.default_rng(2)), Tap()
    for piece in device:
        tap.receive_data(piece.data)
    packets = tap.packets
    wrong = packets[3].counts.copy()
    wrong[1, 2] += 1
    given = [*packets[:3], replace(packets[3], counts=wrong), packets[3], *packets[5:]]
    account = Account(given, device.session_starts, truth.codes)
    n = packets[3].counts.shape[1]
    assert (account.wrong, account.again, account.lost) == (1, n, packets[4].counts.shape[1])


@pytest.mark.parametrize("seed", range(12))
def test_no_frame_must_arrive_that_a_newer_one_has_overtaken(seed: int) -> None:
    """The first frame of a new link is doubtful, and yet the one that it overtook is late."""
    faults = [Fault(Kind.LINK_LOST, 5.0, 5.5), Fault(Kind.DISORDER, 5.5, 7.5)]
    truth, tap = Truth(9.0, 1), Tap()
    device = FaultyDevice(truth, faults, np.random.default_rng(seed))
    for piece in device:
        tap.receive_data(piece.data or DELIMITER)
    account = Account(tap.packets, device.session_starts, truth.codes)
    assert all(account.arrived[first:stop].all() for first, stop in device.must_arrive)
    assert len(device.must_arrive) > 100


@pytest.fixture
def streamed(any_bundle: object) -> tuple[Collector, Truth, Reconstructor]:
    """Twenty seconds as they come out with nothing wrong."""
    truth = Truth(20.0, 1)
    reconstructor = Reconstructor.open(any_bundle)  # type: ignore[arg-type]
    collector = Collector(6000, Gates())
    collector.write(reconstructor.push(truth.ecg_mv))
    return collector, truth, reconstructor


def test_what_is_right_is_called_right(
    streamed: tuple[Collector, Truth, Reconstructor],
) -> None:
    out, truth, reference = streamed
    found = compare(out, truth.ecg_mv, 0, reference)
    assert found.broken == []
    assert found.same_mv <= SAME_MV
    assert found.placed.sum() == out.n == found.compared // 12 + 500  # two seconds settle


@pytest.mark.parametrize("disturbed", [False, True])
def test_a_wrong_sample_without_a_flag_is_found(
    streamed: tuple[Collector, Truth, Reconstructor], disturbed: bool
) -> None:
    out, truth, reference = streamed
    if disturbed:
        out.quality[:, 1000:1010] = int(Quality.GAP | Quality.INTERPOLATED)
    out.ecg_mv[1, 3000] += 0.2
    (line,) = compare(out, truth.ecg_mv, 0, reference).broken
    assert line.startswith("II is 0.2" if disturbed else "undisturbed samples")


def test_a_baseline_that_is_wrong_when_its_flag_ends_is_found(
    streamed: tuple[Collector, Truth, Reconstructor],
) -> None:
    """As a lead that restarted on an R wave had it, before the mean of its settling told the baseline."""
    out, truth, reference = streamed
    out.quality[1, 1000:1500] = int(Quality.LEAD_OFF)
    out.ecg_mv[1, 1500 : out.n] += 0.2 * np.exp(-np.arange(out.n - 1500) / 800).astype(np.float32)
    (line,) = compare(out, truth.ecg_mv, 0, reference).broken
    assert line.startswith("II is 0.2")


def test_what_a_held_gap_leaves_in_the_high_pass_is_within_the_tolerance() -> None:
    truth = three_leads(3000, seed=5)
    filled = np.zeros(3000, bool)
    for at in (1000, 1100, 1200):
        filled[at : at + 25] = True
    given = truth.copy()
    for at in (1000, 1100, 1200):
        given[:, at : at + 25] = truth[:, at - 1, None]
    spec = Conditioning(mains_hz=None)
    right, ours = (Conditioner(spec, 250.0, 3, 4).push(x)[0] for x in (truth, given))
    off = np.abs(ours - right)
    away = held(truth.astype(np.float64), filled)
    np.testing.assert_allclose(away, np.abs(given - truth), atol=1e-6)
    bound = away + smeared(away, -highpass1(spec.highpass_hz, 250.0)[3]) + ROUNDING_MV
    assert (off <= bound).all()
    assert off[:, 1230:].max() > 1e-3  # there is something to bound


def test_samples_in_another_place_are_found(
    streamed: tuple[Collector, Truth, Reconstructor],
) -> None:
    out, truth, reference = streamed
    out.ecg_mv[:, 2000:4000] = out.ecg_mv[:, 2001:4001].copy()
    assert compare(out, truth.ecg_mv, 0, reference).broken


def test_short_stretches_are_placed_beside_the_long_ones_before_and_after(
    streamed: tuple[Collector, Truth, Reconstructor],
) -> None:
    """A restart between moves all indices: the two nearest long stretches may both be after it."""
    _, truth, reference = streamed
    out, moved = Collector(6000, Gates()), 500
    before = [(0, 1500), (1600, 1700), (1750, 1850), (1900, 2000)]
    after = [(2100, 3100), (3200, 4200)]
    for k, (begin, end) in enumerate(before + after):
        block = reference.whole(truth.ecg_mv[:, begin:end])
        out.write(replace(block, first_sample=begin + moved * (k >= len(before))))
    found = compare(out, truth.ecg_mv, 0, reference)
    assert found.broken == []
    expected = np.zeros(truth.ecg_mv.shape[1], bool)
    for begin, end in before + after:
        expected[begin:end] = True
    np.testing.assert_array_equal(found.placed, expected)


def test_a_block_that_goes_back_or_has_no_value_is_found() -> None:
    out = Collector(100, Gates())
    with Reconstructor.open() as reconstructor:
        block = reconstructor.push(np.zeros((3, 8), np.float32))
    out.write(replace(block, first_sample=8))
    out.write(block)
    out.write(replace(block, first_sample=16, ecg_mv=np.full((12, 8), np.nan, np.float32)))
    assert [line.split(" at ")[0] for line in out.broken] == [
        "block",
        "no value, and no flag of a lead that is off,",
    ]


@pytest.mark.realtime
def test_every_kind_of_fault_once_breaks_nothing_and_each_is_felt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "soak.json"
    assert main(["soak", "--faults", "1", "--every-kind", "--json", str(out)]) == 0
    found = json.loads(out.read_text())["results"]["faults"]
    assert found["broken_lines"] == []
    kinds = {kind.label for kind in Kind if found["viewer_tried"] or kind != Kind.KILLED_VIEWER}
    assert found["faults"] == dict.fromkeys(kinds, 1)
    assert {kind for kind, times in found["felt"].items() if times} == kinds
    assert found["full_disks"] == found["full_disk_tried"]
    # What the live path itself says of them.
    for figure in ("lost", "overrun", "interpolated", "corrupt", "duplicates", "late"):
        assert found[figure] > 0, figure
    assert found["restarts"] == found["reconnects"] == 1
    assert found["values_compared"] > 10_000
    assert found["longest_recovery_s"] <= RECOVERY_S
    assert "| simulated_hours " in capsys.readouterr().out


@pytest.mark.realtime
def test_a_broken_invariant_fails_a_check_and_says_how_to_see_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.soak.comparison.SAME_MV", -1.0)  # no sample is so alike
    command = ["soak", "--faults", "4", "--first", "2", "--seconds", "20", "--episode", "20"]
    assert main([*command, "--check"]) == 1
    said = capsys.readouterr().err
    assert "python -m benchmarks soak --faults 4 --first 2 --seconds 20 --episode 20" in said
