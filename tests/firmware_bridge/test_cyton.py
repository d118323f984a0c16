"""The Cyton's decoder: published packets, any cut, damage, losses and the conversation that starts it."""

from __future__ import annotations

import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.devices.cyton import MICROVOLTS_AT_GAIN_1, CytonDecoder
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import (
    Corrupt,
    Gap,
    HostedDecoder,
    Notice,
    Restarted,
    Samples,
    StreamInfo,
)
from firmware_bridge.simulators.cyton import VirtualCyton
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

MAP = wired(8)
ALL = wired(8, "1:I,2:II,3:III,4:V1,5:V2,6:V3,7:V4,8:V5")

# OpenBCI_Python, openbci/utils/utilities.py: sample_packet, and sample_packet_real.
GOLDEN = bytes.fromhex(
    "a045 000001 000002 000003 000004 000005 000006 000007 000008 000000010002 c0"
)
GOLDEN_REAL = bytes.fromhex(
    "a046 8ff240 8fdff4 902bb6 8fbfbf 7fffff 7fffff 942534 20b67d 00e000e00f70 c0"
)
REAL_COUNTS = [-7343552, -7348236, -7328842, -7356481, 8388607, 8388607, -7068364, 2143869]

_SIGNAL = noise(250.0, 700, seed=3)
_STREAM = stream(VirtualCyton(_SIGNAL, MAP))
_PACKETS = [_STREAM[i : i + 33] for i in range(0, len(_STREAM), 33)]
_TRUTH = placed(decode(CytonDecoder(MAP), [_STREAM]))


def test_published_packets_are_read_as_published() -> None:
    third = bytes([0xA0, 0x47]) + GOLDEN[2:]
    info, samples = decode(CytonDecoder(ALL), [GOLDEN + GOLDEN_REAL + third])
    assert samples.counts.T.tolist() == [
        [1, 2, 3, 4, 5, 6, 7, 8],
        REAL_COUNTS,
        [1, 2, 3, 4, 5, 6, 7, 8],
    ]
    assert samples.sequence == 0x45
    # 4.5 V / 24 / (2^23 - 1), as OpenBCI's page has it: 0.02235 uV.
    assert info.nanovolts_per_lsb == pytest.approx(22.35174, rel=1e-6)
    assert (info.sampling_hz, info.sample_bits, info.device) == (250.0, 24, "OpenBCI Cyton")


@pytest.mark.parametrize("footer", range(0xC0, 0xC7))
def test_every_kind_of_aux_data_is_a_packet(footer: int) -> None:
    packets = [packet[:-1] + bytes([footer]) for packet in _PACKETS[:5]]
    assert len(placed(decode(CytonDecoder(MAP), packets))) == 5


def test_the_twin_is_read_to_the_count() -> None:
    signal = noise(250.0, 700, seed=3).read(700)
    truth = counts_of(signal, MICROVOLTS_AT_GAIN_1 * 1e3)
    found = np.array(list(_TRUTH.values())).T
    np.testing.assert_array_equal(found, truth * 24)
    assert len(_PACKETS) == 700


@settings(max_examples=40)
@given(st.lists(st.integers(0, 10**6)))
def test_any_cut_gives_the_same_events(places: list[int]) -> None:
    whole = summary(decode(CytonDecoder(MAP), [_STREAM[: 40 * 33]]))
    assert summary(decode(CytonDecoder(MAP), cut(_STREAM[: 40 * 33], places))) == whole
    damaged = (
        b"boot\xa0\xff$$$" + _STREAM[:1000] + _STREAM[1010:1300] + b"\xa0" * 40 + _STREAM[1386:2000]
    )
    whole = summary(decode(CytonDecoder(MAP), [damaged]))
    assert summary(decode(CytonDecoder(MAP), cut(damaged, places))) == whole


