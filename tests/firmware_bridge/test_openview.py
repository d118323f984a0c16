"""OpenView frames: bytes as the sketch writes them, offset binary codes, damage, and other boards' frames."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.devices.openview import MILLIVOLTS_AT_FULL_CODE, OpenViewDecoder
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Gap, Samples, StreamInfo
from firmware_bridge.simulators.openview import VirtualOpenView
from tests.firmware_bridge.board_streams import (
    corrupt_bytes,
    counts_of,
    decode,
    noise,
    of,
    placed,
    stream,
    summary,
    wired,
)
from tests.firmware_bridge.wire_streams import cut

MAP = wired(3)
RAIL = 2**23 - 1
# As Example-3-5leadECGstream-openview.ino writes codes 0x400000, 0x400001 and 0x3FFF00 (ADCMAX 0x800000).
GOLDEN = bytes.fromhex("0afa0c0002 00004000 01004000 00ff3f00 000b".replace(" ", ""))
_STREAM = stream(VirtualOpenView(noise(100.0, 200, seed=2), MAP))
_FRAMES = [_STREAM[i : i + 19] for i in range(0, len(_STREAM), 19)]
_TRUTH = placed(decode(OpenViewDecoder(MAP), [_STREAM]))


def test_bytes_as_the_sketch_writes_them() -> None:
    info, samples = decode(OpenViewDecoder(wired(3, "1:I,2:II,3:V1")), [GOLDEN])
    assert samples.counts.T.tolist() == [[0, 1, -256]]
    # Datasheet: 2 x 2.4 V / 3.5 / 0x800000 = 0.1635 uV.
    assert info.nanovolts_per_lsb == pytest.approx(163.49, rel=1e-4)
    assert (info.leads, info.sampling_hz) == (("I", "II", "V1"), 100.0)


@pytest.mark.parametrize("adc_max", [0x800000, 0xF30000, 0xC35000])
def test_codes_that_cross_the_sign_bit_are_read_back(adc_max: int) -> None:
    signal = noise(100.0, 300, seed=4, scale_mv=120.0)  # up to the rails at 686 mV
    decoder = OpenViewDecoder(MAP, adc_max=adc_max)
    data = stream(VirtualOpenView(signal, MAP, adc_max=adc_max))
    found = np.array(list(placed(decoder.receive_data(data)).values())).T
    ecg_mv = noise(100.0, 300, seed=4, scale_mv=120.0).read(300)
    np.testing.assert_array_equal(found, counts_of(ecg_mv, MILLIVOLTS_AT_FULL_CODE / adc_max * 1e6))


def test_the_rails_clip() -> None:
    top, bottom = (0x800000).to_bytes(3, "little") + b"\xff", bytes(4)
    frame = GOLDEN[:5] + top + bottom + GOLDEN[13:]
    samples = decode(OpenViewDecoder(MAP), [frame])[1]
    assert samples.counts.T.tolist() == [[RAIL, -RAIL - 1, -256]]


@pytest.mark.parametrize(
    "frame",
    [GOLDEN[:-2] + b"\x0b", b"\x0a\xfa\x0e\x00\x02" + GOLDEN[5:17] + b"\x48\x00\x00\x0b"],
    ids=["without the pad", "with the heart rate"],
)
def test_the_other_forms_of_a_frame(frame: bytes) -> None:
    samples = of(Samples, decode(OpenViewDecoder(MAP), [frame + GOLDEN]))
    assert [s.counts.T.tolist() for s in samples] == [[[0, 1, -256]] * 2]


def test_the_twin_is_read_to_the_count() -> None:
    ecg_mv = noise(100.0, 200, seed=2).read(200)
    truth = counts_of(ecg_mv, MILLIVOLTS_AT_FULL_CODE / 0x800000 * 1e6)
    np.testing.assert_array_equal(np.array(list(_TRUTH.values())).T, truth)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 10**6)))
def test_any_cut_gives_the_same_events(places: list[int]) -> None:
    damaged = b"\x0a" * 5 + _STREAM[:400] + _STREAM[405:900] + b"\x0a\xfa\x0c" + _STREAM[880:1500]
    for data in (_STREAM, damaged):
        whole = summary(decode(OpenViewDecoder(MAP), [data]))
        assert summary(decode(OpenViewDecoder(MAP), cut(data, places))) == whole


@settings(max_examples=50)
@given(st.sets(st.integers(1, 150), max_size=12), st.data())
def test_a_broken_frame_is_counted_as_lost(broken: set[int], data: st.DataObject) -> None:
    frames = [bytearray(frame) for frame in _FRAMES]
    for i in broken:
        frames[i][data.draw(st.sampled_from([0, 1, 3, 4, 18]))] ^= 0x80
    events = decode(OpenViewDecoder(MAP), [b"".join(frames)])
    assert placed(events) == {i: row for i, row in _TRUTH.items() if i not in broken}
    assert corrupt_bytes(events) == 19 * len(broken)


def test_silence_is_a_gap() -> None:
    decoder = OpenViewDecoder(MAP)
    events = decode(decoder, [b"".join(_FRAMES[:10])])
    decoder.silent(1.01)
    events += decoder.receive_data(_FRAMES[110])
    assert [(gap.first_sample, gap.n_samples) for gap in of(Gap, events)] == [(10, 100)]
    decoder.opened()
    assert decoder.data_to_send() == b""
    assert decoder.held_bytes == 0


@pytest.mark.parametrize(
    "frame",
    [
        b"\x0a\xfa\x16\x00\x02" + bytes(22) + b"\x00\x0b",  # HealthyPi
        b"\x0a\xfa\x32\x00\x03" + bytes(50) + b"\x0b",  # HealthyPi 5
        b"\x0a\xfa\x0c\x00\x02" + b"\x00\x00\x00\x40" * 3 + b"\x00\x0b",  # no 24-bit converter
    ],
)
def test_frames_of_another_board_are_none_of_ours(frame: bytes) -> None:
    events = decode(OpenViewDecoder(MAP), [frame * 3 + GOLDEN])
    assert corrupt_bytes(events) == 3 * len(frame)
    assert len(placed(events)) == 1


def test_endless_garbage_is_held_in_bounded_memory() -> None:
    rng = random.Random(6)
    decoder = OpenViewDecoder(MAP)
    dropped = 0
    for i in range(200):
        garbage = rng.randbytes(4096) if i % 2 else b"\x0a\xfa\x40\x00" * 1024
        events = decoder.receive_data(garbage)
        assert not of(StreamInfo, events)
        dropped += corrupt_bytes(events)
        assert decoder.held_bytes <= 71
    assert 200 * 4096 - 70_000 < dropped <= 200 * 4096


def test_what_cannot_be_a_board_is_refused() -> None:
    with pytest.raises(SourceSpecError, match="rate=0"):
        OpenViewDecoder(MAP, 0.0)
    with pytest.raises(SourceSpecError, match="adcmax=0x1000000"):
        OpenViewDecoder(MAP, adc_max=1 << 24)
