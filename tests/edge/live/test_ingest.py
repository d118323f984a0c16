"""Device events to sample blocks, on hand-made streams."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import InputError
from edge.live.ingest import Ingest
from edge.quality import Quality
from edge.samples import SampleBlock
from firmware_bridge.errors import PeerError
from firmware_bridge.events import (
    Battery,
    Corrupt,
    Duplicate,
    Gap,
    Late,
    Restarted,
    Samples,
    StreamInfo,
)
from firmware_bridge.simulators.ecg import EcgSimulator

INFO = StreamInfo(
    leads=("V1", "II", "V6", "V5"),
    sampling_hz=500.0,
    nanovolts_per_lsb=1000.0,
    sample_bits=16,
    config_id=7,
)
MS = 1_000_000


def ramp(first: int, n_samples: int, **fields: int) -> Samples:
    """Channel c holds 100 * c + index; ticks agree with the index."""
    counts = np.arange(first, first + n_samples) + 100 * np.arange(4)[:, None]
    values = {"tick_us": first * 2000, "config_id": 7} | fields
    return Samples(first_sample=first, counts=counts.astype(np.int32), **values)


def streaming(**fields: object) -> Ingest:
    ingest = Ingest(("II", "V1", "V5"))
    assert ingest.push(dataclasses.replace(INFO, **fields), 0) is None  # type: ignore[arg-type]
    return ingest


def push(ingest: Ingest, packet: Samples, arrival_ns: int = 1) -> SampleBlock:
    block = ingest.push(packet, arrival_ns)
    assert block is not None
    return block


def test_counts_become_millivolts_in_the_order_of_the_decoder() -> None:
    ingest = streaming()
    block = push(ingest, ramp(1000, 5), arrival_ns=50 * MS)
    expected = np.array([100, 0, 300])[:, None] + np.arange(1000, 1005)
    np.testing.assert_allclose(block.ecg_mv, expected * 1e-3, rtol=1e-6)
    assert block.ecg_mv.dtype == np.float32
    assert block.quality.dtype == np.uint8
    assert not block.quality.any()
    assert (block.first_sample, block.sampling_hz, block.arrival_ns) == (0, 500.0, 50 * MS)
    assert block.acquired_ns == 50 * MS  # the first packet is the earliest so far
    assert ingest.counters.samples_in == 5


def test_acquisition_time_is_the_clock_not_the_arrival() -> None:
    ingest = streaming()
    push(ingest, ramp(0, 5), arrival_ns=8 * MS)
    late = push(ingest, ramp(5, 5), arrival_ns=90 * MS)
    assert late.arrival_ns == 90 * MS
    assert late.acquired_ns == 18 * MS


def test_without_ticks_the_sample_index_tells_time() -> None:
    ingest = streaming()
    push(ingest, dataclasses.replace(ramp(0, 5), tick_us=None), arrival_ns=8 * MS)
    late = push(ingest, dataclasses.replace(ramp(5, 5), tick_us=None), arrival_ns=90 * MS)
    assert late.acquired_ns == 18 * MS


@pytest.mark.parametrize("bits", [16, 24])
def test_the_rails_are_clipped(bits: int) -> None:
    ingest = streaming(sample_bits=bits)
    rail = 2 ** (bits - 1)
    counts = np.zeros((4, 4), np.int32)
    counts[1] = [-rail, -rail + 1, rail - 2, rail - 1]
    block = push(ingest, Samples(first_sample=0, counts=counts, config_id=7))
    clipped = int(Quality.CLIPPED)
    np.testing.assert_array_equal(block.quality, [[clipped, 0, 0, clipped], [0] * 4, [0] * 4])


def test_a_lead_that_is_off_is_nan() -> None:
    ingest = streaming()
    block = push(ingest, ramp(0, 3, lead_off=0b1001))  # V1 and V5
    assert np.isnan(block.ecg_mv).all(axis=1).tolist() == [False, True, True]
    assert ingest.leads_off == ("V1", "V5")
    push(ingest, ramp(3, 3))
    assert ingest.leads_off == ()


@given(n_missing=st.integers(0, 120), n_before=st.integers(1, 10), n_after=st.integers(1, 10))
def test_a_short_gap_is_a_line_and_a_long_one_a_jump(
    n_missing: int, n_before: int, n_after: int
) -> None:
    ingest = streaming()
    push(ingest, ramp(40, n_before))
    start = 40 + n_before + n_missing
    ingest.push(Gap(first_sample=40 + n_before, n_samples=n_missing, n_frames=1), 1)
    block = push(ingest, ramp(start, n_after))
    assert ingest.counters.samples_lost == n_missing
    assert ingest.counters.gaps == (n_missing > 0)
    assert ingest.counters.samples_in == n_before + n_after
    assert block.first_sample + block.n_samples == n_before + n_missing + n_after
    if n_missing > 50:
        assert block.n_samples == n_after
        assert not block.quality.any()
        assert ingest.counters.samples_interpolated == 0
        return
    truth = (np.arange(40 + n_before, start + n_after) + np.array([100, 0, 300])[:, None]) * 1e-3
    np.testing.assert_allclose(block.ecg_mv, truth, atol=1e-4)  # a line over a ramp is the ramp
    filled = int(Quality.GAP | Quality.INTERPOLATED)
    np.testing.assert_array_equal(block.quality[:, :n_missing], filled)
    assert not block.quality[:, n_missing:].any()


def test_a_gap_beside_a_lead_that_is_off_stays_nan_there() -> None:
    ingest = streaming()
    push(ingest, ramp(0, 3, lead_off=0b0010))
    block = push(ingest, ramp(5, 3))
    assert np.isnan(block.ecg_mv[0, :2]).all()
    assert np.isfinite(block.ecg_mv[1:]).all()
    assert np.isfinite(block.ecg_mv[0, 2:]).all()


def test_samples_that_overlap_are_taken_once() -> None:
    ingest = streaming()
    push(ingest, ramp(0, 10))
    block = push(ingest, ramp(6, 10))
    assert (block.first_sample, block.n_samples) == (10, 6)
    np.testing.assert_allclose(block.ecg_mv[1], np.arange(10, 16) * 1e-3, rtol=1e-6)
    assert ingest.push(ramp(2, 4), 1) is None
    assert ingest.counters.late == 2
    assert ingest.counters.samples_in == 16
    assert push(ingest, ramp(16, 1)).first_sample == 16


def test_samples_before_their_stream_info_are_dropped_and_counted() -> None:
    ingest = Ingest()
    assert ingest.push(ramp(0, 5), 1) is None
    ingest.push(INFO, 1)
    assert ingest.push(ramp(5, 5, config_id=8), 1) is None
    assert ingest.push(ramp(5, 5, session=1), 1) is None
    assert ingest.counters.samples_before_info == 15
    assert ingest.counters.samples_in == 0
    assert push(ingest, ramp(10, 5)).first_sample == 0


def test_other_events_are_counted() -> None:
    ingest = streaming()
    ingest.push(Duplicate(sequence=3), 1)
    ingest.push(Late(sequence=2, first_sample=0, n_samples=5), 1)
    ingest.push(Corrupt(reason="crc", n_bytes=9), 1)
    ingest.push(Battery(percent=80), 1)
    counters = ingest.counters
    assert (counters.duplicates, counters.late) == (1, 1)
    assert (counters.corrupt, counters.corrupt_bytes) == (1, 9)
    assert ingest.battery_percent == 80


def test_after_a_restart_the_index_goes_on_by_the_time_that_passed() -> None:
    ingest = streaming()
    push(ingest, ramp(5000, 50), arrival_ns=1000 * MS)
    ingest.push(Restarted(session=2), 3000 * MS)
    ingest.push(dataclasses.replace(INFO, session=2), 3000 * MS)
    block = push(ingest, ramp(0, 50, session=2), arrival_ns=3100 * MS)
    assert block.first_sample == 1050  # 2.1 s at 500 Hz after sample 50, less the packet itself
    assert ingest.counters.restarts == 1
    assert ingest.counters.gaps == 1
    assert ingest.counters.samples_lost == 0  # a device that boots takes no samples
    assert push(ingest, ramp(50, 50, session=2), arrival_ns=3200 * MS).first_sample == 1100


def test_a_quick_restart_is_never_interpolated_over() -> None:
    ingest = streaming()
    push(ingest, ramp(5000, 50), arrival_ns=1000 * MS)
    ingest.push(Restarted(session=2), 1001 * MS)
    block = push(ingest, ramp(0, 50), arrival_ns=1002 * MS)
    assert block.first_sample == 101
    assert block.n_samples == 50


def test_a_missing_lead_says_what_there_is_and_what_is_needed() -> None:
    ingest = Ingest(("II", "V1", "V5"))
    with pytest.raises(
        InputError, match=r"no lead V1, V5: it gives I, II, needed are II, V1, V5"
    ) as error:
        ingest.push(dataclasses.replace(INFO, leads=("I", "II")), 1)
    assert "--leads II," in str(error.value)
    assert "missing=V1,V5" in str(error.value)


def test_a_device_that_changes_its_rate_is_refused() -> None:
    ingest = streaming()
    with pytest.raises(PeerError, match=r"changed from V1, II, V6, V5 at 500 Hz to .*start again"):
        ingest.push(dataclasses.replace(INFO, sampling_hz=250.0), 1)


@pytest.mark.parametrize("leads", [("V5",), ("II", "V5"), ("I", "aVF", "V5", "V4", "V3")])
def test_leads_that_vanish_are_off_and_come_back(leads: tuple[str, ...]) -> None:
    ingest = streaming()
    push(ingest, ramp(0, 50))
    for arrival in (1, 2):  # stream infos are repeated
        ingest.push(dataclasses.replace(INFO, leads=leads, config_id=8), arrival)
    counts = np.full((len(leads), 50), 7, np.int32)
    block = ingest.push(Samples(50, counts, config_id=8), 100 * MS)
    assert block is not None
    assert block.first_sample == 50
    gone = [lead not in leads for lead in ingest.leads]
    assert np.isnan(block.ecg_mv).all(axis=1).tolist() == gone
    assert np.isfinite(block.ecg_mv).all(axis=1).tolist() == [not one for one in gone]
    assert ingest.leads_off == tuple(lead for lead in ingest.leads if lead not in leads)
    assert len(ingest.notices) == 1
    ingest.push(INFO, 101 * MS)
    block = push(ingest, ramp(100, 50), arrival_ns=200 * MS)
    assert np.isfinite(block.ecg_mv).all()
    assert ingest.leads_off == ()
    assert (ingest.counters.samples_in, ingest.counters.samples_lost, ingest.counters.gaps) == (
        150,
        0,
        0,
    )


def test_no_lead_left_is_refused() -> None:
    ingest = streaming()
    with pytest.raises(InputError, match=r"no lead II, V1, V5: it gives I, V2"):
        ingest.push(dataclasses.replace(INFO, leads=("I", "V2")), 1)


@pytest.mark.parametrize(
    ("silent", "value", "lead_off", "said"),
    [
        (("V5",), 0, 0, r"V5 is announced and has sent nothing for 5 s: .*--leads II,V1$"),
        (("V5",), 0, 0b1000, r"V5 is announced and has sent nothing for 5 s: .*--leads II,V1$"),
        (("V1", "V5"), -300, 0, r"V1, V5 are announced and have sent nothing .*--leads II$"),
        (("II", "V1", "V5"), 0, 0b1111, r"II, V1, V5 are announced .* check their electrodes$"),
    ],
)
@pytest.mark.parametrize("size", [1, 250, 4000])
def test_a_lead_that_is_never_sent_is_said_once(
    silent: tuple[str, ...], value: int, lead_off: int, said: str, size: int
) -> None:
    counts = np.tile(np.arange(4000) % 50, (4, 1)).astype(np.int32)
    counts[[INFO.leads.index(lead) for lead in silent]] = value
    ingest = streaming()
    for first in range(0, 4000, size):
        packet = Samples(first, counts[:, first : first + size], config_id=7, lead_off=lead_off)
        push(ingest, packet, arrival_ns=1 + first * 2 * MS)
        assert first + size >= 2500 or not ingest.notices
    assert len(ingest.notices) == 1
    assert re.search(said, ingest.notices[0])


def test_a_lead_that_is_known_to_be_missing_is_not_said() -> None:
    ingest = Ingest(("II", "V5"))
    ingest.push(dataclasses.replace(INFO, missing=("V5",)), 0)
    counts = np.tile(np.arange(4000) % 50, (4, 1)).astype(np.int32)
    counts[3] = 0
    push(ingest, Samples(0, counts, config_id=7, lead_off=0b1000), arrival_ns=1)
    assert not ingest.notices


def test_limb_leads_that_contradict_each_other_are_said_once() -> None:
    ingest = Ingest(("I", "II", "III", "V1"))
    info = dataclasses.replace(INFO, leads=("I", "II", "III", "V1"), sampling_hz=250.0)
    ingest.push(info, 0)
    ecg = EcgSimulator(250.0, seed=3).read(20 * 250)[[0, 1, 2, 6]]
    ecg[2] *= -1
    counts = np.rint(ecg * 1000).astype(np.int32)  # a count is 1 uV
    for first in range(0, counts.shape[1], 10):
        packet = Samples(first, counts[:, first : first + 10], config_id=7)
        push(ingest, packet, arrival_ns=1 + first * 4 * MS)
    assert len(ingest.notices) == 1
    assert "III is inverted" in ingest.notices[0]


def test_a_change_of_gain_is_followed() -> None:
    ingest = streaming()
    push(ingest, ramp(0, 1))
    ingest.push(dataclasses.replace(INFO, nanovolts_per_lsb=2000.0, config_id=8), 1)
    block = push(ingest, ramp(1, 1, config_id=8))
    np.testing.assert_allclose(block.ecg_mv[:, 0], [0.202, 0.002, 0.602], rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"sampling_hz": 0.0},
        {"sampling_hz": float("nan")},
        {"nanovolts_per_lsb": 0.0},
        {"nanovolts_per_lsb": float("inf")},
    ],
)
def test_a_device_that_says_what_cannot_be_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(PeerError, match="check its firmware"):
        streaming(**change)


@pytest.mark.parametrize("hz", [5e-324, 1e-5, 20.0, 49.9, 8001.0, 1e9, 1e308])
def test_a_rate_that_no_ecg_has_is_refused_before_there_is_memory_for_it(hz: float) -> None:
    with pytest.raises(InputError, match="give one from 50 to 8000 Hz"):
        streaming(sampling_hz=hz)


def test_another_number_of_channels_than_announced_is_refused() -> None:
    ingest = streaming()
    packet = Samples(first_sample=0, counts=np.zeros((3, 5), np.int32), config_id=7)
    with pytest.raises(PeerError, match="sent 3 channels and announced 4"):
        ingest.push(packet, 1)


def test_an_empty_packet_gives_nothing() -> None:
    ingest = streaming()
    assert ingest.push(ramp(0, 0), 1) is None


def told(scale: float, packets_hz: float = 25.0, seconds: float = 8.0) -> list[str]:
    """The notices of a device that says 250 Hz and millivolts, and sends packets of 10 samples."""
    ingest = Ingest()
    info = StreamInfo(("II", "V1", "V5"), 250.0, 100.0, 32, config_id=1)
    ingest.push(info, 0)
    beat = np.zeros(250)
    beat[100:110] = np.hanning(10)
    for i in range(round(seconds * packets_hz)):
        index = np.arange(10 * i, 10 * i + 10)
        counts = np.tile(scale * beat[index % 250] / (info.nanovolts_per_lsb * 1e-6), (3, 1))
        packet = Samples(10 * i, counts.astype(np.int32), config_id=1)
        ingest.push(packet, round(i / packets_hz * 1e9))
    ingest.ended()
    return ingest.notices


def test_a_stream_that_is_not_what_it_says_is_told_once() -> None:
    assert told(1.0) == []
    (rate,) = told(1.0, packets_hz=50.0)
    assert rate.startswith("samples arrive at 500 Hz, not at 250 Hz as declared")
    assert "rate=" in rate
    assert told(1.0, packets_hz=50.0, seconds=3.0) == [rate]
    (unit,) = told(700.0)
    assert "microvolts" in unit
    assert "unit_mv=0.001" in unit
    assert told(700.0, seconds=3.0) == [unit]
