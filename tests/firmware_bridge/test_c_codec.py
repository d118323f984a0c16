"""The C encoder and command decoder against the golden vectors, and against the Python ones."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import EncodeError
from firmware_bridge.events import StreamInfo
from firmware_bridge.firmware.generate import SOURCES
from firmware_bridge.wire import spec
from firmware_bridge.wire.decoder import CommandDecoder
from firmware_bridge.wire.encoder import WireEncoder, frame_samples
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.reconstructed import ReconstructedPacket, ReconstructionPacket
from firmware_bridge.wire.spec import FrameType
from tests.firmware_bridge import wire_vectors
from tests.firmware_bridge.c_library import (
    CCommandDecoder,
    CEncoder,
    CLibrary,
    compile_c,
    info_struct,
    make,
    need,
)
from tests.firmware_bridge.wire_streams import INFO, counts, device_frames

VECTORS = wire_vectors.load()
FROM_DEVICE = [v for v in VECTORS["frames"] if FrameType[v["type"].upper()] < FrameType.START]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> CLibrary:
    need("make", "cc")
    out = tmp_path_factory.mktemp("c_library")
    make("host", out)
    return CLibrary(out / "libleadlift.so")


def c_frame(library: CLibrary, vector: dict) -> bytes:
    """What the C encoder makes of a golden vector's fields."""
    fields, kind = vector["fields"], vector["type"]
    info = replace(INFO, session=vector["session"])
    packet = wire_vectors.packet_from_fields(kind, fields)
    if kind == "stream_info":
        leads = tuple(spec.LEADS[code - 1] for code in fields["leads"])
        rest = {
            k: v for k, v in fields.items() if k not in ("channels", "leads", "rate_millihertz")
        }
        info = StreamInfo(
            leads=leads,
            sampling_hz=fields["rate_millihertz"] / 1000,
            session=vector["session"],
            **rest,
        )
    elif kind in ("reconstruction", "reconstructed"):
        info = replace(info, config_id=fields["config_id"])
    elif kind != "battery":
        bits = spec.SAMPLE_BITS[FrameType[kind.upper()]]
        leads = spec.LEADS[: fields["channels"]]
        info = replace(info, sample_bits=bits, leads=leads, config_id=fields["config_id"])
    encoder = CEncoder(library, info)
    assert encoder.begun
    encoder.state.sequence = vector["sequence"]
    if kind == "stream_info":
        return encoder.stream_info()
    if isinstance(packet, ReconstructionPacket):
        return encoder.reconstruction(packet)
    if isinstance(packet, ReconstructedPacket):
        return encoder.reconstructed(packet)
    if kind == "battery":
        return encoder.battery(fields["percent"])
    encoder.state.first_sample = fields["first_sample"]
    flat = np.array(fields["samples"], np.int32).reshape(fields["count"], fields["channels"])
    return encoder.samples(flat.T, fields["tick_us"], fields["lead_off"])


@pytest.mark.parametrize("vector", FROM_DEVICE, ids=lambda vector: vector["name"])
def test_the_encoder_makes_the_golden_frames(library: CLibrary, vector: dict) -> None:
    assert c_frame(library, vector).hex() == vector["hex"]


def test_the_golden_frames_hold_every_kind_that_a_device_sends() -> None:
    kinds = {FrameType[vector["type"].upper()] for vector in FROM_DEVICE}
    assert kinds == {kind for kind in FrameType if kind < FrameType.START}


@pytest.mark.parametrize("bad", [False, True])
def test_the_decoder_takes_the_golden_commands_and_nothing_else(
    library: CLibrary, bad: bool
) -> None:
    found = []
    for vector in VECTORS["bad_frames" if bad else "frames"]:
        data = bytes.fromhex(vector["hex"])
        said = CCommandDecoder(library).receive_data(data)
        assert said == CommandDecoder().receive_data(data), vector["name"]
        found += said
    start = Command(FrameType.START)
    if bad:  # one is bad only because it came from the device
        assert found == [start]
    else:
        rate = Command(FrameType.SET_RATE, 500_000)
        assert found == [start, Command(FrameType.STOP), rate, Command(FrameType.IDENTIFY)]


@pytest.mark.parametrize(("fewest", "most"), [(7, 13), (11, 21), (5, 5), (0, 255)])
def test_a_frame_is_to_have_as_many_samples_in_c_as_in_python(
    library: CLibrary, fewest: int, most: int
) -> None:
    encoder = CEncoder(library, INFO)
    lengths = []
    for encoder.state.sequence in range(2**16):
        lengths.append(library.frame_samples(encoder.state, fewest, most))
    assert lengths == [frame_samples(sequence, fewest, most) for sequence in range(2**16)]
    assert set(lengths) == set(range(fewest, most + 1))
    assert np.mean(lengths) == pytest.approx((fewest + most) / 2, abs=0.05)
    assert frame_samples(2**16 + 3, fewest, most) == lengths[3]


