"""COBS against its definition, and the splitter's memory, cuts and reports."""

import random
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.events import Corrupt
from firmware_bridge.wire import spec
from firmware_bridge.wire.framing import (
    FrameError,
    Splitter,
    cobs_decode,
    cobs_encode,
    unwrap,
    wrap,
)

_FULL = bytes(range(1, 255))  # 254 bytes, none zero

# The examples of the paper by Cheshire and Baker and of its encyclopaedia article.
COBS_PAIRS = [
    (b"", b"\x01"),
    (b"\0", b"\x01\x01"),
    (b"\0\0", b"\x01\x01\x01"),
    (b"\0\x11\0", b"\x01\x02\x11\x01"),
    (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33"),
    (b"\x11\x22\x33\x44", b"\x05\x11\x22\x33\x44"),
    (b"\x11\0\0\0", b"\x02\x11\x01\x01\x01"),
    (_FULL, b"\xff" + _FULL),
    (b"\0" + _FULL, b"\x01\xff" + _FULL),
    (_FULL + b"\xff", b"\xff" + _FULL + b"\x02\xff"),
    (_FULL + b"\0", b"\xff" + _FULL + b"\x01\x01"),
    (_FULL[1:] + b"\xff\0", b"\xff" + _FULL[1:] + b"\xff\x01\x01"),
    (_FULL[2:] + b"\xff\0\x01", b"\xfe" + _FULL[2:] + b"\xff\x02\x01"),
]


@pytest.mark.parametrize(("plain", "stuffed"), COBS_PAIRS)
def test_cobs_examples(plain, stuffed):
    assert cobs_encode(plain) == stuffed
    assert cobs_decode(stuffed) == plain


def _textbook_cobs(data: bytes) -> bytes:
    out = bytearray([0])
    code_at, code = 0, 1
    for i, byte in enumerate(data):
        if byte:
            out.append(byte)
            code += 1
        if not byte or (code == 255 and i + 1 < len(data)):
            out[code_at] = code
            code_at, code = len(out), 1
            out.append(0)
    out[code_at] = code
    return bytes(out)


@given(st.lists(st.sampled_from([b"\0", b"\x01" * 253, b"\x02" * 254, b"\x03" * 255, b"ab"])))
def test_cobs_equals_the_textbook_byte_by_byte(parts):
    data = b"".join(parts)
    assert cobs_encode(data) == _textbook_cobs(data)
    assert cobs_decode(cobs_encode(data)) == data


@given(st.binary(max_size=600))
def test_cobs_round_trip_has_no_zero_and_little_overhead(data):
    stuffed = cobs_encode(data)
    assert b"\0" not in stuffed
    assert len(stuffed) <= len(data) + max(1, -(-len(data) // spec.COBS_BLOCK))
    assert cobs_decode(stuffed) == data


@pytest.mark.parametrize("stuffed", [b"\x00", b"\x02\x01\x00", b"\x05\x01", b"\xff\x01"])
def test_bad_cobs_is_refused(stuffed):
    with pytest.raises(FrameError, match="COBS"):
        cobs_decode(stuffed)


def test_crc_guards_every_bit():
    frame = wrap(b"hello, electrode")[:-1]
    assert unwrap(frame) == b"hello, electrode"
    for bit in range(8 * len(frame)):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            unwrap(bytes(damaged))


def _split(splitter, pieces):
    return [run for piece in pieces for run in splitter.receive_data(piece)]


def test_empty_runs_are_skipped():
    assert _split(Splitter(), [b"\0\0ab\0\0", b"\0c\0"]) == [b"ab", b"c"]


@pytest.mark.parametrize("size", [515, 516, 70_000, 200_000])
@pytest.mark.parametrize("piece", [1, 7, 64, 515, 516, 100_000])
def test_oversize_run_is_told_once_with_its_length(size, piece):
    stream = b"a\0" + b"x" * size + b"\0b\0"
    cuts = [stream[i : i + piece] for i in range(0, len(stream), piece)]
    runs = _split(Splitter(), cuts)
    assert runs[0] == b"a"
    assert runs[-1] == b"b"
    if size <= spec.MAX_FRAME_BYTES:
        assert runs[1:-1] == [b"x" * size]
        return
    assert sum(run.n_bytes for run in runs[1:-1]) == size
    assert [run.n_bytes for run in runs[1:-2]] == [spec.REPORT_BYTES] * (size // spec.REPORT_BYTES)


def test_run_that_ends_as_it_is_reported_is_told_once():
    runs = _split(Splitter(), [b"x" * spec.REPORT_BYTES, b"\0ok\0"])
    assert [type(run) for run in runs] == [Corrupt, bytes]


def test_memory_is_bounded_under_endless_garbage():
    garbage = random.Random(1).randbytes(4096).replace(b"\0", b"\x01")
    splitter = Splitter()
    tracemalloc.start()
    try:
        for _ in range(1000):
            for run in splitter.receive_data(garbage):
                assert isinstance(run, Corrupt)
            assert splitter.held_bytes <= spec.MAX_FRAME_BYTES
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(0, 2000)))
def test_any_cut_gives_the_same_runs(parts, cuts):
    stream = b"\0".join(parts).replace(b"\x07", b"\x07" * 30)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[a:b] for a, b in pairwise(places)]
    whole = list(Splitter(max_bytes=100).receive_data(stream))
    assert _split(Splitter(max_bytes=100), pieces) == whole
