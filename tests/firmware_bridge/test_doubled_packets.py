"""Packets that come twice or in another order: dropped or put in order, never turned into losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.devices.cyton import CytonDecoder
from firmware_bridge.devices.ganglion import GanglionDecoder
from firmware_bridge.devices.openview import OpenViewDecoder
from firmware_bridge.devices.repeats import EVEN_RUNS
from firmware_bridge.events import Corrupt, Decoder, Duplicate, Event, Gap, Late, Restarted, Samples
from firmware_bridge.simulators.board import VirtualBoard
from firmware_bridge.simulators.cyton import VirtualCyton
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.ganglion import VirtualGanglion
from firmware_bridge.simulators.openview import VirtualOpenView
from firmware_bridge.simulators.recording import Recording
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder
from tests.firmware_bridge.board_streams import decode, noise, of, placed, stream, wired
from tests.firmware_bridge.wire_streams import INFO, device_frames

Stream = tuple[Callable[[], Decoder], list[bytes]]


def _cut(board: VirtualBoard, n_bytes: int) -> list[bytes]:
    data = stream(board)
    return [data[i : i + n_bytes] for i in range(0, len(data), n_bytes)]


def _ganglion(version: str) -> Stream:
    board = VirtualGanglion(noise(200.0, 700, seed=5, scale_mv=0.1), wired(4), version=version)
    return lambda: GanglionDecoder(wired(4)), _cut(board, 20)


STREAMS: dict[str, Stream] = {
    "wire": (WireDecoder, device_frames(200, 4, WireEncoder(INFO))),
    "cyton": (
        lambda: CytonDecoder(wired(8)),
        _cut(VirtualCyton(noise(250.0, 600, seed=3), wired(8)), 33),
    ),
    "ganglion 2": _ganglion("2.0.1"),
    "ganglion 3.0": _ganglion("3.0.2"),
    "ganglion 3.1": _ganglion("3.1.0"),
    "openview": (
        lambda: OpenViewDecoder(wired(3)),
        _cut(VirtualOpenView(noise(100.0, 300, seed=2), wired(3)), 19),
    ),
}
REORDERS = [name for name in STREAMS if name not in ("openview", "wire")]
"""Wire frames carry many samples: one that was overtaken is late, and costs only itself."""


def _rows(events: list[Event]) -> list[tuple[int, ...]]:
    return list(placed(events).values())


def _doubled(packets: list[bytes], twice: set[int]) -> Iterator[bytes]:
    for i, packet in enumerate(packets):
        yield packet
        if i in twice:
            yield packet


def _swapped(packets: list[bytes], places: set[int]) -> list[bytes]:
    packets = list(packets)
    taken = -1
    for i in sorted(places):
        if taken < i < len(packets) - 1:
            packets[i], packets[i + 1] = packets[i + 1], packets[i]
            taken = i + 1
    return packets


@pytest.mark.parametrize("name", STREAMS)
def test_every_packet_twice_is_the_same_stream(name: str) -> None:
    make, packets = STREAMS[name]
    once = decode(make(), packets)
    twice = decode(make(), list(_doubled(packets, set(range(len(packets))))))
    assert [e for e in twice if not isinstance(e, Duplicate | Samples)] == [
        e for e in once if not isinstance(e, Samples)
    ]
    assert _rows(twice) == _rows(once)
    # Before a decoder knows the firmware, or where a stream begins, it has nothing to compare with.
    assert len(packets) - 110 <= len(of(Duplicate, twice)) <= len(packets)


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=30, deadline=None)
@given(twice=st.sets(st.integers(0, 280), max_size=40))
def test_some_packets_twice_are_the_same_stream(name: str, twice: set[int]) -> None:
    make, packets = STREAMS[name]
    events = decode(make(), list(_doubled(packets, twice)))
    assert _rows(events) == _rows(decode(make(), packets))
    assert of(Late, events) == of(Restarted, events) == []


@pytest.mark.parametrize("name", REORDERS)
@settings(max_examples=30, deadline=None)
@given(places=st.sets(st.integers(2, 280), max_size=30), twice=st.sets(st.integers(2, 280)))
def test_neighbours_that_were_swapped_are_put_in_order(
    name: str, places: set[int], twice: set[int]
) -> None:
    make, packets = STREAMS[name]
    once = decode(make(), packets)
    doubled = list(_doubled(packets, twice))
    for pieces in (_swapped(packets, places), _swapped(doubled, places)):
        events = decode(make(), pieces)
        assert _rows(events) == _rows(once)
        assert of(Gap, events) == of(Gap, once)
        assert of(Corrupt, events) == of(Restarted, events) == []


@settings(max_examples=30, deadline=None)
@given(places=st.sets(st.integers(2, 190), max_size=20))
def test_a_wire_frame_that_was_overtaken_costs_itself(places: set[int]) -> None:
    make, packets = STREAMS["wire"]
    events = decode(make(), _swapped(packets, places))
    truth = placed(decode(make(), packets))
    found = placed(events)
    assert all(truth[i] == row for i, row in found.items())
    late = of(Late, events)
    missing = set(truth) - set(found)
    assert missing == {e.first_sample + i for e in late for i in range(e.n_samples)}


@pytest.mark.parametrize("name", ["cyton", "ganglion 3.0"])
def test_a_packet_that_comes_far_too_late_costs_only_itself(name: str) -> None:
    make, packets = STREAMS[name]
    moved = [*packets[:150], *packets[151:158], packets[150], *packets[158:]]
    events = decode(make(), moved)
    truth, found = placed(decode(make(), packets)), placed(events)
    assert len(truth) - len(found) in (1, 2)
    assert all(truth[i] == row for i, row in found.items())
    assert sum(gap.n_samples for gap in of(Gap, events)) == len(truth) - len(found)


def test_a_doubled_packet_costs_a_ganglion_no_cycle_and_a_lost_cycle_is_one() -> None:
    make, packets = STREAMS["ganglion 3.0"]
    decoder = make()
    assert isinstance(decoder, GanglionDecoder)
    events = decode(decoder, packets[:50])
    decoder.silent(1.01)  # so long: the same id is the next cycle's
    events += decoder.receive_data(packets[49])
    decoder.silent(0.01)
    events += decoder.receive_data(packets[50])
    assert of(Duplicate, events) == []
    assert [gap.n_samples for gap in of(Gap, events)] == [199]


def _openview(ecg_mv: np.ndarray) -> list[bytes]:
    recording = Recording(ecg_mv.astype(np.float32), 100.0, ("II", "V1", "V5"))
    return _cut(VirtualOpenView(recording, wired(3)), 19)


@pytest.mark.parametrize("flat", [3, 4, 50])
def test_a_signal_that_stands_still_is_not_taken_for_copies(flat: int) -> None:
    ecg_mv = noise(100.0, 400, seed=2).read(400)
    ecg_mv[:, 200 : 200 + flat] = 0.25
    events = decode(OpenViewDecoder(wired(3)), _openview(ecg_mv))
    assert len(_rows(events)) == 400


def test_frames_of_a_signal_that_stands_still_are_told_to_be_copies_where_all_are() -> None:
    ecg_mv = noise(100.0, 400, seed=2).read(400)
    ecg_mv[:, 200:250] = 0.25
    packets = _openview(ecg_mv)
    events = decode(OpenViewDecoder(wired(3)), list(_doubled(packets, set(range(400)))))
    assert _rows(events) == _rows(decode(OpenViewDecoder(wired(3)), packets))
    assert EVEN_RUNS < 200  # what the copies before it show


def test_a_smooth_simulation_loses_no_second() -> None:
    ecg_mv = EcgSimulator(100.0).read(3000)[[1, 6, 10]]
    events = decode(OpenViewDecoder(wired(3)), _openview(ecg_mv))
    assert len(_rows(events)) >= 2999
