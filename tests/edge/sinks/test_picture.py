"""The live picture: the last seconds whatever the blocks, and nothing that one screen takes from another."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import InputError
from edge.expected import card_of, expected
from edge.files.recording import Metadata
from edge.leads import LEADS, Provenance
from edge.quality import Quality
from edge.samples import SampleBlock
from edge.sinks.base import LiveStatus
from edge.sinks.picture import LivePicture
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.cards import carded
from tests.edge.sinks.blocks import block, ecg


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 900), max_size=8), gap=st.integers(0, 4000), at=st.integers(0, 7)
)
def test_holds_the_last_seconds_however_they_are_cut(sizes: list[int], gap: int, at: int) -> None:
    live = LivePicture(250.0, seconds=4.0)
    whole = np.empty((12, 0), np.float32)
    for i, size in enumerate(sizes):
        missing = gap if i == at and i else 0
        part = ecg(size, i)
        whole = np.concatenate([whole, np.full((12, missing), np.nan, np.float32)], axis=1)
        live.push(block(part, whole.shape[1]))
        whole = np.concatenate([whole, part], axis=1)
    picture = live.snapshot()
    assert picture.end == whole.shape[1]
    newest = whole[:, -1000:]
    np.testing.assert_array_equal(picture.ecg_mv, newest)
    missing_now = np.isnan(newest)
    assert (((picture.quality & Quality.GAP) != 0) == missing_now).all()
    assert (np.isnan(picture.sigma_mv) == missing_now).all()


def test_trouble_and_sigma_are_those_of_the_last_second() -> None:
    live = LivePicture(250.0)
    quality = np.zeros((12, 500), np.uint8)
    quality[6, 100] = Quality.NOISY
    quality[6, 400] = Quality.CLIPPED
    live.push(block(ecg(500), quality=quality))
    picture = live.snapshot()
    assert picture.trouble(6) == Quality.CLIPPED
    assert picture.trouble(5) == Quality.OK
    assert picture.recent_sigma_mv(0) == pytest.approx(0.05)
    assert np.isnan(LivePicture(250.0).snapshot().recent_sigma_mv(0))


def test_two_screens_see_the_same() -> None:
    """A snapshot takes nothing away: quality, heart rate and signal are there for the next screen."""
    live = LivePicture(250.0)
    twelve = EcgSimulator(250.0, 75.0).read(2500)
    for at in range(0, 2500, 50):
        live.push(block(twelve[:, at : at + 50], at, Quality.NOISY))
        first, second = live.snapshot(), live.snapshot()
        assert first.trouble(0) == second.trouble(0) == Quality.NOISY
        assert first.bpm == second.bpm or np.isnan([first.bpm, second.bpm]).all()
    assert live.snapshot().bpm == pytest.approx(75.0, abs=2.0)


def test_measured_leads_of_any_number_are_shown_as_measured() -> None:
    live = LivePicture(40.0, leads=("A", "B"))  # too slow for a heart rate
    ecg_mv = np.array([[1.0, 2.0], [np.nan, np.nan]], np.float32)
    live.push(SampleBlock(ecg_mv, 0, 40.0, np.zeros((2, 2), np.uint8)))
    picture = live.snapshot()
    assert picture.provenance == (Provenance.MEASURED,) * 2
    assert picture.trouble(0) == Quality.OK and picture.trouble(1) == Quality.LEAD_OFF
    assert np.isnan(picture.bpm)
    with pytest.raises(InputError, match="12 leads for a picture of 2"):
        live.push(block(ecg(4)))


def test_what_is_known_later_is_shown_later() -> None:
    told = Metadata(device="board", calibration="fitted", simulated=True)
    live = LivePicture(250.0, lambda: told, lambda: LiveStatus(device="its own name"))
    assert not live.snapshot().simulated
    live.push(block(ecg(4)))
    picture = live.snapshot()
    assert (picture.simulated, picture.calibration, picture.device) == (
        True,
        "fitted",
        "its own name",
    )
    assert LivePicture(250.0, status=lambda: LiveStatus(simulated=True)).snapshot().simulated


def test_what_is_expected_is_that_of_the_leads_that_are_on() -> None:
    """V1 and V5 fall off: what is left is worth less, and only as long as they are off."""
    live = LivePicture(250.0, Metadata(card=card_of(carded())))
    assert live.snapshot().expected is None  # nothing is measured yet
    live.push(block(ecg(500)))
    assert live.snapshot().expected == expected(carded(), ("II", "V1", "V5"))
    off = np.zeros((12, 500), np.uint8)
    off[[LEADS.index("II"), LEADS.index("V5")]] = Quality.LEAD_OFF
    live.push(block(ecg(500), 500, off, measured=("I", "II", "V5")))
    assert live.snapshot().expected == expected(carded(), ("I",))
    off[0] = Quality.LEAD_OFF
    live.push(block(ecg(500), 1000, off, measured=("I", "II", "V5")))
    assert live.snapshot().expected is None
    live.push(block(ecg(500), 1500, measured=("I", "II", "V5")))
    assert live.snapshot().expected is None  # a set that was not scored
    live.push(block(ecg(500), 2000))
    assert live.snapshot().expected == expected(carded(), ("II", "V1", "V5"))


def test_without_a_card_nothing_is_expected() -> None:
    live = LivePicture(250.0)
    live.push(block(ecg(4)))
    assert live.snapshot().expected is None


def test_snapshots_from_other_threads_are_whole() -> None:
    live = LivePicture(250.0, seconds=1.0)
    torn: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            picture = live.snapshot()
            expected = np.arange(picture.end - picture.ecg_mv.shape[1], picture.end)
            if not (picture.ecg_mv == expected.astype(np.float32)).all():
                torn.append(picture.end)

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    for at in range(0, 20_000, 20):
        ramp = np.arange(at, at + 20, dtype=np.float32)
        live.push(block(np.tile(ramp, (len(LEADS), 1)), at))
    done.set()
    for watcher in watchers:
        watcher.join()
    assert torn == []
