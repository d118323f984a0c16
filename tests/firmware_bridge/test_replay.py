"""Capture and replay: the same pieces and times back; damage is told and the rest still plays."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import CaptureError, SourceSpecError
from firmware_bridge.source import open_source
from firmware_bridge.transports.base import Received
from firmware_bridge.transports.replay import (
    MAGIC,
    MAX_RECORD_BYTES,
    CaptureWriter,
    ReplayTransport,
    read_header,
)

HEADER = {"device": "wire", "options": {}}


def record(path: Path, pieces: list[tuple[int, bytes]]) -> None:
    with CaptureWriter(path, HEADER) as writer:
        arrival_ns = writer._last_ns
        for delta_ns, data in pieces:
            arrival_ns += delta_ns
            writer.write(Received(data, arrival_ns))


async def play(path: Path, speed: float = math.inf) -> tuple[list[Received], CaptureError | None]:
    transport = ReplayTransport(path, speed)
    await transport.open()
    received: list[Received] = []
    try:
        while (piece := await transport.read()).data:
            received.append(piece)
    except CaptureError as error:
        return received, error
    finally:
        await transport.close()
    return received, None


@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.binary(min_size=1, max_size=300)), max_size=20)
)
def test_replay_equals_capture_piece_by_piece(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("capture") / "a.capture"
    record(path, pieces)
    received, error = asyncio.run(play(path))
    assert error is None
    assert [piece.data for piece in received] == [data for _, data in pieces]
    gaps_ns = [b.arrival_ns - a.arrival_ns for a, b in pairwise(received)]
    assert gaps_ns == [delta_ns for delta_ns, _ in pieces[1:]]
    assert read_header(path) == HEADER


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_pieces_come_no_earlier_than_they_are_due(tmp_path: Path, speed: float) -> None:
    path = tmp_path / "a.capture"
    record(path, [(0, b"a"), (20_000_000, b"b"), (20_000_000, b"c")])

    start_ns = time.monotonic_ns()
    received, _ = asyncio.run(play(path, speed))
    assert time.monotonic_ns() - start_ns >= 40_000_000 / speed
    if speed == 1.0:  # times are those of this run
        for piece, due_ns in zip(received, (0, 20_000_000, 40_000_000), strict=True):
            assert piece.arrival_ns >= start_ns + due_ns
    else:  # those of the recording
        assert received[-1].arrival_ns - received[0].arrival_ns == 40_000_000


def test_a_recording_cut_anywhere_plays_up_to_its_last_whole_record(tmp_path: Path) -> None:
    whole = tmp_path / "whole.capture"
    pieces = [(1000, b"one"), (1000, b"two"), (1000, b"three")]
    record(whole, pieces)
    raw = whole.read_bytes()
    first = raw.index(b"\n", len(MAGIC)) + 1
    ends = [first]
    for _, data in pieces:
        ends.append(ends[-1] + 16 + len(data))
    assert ends[-1] == len(raw)
    cut = tmp_path / "cut.capture"
    for size in range(first, len(raw) + 1):
        cut.write_bytes(raw[:size])
        received, error = asyncio.run(play(cut))
        n_whole = sum(end <= size for end in ends) - 1
        assert [piece.data for piece in received] == [data for _, data in pieces[:n_whole]]
        assert (error is None) == (size in ends)
        if error is not None:
            assert "cut short" in str(error) and "\n" not in str(error)
    for size in range(first):
        cut.write_bytes(raw[:size])
        with pytest.raises(CaptureError, match="no leadlift capture"):
            asyncio.run(play(cut))


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 4000,
        b'{"device":' * 400,
        b'{"device": "csv", "options": ' + b"[" * 1900 + b"]" * 1900 + b"}",
        b"[1]",
        b'"csv"',
        b"null",
        b'{"device": 1}',
        b'{"device": "csv", "x": ' + b"[" * 100_000,
    ],
)
def test_a_header_that_is_none_is_told(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.capture"
    path.write_bytes(MAGIC + header + b"\n")
    with pytest.raises(CaptureError, match="no leadlift capture"):
        read_header(path)


def test_a_capture_of_another_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.capture"
    path.write_bytes(MAGIC.replace(b"1", b"2") + b'{"device": "wire"}\n')
    with pytest.raises(CaptureError, match="another version"):
        read_header(path)


@pytest.mark.parametrize("created", ["9999-12-31T23:59:59.9+00:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_at_the_end_of_the_calendar_is_not_known(tmp_path: Path, created: str) -> None:
    path = tmp_path / "a.capture"
    with CaptureWriter(path, {"device": "wire", "created": created}):
        pass

    async def recorded_at() -> datetime | None:
        transport = ReplayTransport(path, math.inf)
        await transport.open()
        try:
            return transport.recorded_at(time.monotonic_ns() + 10**9)
        finally:
            await transport.close()

    assert asyncio.run(recorded_at()) is None


def test_any_altered_byte_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.capture"
    record(path, [(1000, b"one"), (1000, b"two")])
    raw = path.read_bytes()
    for i in range(len(raw)):
        path.write_bytes(raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :])
        try:
            received, error = asyncio.run(play(path))
        except CaptureError:
            continue
        assert error is not None
        assert [piece.data for piece in received] in ([], [b"one"])


def test_a_removed_or_moved_record_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.capture"
    record(path, [(1000, b"one"), (1000, b"two"), (1000, b"six")])
    raw = path.read_bytes()
    first = len(raw) - 3 * 19
    one, two, six = (raw[first + 19 * k : first + 19 * (k + 1)] for k in range(3))
    for body, n_good in ((one + six, 1), (two + one + six, 0)):
        path.write_bytes(raw[:first] + body)
        received, error = asyncio.run(play(path))
        assert len(received) == n_good
        assert error is not None and "altered" in str(error)


def test_a_recording_is_on_disk_record_by_record(tmp_path: Path) -> None:
    path = tmp_path / "a.capture"
    writer = CaptureWriter(path, HEADER)
    writer.write(Received(b"one", writer._last_ns))
    received, error = asyncio.run(play(path))  # while the writer still has it open
    assert [piece.data for piece in received] == [b"one"] and error is None
    writer.close()


def test_where_a_link_was_opened_anew_is_part_of_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.capture"
    with CaptureWriter(path, HEADER) as writer:
        begin_ns = writer._last_ns
        pieces = [
            Received(b"one", begin_ns),
            Received(b"", begin_ns + 5000, reopened=True),
            Received(b"two", begin_ns + 6000),
        ]
        for piece in pieces:
            writer.write(piece)
        for nonsense in (Received(b"", begin_ns), Received(b"x", begin_ns, reopened=True)):
            with pytest.raises(CaptureError):
                writer.write(nonsense)

    async def played() -> list[Received]:
        transport = ReplayTransport(path, math.inf)
        await transport.open()
        received = [await transport.read() for _ in range(4)]
        await transport.close()
        return received

    received = asyncio.run(played())
    assert [(piece.data, piece.reopened) for piece in received] == [
        (b"one", False),
        (b"", True),
        (b"two", False),
        (b"", False),  # the end
    ]
    assert received[2].arrival_ns - received[0].arrival_ns == 6000


def test_full_disk_is_told_and_what_was_written_stays() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(CaptureError, match="No space left"):
        CaptureWriter(full, HEADER)


def test_missing_files_and_misuse_are_one_line_errors(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"cannot read .*No such file"):
        read_header(tmp_path / "none.capture")
    with pytest.raises(CaptureError, match="cannot write"):
        CaptureWriter(tmp_path / "no" / "folder", HEADER)
    with pytest.raises(CaptureError, match="device format"):
        CaptureWriter(tmp_path / "a.capture", {})
    with pytest.raises(SourceSpecError, match="speed"):
        ReplayTransport(tmp_path / "a.capture", 0)
    (tmp_path / "text").write_text("I,II,III\n1,2,3\n")
    with pytest.raises(CaptureError, match="no leadlift capture"):
        read_header(tmp_path / "text")
    with (
        CaptureWriter(tmp_path / "a.capture", HEADER) as writer,
        pytest.raises(CaptureError, match="1 to"),
    ):
        writer.write(Received(bytes(MAX_RECORD_BYTES + 1), 0))


@pytest.mark.parametrize("speed", ["1", "10", "inf"])
@pytest.mark.parametrize("created", ["2020-02-03T04:05:06.000+00:00", None])
def test_a_capture_of_a_replay_has_the_times_of_the_first(
    tmp_path: Path, created: str | None, speed: str
) -> None:
    first, again = tmp_path / "a.capture", tmp_path / "b.capture"
    header = {"device": "csv", "options": {"rate": "250"}, "simulated": True}
    header |= {} if created is None else {"created": created}
    with CaptureWriter(first, header, start_ns=0) as writer:
        writer.write(Received(b"0.1,0.2,0.3\n", 50_000_000))
        writer.write(Received(b"0.1,0.2,0.3\n", 60_000_000))

    async def copy() -> None:
        async with open_source(f"replay:{first}?speed={speed}", capture=again) as source:
            async for _ in source:
                pass

    asyncio.run(copy())
    found = read_header(again)
    assert found["simulated"] is True
    if created is None:
        assert "created" not in found
        return
    off = datetime.fromisoformat(str(found["created"])) - datetime.fromisoformat(created)
    assert off.total_seconds() == pytest.approx(0.05, abs=0.5 if speed == "1" else 0.001)
