"""Golden vectors both ways, and what encoding refuses. The file is made by `wire_vectors`."""

import binascii
import struct

import numpy as np
import pytest

from firmware_bridge.errors import EncodeError
from firmware_bridge.events import Corrupt, StreamInfo
from firmware_bridge.wire.decoder import CommandDecoder
from firmware_bridge.wire.packets import (
    BatteryPacket,
    Command,
    Header,
    InfoPacket,
    SamplePacket,
    encode_frame,
    parse_frame,
)
from firmware_bridge.wire.reconstructed import ReconstructedPacket
from firmware_bridge.wire.spec import FrameType
from tests.firmware_bridge import wire_vectors
from tests.firmware_bridge.wire_streams import decode, key, of

VECTORS = wire_vectors.load()


def _by_name(part):
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS[part]]


def _fields(packet):
    if isinstance(packet, SamplePacket):
        fields = (packet.config_id, packet.first_sample, packet.tick_us, packet.lead_off)
        return (*fields, packet.sample_bits, packet.counts.tolist())
    if isinstance(packet, ReconstructedPacket):
        fields = (packet.config_id, packet.first_sample, packet.tick_us, packet.quality.tolist())
        return (*fields, packet.values.tolist(), packet.sigmas.tolist())
    return packet


def test_file_is_what_the_script_makes():
    assert wire_vectors.PATH.read_text() == wire_vectors.text()


@pytest.mark.parametrize("vector", _by_name("frames"))
def test_fields_become_exactly_these_bytes_and_back(vector):
    packet = wire_vectors.packet_from_fields(vector["type"], vector["fields"])
    frame = bytes.fromhex(vector["hex"])
    assert encode_frame(packet, vector["session"], vector["sequence"]) == frame
    assert frame.endswith(b"\0")
    header, parsed = parse_frame(frame[:-1])
    assert header == Header(vector["session"], vector["sequence"])
    assert _fields(parsed) == _fields(packet)


@pytest.mark.parametrize("vector", _by_name("frames"))
def test_frame_whole_byte_by_byte_and_before_garbage(vector):
    frame = bytes.fromhex(vector["hex"])
    whole = [key(event) for event in decode([frame])]
    assert whole
    assert [key(event) for event in decode([bytes([b]) for b in frame])] == whole
    assert [key(event) for event in decode([frame + b"\x05\x01garbage"])] == whole
    after = decode([b"\x05\x01garbage\0" + frame])
    assert isinstance(after[0], Corrupt)
    assert [key(event) for event in after[1:]] == whole


@pytest.mark.parametrize("vector", _by_name("bad_frames"))
def test_bad_frame_is_corrupt_with_its_reason(vector):
    frame = bytes.fromhex(vector["hex"])
    for pieces in ([frame], [bytes([b]) for b in frame]):
        events = decode(pieces)
        assert events == of(Corrupt, events)
        assert len(events) == 1
        assert vector["reason"] in events[0].reason
        assert "\n" not in events[0].reason
        assert events[0].n_bytes == len(frame) - 1


def test_a_frame_spelled_out_by_hand():
    packet = struct.pack("<BBBH", 1, 0x02, 0xAB, 0x1234)
    packet += struct.pack("<BIIBBB", 9, 1000, 2_000_000, 2, 0b10, 2)
    packet += b"\x01\x00\x00" + b"\xff\xff\xff" + b"\x56\x34\x12" + b"\x00\x00\x80"
    packet += struct.pack("<I", binascii.crc32(packet))
    stuffed = b"".join(bytes([len(run) + 1]) + run for run in packet.split(b"\0")) + b"\0"
    counts = np.array([[1, 0x123456], [-1, -(2**23)]], np.int32)
    sent = SamplePacket(9, 1000, 2_000_000, 0b10, counts, 24)
    assert encode_frame(sent, 0xAB, 0x1234) == stuffed


def test_parsed_counts_are_contiguous_rows_of_int32():
    vector = VECTORS["frames"][6]
    _, packet = parse_frame(bytes.fromhex(vector["hex"])[:-1])
    assert packet.counts.dtype == np.int32
    assert packet.counts.shape == (3, 20)
    assert packet.counts.flags.c_contiguous


@pytest.mark.parametrize("vector", [v for v in VECTORS["frames"] if v["session"] == 0])
def test_device_understands_commands(vector):
    frame = bytes.fromhex(vector["hex"])
    expected = [wire_vectors.packet_from_fields(vector["type"], vector["fields"])]
    decoder = CommandDecoder()
    assert decoder.receive_data(b"x" * 2000 + b"\0noise\0" + frame) == expected
    assert [c for b in frame for c in decoder.receive_data(bytes([b]))] == expected


def test_device_ignores_what_is_no_command():
    assert CommandDecoder().receive_data(encode_frame(BatteryPacket(5))) == []


def _info(**changes):
    fields = {
        "config_id": 1,
        "sample_bits": 24,
        "rate_millihertz": 500_000,
        "nanovolts_per_lsb": 50.0,
        "leads": ("II",),
    }
    return InfoPacket(**{**fields, **changes})


def _samples(counts, bits=24, lead_off=0, tick_us=0):
    return SamplePacket(1, 0, tick_us, lead_off, np.asarray(counts, np.int32), bits)


@pytest.mark.parametrize(
    ("packet", "says"),
    [
        (_samples([[2**23]]), "beyond 24 bits"),
        (_samples([[-32769]], bits=16), "beyond 16 bits"),
        (_samples([[1]], bits=12), "12-bit"),
        (_samples([1, 2]), "shape"),
        (_samples(np.zeros((9, 1))), "shape"),
        (_samples(np.zeros((3, 0))), "1 to 54 at a time"),
        (_samples(np.zeros((3, 55))), "1 to 54 at a time"),
        (_samples([[1]], lead_off=2), "lead-off mask 0x2"),
        (_samples([[1]], tick_us=2**32), "samples_int24"),
        (_info(leads=("II", "C1")), "unknown lead 'C1'"),
        (_info(leads=("II", "II")), "twice"),
        (_info(leads=()), "0 channels"),
        (_info(sample_bits=32), "32-bit"),
        (_info(rate_millihertz=0), "rate of zero"),
        (_info(rate_millihertz=2**32), "stream_info"),
        (_info(nanovolts_per_lsb=float("inf")), "inf nanovolts"),
        (_info(nanovolts_per_lsb=1e39), "stream_info"),
        (_info(device="µ" * 17), "more than 32 bytes"),
        (BatteryPacket(101), "101 %"),
        (Command(FrameType.SET_RATE), "above 0"),
        (Command(FrameType.STOP, 5), "none"),
        (Command(FrameType.BATTERY), "no command"),
    ],
)
def test_encoding_refuses_what_does_not_fit(packet, says):
    with pytest.raises(EncodeError, match=says) as caught:
        encode_frame(packet)
    assert "\n" not in str(caught.value)


def test_encoding_refuses_counters_that_do_not_fit():
    with pytest.raises(EncodeError, match="session 256"):
        encode_frame(BatteryPacket(5), session=256)


def test_stream_info_survives_the_wire():
    info = StreamInfo(("I", "V6"), 128.5, 0.5, 16, 9, 4, "né", "2.1")
    _, packet = parse_frame(encode_frame(InfoPacket.from_stream_info(info), 4)[:-1])
    assert packet.stream_info(4) == info