INFOS = st.builds(
    StreamInfo,
    leads=st.lists(st.sampled_from(spec.LEADS), min_size=1, max_size=8, unique=True).map(tuple),
    sampling_hz=st.integers(1, 2**32 - 1).map(lambda mhz: mhz / 1000),
    nanovolts_per_lsb=st.floats(2.0**-149, 2.0**127, width=32),
    sample_bits=st.sampled_from([16, 24]),
    config_id=st.integers(0, 255),
    session=st.integers(0, 255),
    device=st.sampled_from(["", "a", "leadlift", "µV" * 10 + "ab"]),
    firmware=st.sampled_from(["", "1.0", "x" * 32]),
)
ACTIONS = st.lists(
    st.one_of(
        st.just(("info",)),
        st.tuples(st.just("battery"), st.integers(0, 100)),
        st.tuples(st.just("skip"), st.integers(0, 2**32 - 1)),
        st.tuples(
            st.just("samples"),
            st.integers(1, 255),
            st.integers(0, 2**33),
            st.integers(0, 255),
            st.integers(0, 2**32 - 1),
            st.sampled_from(["any", "zeros", "no zeros", "rails"]),
        ),
    ),
    max_size=8,
)


def drawn_counts(channels: int, n: int, bits: int, seed: int, kind: str) -> np.ndarray:
    """Codes whose frames are like any other, full of zeros, or full COBS blocks."""
    random, rail = np.random.default_rng(seed), 1 << (bits - 1)
    if kind == "zeros":
        return random.integers(0, 2, (channels, n)).astype(np.int32)
    if kind == "no zeros":
        return np.full((channels, n), 0x0101 if bits == 16 else 0x010101, np.int32)
    if kind == "rails":
        return random.choice([-rail, rail - 1], (channels, n)).astype(np.int32)
    return random.integers(-rail, rail, (channels, n)).astype(np.int32)


@given(info=INFOS, sequence=st.integers(0, 2**16 - 1), actions=ACTIONS)
def test_any_session_is_encoded_as_python_does(
    library: CLibrary, info: StreamInfo, sequence: int, actions: list[tuple]
) -> None:
    ours, theirs = CEncoder(library, info), WireEncoder(info, sequence=sequence)
    ours.state.sequence = sequence
    assert ours.begun
    for name, *rest in actions:
        if name == "info":
            assert ours.stream_info() == theirs.stream_info()
        elif name == "battery":
            assert ours.battery(rest[0]) == theirs.battery(rest[0])
        elif name == "skip":
            ours.skip_samples(rest[0])
            theirs.first_sample += rest[0]
        else:
            n, tick_us, lead_off, seed, kind = rest
            codes = drawn_counts(len(info.leads), n, info.sample_bits, seed, kind)
            try:
                expected = theirs.samples(codes, tick_us, lead_off)
            except EncodeError:
                expected = b""
            assert ours.samples(codes, tick_us, lead_off) == expected
    assert ours.state.sequence == theirs.sequence % 2**16
    assert ours.state.first_sample == theirs.first_sample % 2**32


COMMANDS = st.one_of(
    st.sampled_from([FrameType.START, FrameType.STOP, FrameType.IDENTIFY]).map(Command),
    st.integers(1, 2**32 - 1).map(lambda rate: Command(FrameType.SET_RATE, rate)),
)
GOOD_COMMANDS = st.builds(encode_frame, COMMANDS, st.integers(0, 255), st.integers(0, 2**16 - 1))


@st.composite
def damaged_commands(draw: st.DrawFn) -> bytes:
    frame = bytearray(draw(GOOD_COMMANDS))
    at = draw(st.integers(0, len(frame) - 1))
    how = draw(st.sampled_from(["flip", "cut", "insert", "twice"]))
    if how == "flip":
        frame[at] ^= 1 << draw(st.integers(0, 7))
    elif how == "cut":
        del frame[at]
    elif how == "insert":
        frame.insert(at, draw(st.integers(0, 255)))
    else:
        frame[at:at] = frame
    return bytes(frame)


LINES = st.lists(
    st.one_of(
        GOOD_COMMANDS,
        damaged_commands(),
        st.binary(max_size=40),
        st.sampled_from([b"".join(device_frames(3)), b"\x01" * 600, b"\xff" * 600, b"\0\0"]),
    ),
    max_size=8,
)


