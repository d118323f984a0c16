"""Channels to leads: wired one by one, by electrode against a common reference, and what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.devices.csv_lines import CsvDecoder
from firmware_bridge.devices.lead_map import RAIL, MissingLeads, lead_map, missing_leads
from firmware_bridge.devices.openview import OpenViewDecoder
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import HostedDecoder, LeadOffChanged, Samples, StreamInfo
from tests.firmware_bridge.board_streams import wired


def test_channels_become_leads_in_the_order_given() -> None:
    found = lead_map("3:V5, 1:ii,2:-V1", 4)
    assert found.leads == ("V5", "II", "V1")
    counts = np.array([[1, 2], [30, 40], [500, -600], [7, 7]], np.int32)
    assert found.apply(counts).tolist() == [[500, -600], [1, 2], [-30, -40]]
    assert found.apply(counts).dtype == np.int32


def test_a_turned_channel_at_its_rail_stays_at_the_rail() -> None:
    counts = np.array([[-RAIL - 1, RAIL]], np.int32)
    assert lead_map("1:-II", 1).apply(counts).tolist() == [[RAIL, -RAIL]]


@given(
    st.sampled_from(["RA", "LA", "LL"]),
    st.lists(st.integers(-(10**6), 10**6), min_size=5, max_size=5),
)
def test_electrodes_against_any_limb_give_the_leads_of_the_textbook(
    reference: str, potentials: list[int]
) -> None:
    p = dict(zip(("RA", "LA", "LL", "V1", "V5"), potentials, strict=True))
    measured = [name for name in p if name != reference]
    text = ",".join(f"{i + 1}:{name}" for i, name in enumerate(measured))
    found = lead_map(text, 4, reference)
    assert found.leads == ("I", "II", "III", "V1", "V5")
    counts = np.array([[p[name] - p[reference]] for name in measured], np.int32)
    wilson = (p["RA"] + p["LA"] + p["LL"]) / 3
    truth = [
        p["LA"] - p["RA"],
        p["LL"] - p["RA"],
        p["LL"] - p["LA"],
        p["V1"] - wilson,
        p["V5"] - wilson,
    ]
    np.testing.assert_allclose(found.apply(counts)[:, 0], truth, atol=0.51)


def test_a_clipped_electrode_clips_the_leads_it_is_in() -> None:
    found = lead_map("1:LA,2:LL,3:V1,4:V5", 4, "RA")
    counts = np.array([[100], [100], [RAIL], [200]], np.int32)
    rows = dict(zip(found.leads, found.apply(counts)[:, 0].tolist(), strict=True))
    assert rows == {"I": 100, "II": 100, "III": 0, "V1": RAIL, "V5": 133}


def test_two_limbs_alone_give_one_lead() -> None:
    assert lead_map("1:LL", 1, "ra").leads == ("II",)


@pytest.mark.parametrize(
    ("text", "reference", "says"),
    [
        ("II,V1", "", "write channel:name pairs such as 1:II"),
        ("1:LA", "", "electrodes take reference=RA"),
        ("1:II", "RA", "names from RA, LA, LL"),
        ("5:II", "", "channel '5'; this device has 1 to 4"),
        ("0:II", "", "channel '0'"),
        ("x:II", "", "channel 'x'"),
        ("1:II,1:V1", "", "each channel and each lead once"),
        ("1:II,2:ii", "", "each channel and each lead once"),
        ("1:LA,2:LL", "V1", "name the limb electrode"),
        ("1:RA,2:LL", "RA", "give it no channel"),
        ("1:LL,2:V1", "RA", "V1 is measured against the mean of RA, LA and LL: give LA"),
        ("1:V1", "RA", "give LA and LL a channel too"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, reference: str, says: str) -> None:
    with pytest.raises(SourceSpecError, match=says):
        lead_map(text, 4, reference)


def test_missing_leads_are_named() -> None:
    assert missing_leads("v5,V1") == ("V5", "V1")
    for text in ("V7", "", "V5,V5"):
        with pytest.raises(SourceSpecError, match="name the leads that are not wired"):
            missing_leads(text)


def test_a_missing_lead_is_there_and_off() -> None:
    decoder = MissingLeads(CsvDecoder(("II", "V1")), ("V5", "V1"))
    events = decoder.receive_data(b"x\n1,2\n,3\n")
    info, said, first, changed, second = events[1:]
    assert isinstance(info, StreamInfo) and info.leads == ("II", "V1", "V5")
    assert said == LeadOffChanged(0, 0b100)
    assert changed == LeadOffChanged(1, 0b101)
    assert isinstance(first, Samples) and isinstance(second, Samples)
    assert (first.lead_off, second.lead_off) == (0b100, 0b101)
    assert first.counts.tolist() == [[10_000], [20_000], [0]]


def test_a_decoder_that_talks_still_does() -> None:
    decoder = MissingLeads(OpenViewDecoder(wired(3)), ("I",))
    assert isinstance(decoder, HostedDecoder)
    decoder.opened()
    decoder.silent(1.0)
    assert decoder.data_to_send() == b""
    plain = MissingLeads(CsvDecoder(), ("I",))
    plain.opened()
    plain.silent(1.0)
    assert plain.data_to_send() == b""
