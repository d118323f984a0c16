"""Keys of a live run without a screen of ours: m and a text, or a digit, set a marker; q ends it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from edge.errors import LeadliftError
from edge.sinks.base import MarkCallable
from edge.sinks.keys import never_stopped, open_keys, suspend, wants_suspend
from edge.sinks.note import Note
from edge.sinks.view import QUIT_KEYS
from firmware_bridge.closing import Closing

if TYPE_CHECKING:
    from edge.live.runtime import Runtime

HINT = "keys: m and a text, or 1 to 9, set a marker; q ends"
_LOOK_S = 0.2  # how soon it is seen that the run has ended, or that this job is in front again
_JOIN_S = 2.0  # a terminal that takes nothing must not keep the program from ending
_ANEW = "\r\x1b[K"


class MarkerKeys(Closing):
    """Reads the terminal of standard input until closed, and shows on stderr what is typed."""

    def __init__(self, mark: MarkCallable, stop: Callable[[], object]) -> None:
        self._mark, self._stop = mark, stop
        self._closing = threading.Event()
        self._keys = open_keys(sys.stdin)
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the terminal back as it was; a second call does nothing."""
        self._closing.set()
        self._thread.join(_JOIN_S)
        self._keys.leave()

    def _run(self) -> None:
        never_stopped()
        note: Note | None = None
        try:
            self._keys.enter()
            while not self._keys.wait(_LOOK_S, self._closing):
                self._keys.enter()
                keys = self._keys.read()
                if wants_suspend(keys):
                    self._keys.leave()
                    suspend()
                    continue
                for key in keys:
                    if note is None and key in QUIT_KEYS:
                        self._stop()
                    note = self._after(key, note)
        except (OSError, ValueError):  # the terminal has gone: nobody presses a key
            return

    def _after(self, key: str, note: Note | None) -> Note | None:
        """The note after a key; one that is whole is recorded."""
        before = note
        note = Note.begun(key, self._keys.pressed_ns) if note is None else note.press(key)
        if note is None:
            if before is not None:
                self._show(_ANEW)
            return None
        if not note.is_whole:
            self._show(_ANEW + note.prompt)
            return note
        try:
            self._mark(note.text, at_ns=note.at_ns)
            self._show(f"{_ANEW}marker: {note.text}\n")
        except LeadliftError as error:
            self._show(f"{_ANEW}leadlift: {error}\n")
        return None

    def _show(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def marker_keys(
    runtime: Runtime, say: Callable[[str], object], *, draws: bool
) -> AbstractContextManager[object]:
    """Keys for `runtime`, where there is a terminal, and no screen that reads it."""
    if draws or not _can_press():
        return nullcontext()
    say(HINT)
    return MarkerKeys(runtime.mark, runtime.stop)


def _can_press() -> bool:
    """Whether somebody sits before the terminal of this process."""
    try:
        return sys.stdin.isatty() and sys.stderr.isatty()
    except ValueError:  # closed
        return False