def test_byte_by_byte() -> None:
    data = _STREAM[: 30 * 33]
    pieces = [data[i : i + 1] for i in range(len(data))]
    assert summary(decode(CytonDecoder(MAP), pieces)) == summary(decode(CytonDecoder(MAP), [data]))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(2, 296), st.integers(1, 4)), min_size=1, max_size=6),
    st.lists(st.integers(0, 10**6), max_size=10),
)
def test_lost_packets_are_counted_exactly(losses: list[tuple[int, int]], places: list[int]) -> None:
    lost = {first + i for first, n in losses for i in range(n)}
    # What goes missing where nothing follows it twice cannot be told from a damaged counter.
    alone = {i for i in range(300) if i not in lost and {i - 1, i + 1} <= lost}
    lost |= alone
    kept = b"".join(packet for i, packet in enumerate(_PACKETS[:302]) if i not in lost)
    events = decode(CytonDecoder(MAP), cut(kept, places))
    found = placed(events)
    assert found == {i: _TRUTH[i] for i in range(302) if i not in lost}
    assert sum(gap.n_samples for gap in of(Gap, events)) == len(lost)
    assert corrupt_bytes(events) == 0


@settings(max_examples=100)
@given(st.integers(3, 290), st.integers(0, 32), st.integers(0, 7), st.booleans())
def test_damage_costs_its_packet_and_moves_no_other(
    packet: int, at: int, bit: int, delete: bool
) -> None:
    data = bytearray(b"".join(_PACKETS[:300]))
    place = packet * 33 + at
    if delete:
        del data[place]
    else:
        data[place] ^= 1 << bit
    found = placed(decode(CytonDecoder(MAP), [bytes(data)]))
    wrong = {i for i in found if found[i] != _TRUTH[i]}
    assert wrong <= {packet}  # a flipped value: the format has nothing to tell it by
    assert set(range(299)) - set(found) <= {packet - 1, packet, packet + 1}
    assert max(found) >= 298


def test_a_damaged_counter_is_no_gap() -> None:
    data = bytearray(b"".join(_PACKETS[:20]))
    data[10 * 33 + 1] ^= 0x40
    events = decode(CytonDecoder(MAP), [bytes(data)])
    assert [(gap.first_sample, gap.n_samples) for gap in of(Gap, events)] == [(10, 1)]
    assert corrupt_bytes(events) == 33


def test_an_outage_beyond_a_wrap_is_told_by_the_clock() -> None:
    decoder = CytonDecoder(MAP)
    events = decode(decoder, [b"".join(_PACKETS[:20])])
    decoder.silent((600 - 20) / 250 + 0.03)
    events += decode(decoder, [b"".join(_PACKETS[600:610]), b"".join(_PACKETS[610:])])
    found = placed(events)
    assert found == {i: _TRUTH[i] for i in [*range(20), *range(600, 700)]}


def test_a_host_that_was_late_lost_nothing() -> None:
    decoder = CytonDecoder(MAP)
    events = decode(decoder, [b"".join(_PACKETS[:20])])
    decoder.silent(2.5)
    events += decode(decoder, [b"".join(_PACKETS[20:])])
    assert placed(events) == _TRUTH


def test_garbage_is_bounded_and_told() -> None:
    rng = random.Random(5)
    decoder = CytonDecoder(MAP)
    tracemalloc.start()
    try:
        dropped = 0
        for i in range(300):
            garbage = rng.randbytes(4096) if i % 2 else bytes(4096)
            dropped += corrupt_bytes(decoder.receive_data(garbage))
            assert decoder.held_bytes < 1100
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024
    assert 300 * 4096 - 70_000 < dropped <= 300 * 4096
    assert len(placed(decoder.receive_data(_STREAM[: 33 * 50]))) >= 49


def _talk(decoder: CytonDecoder, board: VirtualCyton) -> tuple[bytes, list]:
    """What is said to the board until it streams, and the events of it."""
    said, events = b"", []
    decoder.opened()
    while data := decoder.data_to_send():
        said += data
        events += decoder.receive_data(board.receive(data))
    return said, events


def test_the_board_is_stopped_reset_and_started() -> None:
    decoder, board = CytonDecoder(MAP), VirtualCyton(noise(250.0, 100), MAP)
    assert isinstance(decoder, HostedDecoder)
    assert _talk(decoder, board) == (b"sv45678b", [])
    assert board.off.tolist() == [False] * 3 + [True] * 5
    assert board.srb2.all()
    info = of(StreamInfo, decoder.receive_data(stream(board)))[0]
    assert info.firmware == "3.1.2"


