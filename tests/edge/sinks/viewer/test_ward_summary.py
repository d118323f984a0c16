"""What the ward page is told: columns that do not depend on how a stream is cut, words, bounded names."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.files.recording import Metadata
from edge.leads import LEADS
from edge.marker import BEGAN_ANEW, Marker
from edge.quality import Quality
from edge.sinks.base import LiveStatus
from edge.sinks.picture import LivePicture
from edge.sinks.viewer.messages import MISSING_ECG
from edge.sinks.viewer.ward_summary import (
    ANEW_S,
    COLUMNS_HZ,
    STALE_S,
    bounded,
    columns,
    leads_asked,
    pack_columns,
    patient_state,
    start_of,
)
from tests.edge.sinks.blocks import block, ecg

HZ = 250.0


@given(
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=8),
    hz=st.sampled_from((125.0, 200.0, 250.0, 256.0, 500.0)),
)
def test_columns_do_not_depend_on_how_the_stream_is_cut(cuts: list[int], hz: float) -> None:
    n = sum(cuts)
    signal, bits = ecg(n)[:2], (ecg(n, 1)[:2] > 2).astype(np.uint8) * np.uint8(16)
    signal[:, n // 3 : n // 2] = np.nan
    whole = columns(0, signal, bits, hz)
    assert whole.first == 0 and start_of(whole.end, hz) <= n < start_of(whole.end + 1, hz)
    told, end = 0, 0
    for cut in cuts:
        end += cut
        first = start_of(told, hz)
        part = columns(first, signal[:, first:end], bits[:, first:end], hz)
        assert part.first == told
        for name in ("low_uv", "high_uv", "quality"):
            expected = getattr(whole, name)[:, told : part.end]
            np.testing.assert_array_equal(getattr(part, name), expected)
        told = part.end
    assert told == whole.end


def test_a_column_holds_the_extremes_and_what_is_missing() -> None:
    signal = np.zeros((2, 250), np.float32)
    signal[0, 100], signal[0, 101] = 1.5, -0.7
    signal[1] = np.nan
    found = columns(0, signal, np.zeros((2, 250), np.uint8), HZ)
    assert found.low_uv.shape == (2, COLUMNS_HZ)
    assert found.high_uv.max() == 1500 and found.low_uv[0].min() == -700
    assert set(found.low_uv[1]) == {MISSING_ECG} == set(found.high_uv[1])


def test_a_message_says_whose_columns_it_holds() -> None:
    found = columns(250, ecg(250)[:2], np.zeros((2, 250), np.uint8), HZ)
    message = pack_columns([(7, found)])
    assert message[:8] == bytes((1, 2, 1, 0, 0, 0, 0, 0))
    assert struct.unpack_from("<IHHd", message, 8) == (7, 32, 0, 32.0)
    assert len(message) == 24 + 32 * 2 * 5
    np.testing.assert_array_equal(
        np.frombuffer(message, "<i2", 64, 24).reshape(2, 32), found.low_uv
    )


@pytest.mark.parametrize(
    ("lead", "bit", "silent_s", "outage", "attention", "words"),
    [
        ("II", 0, 0.0, False, [], ["clean"]),
        ("V1", Quality.LEAD_OFF, 0.0, False, ["LEAD OFF V1"], []),
        ("V2", Quality.LEAD_OFF, 0.0, False, [], ["clean"]),  # reconstructed without another lead
        ("II", Quality.GAP, 0.0, False, ["GAP"], []),
        ("I", Quality.MISPLACED, 0.0, False, ["MISPLACED"], []),
        ("V5", Quality.NOISY, 0.0, False, [], ["noisy"]),
        ("II", Quality.CLIPPED | Quality.SETTLING, 0.0, False, [], ["clipped", "settling"]),
        ("V1", Quality.LEAD_OFF, STALE_S, False, ["STALE"], []),
        ("II", 0, STALE_S, True, ["LINK LOST"], []),
        ("V1", Quality.LEAD_OFF, 0.0, True, ["LINK LOST", "LEAD OFF V1"], []),
    ],
)
def test_who_needs_attention(
    lead: str, bit: int, silent_s: float, outage: bool, attention: list[str], words: list[str]
) -> None:
    picture = LivePicture(HZ, Metadata(device="d" * 500), lambda: LiveStatus(in_outage=outage))
    made = block(ecg(500))
    made.quality[LEADS.index(lead)] = bit
    picture.push(made)
    said = patient_state(3, "bed 3", picture.snapshot(1.0), silent_s)
    assert (said["attention"], said["words"]) == (attention, words)
    assert len(said["device"]) == 120
    assert said["bpm"] is None or not (outage or silent_s)


@pytest.mark.parametrize(
    ("asked", "leads"),
    [
        ("", ("II", "V1")),
        ("V5,II", ("V5", "II")),
        ("avf", ("aVF",)),
        (" v2 , V2,Lead_III", ("V2", "III")),
        ("V7,,V3", ("V3",)),
        ("I,V1,V2", ("I", "V1")),
        ("nonsense", ("II", "V1")),
        ("V3," * 10_000, ("V3",)),
    ],
)
def test_leads_that_an_address_asks_for(asked: str, leads: tuple[str, ...]) -> None:
    assert leads_asked(asked) == leads


@pytest.mark.parametrize("how", ["marker", "index"])
def test_who_began_anew_needs_attention_for_a_while(how: str) -> None:
    picture = LivePicture(HZ)
    picture.push(block(ecg(500)))
    assert not picture.began_anew(ANEW_S)
    anew = block(ecg(500), 500 if how == "marker" else 0)
    markers = (Marker(BEGAN_ANEW, 500),) if how == "marker" else ()
    picture.push(replace(anew, markers=markers))
    assert picture.began_anew(ANEW_S)
    said = patient_state(1, "a", picture.snapshot(1.0), 0.0, anew=True)
    assert said["attention"] == ["BEGAN ANEW"]
    picture.push(block(ecg(2500), 1000 if how == "marker" else 500))
    assert not picture.began_anew(ANEW_S)


def test_before_the_first_sample() -> None:
    picture = LivePicture(HZ).snapshot()
    assert patient_state(1, "a", picture, 0.0)["attention"] == []
    assert patient_state(1, "a", picture, STALE_S)["attention"] == ["NO SAMPLES"]


@settings(max_examples=30)
@given(st.text(max_size=300))
def test_a_name_is_one_short_line_that_can_be_seen(text: str) -> None:
    found = bounded(text, 64)
    assert len(found) <= 64 and (found.isprintable() or not found)
    assert bounded(found, 64) == found
