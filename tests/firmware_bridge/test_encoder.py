"""The device's encoder: counters that run on, and counters that wrap."""

import numpy as np
import pytest

from firmware_bridge.errors import EncodeError
from firmware_bridge.events import Battery, Samples
from firmware_bridge.wire.encoder import WireEncoder
from firmware_bridge.wire.packets import parse_frame
from tests.firmware_bridge.wire_streams import INFO, counts, decode, of, sample_frame


def test_what_goes_in_comes_out():
    encoder = WireEncoder(INFO)
    frames = [
        encoder.stream_info(),
        encoder.samples(counts(0, 20), 17, lead_off=0b101),
        encoder.battery(42),
        encoder.samples(counts(20, 5), 2**33 + 5),
    ]
    info, _, first, battery, _, second = decode(frames)
    assert info == INFO
    assert battery == Battery(42)
    assert (first.first_sample, first.tick_us, first.lead_off, first.sequence) == (0, 17, 0b101, 1)
    assert (second.first_sample, second.lead_off, second.sequence) == (20, 0, 3)
    assert (second.session, second.config_id) == (INFO.session, INFO.config_id)
    np.testing.assert_array_equal(first.counts, counts(0, 20))
    np.testing.assert_array_equal(second.counts, counts(20, 5))
    assert (encoder.sequence, encoder.first_sample) == (4, 25)


def test_counters_wrap():
    encoder = WireEncoder(INFO, sequence=2**16 - 1, first_sample=2**32 - 2)
    headers = [parse_frame(sample_frame(encoder)[:-1]) for _ in range(2)]
    assert [header.sequence for header, _ in headers] == [65_535, 0]
    assert [packet.first_sample for _, packet in headers] == [2**32 - 2, 2]


def test_refused_samples_leave_the_counters_alone():
    encoder = WireEncoder(INFO)
    with pytest.raises(EncodeError, match="1 to 54"):
        encoder.samples(counts(0, encoder.max_samples + 1), 0)
    assert (encoder.sequence, encoder.first_sample) == (0, 0)
    assert len(of(Samples, decode([encoder.samples(counts(0, encoder.max_samples), 0)]))) == 1


def test_other_channel_count_than_the_stream_info_says_is_refused():
    with pytest.raises(EncodeError, match=r"\(3, n_samples\), rows II, V1, V5"):
        WireEncoder(INFO).samples(counts(0, 4, channels=2), 0)
