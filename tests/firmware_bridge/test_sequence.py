"""Exact losses, wraps, duplicates, late frames and restarts, told from the counters alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.events import (
    Battery,
    Corrupt,
    Duplicate,
    Gap,
    Late,
    LeadOffChanged,
    Restarted,
    Samples,
    StreamInfo,
)
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder
from firmware_bridge.wire.sequence import signed
from tests.firmware_bridge.wire_streams import (
    INFO,
    counts,
    decode,
    device_frames,
    key,
    of,
    sample_frame,
)


def _samples_at(encoder, first_sample, n_samples=4, sequence=None):
    """A frame that says it stands at `first_sample`, in the rhythm of 500 Hz."""
    encoder.first_sample = first_sample
    if sequence is not None:
        encoder.sequence = sequence
    return sample_frame(encoder, n_samples)


@pytest.mark.parametrize(
    ("value", "bits", "expected"),
    [(0, 16, 0), (0x7FFF, 16, 32767), (0x8000, 16, -32768), (-1, 16, -1), (2**32 - 1, 32, -1)],
)
def test_signed(value, bits, expected):
    assert signed(value, bits) == expected


@given(st.sets(st.integers(0, 59), min_size=1), st.integers(1, 20))
def test_losses_are_exact(kept, n_samples):
    encoder = WireEncoder(INFO, sequence=65_520, first_sample=2**32 - 50)
    frames = device_frames(60, n_samples, encoder)
    decoder = WireDecoder()
    events = [event for i in sorted(kept) for event in decoder.receive_data(frames[i])]
    samples = of(Samples, events)
    assert len(samples) + len(of(StreamInfo, events)) == len(kept)
    expected = samples[0].first_sample if samples else 0
    for i, event in enumerate(events):
        if isinstance(event, Gap):
            assert event.first_sample == expected
            expected += event.n_samples
            assert isinstance(events[i + 1], Samples)
        if isinstance(event, Samples):
            assert event.first_sample == expected
            assert event.tick_us - samples[0].tick_us == 2000 * (expected - samples[0].first_sample)
            expected += n_samples
    assert decoder.lost_frames == max(kept) - min(kept) + 1 - len(kept)
    assert of(Corrupt, events) + of(Restarted, events) + of(Late, events) == []


def test_gap_counts_the_frames_without_samples_too():
    encoder = WireEncoder(INFO)
    frames = [sample_frame(encoder), sample_frame(encoder), encoder.battery(9)]
    frames += [encoder.stream_info(), sample_frame(encoder)]
    events = decode([frames[0], frames[3], frames[4]])
    assert of(Gap, events) == [Gap(first_sample=4, n_samples=4, n_frames=2)]
    assert isinstance(events[-2], Gap)


def test_lost_frame_without_samples_is_no_gap():
    encoder = WireEncoder(INFO)
    frames = [sample_frame(encoder), encoder.battery(9), sample_frame(encoder)]
    decoder = WireDecoder()
    events = decoder.receive_data(frames[0] + frames[2])
    assert len(events) == len(of(Samples, events)) == 2
    assert decoder.lost_frames == 1


def test_samples_that_the_device_could_not_send_are_a_gap_of_no_frames():
    encoder = WireEncoder(INFO)
    events = decode([_samples_at(encoder, 0), _samples_at(encoder, 9)])
    assert of(Gap, events) == [Gap(4, 5, 0)]


def test_joining_late_is_no_loss():
    encoder = WireEncoder(INFO, sequence=500, first_sample=10_000)
    (samples,) = decode([sample_frame(encoder)])
    assert samples.first_sample == 10_000


def test_every_counter_wraps_and_runs_on():
    encoder = WireEncoder(INFO, sequence=2**16 - 3, first_sample=2**32 - 10)
    tick = 2**32 - 6000
    frames = [encoder.samples(counts(4 * i, 4), tick + 8000 * i) for i in range(6)]
    events = decode(frames)
    assert [e.first_sample for e in events] == [2**32 - 10 + 4 * i for i in range(6)]
    assert [e.tick_us for e in events] == [tick + 8000 * i for i in range(6)]
    assert [e.sequence for e in events] == [65_533, 65_534, 65_535, 0, 1, 2]


@pytest.mark.parametrize("hours", [0.1, 0.4, 0.7, 1.0, 1.2, 5.0])
@pytest.mark.parametrize("drift", [1.0, 1.0001, 0.9999])
def test_outage_longer_than_the_wraps_is_exact(hours, drift):
    # 20 samples a frame and one stream info in 26 frames, as at 500 Hz.
    encoder = WireEncoder(INFO)
    before = encoder.stream_info() + encoder.samples(counts(0, 20), 5)
    seconds = int(hours * 3600)
    lost_samples, lost_frames = 500 * seconds, 26 * seconds
    encoder.first_sample += lost_samples
    encoder.sequence += lost_frames
    tick = 5 + round((40_000 + seconds * 1_000_000) * drift)
    events = decode([before, encoder.samples(counts(0, 20), tick)])
    assert of(Gap, events) == [Gap(20, lost_samples, lost_frames)]
    assert events[-1].tick_us == tick


def test_samples_lost_in_an_outage_of_weeks_are_exact():
    encoder = WireEncoder(INFO)
    lost = 500 * 3600 * 24 * 40
    events = decode([_samples_at(encoder, 0), _samples_at(encoder, 4 + lost, sequence=12_345)])
    (gap,) = of(Gap, events)
    assert (gap.first_sample, gap.n_samples, gap.n_frames % 2**16) == (4, lost, 12_344)


def test_samples_that_a_stream_info_overtook_are_delivered():
    encoder = WireEncoder(INFO)
    first, lost, second = (sample_frame(encoder) for _ in range(3))
    info, third = encoder.stream_info(), sample_frame(encoder)
    decoder = WireDecoder()
    events = decoder.receive_data(first + info + second + third + second)
    assert [type(e) for e in events] == [Samples, StreamInfo, Gap, Samples, Samples, Duplicate]
    assert events[2] == Gap(4, 4, 1)
    assert decoder.lost_frames == 1
    assert [type(e) for e in decoder.receive_data(lost)] == [Late]


def test_stream_info_may_overtake_several_frames():
    encoder = WireEncoder(INFO)
    samples = [sample_frame(encoder) for _ in range(4)]
    info, last = encoder.stream_info(), sample_frame(encoder)
    decoder = WireDecoder()
    events = decoder.receive_data(samples[0] + info + b"".join(samples[1:]) + last)
    assert [e.first_sample for e in of(Samples, events)] == [0, 4, 8, 12, 16]
    assert len(events) == 6
    assert decoder.lost_frames == 0


def test_tick_unwraps_forward_before_the_rate_is_known():
    encoder = WireEncoder(INFO)
    frames = [encoder.samples(counts(0, 4), tick) for tick in (2**32 - 5, 2**32 + 7995)]
    assert [e.tick_us for e in decode(frames)] == [2**32 - 5, 2**32 + 7995]


def test_duplicates_are_dropped_once_each():
    frames = device_frames(25)
    twice = [frame for frame in frames for _ in range(2)]
    events = decode(twice)
    assert [key(e) for e in events if not isinstance(e, Duplicate)] == [
        key(e) for e in decode(frames)
    ]
    assert of(Duplicate, events) == [Duplicate(i) for i in range(25)]


def test_late_frame_is_dropped_and_its_copy_a_duplicate():
    encoder = WireEncoder(INFO)
    frames = [sample_frame(encoder) for _ in range(4)]
    events = decode([frames[0], frames[2], frames[1], frames[1], frames[3]])
    assert [key(e) for e in events if not isinstance(e, Samples)] == [
        key(e) for e in (Gap(4, 4, 1), Late(1, 4, 4), Duplicate(1))
    ]
    assert [e.first_sample for e in of(Samples, events)] == [0, 8, 12]


def test_late_stream_info_is_dropped():
    encoder = WireEncoder(INFO)
    first, info, second = sample_frame(encoder), encoder.stream_info(), sample_frame(encoder)
    events = decode([first, second, info])
    assert of(StreamInfo, events) == []
    assert of(Late, events) == [Late(1, 8, 0)]


def test_frame_older_than_the_first_is_late():
    encoder = WireEncoder(INFO, sequence=10, first_sample=40)
    older, info, newer = sample_frame(encoder), encoder.stream_info(), sample_frame(encoder)
    assert of(Late, decode([newer, older])) == [Late(10, 40, 4)]
    assert of(Late, decode([info, older, newer])) == [Late(10, 40, 4)]


@given(st.lists(st.integers(0, 10_000), min_size=50, max_size=50))
def test_reordered_frames_are_delivered_in_order_or_not_at_all(jitter):
    frames = device_frames(50)
    order = sorted(range(50), key=lambda i: (i + jitter[i] % 12, i))
    events = decode([frames[i] for i in order])
    samples = of(Samples, events)
    assert [s.sequence for s in samples] == sorted({s.sequence for s in samples})
    assert of(Restarted, events) + of(Corrupt, events) + of(Duplicate, events) == []
    assert len(samples) + len(of(StreamInfo, events)) + len(of(Late, events)) == 50
    lost = sum(gap.n_samples for gap in of(Gap, events))
    assert samples[-1].first_sample + 4 - samples[0].first_sample == lost + 4 * len(samples)


def test_new_session_is_a_restart_and_counts_from_zero():
    old, new = WireEncoder(INFO), WireEncoder(replace(INFO, session=8))
    events = decode([sample_frame(old), new.stream_info(), sample_frame(new)])
    assert of(Restarted, events) == [Restarted(8)]
    assert of(Gap, events) == []
    assert events[-1].first_sample == 0
    assert events[-1].session == 8
    assert events[-1].tick_us == 0


def test_ticks_begin_again_in_a_new_session():
    old, new = WireEncoder(INFO), WireEncoder(replace(INFO, session=8))
    events = decode([old.samples(counts(0, 4), 2**32 - 8000), new.samples(counts(0, 4), 50)])
    assert [e.tick_us for e in of(Samples, events)] == [2**32 - 8000, 50]


def test_losses_at_the_start_of_a_new_session_are_told():
    old, new = WireEncoder(INFO), WireEncoder(replace(INFO, session=8))
    new.stream_info(), sample_frame(new)
    events = decode([sample_frame(old), sample_frame(new)])
    assert events[1:3] == [Restarted(8), Gap(0, 4, 2)]


def test_frames_of_the_old_session_after_the_restart_are_late():
    old, new = WireEncoder(INFO), WireEncoder(replace(INFO, session=8))
    frames = [sample_frame(old), sample_frame(old), old.battery(50)]
    events = decode([frames[0], sample_frame(new), frames[1], frames[2], sample_frame(new)])
    assert len(of(Restarted, events)) == 1
    assert of(Late, events) == [Late(1, 4, 4), Late(2, 0, 0)]
    assert of(Battery, events) == []
    assert [e.first_sample for e in of(Samples, events)] == [0, 0, 4]


@pytest.mark.parametrize("frames_before", [100, 5000, 40_000, 65_536 + 5])
def test_reboot_under_the_same_session_number_is_a_restart(frames_before):
    old = WireEncoder(INFO, sequence=frames_before, first_sample=20 * frames_before)
    old_frames = [sample_frame(old, 20) for _ in range(3)]
    events = decode(old_frames + device_frames(200, 20))
    assert of(Restarted, events) == [Restarted(7)]
    samples = of(Samples, events)
    assert [s.first_sample for s in samples[3:6]] == [0, 20, 40]
    assert of(Gap, events) == []


def test_frames_that_share_samples_are_corrupt():
    encoder = WireEncoder(INFO)
    events = decode([_samples_at(encoder, 0, 8), _samples_at(encoder, 5), _samples_at(encoder, 8)])
    assert "3 of its samples" in of(Corrupt, events)[0].reason
    assert [s.first_sample for s in of(Samples, events)] == [0, 8]


def test_sequence_that_stands_still_is_corrupt():
    encoder = WireEncoder(INFO)
    events = decode([_samples_at(encoder, 4 * i, sequence=0) for i in range(3)])
    assert len(of(Samples, events)) == 1
    assert ["its sequence was used before" in e.reason for e in of(Corrupt, events)] == [True, True]


def test_sequence_that_restarts_alone_costs_nothing():
    encoder = WireEncoder(INFO, sequence=5000)
    events = decode([_samples_at(encoder, 0), _samples_at(encoder, 4, sequence=0)])
    assert [type(event) for event in events] == [Samples, Samples]


def test_lead_off_changes_are_told_before_the_samples():
    encoder = WireEncoder(INFO)
    masks = [0, 2, 2, 0]
    events = decode([sample_frame(encoder, lead_off=mask) for mask in masks])
    assert of(LeadOffChanged, events) == [LeadOffChanged(4, 2), LeadOffChanged(12, 0)]
    assert [type(e) for e in events[:3]] == [Samples, LeadOffChanged, Samples]
    assert [e.lead_off for e in of(Samples, events)] == masks
