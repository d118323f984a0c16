"""A thread that draws pictures on a terminal, or prints a line a second where it cannot.

It draws at most ten times a second, so that a slow terminal, or one stopped with Ctrl-S, delays nothing.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from edge.errors import LeadliftError
from edge.sinks.base import MarkCallable
from edge.sinks.keys import NoKeys, in_foreground, never_stopped, open_keys, suspend, wants_suspend
from edge.sinks.note import Note
from edge.sinks.picture import Picture
from edge.sinks.screen import frame
from edge.sinks.status_items import DISCLAIMER, Line, status_line
from edge.sinks.traces import glyphs_for
from edge.sinks.view import QUIT_KEYS, View
from firmware_bridge.closing import Closing

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.live import Live
    from rich.segment import Segment

FRAMES_HZ = 8.0  # smooth enough for a sweep; each frame costs milliseconds on a Jetson's core
LINES_HZ = 1.0
_JOIN_S = 2.0  # a terminal that takes nothing must not keep the program from ending


def can_draw(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that can place its cursor: not dumb, not unknown."""
    from rich.console import Console

    if not stream.isatty() or (os.name == "posix" and not os.environ.get("TERM")):
        return False
    return not Console(file=stream).is_dumb_terminal


class Drawer(Closing):
    """Shows what `picture` returns until closed. `failure` is why it can draw no more."""

    def __init__(
        self,
        picture: Callable[[], Picture],
        stream: TextIO,
        *,
        stop: Callable[[], object] | None = None,
        mark: MarkCallable | None = None,
        keys_from: TextIO | None = None,
    ) -> None:
        """`stop` is called when somebody presses q, `mark` with a marker that somebody typed; `keys_from`
        is standard input unless given."""
        self.failure: OSError | None = None
        self._picture = picture
        self._stream = stream
        self._encoding: str | None = getattr(stream, "encoding", None)
        self._stop_run = stop
        self._mark_run = mark
        self._closing = threading.Event()
        self._keys = NoKeys()
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)
        self._keys_from = sys.stdin if keys_from is None else keys_from
        self._thread.start()
        atexit.register(self.close)  # a program that crashes gives its terminal back, too

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing.is_set()

    def close(self) -> None:
        """Stop drawing and give the terminal back as it was; a second call does nothing."""
        atexit.unregister(self.close)
        self._closing.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)
        self._keys.leave()  # also where the thread is stuck in a terminal that takes nothing

    def _run(self) -> None:
        try:
            if can_draw(self._stream):
                self._keys = open_keys(self._keys_from)
                try:
                    self._draw()
                finally:
                    self._keys.leave()
            else:
                self._print_lines()
        except OSError as error:  # the terminal has gone, or the pipe's reader
            self.failure = error
        except ValueError:  # the stream was closed before its sink
            self.failure = OSError("the stream is closed")

    def _draw(self) -> None:
        from rich.console import Console

        never_stopped()
        console = Console(file=self._stream, force_terminal=True, highlight=False)
        unknown_size = console.size
        glyphs = glyphs_for(self._encoding)
        view, shown = View(marks=self._mark_run is not None), None
        live: Live | None = None
        with ExitStack() as stack:
            while not self._keys.wait(1.0 / FRAMES_HZ, self._closing):
                if not in_foreground(self._stream):  # a job in the background draws nothing
                    continue
                if live is None:
                    live = stack.enter_context(_full_screen(console))
                if self._keys.enter():  # also after somebody stopped and continued this job
                    console.set_alt_screen(True)
                    console.show_cursor(False)
                keys = self._keys.read()
                if wants_suspend(keys):
                    stack.close()
                    self._keys.leave()
                    suspend()
                    live = None
                    continue
                picture = self._picture()
                for key in keys:
                    if view.note is None and key in QUIT_KEYS and self._stop_run is not None:
                        self._stop_run()
                    elif shown is not None:
                        view = view.press(key, picture, shown.height_mv, shown.span_s)
                        view = self._noted(key, view)
                console.size = _size_of(self._stream) or unknown_size
                shown = frame(picture, *console.size, view, glyphs, self._keys.available)
                live.update(Drawn(shown.lines, self._encoding), refresh=True)

    def _noted(self, key: str, view: View) -> View:
        """The view after a key of a marker, which is recorded once it is whole."""
        if self._mark_run is None:
            return view
        if view.note is None:
            view = replace(view, note=Note.begun(key, self._keys.pressed_ns), said="")
        if view.note is not None and view.note.is_whole:
            try:
                self._mark_run(view.note.text, at_ns=view.note.at_ns)
            except LeadliftError as error:
                view = replace(view, said=str(error))
            view = replace(view, note=None)
        return view

    def _print_lines(self) -> None:
        self._print(f"leadlift: {DISCLAIMER}")
        wraps_at = _size_of(self._stream) if self._stream.isatty() else None
        while not self._closing.wait(1.0 / LINES_HZ):
            self._print(status_line(self._picture(), wraps_at and max(40, wraps_at[0] - 1)))

    def _print(self, text: str) -> None:
        self._stream.write(encodable(text, self._encoding) + "\n")
        self._stream.flush()


def _full_screen(console: Console) -> Live:
    from rich.live import Live

    return Live(
        console=console,
        screen=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _size_of(stream: TextIO) -> tuple[int, int] | None:
    """Columns and rows of a terminal; None where it does not say, as over `ssh -tt` from cron."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return None
    return (columns, rows) if columns and rows else None


def encodable(text: str, encoding: str | None) -> str:
    """`text` with a question mark for each character that a stream of this encoding cannot take."""
    if text.isascii():
        return text
    encoding = encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


class Drawn:
    """Lines as rich wants them, without its layout engine: that would cost ten times more."""

    def __init__(self, lines: list[Line], encoding: str | None = None) -> None:
        self._lines = lines
        self._encoding = encoding

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.segment import Segment

        for i, line in enumerate(self._lines):
            if i:
                yield Segment.line()
            for text, style in line:
                printable = encodable(text, self._encoding)
                yield Segment(printable, console.get_style(style) if style else None)
