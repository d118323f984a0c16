"""The constants against what they are derived from, and against the page that documents them."""

import zlib
from pathlib import Path

import firmware_bridge.wire
from edge.leads import LEADS
from firmware_bridge.wire import spec
from firmware_bridge.wire.framing import cobs_encode


def test_readme_has_the_byte_tables_of_the_spec():
    readme = Path(firmware_bridge.wire.__file__).with_name("README.md").read_text()
    assert readme.endswith(spec.byte_tables() + "\n")


def test_crc_is_the_one_named():
    assert spec.CRC_NAME == "CRC-32/ISO-HDLC"
    assert zlib.crc32(b"123456789") == spec.CRC_CHECK


def test_lead_codes_follow_the_order_of_edge():
    assert spec.LEADS == LEADS


def test_fixed_fields_come_first_in_every_layout():
    for fields in (spec.HEADER, *spec.PAYLOADS.values()):
        kinds = [field.kind in spec.FIXED_KINDS for field in fields]
        assert kinds == sorted(kinds, reverse=True)


def test_every_frame_type_has_a_layout():
    assert set(spec.PAYLOADS) == set(spec.FrameType)


def test_sizes_in_the_text_are_the_sizes():
    assert spec.HEADER_STRUCT.size == 5
    assert spec.PAYLOAD_STRUCTS[spec.FrameType.SAMPLES_INT24].size == 12
    assert spec.MAX_FRAME_BYTES == 515 == len(cobs_encode(b"\x01" * spec.MAX_PACKET_BYTES))
    assert 5 + 12 + 20 * 8 * 3 + 4 == 501 <= spec.MAX_PACKET_BYTES


def test_most_samples_fill_the_packet_and_no_more():
    for channels in range(1, spec.MAX_CHANNELS + 1):
        for bits in (16, 24):
            n = spec.max_samples(channels, bits)
            each = channels * bits // 8
            assert 21 + n * each <= spec.MAX_PACKET_BYTES < 21 + (n + 1) * each
            assert 20 <= n <= spec.MAX_SAMPLES
