"""The wire decoder under any cut, any damage, and a peer that contradicts itself."""

import random
import tracemalloc
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.events import (
    Battery,
    Corrupt,
    Gap,
    LeadOffChanged,
    Restarted,
    Samples,
    StreamInfo,
)
from firmware_bridge.wire import spec
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder
from firmware_bridge.wire.framing import wrap
from tests.firmware_bridge.wire_streams import (
    INFO,
    counts,
    cut,
    decode,
    device_frames,
    key,
    of,
    sample_frame,
)

_FRAMES = device_frames(40, n_samples=3)
_STREAM = b"".join(_FRAMES)
_SENT = {key(event) for event in decode(_FRAMES)}


@st.composite
def _damage(draw):
    """A damaged stream, and the frames of _FRAMES that the damage touched."""
    owned = [(byte, i) for i, frame in enumerate(_FRAMES) for byte in frame]
    touched = set()
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(owned) - 1))
        kind = draw(st.sampled_from(["flip", "delete", "insert"]))
        touched.add(owned[at][1])
        if kind == "flip":
            byte, owner = owned[at]
            owned[at] = (byte ^ 1 << draw(st.integers(0, 7)), owner)
        elif kind == "delete":
            end = at + draw(st.integers(1, 80))
            touched |= {owner for _, owner in owned[at:end]}
            del owned[at:end]
        else:
            garbage = draw(st.binary(min_size=1, max_size=60)) * draw(st.sampled_from([1, 40]))
            owned[at:at] = [(byte, owned[at][1]) for byte in garbage]
        if not owned:
            break
    return bytes(byte for byte, _ in owned), touched


@given(st.lists(st.integers(0, 10**6)))
def test_any_cut_gives_the_same_events(places):
    assert {key(e) for e in decode(cut(_STREAM, places))} == _SENT
    damaged = b"\x01" * 700 + _STREAM[:900] + _STREAM[950:1400] + b"\0\x07" + _STREAM[1300:]
    whole = [key(event) for event in decode([damaged])]
    assert [key(event) for event in decode(cut(damaged, places))] == whole


@settings(max_examples=200)
@given(_damage(), st.lists(st.integers(0, 10**6), max_size=20))
def test_damage_costs_the_frames_it_touches_and_at_most_their_neighbours(damage, places):
    stream, touched = damage
    decoder = WireDecoder()
    events = [e for piece in cut(stream, places) for e in decoder.receive_data(piece)]
    said = [e for e in events if isinstance(e, Samples | StreamInfo)]
    heard = {e.sequence for e in of(Samples, events)}
    for event in of(Samples, events):
        sent = decode([_FRAMES[event.sequence]])[0]
        assert event.counts.tobytes() == sent.counts.tobytes()
        assert (event.first_sample, event.lead_off) == (sent.first_sample, sent.lead_off)
        assert event.tick_us == sent.tick_us
    assert all(info == INFO for info in of(StreamInfo, events))
    must = {i for i in range(40) if i % 10 and i not in touched and i - 1 not in touched}
    assert must <= heard
    assert of(Restarted, events) + of(LeadOffChanged, events) == []

    expected = None
    for event in events:
        if isinstance(event, Gap):
            assert event.first_sample == expected
            expected += event.n_samples
        elif isinstance(event, Samples):
            assert expected in (None, event.first_sample)
            expected = event.first_sample + event.counts.shape[1]
    if heard:
        between = [i for i in range(min(heard), max(heard)) if i % 10 and i not in heard]
        assert sum(gap.n_samples for gap in of(Gap, events)) == 3 * len(between)
    assert len(said) + decoder.lost_frames <= 40

    stuffing = sum(byte != 0 for byte in stream)
    good = sum(len(_FRAMES[i]) - 1 for i in heard)
    assert good + sum(e.n_bytes for e in of(Corrupt, events)) <= stuffing


@settings(max_examples=200)
@given(st.binary(max_size=700), st.binary(max_size=50))
def test_garbage_never_raises_and_the_second_good_frame_arrives(garbage, tail):
    events = decode([garbage, tail, *_FRAMES[:3]])
    heard = [e.sequence for e in of(Samples, events)]
    assert heard[-2:] == [1, 2]


@given(st.binary(max_size=200), st.integers(0, 255), st.integers(0, 255))
def test_nonsense_under_a_valid_crc_never_raises(body, version, kind):
    for packet in (body, bytes([version, kind]) + body, bytes([1, kind]) + body):
        for frame_type in (*spec.FrameType, kind):
            events = decode([wrap(packet), wrap(bytes([1, frame_type]) + body)])
            assert 2 <= len(events) <= 6


def test_memory_is_bounded_under_endless_garbage():
    rng = random.Random(2)
    zeros, none = rng.randbytes(4096), rng.randbytes(4096).replace(b"\0", b"\1")
    decoder = WireDecoder()
    dropped = 0
    tracemalloc.start()
    try:
        for i in range(600):
            for event in decoder.receive_data(zeros if i < 200 else none):
                dropped += event.n_bytes
            assert decoder.held_bytes <= spec.MAX_FRAME_BYTES
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024
    received = 200 * (4096 - zeros.count(0)) + 400 * 4096
    assert received - spec.REPORT_BYTES <= dropped <= received


def test_samples_come_before_their_stream_info_too():
    encoder = WireEncoder(INFO)
    events = decode([sample_frame(encoder), encoder.stream_info()])
    assert [type(e) for e in events] == [Samples, StreamInfo]
    assert events[0].config_id == INFO.config_id


def test_samples_that_contradict_their_stream_info_are_corrupt():
    other = WireEncoder(replace(INFO, leads=("II", "V1")))
    narrow = WireEncoder(replace(INFO, sample_bits=16))
    for wrong, says in (
        (other.samples(counts(0, 4, 2), 0), "2 channels, and stream info 3 names 3 leads"),
        (narrow.samples(counts(0, 4) // 512, 0), "16-bit samples, and stream info 3 says 24"),
    ):
        _, event = decode([WireEncoder(INFO).stream_info(), wrong])
        assert isinstance(event, Corrupt)
        assert event.reason == says
        assert event.undamaged  # the device's fault, not the link's


def test_stream_info_of_the_session_before_says_nothing_of_this_one():
    old, new = WireEncoder(INFO), WireEncoder(replace(INFO, session=8, leads=("II", "V1")))
    events = decode([old.stream_info(), new.samples(counts(0, 4, 2), 0), new.stream_info()])
    assert [type(e) for e in events] == [StreamInfo, Restarted, Samples, StreamInfo]


def test_battery():
    assert decode([WireEncoder(INFO).battery(77)]) == [Battery(77)]