@given(pieces=LINES)
def test_any_bytes_are_decoded_as_python_does(library: CLibrary, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert CCommandDecoder(library).receive_data(data) == CommandDecoder().receive_data(data)


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("n", [1, 10, 40])
def test_a_buffer_that_is_large_enough_is_enough_and_a_byte_less_is_refused(
    library: CLibrary, bits: int, n: int
) -> None:
    encoder = CEncoder(library, replace(INFO, sample_bits=bits))
    packet = 5 + 12 + 4 + 3 * n * bits // 8
    enough = packet + -(-packet // 254) + 1
    full = np.full((3, n), 0x0101 if bits == 16 else 0x010101, np.int32)
    assert encoder.samples(full, 0x01010101, capacity=enough - 1) == b""
    assert (encoder.state.sequence, encoder.state.first_sample) == (0, 0)
    frame = encoder.samples(full, 0x01010101, capacity=enough)
    assert enough - 2 <= len(frame) <= enough
    assert encoder.stream_info(capacity=95) == b""
    assert encoder.stream_info(capacity=96) != b""
    assert encoder.battery(5, capacity=11) == b""
    assert encoder.battery(5, capacity=12) != b""
    assert (encoder.state.sequence, encoder.state.first_sample) == (3, n)


def test_codes_beyond_the_rails_are_clipped_to_them(library: CLibrary) -> None:
    for bits in (16, 24):
        rail = 1 << (bits - 1)
        info = replace(INFO, sample_bits=bits)
        wild = np.array([[-(2**31), -rail - 1], [2**31 - 1, rail], [0, rail - 1]], np.int32)
        expected = WireEncoder(info).samples(np.clip(wild, -rail, rail - 1), 9)
        assert CEncoder(library, info).samples(wild, 9) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 0},
        {"channels": 9},
        {"leads": (2, 7, 2)},
        {"leads": (2, 0, 7)},
        {"leads": (2, 13, 7)},
        {"leads": (2, 255, 7)},
        {"sample_bits": 12},
        {"rate_millihertz": 0},
        {"nanovolts_per_lsb": 0.0},
        {"nanovolts_per_lsb": -0.0},
        {"nanovolts_per_lsb": -1.0},
        {"nanovolts_per_lsb": float("inf")},
        {"nanovolts_per_lsb": float("nan")},
        {"device": b"x" * 33},
        {"firmware": b"x" * 33},
    ],
    ids=str,
)
def test_info_that_a_host_would_refuse_begins_nothing(library: CLibrary, wrong: dict) -> None:
    info = info_struct(INFO)
    for name, value in wrong.items():
        setattr(info, name, (info.leads.__class__)(*value) if name == "leads" else value)
    encoder = CEncoder(library, info)
    assert not encoder.begun
    assert encoder.stream_info() == encoder.battery(5) == encoder.samples(counts(0, 4), 0) == b""


def test_names_may_be_missing_and_32_bytes_long(library: CLibrary) -> None:
    info = info_struct(replace(INFO, device="x" * 32))
    info.firmware = None
    theirs = WireEncoder(replace(INFO, device="x" * 32, firmware="", session=4))
    assert CEncoder(library, info, 4).stream_info() == theirs.stream_info()


def test_arguments_out_of_range_are_refused_and_not_counted(library: CLibrary) -> None:
    encoder = CEncoder(library, INFO)
    assert encoder.battery(101) == b""
    assert encoder.samples(np.zeros((3, 0), np.int32), 0) == b""
    assert encoder.samples(counts(0, 55), 0) == b""
    assert encoder.samples(counts(0, 4), 0, lead_off=0b1000) == b""
    assert (encoder.state.sequence, encoder.state.first_sample) == (0, 0)
    assert encoder.samples(counts(0, 54), 0, lead_off=0b111) != b""


def test_a_new_session_counts_from_zero(library: CLibrary) -> None:
    encoder = CEncoder(library, INFO)
    encoder.samples(counts(0, 4), 0)
    encoder.skip_samples(7)
    assert (encoder.state.sequence, encoder.state.first_sample) == (1, 11)
    assert library.begin(encoder.state, encoder._info, 8)
    restarted = WireEncoder(replace(INFO, session=8))
    assert encoder.stream_info() == restarted.stream_info()
    assert encoder.samples(counts(0, 4), 5) == restarted.samples(counts(0, 4), 5)


def test_the_example_in_the_header_compiles(library: CLibrary, tmp_path) -> None:
    header = (SOURCES / "leadlift.h").read_text()
    example = re.search(r"\n \*\n((?: \*     .*\n| \*\n)+) \*\n \* What a device", header)
    assert example is not None
    lines = example.group(1).replace(" *     ", "    ")
    source = tmp_path / "example.c"
    source.write_text(
        '#include "leadlift.h"\n'
        "size_t example(const int32_t *counts, uint32_t tick_us, uint8_t session)\n"
        f"{{\n{lines}    return n;\n}}\n"
    )
    compile_c(source)
