"""The terminal sink on a real pseudo-terminal, on a pipe, and on a terminal that takes nothing."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edge.errors import SinkError
from edge.files.recording import Metadata
from edge.sinks.base import LiveStatus
from edge.sinks.status_items import DISCLAIMER
from edge.sinks.terminal import TerminalSink
from tests.edge.sinks.blocks import block, ecg

pytestmark = pytest.mark.realtime

WAIT_S = 20.0  # for a thread to be scheduled on a busy machine; never reached otherwise


class Screen:
    """What was written to the terminal so far."""

    def __init__(self, master: int) -> None:
        self._master = os.dup(master)  # its own: a number that is closed is soon another test's
        self._bytes = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError):  # the other end is closed
            while data := os.read(self._master, 65536):
                self._bytes += data
        os.close(self._master)

    def clear(self) -> None:
        self._bytes = b""

    def wait_for(self, text: str) -> str:
        end = time.monotonic() + WAIT_S
        while text not in (seen := self._bytes.decode("utf-8", "replace")):
            assert time.monotonic() < end, f"{text!r} was never shown"
            time.sleep(0.01)
        return seen


@pytest.fixture(autouse=True)
def _a_terminal_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


@contextmanager
def pseudo_terminal(
    columns: int, rows: int, encoding: str = "utf-8"
) -> Iterator[tuple[int, io.TextIOWrapper]]:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    stream = os.fdopen(slave, "w", encoding=encoding)
    try:
        yield master, stream
    finally:
        os.close(master)
        with suppress(OSError):
            stream.close()


def test_draws_on_a_terminal_and_gives_it_back() -> None:
    with pseudo_terminal(100, 30) as (master, stream):
        screen = Screen(master)
        status = LiveStatus(1.5, 4.5, 7, 1, 0, "onnxruntime")
        with TerminalSink(250.0, Metadata(simulated=True), lambda: status, stream) as sink:
            for start in range(0, 1000, 4):
                sink.write(block(ecg(4, start), start))
            seen = screen.wait_for("lost 7")
            seen = screen.wait_for("V2 r")
        assert "\x1b[?1049h" in seen
        assert "II m" in seen
        assert "SIMULATED SIGNAL" in seen
        assert DISCLAIMER in seen
        screen.wait_for("\x1b[?1049l")
        screen.wait_for("\x1b[?25h")
        with pytest.raises(SinkError, match="closed"):
            sink.write(block(ecg(4), 1000))


def test_one_line_a_second_where_there_is_no_terminal() -> None:
    read_end, write_end = os.pipe()
    stream = os.fdopen(write_end, "w", encoding="utf-8")
    with os.fdopen(read_end, encoding="utf-8") as lines, stream:
        sink = TerminalSink(250.0, Metadata(simulated=True), None, stream)
        sink.write(block(ecg(500)))
        assert DISCLAIMER in lines.readline() + lines.readline()
        line = lines.readline()
        assert line.startswith("SIMULATED SIGNAL  HR ")
        assert "  2 s" in line
        assert "\x1b" not in line
        sink.close()
        sink.close()


def test_terminal_that_takes_nothing_delays_nothing() -> None:
    with pseudo_terminal(200, 50) as (_, stream):  # nobody reads: its buffer is full after a frame
        sink = TerminalSink(250.0, Metadata(), None, stream)
        for start in range(0, 40_000, 4):
            sink.write(block(ecg(4), start))
        closing = threading.Thread(target=sink.close)
        closing.start()
        closing.join(WAIT_S)
        assert not closing.is_alive()


def test_reader_that_has_gone_is_a_sink_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    stream = os.fdopen(write_end, "w", encoding="utf-8")
    sink = TerminalSink(250.0, Metadata(), None, stream)
    end = time.monotonic() + WAIT_S
    with pytest.raises(SinkError, match="Broken pipe"):
        while time.monotonic() < end:
            sink.write(block(ecg(4)))
            time.sleep(0.01)
    sink.close()
    with suppress(OSError):
        stream.close()


def feed(sink: TerminalSink, start: int = 0, n_samples: int = 1000) -> None:
    for at in range(start, start + n_samples, 4):
        sink.write(block(ecg(4, at), at))


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp437", "utf-8"])
@pytest.mark.parametrize("size", [(80, 24), (10, 3), (0, 0), (1, 1)])
def test_any_encoding_and_size(encoding: str, size: tuple[int, int]) -> None:
    status = LiveStatus(device="Gerät 心电", recording=("心电.edf",))
    with pseudo_terminal(*size, encoding) as (master, stream):
        screen = Screen(master)
        with TerminalSink(250.0, Metadata(simulated=True), lambda: status, stream) as sink:
            feed(sink)
            screen.wait_for("\x1b[?1049h")
            screen.wait_for("\x1b[H" if 0 < size[0] < 5 else "SIMULATED"[: size[0] or None])
            feed(sink, 1000)
        screen.wait_for("\x1b[?1049l")


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_lines_without_escape_sequences_where_nothing_can_be_drawn(
    term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    with pseudo_terminal(80, 24, "ascii") as (master, stream):
        screen = Screen(master)
        status = LiveStatus(device="Gerät", samples_lost=5, recording=("\udce4.edf",))
        with TerminalSink(250.0, Metadata(), lambda: status, stream) as sink:
            feed(sink)
            seen = screen.wait_for("lost 5")
        assert "\x1b" not in seen and DISCLAIMER in seen
        assert all(len(line) < 80 for line in seen.splitlines())


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with pseudo_terminal(80, 24) as (master, stream):
        screen = Screen(master)
        with TerminalSink(250.0, Metadata(), None, stream) as sink:
            feed(sink)
            seen = screen.wait_for("V2 r")
    codes = {code for run in re.findall(r"\x1b\[([0-9;]*)m", seen) for code in run.split(";")}
    assert codes <= {"", "0", "1", "2", "7"}  # bold, dim, reverse: an estimate is still marked
    assert "7" in codes


def test_keys_and_the_terminal_given_back() -> None:
    stopped = threading.Event()
    with pseudo_terminal(120, 40) as (master, stream):
        keyboard = os.fdopen(os.dup(stream.fileno()), "r")
        before = termios.tcgetattr(keyboard.fileno())
        screen = Screen(master)
        sink = TerminalSink(250.0, Metadata(), None, stream, stop=stopped.set, keys_from=keyboard)
        with keyboard, sink:
            feed(sink)
            screen.wait_for("space freeze")
            assert not termios.tcgetattr(keyboard.fileno())[3] & (termios.ICANON | termios.ECHO)
            for keys, shown in (
                (b"f", "FROZEN"),
                (b"?", "larger, smaller traces"),
                (b"x++++++++++++++", "mark 0.5 mV"),
                (b"\x1b[A\x1bOAl", "II m"),
            ):
                screen.clear()
                os.write(master, keys)
                screen.wait_for(shown)
            assert not stopped.is_set()
            os.write(master, b"q")
            assert stopped.wait(WAIT_S)
            sink.close()
            assert termios.tcgetattr(keyboard.fileno()) == before


def test_standard_input_that_is_no_terminal_gives_no_keys() -> None:
    with pseudo_terminal(80, 24) as (master, stream), Path(os.devnull).open() as nothing:
        screen = Screen(master)
        with TerminalSink(250.0, Metadata(), None, stream, keys_from=nothing) as sink:
            feed(sink)
            assert "q quit" not in screen.wait_for("V2 r")
