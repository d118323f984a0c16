"""Live twelve-lead traces in a terminal, or a line a second where the output is no terminal.

`write` only copies into a small ring. A thread of its own draws, at most ten times a second, so that a
slow terminal, or one stopped with Ctrl-S, delays nothing.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray

from edge.errors import SinkError
from edge.files.recording import Metadata, Timeline
from edge.leads import LEADS, Provenance
from edge.samples import TwelveLeadBlock
from edge.signal.heart_rate import HeartRate
from edge.sinks.base import LiveStatus
from edge.sinks.screen import DISCLAIMER, Line, Picture, frame, status_line
from edge.sinks.traces import TraceRing

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

FRAMES_HZ = 8.0  # smooth enough for a sweep; each frame costs milliseconds on a Jetson's core
LINES_HZ = 1.0
_JOIN_S = 2.0  # a terminal that takes nothing must not keep the program from ending
_PENDING_BLOCKS = 4096  # for the heart rate, while the terminal is stopped: a minute of 16 ms hops
_LONGEST_HOLE_S = 5.0  # a longer gap ends any rhythm just the same
_RATE_LEAD = LEADS.index("II")


class TerminalSink:
    """Draws until closed. The first failure to draw is raised by the next `write`."""

    def __init__(
        self,
        sampling_hz: float,
        metadata: Metadata,
        status: Callable[[], LiveStatus] | None = None,
        stream: TextIO | None = None,
    ) -> None:
        """`stream` is standard output unless given; traces are drawn if it is a terminal."""
        self._stream = sys.stdout if stream is None else stream
        self._status = status or LiveStatus
        self._simulated = metadata.simulated
        self._timeline = Timeline(sampling_hz)
        self._lock = threading.Lock()
        self._ring = TraceRing(sampling_hz)
        self._provenance: tuple[Provenance, ...] | None = None
        self._quality = np.zeros(len(LEADS), np.uint8)
        self._pending: deque[NDArray[np.float32]] = deque(maxlen=_PENDING_BLOCKS)
        self._heart_rate = HeartRate(sampling_hz)
        self._stop = threading.Event()
        self._failure: OSError | None = None
        on_terminal = self._stream.isatty()
        self._thread = threading.Thread(
            target=self._run, args=(on_terminal,), name="terminal", daemon=True
        )
        self._thread.start()

    def write(self, block: TwelveLeadBlock) -> None:
        """Take the next block; costs a copy. Raises SinkError if closed or if drawing failed."""
        if self._failure is not None:
            raise SinkError(
                f"cannot draw to the terminal: {self._failure}; use a file sink instead"
            )
        if self._stop.is_set():
            raise SinkError("terminal: is closed: open a new sink to write more")
        missing, _ = self._timeline.place(block)
        hole = min(missing, round(_LONGEST_HOLE_S * block.sampling_hz))
        with self._lock:
            self._ring.append(block.ecg_mv, missing)
            self._provenance = block.provenance
            self._quality |= np.bitwise_or.reduce(block.quality, axis=1)
            if hole:
                self._pending.append(np.full(hole, np.nan, np.float32))
            self._pending.append(block.ecg_mv[_RATE_LEAD].copy())

    def close(self) -> None:
        """Stop drawing and give the terminal back as it was; a second call does nothing."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def __enter__(self) -> TerminalSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, on_terminal: bool) -> None:
        try:
            if on_terminal:
                self._draw()
            else:
                self._print_lines()
        except OSError as error:  # the terminal has gone, or the pipe's reader
            self._failure = error

    def _picture(self) -> Picture:
        with self._lock:
            ring = self._ring.copy()
            quality = tuple(self._quality.tolist())
            self._quality[:] = 0
            pending = list(self._pending)
            self._pending.clear()
            provenance = self._provenance
        if pending:
            self._heart_rate.push(np.concatenate(pending))
        status = self._status()
        simulated = self._simulated or status.simulated
        return Picture(ring, provenance, quality, self._heart_rate.bpm, status, simulated)

    def _draw(self) -> None:
        draw(self._stream, self._stop, lambda width, height: frame(self._picture(), width, height))

    def _print_lines(self) -> None:
        self._stream.write(f"leadlift: {DISCLAIMER}\n")
        while not self._stop.wait(1.0 / LINES_HZ):
            self._stream.write(status_line(self._picture()) + "\n")
            self._stream.flush()


def draw(stream: TextIO, stop: threading.Event, lines: Callable[[int, int], list[Line]]) -> None:
    """Fill the terminal with `lines(width, height)` until `stop`, then give it back as it was."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream, force_terminal=True, highlight=False)
    live = Live(
        console=console,
        screen=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with live:
        while not stop.wait(1.0 / FRAMES_HZ):
            live.update(Drawn(lines(*console.size)), refresh=True)


class Drawn:
    """Lines of spans as rich wants them, without its layout engine: that would cost ten times more."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.segment import Segment

        for i, line in enumerate(self._lines):
            if i:
                yield Segment.line()
            for text, style in line:
                yield Segment(text, console.get_style(style) if style else None)
