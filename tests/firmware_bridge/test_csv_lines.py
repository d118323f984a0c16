"""CSV lines: what day-one sketches print, and what they print by mistake."""

import random
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.devices.csv_lines import MAX_LINE_BYTES, NANOVOLTS_PER_LSB, CsvDecoder
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Corrupt, LeadOffChanged, RateSource, Samples, StreamInfo
from tests.firmware_bridge.wire_streams import key, of


def _millivolts(events):
    counts = [event.counts for event in of(Samples, events)]
    return (
        np.concatenate(counts, axis=1) * (NANOVOLTS_PER_LSB / 1e6) if counts else np.empty((0, 0))
    )


def _after_first(lines, **options):
    """Events of lines after the first, which may always be half a line."""
    decoder = CsvDecoder(**options)
    assert of(Samples, decoder.receive_data(b"0,0,0\n")) == []
    return decoder.receive_data(lines)


def test_lines_of_one_call_are_one_block():
    info, samples = _after_first(b"0.1,-0.2,0.3\r\n1.5,2.25,-3\r\n")
    assert info == StreamInfo(
        ("II", "V1", "V5"),
        250.0,
        100.0,
        24,
        0,
        device="CSV lines",
        rate_source=RateSource.DECLARED,
    )
    assert samples.counts.dtype == np.int32
    assert samples.counts.flags.c_contiguous
    np.testing.assert_array_equal(samples.counts, [[1000, 15000], [-2000, 22500], [3000, -30000]])
    assert (samples.first_sample, samples.tick_us, samples.lead_off) == (0, None, 0)


def test_first_sample_counts_good_lines_and_the_info_comes_once():
    decoder = CsvDecoder()
    events = [
        event
        for piece in (b"1,1,1\n", b"1,2,3\n4,5,6\n", b"oops\n7,8,", b"9\n")
        for event in decoder.receive_data(piece)
    ]
    assert [e.first_sample for e in of(Samples, events)] == [0, 2]
    assert len(of(StreamInfo, events)) == 1
    assert len(of(Corrupt, events)) == 2


def test_line_after_an_endless_one_is_whole():
    events = CsvDecoder().receive_data(b"x" * 300 + b"\n1,2,3\n")
    assert [type(e) for e in events] == [Corrupt, StreamInfo, Samples]
    assert events[0].n_bytes == 300


def test_units_other_than_millivolts():
    events = _after_first(b"1000,-3495,0\n", millivolts_per_unit=0.000286, sampling_hz=500.0)
    assert of(StreamInfo, events)[0].sampling_hz == 500.0
    np.testing.assert_allclose(_millivolts(events)[:, 0], [0.286, -0.99957, 0], atol=5e-5)


def test_values_clip_at_the_rails():
    events = _after_first(b"1e9,-1e9,838.8607\n")
    assert of(Samples, events)[0].counts[:, 0].tolist() == [2**23 - 1, -(2**23), 2**23 - 1]


@pytest.mark.parametrize("first", [b"3,0.5,0.1\n", b".123,0.5,0.1\r\n", b"0.5,0.1\n", b",0.1\n"])
def test_first_line_may_be_half_a_line(first):
    events = CsvDecoder().receive_data(first + b"1,2,3\n")
    assert [type(e) for e in events] == [Corrupt, StreamInfo, Samples]
    np.testing.assert_allclose(_millivolts(events)[:, 0], [1, 2, 3])


@pytest.mark.parametrize(
    ("header", "line", "leads", "values"),
    [
        (b"II,V1,V5\n", b"1,2,3\n", ("II", "V1", "V5"), [1, 2, 3]),
        (b"ii, v1 ,V5\r\n", b"1, 2 ,3\r\n", ("II", "V1", "V5"), [1, 2, 3]),
        (b"t,II,V1,V5\n", b"99.5,1,2,3\n", ("II", "V1", "V5"), [1, 2, 3]),
        (b"us,V5,aVR\n", b"123456,1,2\n", ("V5", "aVR"), [1, 2]),
        (b"sample,I\n", b"7,-1\n", ("I",), [-1]),
        (b'"I","II"\n', b"3,4\n", ("I", "II"), [3, 4]),
    ],
)
def test_header_names_the_leads_and_an_index_column_is_skipped(header, line, leads, values):
    events = CsvDecoder().receive_data(header + line)
    assert [type(e) for e in events] == [StreamInfo, Samples]
    assert events[0].leads == leads
    np.testing.assert_allclose(_millivolts(events)[:, 0], values)