def test_a_daisy_is_taken_off_and_the_gain_set() -> None:
    board = VirtualCyton(noise(250.0, 100, seed=8), MAP, daisy=True)
    decoder = CytonDecoder(MAP, gain=12)
    said, events = _talk(decoder, board)
    assert said == b"svc" + b"x1050110Xx2050110Xx3050110X" + b"45678b"
    assert board.gains.tolist() == [12, 12, 12, 24, 24, 24, 24, 24]
    events += decoder.receive_data(stream(board))
    info, samples = of(StreamInfo, events)[0], of(Samples, events)
    millivolts = np.concatenate([s.counts for s in samples], axis=1) * info.nanovolts_per_lsb * 1e-6
    np.testing.assert_allclose(millivolts, noise(250.0, 100, seed=8).read(100), atol=3e-4)


def test_channels_of_their_own_are_taken_off_the_reference() -> None:
    board = VirtualCyton(noise(250.0, 100), MAP)
    said, _ = _talk(CytonDecoder(MAP, srb2=False), board)
    assert said == b"sv" + b"x1060100Xx2060100Xx3060100X" + b"45678b"
    assert board.srb2.tolist() == [False] * 3 + [True] * 5
    assert set(board.gains) == {24}


def test_a_reset_is_a_new_session() -> None:
    decoder, board = CytonDecoder(MAP), VirtualCyton(noise(250.0, 100), MAP)
    _talk(decoder, board)
    decoder.receive_data(stream(board))
    said, events = _talk(decoder, VirtualCyton(noise(250.0, 50), MAP))
    assert said == b"sv45678b"
    assert events == [Restarted(1)]
    events = decoder.receive_data(stream(VirtualCyton(noise(250.0, 50), MAP)))
    assert [type(e) for e in events] == [StreamInfo, Samples]
    assert (events[1].first_sample, events[1].session, events[0].session) == (0, 1, 1)


def test_a_dongle_without_a_board_says_so() -> None:
    board = VirtualCyton(noise(250.0, 10), MAP, board_on=False)
    said, events = _talk(CytonDecoder(MAP), board)
    assert said == b"sv"
    assert [type(e) for e in events] == [Corrupt]
    assert "switch the board on" in events[0].reason


@pytest.mark.parametrize(
    ("banner", "says"),
    [
        (b"OpenBCI V3 8-16 channel\nFirmware: v9.0.1\n$$$", "firmware v9.0.1 is not known"),
        (b"OpenBCI Emulator $$$", "banner 'OpenBCI Emulator' is not known"),
        (b"$$$", "banner '' is not known"),
        (b"hello\n" * 40 + b"$$$", "banner 'hello hello"),
    ],
)
def test_a_banner_that_is_not_known_is_told_and_the_board_read(banner: bytes, says: str) -> None:
    decoder = CytonDecoder(MAP)
    decoder.opened()
    assert decoder.data_to_send() == b"sv"
    (notice,) = decoder.receive_data(banner)
    assert isinstance(notice, Notice) and says in notice.text and "\n" not in notice.text
    assert decoder.data_to_send() == b"45678b"
    events = decoder.receive_data(_STREAM)
    assert placed(events) == _TRUTH
    assert of(Notice, events) == []


def test_a_known_banner_is_no_notice() -> None:
    for banner in (b"OpenBCI V3 8bit Board\n$$$", b"OpenBCI V3 16 channel\nFirmware: v3.1.2\n$$$"):
        decoder = CytonDecoder(MAP)
        decoder.opened()
        assert decoder.receive_data(banner) == []


def test_a_board_that_sends_and_never_answers_is_told_once_and_read() -> None:
    decoder = CytonDecoder(MAP)
    decoder.opened()
    events = decode(decoder, _PACKETS)
    assert placed(events) == _TRUTH
    (notice,) = of(Notice, events)
    assert "gain=24" in notice.text and "without answering" in notice.text
    streaming = CytonDecoder(MAP)  # when it was opened, and answers a moment later
    streaming.opened()
    events = decode(streaming, [*_PACKETS[:50], b"Firmware: v3.1.2\n$$$", *_PACKETS])
    assert of(Notice, events) == []


def test_a_gain_that_there_is_not() -> None:
    with pytest.raises(SourceSpecError, match="gain=3: the Cyton has 1, 2, 4, 6, 8, 12, 24"):
        CytonDecoder(MAP, gain=3)
    with pytest.raises(SourceSpecError, match="250 Hz"):
        VirtualCyton(noise(500.0, 10), MAP)
