"""The terminal sink on a real pseudo-terminal, on a pipe, and on a terminal that takes nothing."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from edge.errors import SinkError
from edge.files.recording import Metadata
from edge.sinks.base import LiveStatus
from edge.sinks.screen import DISCLAIMER
from edge.sinks.terminal import TerminalSink
from tests.edge.sinks.blocks import block, ecg

WAIT_S = 20.0  # for a thread to be scheduled on a busy machine; never reached otherwise


class Screen:
    """What was written to the terminal so far."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._bytes = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError):  # the other end is closed
            while data := os.read(self._master, 65536):
                self._bytes += data

    def wait_for(self, text: str) -> str:
        end = time.monotonic() + WAIT_S
        while text not in (seen := self._bytes.decode("utf-8", "replace")):
            assert time.monotonic() < end, f"{text!r} was never shown"
            time.sleep(0.01)
        return seen


@contextmanager
def pseudo_terminal(columns: int, rows: int) -> Iterator[tuple[int, io.TextIOWrapper]]:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    stream = os.fdopen(slave, "w", encoding="utf-8")
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
        assert line.startswith("2 s  HR")
        assert "SIMULATED SIGNAL" in line
        assert "\x1b" not in line
        sink.close()
        sink.close()


def test_terminal_that_takes_nothing_delays_nothing() -> None:
    with pseudo_terminal(200, 50) as (_, stream):  # nobody reads: its buffer is full after a frame
        sink = TerminalSink(250.0, Metadata(), None, stream)
        for start in range(0, 40_000, 4):
            sink.write(block(ecg(4), start))
        assert len(sink._pending) <= 4096
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
