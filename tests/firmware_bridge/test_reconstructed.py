"""Leads that a device reconstructed itself, on the wire: codes, counters, hosts that do not know them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.leads import Provenance
from firmware_bridge.errors import EncodeError
from firmware_bridge.events import (
    Corrupt,
    Gap,
    Late,
    ReconstructedLeads,
    Reconstruction,
    Restarted,
    Samples,
)
from firmware_bridge.wire import spec
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder
from firmware_bridge.wire.framing import unwrap, wrap
from firmware_bridge.wire.packets import encode_frame
from firmware_bridge.wire.reconstructed import (
    ReconstructedPacket,
    ReconstructionPacket,
    sigma_codes,
    sigma_mv,
    value_codes,
)
from tests.firmware_bridge.wire_streams import INFO, cut, decode, key, of, sample_frame

SAID = Reconstruction(
    leads=("I", "II", "V2"),
    provenance=("reconstructed", "measured", "reconstructed"),
    sampling_hz=250.0,
    nanovolts_per_lsb=1000.0,
    config_id=INFO.config_id,
    session=INFO.session,
    model="a model",
)


class Device:
    """A device that sends what it measures, what it reconstructs, or both."""

    def __init__(self, measured: bool = True, session: int = INFO.session) -> None:
        info = (
            INFO if session == INFO.session else type(INFO)(**{**_fields(INFO), "session": session})
        )
        self.encoder, self._measured, self._first = WireEncoder(info), measured, 0

    def hello(self) -> bytes:
        return self.encoder.stream_info() + self.encoder.reconstruction(SAID)

    def frame(self, n: int = 4) -> bytes:
        """Measured samples, if any, and a frame of values from which their place can be read."""
        measured = sample_frame(self.encoder, n) if self._measured else b""
        place = np.arange(self._first, self._first + n) % 1000
        ecg = np.stack([place, place + 1, place + 2]) * 1e-3
        ecg[2, place % 7 == 0] = np.nan
        quality = np.zeros((3, n), np.uint8)
        quality[0, 0], quality[0, n - 1] = 4, 8
        sigma = np.stack([np.full(n, 0.05), np.zeros(n), np.full(n, 0.1)])
        frame = self.encoder.reconstructed(
            SAID, ecg, sigma, quality, first_sample=self._first, tick_us=self._first * 4000
        )
        self._first += n
        return measured + frame


def _fields(info) -> dict:
    return {name: getattr(info, name) for name in type(info).__dataclass_fields__}


def test_the_codes_of_provenance_are_those_of_edge() -> None:
    assert tuple(map(str, Provenance)) == spec.PROVENANCE


def test_what_a_device_says_survives_the_wire() -> None:
    device = Device(measured=False)
    _, said, event = decode([device.hello(), device.frame()])
    assert said == SAID
    assert isinstance(event, ReconstructedLeads)
    assert (event.first_sample, event.tick_us, event.config_id) == (0, 0, SAID.config_id)
    assert event.counts.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [spec.NO_VALUE, 3, 4, 5]]
    assert event.quality.tolist() == [12, 0, 0]
    np.testing.assert_allclose(event.sigma_mv[0], 0.05, rtol=0.022)
    assert (event.sigma_mv[1] == 0).all()
    assert np.isnan(event.sigma_mv[2]).tolist() == [True, False, False, False]


@given(st.floats(1e-4, 6.0))
def test_sigma_is_within_half_a_step(mv: float) -> None:
    found = sigma_mv(sigma_codes(np.array([[mv]])))[0, 0]
    assert abs(np.log2(found / mv)) <= 0.5 / spec.SIGMA_STEPS + 1e-6


def test_sigmas_beyond_the_ends_take_the_last_code_and_none_has_none() -> None:
    codes = sigma_codes(np.array([0.0, 1e-9, 1e-4, 1e3, np.nan, np.inf, -1.0]))
    assert codes.tolist() == [0, 1, 1, 255, 0, 0, 0]


def test_values_saturate_and_what_is_none_has_a_code_of_its_own() -> None:
    ecg = np.array([0.0, 1.0, -300.0, 300.0, np.nan, np.inf, 0.0004, 0.0006])
    assert value_codes(ecg, 1000.0).tolist() == [
        *(0, 1000, -32767, 32767, spec.NO_VALUE, spec.NO_VALUE, 0, 1)
    ]


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize("lost", [slice(3, 4), slice(0, 5), slice(7, 20)], ids=str)
def test_lost_frames_are_a_gap_in_samples_told_once(measured: bool, lost: slice) -> None:
    device = Device(measured)
    hello, frames = device.hello(), [device.frame() for _ in range(30)]
    del frames[lost]
    events = decode([hello, *frames])
    n = lost.stop - lost.start
    first = 0 if lost.start == 0 else lost.start * 4
    gaps = of(Gap, events)
    if lost.start:
        assert [(gap.first_sample, gap.n_samples) for gap in gaps] == [(first, 4 * n)]
    places = [event.first_sample for event in of(ReconstructedLeads, events)]
    assert places == [4 * i for i in range(30) if not lost.start <= i < lost.stop]
    assert not of(Corrupt, events)


def test_duplicates_late_frames_and_restarts_are_told_as_those_of_samples() -> None:
    device = Device(measured=False)
    hello, a, b, c, d = device.hello(), *(device.frame() for _ in range(4))
    again = Device(measured=False, session=INFO.session + 1)
    events = decode([hello, a, b, b, d, c, again.hello(), again.frame()])
    kinds = [type(event).__name__ for event in events]
    assert kinds == [
        *("StreamInfo", "Reconstruction", "ReconstructedLeads", "ReconstructedLeads", "Duplicate"),
        *("Gap", "ReconstructedLeads", "Late", "Restarted", "StreamInfo", "Reconstruction"),
        "ReconstructedLeads",
    ]
    assert of(Late, events)[0].n_samples == 4
    assert of(Restarted, events)[0].session == INFO.session + 1
    assert events[-1].first_sample == 0


def test_an_index_that_jumps_back_in_a_session_is_a_restart() -> None:
    one, other = Device(measured=False), Device(measured=False)
    before = [one.hello(), *(one.frame() for _ in range(200))]
    events = decode([*before, other.hello(), other.frame(), other.frame()])
    assert len(of(Restarted, events)) == 1
    assert [e.first_sample for e in of(ReconstructedLeads, events)[-2:]] == [0, 4]


def test_indices_go_on_beyond_their_width() -> None:
    device = Device(measured=False)
    device._first = 2**32 - 6
    events = decode([device.hello(), *(device.frame() for _ in range(4))])
    assert [e.first_sample for e in of(ReconstructedLeads, events)] == [
        2**32 - 6 + 4 * i for i in range(4)
    ]
    ticks = [e.tick_us for e in of(ReconstructedLeads, events)]
    assert np.diff(ticks).tolist() == [16_000] * 3


def test_a_frame_of_other_leads_than_it_says_is_senseless() -> None:
    device = Device(measured=False)
    packet = ReconstructedPacket(
        SAID.config_id,
        0,
        0,
        np.zeros(2, np.uint8),
        np.zeros((2, 1), np.int16),
        np.zeros((2, 1), np.uint8),
    )
    *_, event = decode([device.hello(), encode_frame(packet, INFO.session, 2)])
    assert isinstance(event, Corrupt)
    assert event.undamaged
    assert "2 reconstructed leads, and reconstruction 3 names 3" in event.reason


@given(st.lists(st.integers(0, 4000), max_size=6))
def test_any_cut_gives_the_same_events(places: list[int]) -> None:
    device = Device()
    stream = device.hello() + b"".join(device.frame() for _ in range(12))
    assert list(map(key, decode(cut(stream, places)))) == list(map(key, decode([stream])))


def test_a_host_that_does_not_know_these_frames_misses_no_measured_sample() -> None:
    """As a decoder of before sees them: of a type that it does not know, with a good CRC."""
    device = Device()
    decoder, events = WireDecoder(), []
    stream = device.hello() + b"".join(device.frame() for _ in range(50))
    for frame in stream.split(b"\0")[:-1]:
        packet = bytearray(unwrap(frame))
        if packet[1] in (spec.FrameType.RECONSTRUCTED, spec.FrameType.RECONSTRUCTION):
            packet[1] = 0x5A
        events += decoder.receive_data(wrap(bytes(packet)))
    assert [e.first_sample for e in of(Samples, events)] == [4 * i for i in range(50)]
    assert not of(Gap, events)
    assert {e.reason for e in of(Corrupt, events)} == {"unknown frame type 0x5a"}
    assert not any(e.undamaged for e in of(Corrupt, events))  # nothing that would end a recording


def _packet(leads=3, count=1, sigmas=None, quality=None) -> ReconstructedPacket:
    shape = (leads, count)
    return ReconstructedPacket(
        1,
        0,
        0,
        np.zeros(leads if quality is None else quality, np.uint8),
        np.zeros(shape, np.int16),
        np.zeros(shape if sigmas is None else sigmas, np.uint8),
    )


def _said(**changes) -> ReconstructionPacket:
    fields = {"config_id": 1, "rate_millihertz": 250_000, "nanovolts_per_lsb": 1000.0}
    fields |= {"leads": ("I",), "provenance": ("measured",)}
    return ReconstructionPacket(**{**fields, **changes})


@pytest.mark.parametrize(
    ("packet", "says"),
    [
        (_packet(leads=13), "1 to 12 leads"),
        (_packet(leads=0), "1 to 12 leads"),
        (_packet(count=0), "1 to 54 at a time"),
        (_packet(leads=12, count=14), "1 to 13 at a time"),
        (_packet(sigmas=(3, 2)), "do not fit values"),
        (_packet(quality=2), "do not fit values"),
        (_said(leads=("I", "I"), provenance=("measured",) * 2), "twice"),
        (_said(leads=("V9",)), "unknown lead"),
        (_said(leads=(), provenance=()), "0 leads"),
        (_said(provenance=()), "0 provenances of 1 leads"),
        (_said(provenance=("guessed",)), "provenance 'guessed'"),
        (_said(rate_millihertz=0), "rate of zero"),
        (_said(nanovolts_per_lsb=0.0), "0.0 nanovolts"),
        (_said(model="x" * 33), "more than 32 bytes"),
    ],
)
def test_encoding_refuses_what_does_not_fit(packet, says: str) -> None:
    with pytest.raises(EncodeError, match=says):
        encode_frame(packet)


def test_a_frame_spelled_out_by_hand() -> None:
    packet = struct.pack("<BBBH", 1, 0x03, 0xAB, 0x1234) + struct.pack(
        "<BIIBB", 9, 1000, 2_000_000, 2, 2
    )
    packet += b"\x04\x00" + struct.pack("<hhhh", 1, -1, spec.NO_VALUE, 300) + b"\x91\x00\x92\x00"
    values = np.array([[1, spec.NO_VALUE], [-1, 300]], np.int16)
    sent = ReconstructedPacket(
        9,
        1000,
        2_000_000,
        np.array([4, 0], np.uint8),
        values,
        np.array([[0x91, 0x92], [0, 0]], np.uint8),
    )
    assert encode_frame(sent, 0xAB, 0x1234) == wrap(packet)