def test_header_again_is_ignored_and_another_one_is_a_new_config():
    events = CsvDecoder().receive_data(b"I,II\n1,2\nI,II\n3,4\nV1,V2,V3\n5,6,7\n")
    assert [type(e) for e in events] == [StreamInfo, Samples, StreamInfo, Samples]
    infos, samples = of(StreamInfo, events), of(Samples, events)
    assert infos[1].leads == ("V1", "V2", "V3")
    assert [s.config_id for s in samples] == [i.config_id for i in infos]
    assert infos[0].config_id != infos[1].config_id
    assert [(s.first_sample, s.counts.shape) for s in samples] == [(0, (2, 2)), (2, (3, 1))]


def test_nan_and_empty_fields_are_leads_off():
    events = _after_first(b"1,2,3\nnan,2,3\n,2,NaN\n1,2,\n1,2,3\n")
    assert [e.lead_off for e in of(Samples, events)] == [0b000, 0b001, 0b101, 0b100, 0b000]
    changes = [LeadOffChanged(i, mask) for i, mask in enumerate([0, 1, 5, 4, 0]) if i]
    assert of(LeadOffChanged, events) == changes
    for change, samples in pairwise(events[2:]):
        if isinstance(change, LeadOffChanged):
            assert samples.first_sample == change.first_sample
    assert of(Samples, events)[1].counts[:, 0].tolist() == [0, 20000, 30000]


def test_stream_info_comes_first_even_when_a_lead_is_off():
    events = _after_first(b"nan,2,3\n")
    assert [type(e) for e in events] == [StreamInfo, LeadOffChanged, Samples]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"rst:0x1 (POWERON_RESET),boot:0x13\n", "2 columns and 3 expected"),
        (b"ready\n", "1 columns"),
        (b"1,2,3,4\n", "name the columns in a header line"),
        (b"1,2,x\n", "not numbers"),
        (b"1_0,2,3\n", "not numbers"),
        (b"1,2,\xff\xfe\n", "not numbers"),
        (b"\0,1,2\n", "not numbers"),
    ],
)
def test_what_is_no_line_of_numbers_is_corrupt_and_costs_only_itself(line, says):
    events = _after_first(b"1,2,3\n" + line + b"4,5,6\n")
    (corrupt,) = of(Corrupt, events)
    assert says in corrupt.reason
    assert corrupt.n_bytes == len(line) - 1
    np.testing.assert_allclose(_millivolts(events), [[1, 4], [2, 5], [3, 6]])


def test_blank_lines_are_nothing():
    assert [type(e) for e in _after_first(b"\r\n\n  \n1,2,3\n\n")] == [StreamInfo, Samples]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"leads": ("II", "V9")}, "unknown lead 'V9'"),
        ({"leads": ("II", "ii")}, "each once"),
        ({"leads": ()}, "name 1 to 12"),
        ({"sampling_hz": 0}, "rate of 0"),
        ({"sampling_hz": float("nan")}, "rate of nan"),
        ({"millivolts_per_unit": -1}, "unit of -1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(SourceSpecError, match=says):
        CsvDecoder(**options)


_LINES = st.sampled_from(
    [
        b"1,2,3\n",
        b"0.5,,-2\r\n",
        b"nan,1,1\n",
        b"boot\n",
        b"t,V1,V5\n",
        b"9,1,1\n",
        b"\n",
        b"x" * 300,
    ]
)


@given(st.lists(_LINES | st.binary(max_size=20)), st.lists(st.integers(0, 10**6)))
def test_any_cut_gives_the_same_samples(lines, cuts):
    stream = b"".join(lines)
    places = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    whole = CsvDecoder().receive_data(stream)
    cut = CsvDecoder()
    pieces = [e for a, b in pairwise(places) for e in cut.receive_data(stream[a:b])]
    by_sample = [
        [
            (s.first_sample + i, s.lead_off, s.config_id, s.counts[:, i].tolist())
            for s in part
            for i in range(s.counts.shape[1])
        ]
        for part in (of(Samples, whole), of(Samples, pieces))
    ]
    assert by_sample[0] == by_sample[1]
    assert [i for i, *_ in by_sample[0]] == list(range(len(by_sample[0])))
    for kind in (StreamInfo, Corrupt, LeadOffChanged):
        assert list(map(key, of(kind, whole))) == list(map(key, of(kind, pieces)))


def test_memory_is_bounded_under_endless_garbage():
    garbage = random.Random(3).randbytes(4096).replace(b"\n", b"\r")
    decoder = CsvDecoder()
    tracemalloc.start()
    try:
        for _ in range(500):
            decoder.receive_data(garbage)
            assert decoder.held_bytes <= MAX_LINE_BYTES
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024
