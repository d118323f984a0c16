"""The Ganglion's decoder: published packets, both firmwares, losses, and what is not understood."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.devices.ganglion import GanglionDecoder, _unpack
from firmware_bridge.events import Corrupt, Event, Gap, Notice, Restarted, Samples, StreamInfo
from firmware_bridge.simulators.ganglion import VERSIONS, VirtualGanglion
from tests.firmware_bridge.board_streams import decode, noise, of, placed, stream, summary, wired

MAP = wired(4)
ALL = wired(4, "1:I,2:II,3:V1,4:V2")


def _bytes(text: str) -> bytes:
    return bytes(int(byte, 2) for byte in text.split())


# OpenBCI's Ganglion Data Format page of firmware 2, "Example Interpreting Ganglion Data".
GOLDEN_18 = _bytes(
    "00000001 00000000 00000000 00000000 00000000 00100000 00000000 00101000 00000000 00000100 "
    "10000000 00000000 10111100 00000000 00000111 00000000 00101000 11000000 00001010 00001110"
)
GOLDEN_19 = _bytes(
    "01100101 00000000 00000000 00000000 00000000 00001000 00000000 00000101 00000000 00000000 "
    "01001000 00000000 00001001 11110000 00000001 10110000 00000000 00110000 00000000 00001000"
)
NEGATIVE_19 = _bytes(
    "01100101 11111111 11111111 10111111 11111111 11101111 11111111 11111100 11111111 11111111 "
    "01011000 00000000 00001011 00111110 00111000 11100000 00000000 00111111 11110000 00000001"
)
DELTAS_18 = [0, 2, 10, 4, 131074, 245760, 114698, 49162]
DELTAS_19 = [0, 2, 10, 4, 262148, 507910, 393222, 8]
RAW = bytes([0]) + bytes.fromhex("000064 ffff9c 7fffff 800000").ljust(19, b"\0")


def _board(version: str, n: int = 900, **options: bool) -> VirtualGanglion:
    return VirtualGanglion(noise(200.0, n, seed=5, scale_mv=0.1), MAP, version=version, **options)


def _packets(board: VirtualGanglion) -> list[bytes]:
    data = stream(board)
    return [data[i : i + 20] for i in range(0, len(data), 20)]


def _rows(board: VirtualGanglion) -> dict[int, tuple[int, ...]]:
    return {i: tuple(row[:3]) for i, row in enumerate(board.sent_counts)}


def test_published_packets_unpack_as_published() -> None:
    assert _unpack(GOLDEN_18, 18) == DELTAS_18
    assert _unpack(GOLDEN_19, 19) == DELTAS_19
    # The page gives the second half of these with 18 bits; a value whose lowest bit is set is negative.
    assert _unpack(NEGATIVE_19, 19)[:4] == [-3, -5, -7, -11]


def test_firmware_2_sums_what_was_published() -> None:
    events = decode(GanglionDecoder(ALL), [RAW + GOLDEN_19])
    assert of(StreamInfo, events)[0].firmware == "2"
    first = [0x64, -100, 8388607, -8388608]
    second = [a - b for a, b in zip(first, DELTAS_19[:4], strict=True)]
    third = [a - b for a, b in zip(second, DELTAS_19[4:], strict=True)]
    clipped = [[max(-(2**23), v) for v in row] for row in (first, second, third)]
    assert list(placed(events).values()) == [tuple(row) for row in clipped]


def test_firmware_3_shifts_what_was_published() -> None:
    first = bytes([100]) + bytes(19)
    half = NEGATIVE_19[:10] + bytes([NEGATIVE_19[10] & 0xF0]) + bytes(9)
    events = decode(GanglionDecoder(ALL), [first, GOLDEN_19, b"\x66" + half[1:]])
    assert of(StreamInfo, events)[0].firmware == "3"
    # Firmware 3 cannot have sent the first, whose signs contradict its highest bits.
    assert [(e.reason, e.n_bytes) for e in of(Corrupt, events)] == [("a value beyond 24 bits", 20)]
    assert placed(events) == {
        0: (0, 0, 0, 0),
        3: tuple(value * 32 for value in (-3, -5, -7, -11)),
        4: (0, 0, 0, 0),
    }


@pytest.mark.parametrize("accelerometer", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_twin_is_read_to_the_count(version: str, accelerometer: bool) -> None:
    board = _board(version, accelerometer=accelerometer)
    packets = _packets(board)
    truth = _rows(board)
    decoder = GanglionDecoder(MAP, version[0] if accelerometer else "auto")
    events = decode(decoder, packets)
    found = placed(events)
    if version == "3.1.0":  # taken for 3.0 until two cycles have ended without an id 200
        tail = list(found.values())[-300:]
        assert tail == list(truth.values())[-300:]
        return
    offset = next(
        i for i in range(4) if truth[i] == found[0]
    )  # v3, 18 bits: the first id 0 says nothing
    assert offset <= 1
    assert found == {i - offset: truth[i] for i in range(offset, len(found) + offset)}
    assert of(Gap, events) == of(Corrupt, events) == []
    ecg_mv = noise(200.0, 900, seed=5, scale_mv=0.1).read(900)
    info = of(StreamInfo, events)[0]
    mv = np.array(list(found.values())).T * info.nanovolts_per_lsb * 1e-6
    np.testing.assert_allclose(mv, ecg_mv[:, offset : offset + mv.shape[1]], atol=4e-4)


@settings(max_examples=40)
@given(st.sets(st.integers(1, 330), max_size=30), st.sampled_from(["2.0.1", "3.0.2"]))
def test_lost_notifications_are_counted_exactly(lost: set[int], version: str) -> None:
    board = _board(version, 700)
    packets = _packets(board)
    lost = {i for i in lost if i < len(packets) - 110}
    truth = _rows(board)
    events = decode(
        GanglionDecoder(MAP), [packet for i, packet in enumerate(packets) if i not in lost]
    )
    found = placed(events)
    assert all(truth[i] == row for i, row in found.items())
    assert max(found) in (len(truth) - 1, len(truth) - 2)
    assert sum(gap.n_samples for gap in of(Gap, events)) == max(found) + 1 - len(found)
    if version == "3.0.2":
        per_packet = [1 if i % 101 == 0 else 2 for i in range(len(packets))]
        assert max(found) + 1 - len(found) == sum(per_packet[i] for i in lost)


def test_several_notifications_in_one_piece_are_the_same() -> None:
    packets = _packets(_board("3.0.2", 300))
    one = decode(GanglionDecoder(MAP), packets)
    assert summary(decode(GanglionDecoder(MAP), [b"".join(packets)])) == summary(one)


def test_an_outage_beyond_a_cycle_is_told_by_the_clock() -> None:
    board = _board("3.0.2", 900)
    packets = _packets(board)
    decoder = GanglionDecoder(MAP)
    events = decode(decoder, packets[:50])
    decoder.silent(2.5 + 0.02)
    events += decoder.receive_data(packets[299])
    for packet in packets[300:]:
        decoder.silent(0.01)
        events += decoder.receive_data(packet)
    truth, found = _rows(board), placed(events)
    assert all(truth[i] == row for i, row in found.items())


@pytest.mark.parametrize("late_s", [0.3, 0.8, 3.0])
@pytest.mark.parametrize("spread_s", [0.0, 0.0005])
def test_a_host_that_was_late_lost_nothing(late_s: float, spread_s: float) -> None:
    board = _board("3.0.2", 900)
    packets = _packets(board)
    decoder = GanglionDecoder(MAP)
    events = decode(decoder, packets[:50])
    since_s = late_s
    for packet in packets[50 : 50 + round(late_s * 100)]:  # as a source tells it
        decoder.silent(since_s)
        said = decoder.receive_data(packet)
        since_s = spread_s if said else since_s + spread_s
        events += said
    for packet in packets[50 + round(late_s * 100) :]:
        decoder.silent(0.01)
        events += decoder.receive_data(packet)
    assert of(Gap, events) == []
    assert len(placed(events)) == len(_rows(board)) - 1


def test_connecting_starts_the_board_and_reconnecting_is_a_new_session() -> None:
    decoder = GanglionDecoder(MAP)
    decoder.opened()
    assert (decoder.data_to_send(), decoder.data_to_send()) == (b"b", b"")
    decode(decoder, _packets(_board("3.0.2", 100)))
    decoder.opened()
    events = decode(decoder, _packets(_board("2.0.1", 100)))
    assert [type(e) for e in events[:3]] == [Restarted, StreamInfo, Samples]
    assert (events[1].session, events[1].firmware, events[2].first_sample) == (1, "2", 0)


def test_joined_in_the_middle_it_waits_for_the_cycle_to_begin() -> None:
    board = _board("3.0.2")
    packets = _packets(board)
    events = decode(GanglionDecoder(MAP), packets[30:])
    first = of(Samples, events)[0].counts[:, 0].tolist()
    assert tuple(first) == _rows(board)[201]


def _reasons(events: list[Event]) -> set[str]:
    return {event.reason for event in of(Corrupt, events)}


def test_what_does_not_fit_is_told() -> None:
    accelerated = _packets(_board("2.0.1", 100, accelerometer=True))
    (reason,) = _reasons(decode(GanglionDecoder(MAP), accelerated[1:]))
    assert "say firmware=2 or 3" in reason
    for asked, version in (("3", "2.0.1"), ("2", "3.0.2")):
        events = decode(GanglionDecoder(MAP, asked), _packets(_board(version, 100)))
        (reason,) = _reasons(events)
        assert reason == f"firmware {version[0]}, not {asked}: correct firmware="
        assert of(Samples, events) == []
    (reason,) = _reasons(decode(GanglionDecoder(MAP), [bytes([208, 1, 2])]))
    assert "is it no Ganglion?" in reason
    (notice,) = decode(GanglionDecoder(MAP), [b"\xcf" + b"OpenBCI Ganglion v9.1\n"])
    assert notice == Notice("Ganglion firmware 9.1, and known are 2 and 3: it is read as these")
    assert (
        decode(GanglionDecoder(MAP), [b"\xceOpenBCI", b"\xcf Ganglion v3.0.2", b"\xc9123Z"]) == []
    )


def test_the_twin_talks() -> None:
    board = _board("2.0.1", 100)
    said = board.receive(b"v")
    assert decode(GanglionDecoder(MAP), [said]) == []
    assert b"v2.0.1" in said.replace(b"\xcf", b"").replace(b"\xce", b"")
    board.receive(b"b")
    assert board.started
    assert board.receive(b"s")[0] == 207
    assert board.next_frame().data == b""


def test_the_twin_waits_for_each_host_that_comes() -> None:
    board = _board("3.0.2")
    board.receive(b"b")
    sending = board.next_frame()
    assert sending is not None and sending.data
    assert board.subscribed() == b""
    waiting = board.next_frame()
    assert waiting is not None and not waiting.data
