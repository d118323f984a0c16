"""Random and mutated input for every decoder: it never raises, holds little, and what it says makes sense."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from firmware_bridge.devices.csv_lines import CsvDecoder
from firmware_bridge.devices.cyton import CytonDecoder
from firmware_bridge.devices.ganglion import GanglionDecoder
from firmware_bridge.devices.lead_map import RAIL, MissingLeads
from firmware_bridge.devices.openview import OpenViewDecoder
from firmware_bridge.events import (
    Corrupt,
    Event,
    Gap,
    HostedDecoder,
    Restarted,
    Samples,
    StreamInfo,
)
from firmware_bridge.simulators.cyton import VirtualCyton
from firmware_bridge.simulators.ganglion import VirtualGanglion
from firmware_bridge.simulators.openview import VirtualOpenView
from firmware_bridge.simulators.wearable import VirtualWearable
from firmware_bridge.wire.decoder import CommandDecoder, WireDecoder
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.spec import MAX_FRAME_BYTES, REPORT_BYTES, FrameType
from tests.firmware_bridge.board_streams import noise, stream, wired

MILLION = 1_000_000
FEW = 3_000
PER_DECODER = 500  # inputs; then a new one, so that its first steps are tried as often
MAX_HELD = max(MAX_FRAME_BYTES, 1100)
SEED = 20
HOSTILE = (
    b"",
    b"\0",
    b"\xff" * 40,
    b"$$$",
    b"Firmware: v7$$$",
    b"\x0a\xfa\xff\xff",
    b"\n",
    b"\xa0" * 34,
)


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _wire() -> list[bytes]:
    device = VirtualWearable(noise(250.0, 400))
    frames = []
    while (frame := device.next_frame()) is not None:
        frames.append(frame.data)
    return frames


def _csv() -> list[bytes]:
    device = VirtualWearable(noise(250.0, 400), format="csv")
    lines = []
    while (frame := device.next_frame()) is not None:
        lines += frame.data.splitlines(keepends=True)
    return lines


def _cyton() -> list[bytes]:
    board = VirtualCyton(noise(250.0, 300), wired(8), daisy=True)
    return [board.receive(b"v"), board.receive(b"c"), *_cut(stream(board), 33)]


def _openview() -> list[bytes]:
    return _cut(stream(VirtualOpenView(noise(100.0, 300), wired(3))), 19)


def _ganglion(version: str) -> Callable[[], list[bytes]]:
    def make() -> list[bytes]:
        board = VirtualGanglion(noise(200.0, 900, scale_mv=0.1), wired(4), version=version)
        return [*_cut(board.receive(b"v"), 20), *_cut(stream(board), 20)]

    return make


TARGETS: dict[str, tuple[Callable[[], object], Callable[[], list[bytes]]]] = {
    "wire": (WireDecoder, _wire),
    "csv": (CsvDecoder, _csv),
    "cyton": (lambda: CytonDecoder(wired(8), 12), _cyton),
    "openview": (lambda: MissingLeads(OpenViewDecoder(wired(3)), ("V6",)), _openview),
    "ganglion 2": (lambda: GanglionDecoder(wired(4)), _ganglion("2.0.1")),
    "ganglion 3": (lambda: GanglionDecoder(wired(4), "3"), _ganglion("3.0.2")),
}


def _mutated(rng: random.Random, corpus: Sequence[bytes], at: int) -> bytes:
    """The next piece of a true stream, mostly harmed."""
    data = bytearray(corpus[at % len(corpus)])
    for _ in range(rng.randrange(3)):
        kind = rng.randrange(6)
        place = rng.randrange(len(data) + 1)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[place : place + rng.randrange(1, 8)]
        elif kind == 2:
            data[place:place] = rng.randbytes(rng.randrange(1, 20))
        elif kind == 3:
            data[place:place] = rng.choice(HOSTILE)
        elif kind == 4:
            data += corpus[rng.randrange(len(corpus))]
        else:
            data = bytearray(rng.randbytes(rng.randrange(60)))
    return bytes(data)


class Checker:
    """What must hold of a decoder's events, whatever came in."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.corrupt_bytes = 0
        self.leads: dict[tuple[int, int], int] = {}
        self.expected: int | None = None

    def check(self, data: bytes, events: Sequence[Event]) -> None:
        """Hold the events that `data` brought against all before them."""
        self.n_bytes += len(data)
        assert len(events) <= 4 * len(data) + 4
        for event in events:
            if isinstance(event, Samples):
                counts = event.counts
                assert counts.dtype == np.int32 and counts.ndim == 2 and counts.size
                assert counts.min() >= -RAIL - 1 and counts.max() <= RAIL
                assert not event.lead_off >> len(counts)
                n_leads = self.leads.get((event.session, event.config_id), len(counts))
                assert n_leads == len(counts)
                assert self.expected is None or event.first_sample >= self.expected
                self.expected = event.first_sample + counts.shape[1]
            elif isinstance(event, Gap):
                assert event.n_samples > 0 and event.n_frames >= 0
                assert self.expected is None or event.first_sample >= self.expected
                self.expected = event.first_sample + event.n_samples
            elif isinstance(event, Restarted):
                self.expected = None
            elif isinstance(event, StreamInfo):
                assert event.sampling_hz > 0 and event.nanovolts_per_lsb > 0 and event.leads
                self.leads[event.session, event.config_id] = len(event.leads)
            elif isinstance(event, Corrupt):
                assert event.reason and "\n" not in event.reason
                self.corrupt_bytes += event.n_bytes
        assert self.corrupt_bytes <= self.n_bytes


def _fuzz(name: str, n_inputs: int) -> None:
    make, make_corpus = TARGETS[name]
    corpus = make_corpus()
    rng = random.Random(f"{SEED} {name}")
    at = 0
    for i in range(n_inputs):
        if i % PER_DECODER == 0:
            decoder, checker = make(), Checker()
            hosted = decoder if isinstance(decoder, HostedDecoder) else None
            at = rng.choice([0, rng.randrange(len(corpus))])
        data = _mutated(rng, corpus, at)
        at += rng.random() < 0.95
        if hosted is not None:
            if rng.random() < 0.01:
                hosted.silent(rng.random() * 5)
            if rng.random() < 0.005:
                hosted.opened()
                checker.expected = None
            hosted.data_to_send()
        try:
            checker.check(data, decoder.receive_data(data))  # type: ignore[attr-defined]
        except Exception as error:
            raise AssertionError(f"input {i} of {name}, seed {SEED}: {data.hex()}") from error
        assert getattr(decoder, "held_bytes", 0) <= MAX_HELD
    assert checker.corrupt_bytes <= checker.n_bytes + REPORT_BYTES


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_inputs(name: str) -> None:
    _fuzz(name, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_million_inputs(name: str) -> None:
    _fuzz(name, MILLION)


def _fuzz_commands(n_inputs: int) -> None:
    corpus = [encode_frame(Command(kind)) for kind in (FrameType.START, FrameType.STOP)]
    corpus += [encode_frame(Command(FrameType.SET_RATE, 500_000))]
    rng = random.Random(SEED)
    decoder = CommandDecoder()
    for i in range(n_inputs):
        for command in decoder.receive_data(_mutated(rng, corpus, i)):
            sets_rate = command.frame_type is FrameType.SET_RATE
            assert (
                (command.rate_millihertz == 500_000) if sets_rate else not command.rate_millihertz
            )


def test_a_few_commands() -> None:
    _fuzz_commands(FEW)


@pytest.mark.slow
def test_a_million_commands() -> None:
    _fuzz_commands(MILLION)
