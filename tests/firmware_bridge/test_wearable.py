"""The virtual wearable without I/O: its frames decode to its signal, its clock drifts as asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.devices.csv_lines import CsvDecoder
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import (
    Battery,
    Decoder,
    Event,
    LeadOffChanged,
    Restarted,
    Samples,
    StreamInfo,
)
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.recording import Recording
from firmware_bridge.simulators.wearable import DueFrame, VirtualWearable, stream_info
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.spec import LEADS, FrameType

ROWS = [LEADS.index(name) for name in ("II", "V1", "V5")]
regular = partial(VirtualWearable, vary_frames=False)
"""One whose frames all have one length."""
IDENTIFY = encode_frame(Command(FrameType.IDENTIFY))


def frames(wearable: VirtualWearable, n: int) -> list[DueFrame]:
    made = [wearable.next_frame() for _ in range(n)]
    assert None not in made
    return [frame for frame in made if frame is not None]


def decoded(decoder: Decoder, made: list[DueFrame]) -> list[Event]:
    return [event for frame in made for event in decoder.receive_data(frame.data)]


def counts(events: list[Event]) -> NDArray[np.int32]:
    return np.concatenate([e.counts for e in events if isinstance(e, Samples)], axis=1)


@pytest.mark.parametrize("rate", [250.0, 500.0])
@pytest.mark.parametrize("bits", [16, 24])
def test_frames_decode_to_the_signal_within_half_an_lsb(rate: float, bits: int) -> None:
    info = stream_info(rate, sample_bits=bits, session=9)
    made = frames(regular(EcgSimulator(rate), info), 75)
    events = decoded(WireDecoder(), made)
    said = [e for e in events if isinstance(e, StreamInfo)]
    assert said == [info] * 3  # at the start and each second
    assert events.index(said[0]) == 0
    millivolts = counts(events) * info.nanovolts_per_lsb * 1e-6
    truth = EcgSimulator(rate).read(int(rate * 3))[ROWS]
    assert np.abs(millivolts - truth).max() <= 0.5001 * info.nanovolts_per_lsb * 1e-6
    assert {type(e) for e in events} == {StreamInfo, Battery, Samples}
    ticks = [e.tick_us for e in events if isinstance(e, Samples)]
    assert ticks == [40_000 * k for k in range(75)]


@pytest.mark.parametrize(
    ("rate", "frames_hz", "shortest", "longest"),
    [(250.0, 25.0, 7, 13), (500.0, 25.0, 14, 26), (250.0, 125.0, 1, 3), (250.0, 250.0, 1, 1)],
)
def test_frames_have_many_lengths_and_so_many_a_second_on_average(
    rate: float, frames_hz: float, shortest: int, longest: int
) -> None:
    made = frames(VirtualWearable(EcgSimulator(rate), frames_hz=frames_hz), 1000)
    assert {frame.n_samples for frame in made} == set(range(shortest, longest + 1))
    assert made[-1].due_s == pytest.approx(1000 / frames_hz, rel=0.02)
    millivolts = counts(decoded(WireDecoder(), made)) * 50e-6
    truth = EcgSimulator(rate).read(millivolts.shape[1])[ROWS]
    np.testing.assert_allclose(millivolts, truth, atol=26e-6)
    again = frames(VirtualWearable(EcgSimulator(rate), frames_hz=frames_hz), 1000)
    assert again == made


def test_csv_lines_decode_to_the_signal() -> None:
    made = frames(VirtualWearable(EcgSimulator(250.0), format="csv"), 75)
    events = decoded(CsvDecoder(sampling_hz=250.0), made)
    assert {type(e) for e in events} == {StreamInfo, Samples}
    assert np.abs(counts(events) * 1e-4 - EcgSimulator(250.0).read(750)[ROWS]).max() <= 0.76e-4


def test_the_battery_is_told_at_first_every_five_seconds_and_when_it_has_changed() -> None:
    wearable, decoder = regular(EcgSimulator(), battery=80), WireDecoder()
    told = []
    for second in range(13):
        wearable.battery = 79 if second >= 7 else 80
        events = decoded(decoder, frames(wearable, 25))
        told += [(second, e.percent) for e in events if isinstance(e, Battery)]
    assert told == [(0, 80), (5, 80), (7, 79), (12, 79)]
    with pytest.raises(SourceSpecError, match="use 0 to 100"):
        VirtualWearable(EcgSimulator(), battery=101)


@pytest.mark.parametrize("ppm", [0.0, 100.0, -100.0])
def test_frames_are_due_when_their_last_sample_is_taken(ppm: float) -> None:
    made = frames(regular(EcgSimulator(500.0), clock_ppm=ppm), 500)
    for frame in made:
        exact_s = (frame.first_sample + frame.n_samples) / 500 / (1 + ppm * 1e-6)
        assert frame.due_s == pytest.approx(exact_s, abs=1e-9)
    assert made[-1].due_s - 20 == pytest.approx(-20 * ppm * 1e-6, abs=1e-6)


def test_a_frame_holds_no_more_than_the_format_takes() -> None:
    made = frames(VirtualWearable(EcgSimulator(4000.0)), 10)
    assert {frame.n_samples for frame in made} == {54}
    assert counts(decoded(WireDecoder(), made)).shape == (3, 540)


@pytest.mark.parametrize("step", [1, 100])
def test_identify_is_answered_whatever_its_pieces_and_the_noise_before_it(step: int) -> None:
    wearable = VirtualWearable(EcgSimulator())
    sent = b"\x07garbage\x00" + bytes(range(1, 200)) * 10 + b"\x00" + IDENTIFY
    answers = [wearable.receive(sent[i : i + step]) for i in range(0, len(sent), step)]
    assert WireDecoder().receive_data(b"".join(answers)) == [wearable.info]


def said(kind: FrameType, rate: int = 0) -> bytes:
    return encode_frame(Command(kind, rate))


def test_a_device_that_is_stopped_says_only_what_it_is() -> None:
    wearable, decoder = regular(EcgSimulator()), WireDecoder()
    decoded(decoder, frames(wearable, 3))
    assert decoder.receive_data(wearable.receive(said(FrameType.STOP))) == [wearable.info]
    idle = frames(wearable, 75)
    assert {frame.n_samples for frame in idle} == {0}
    assert idle[-1].due_s == pytest.approx((3 + 75) * 0.040)
    assert decoded(decoder, idle) == [wearable.info] * 3
    assert decoder.receive_data(wearable.receive(said(FrameType.STOP))) == [wearable.info]


def test_each_start_is_a_session_of_its_own_and_the_signal_goes_on() -> None:
    wearable, decoder = (
        regular(EcgSimulator(), stream_info(250.0, session=255)),
        WireDecoder(),
    )
    before = decoded(decoder, frames(wearable, 3))
    assert wearable.next_due_s() == pytest.approx(0.160)  # the fourth frame is on its way
    wearable.receive(said(FrameType.STOP))
    frames(wearable, 10)
    begun = decoder.receive_data(wearable.receive(said(FrameType.START)))
    assert begun == [Restarted(0), wearable.info]
    made = frames(wearable, 3)
    assert made[0].due_s == pytest.approx((3 + 10 + 1) * 0.040)
    after = decoded(decoder, made)
    first = next(e for e in after if isinstance(e, Samples))
    assert (first.first_sample, first.tick_us) == (0, 13 * 40_000)
    truth = EcgSimulator().read(60)[ROWS]
    np.testing.assert_allclose(counts(before + after) * 50e-6, truth, atol=26e-6)


def test_a_change_of_rate_is_a_session_with_another_config() -> None:
    wearable = regular(EcgSimulator(), frames_hz=10, signal_at=EcgSimulator)
    decoder, old = WireDecoder(), wearable.info
    decoded(decoder, frames(wearable, 3))
    begun = decoder.receive_data(wearable.receive(said(FrameType.SET_RATE, 500_000)))
    assert begun == [Restarted(old.session + 1), wearable.info]
    new = replace(old, sampling_hz=500.0, session=old.session + 1, config_id=old.config_id + 1)
    assert wearable.info == new
    made = frames(wearable, 20)
    assert {frame.n_samples for frame in made} == {50}
    assert made[0].due_s == pytest.approx(0.3 + 0.1)
    after = decoded(decoder, made)
    assert {type(event) for event in after} == {StreamInfo, Samples}
    np.testing.assert_allclose(
        counts(after) * 50e-6, EcgSimulator(500.0).read(1000)[ROWS], atol=26e-6
    )


@pytest.mark.parametrize(
    ("command", "signal_at"),
    [
        (said(FrameType.START), EcgSimulator),
        (IDENTIFY, EcgSimulator),
        (said(FrameType.SET_RATE, 250_000), EcgSimulator),
        (said(FrameType.SET_RATE, 1), EcgSimulator),  # a rate that the simulator refuses
        (said(FrameType.SET_RATE, 500_000), None),
    ],
)
def test_what_is_so_already_or_cannot_be_changes_nothing(
    command: bytes, signal_at: Callable[[float], EcgSimulator] | None
) -> None:
    wearable, decoder = regular(EcgSimulator(), signal_at=signal_at), WireDecoder()
    before, info = decoded(decoder, frames(wearable, 3)), wearable.info
    assert decoder.receive_data(wearable.receive(command)) == [info]
    after = decoded(decoder, frames(wearable, 3))
    assert {type(event) for event in after} == {Samples}
    truth = EcgSimulator().read(60)[ROWS]
    np.testing.assert_allclose(counts(before + after) * 50e-6, truth, atol=26e-6)


def test_a_stopped_device_can_be_given_another_rate() -> None:
    wearable, decoder = regular(EcgSimulator(), signal_at=EcgSimulator), WireDecoder()
    decoded(decoder, frames(wearable, 1))
    wearable.receive(said(FrameType.STOP))
    wearable.receive(said(FrameType.SET_RATE, 500_000))
    assert {frame.n_samples for frame in frames(wearable, 5)} == {0}
    assert decoder.receive_data(wearable.receive(said(FrameType.START)))[-1] == wearable.info
    assert wearable.info.sampling_hz == 500.0
    assert {frame.n_samples for frame in frames(wearable, 5)} == {20}


def test_an_electrode_that_is_off_is_told_from_the_next_frame_on() -> None:
    for decoder, name in ((WireDecoder(), "wire"), (CsvDecoder(), "csv")):
        wearable = regular(EcgSimulator(), format=name)
        made = frames(wearable, 2)
        wearable.lead_off = 0b100
        made += frames(wearable, 2)
        events = decoded(decoder, made)
        assert [e for e in events if isinstance(e, LeadOffChanged)] == [LeadOffChanged(20, 0b100)]


def test_a_signal_beyond_the_converter_clips_at_its_rails() -> None:
    ramp = np.linspace(-500, 500, 1000, dtype=np.float32)[None]
    info = stream_info(250.0, ("II",))
    events = decoded(
        WireDecoder(), frames(VirtualWearable(Recording(ramp, 250.0, ["II"]), info), 100)
    )
    assert counts(events).min() == -(2**23) and counts(events).max() == 2**23 - 1


def test_a_recording_ends_or_loops(tmp_path: Path) -> None:
    ecg = np.random.default_rng(0).normal(size=(3, 25)).astype(np.float32)
    path = tmp_path / "record.npz"
    np.savez(path, ecg_mv=ecg, sampling_hz=250.0, leads=np.array(["V5", "II", "V1"]))
    once = regular(Recording.load(path))
    made = frames(once, 3)
    assert [frame.n_samples for frame in made] == [10, 10, 5]
    assert once.next_frame() is None
    millivolts = counts(decoded(WireDecoder(), made)) * 50e-6
    np.testing.assert_allclose(millivolts, ecg[[1, 2, 0]], atol=26e-6)
    looped = Recording.load(path, loop=True)
    np.testing.assert_array_equal(looped.read(60), np.concatenate([ecg, ecg, ecg[:, :10]], axis=1))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    ecg = np.zeros((3, 10), np.float32)
    with pytest.raises(SourceSpecError, match="one rate"):
        VirtualWearable(EcgSimulator(500.0), stream_info(250.0))
    with pytest.raises(SourceSpecError, match="no lead V5"):
        VirtualWearable(Recording(ecg, 250.0, ["I", "II", "V1"]))
    with pytest.raises(SourceSpecError, match="wire or csv"):
        VirtualWearable(EcgSimulator(), format="xml")
    with pytest.raises(SourceSpecError, match="frames per second"):
        VirtualWearable(EcgSimulator(), frames_hz=0)
    with pytest.raises(SourceSpecError, match="lead names"):
        Recording(ecg, 250.0, ["II"])
    with pytest.raises(SourceSpecError, match="not finite"):
        Recording(np.full((3, 10), np.nan, np.float32), 250.0, ["II", "V1", "V5"])
    with pytest.raises(SourceSpecError, match="no recording"):
        Recording.load(tmp_path / "none.npz")
    whole = tmp_path / "whole.npz"
    np.savez(whole, ecg_mv=ecg, sampling_hz=250.0)
    with pytest.raises(SourceSpecError, match="is no recording"):
        Recording.load(whole)
    whole.write_bytes(whole.read_bytes()[:100])
    with pytest.raises(SourceSpecError, match="is no recording"):
        Recording.load(whole)
