"""Single keys from the terminal of standard input, which is always given back as it was.

A job in the background must neither read its terminal nor set it: the system would stop it. So each access
asks first whether the terminal is this process's at the moment.
"""

from __future__ import annotations

import codecs
import os
import re
import select
import sys
import threading
import time
from contextlib import suppress
from typing import Any, TextIO

_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|O.|)")  # arrows and the like: no keys of ours
_SUSPEND = "\x1a"  # Ctrl-Z
_STOPS_WITHIN_S = 0.1
_ASK_S = 0.02


def in_foreground(stream: TextIO | None) -> bool:
    """Whether this process may use the terminal of `stream` now; also where it is nobody's job."""
    if stream is None or sys.platform == "win32":
        return stream is not None
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # not the terminal that controls this process: no job control
        return True


class NoKeys:
    """Where nobody can press a key."""

    available = False
    pressed_ns = 0
    """`time.monotonic_ns()` of the first key that the next `read` returns."""

    def wait(self, seconds: float, closing: threading.Event) -> bool:
        """Until a key is pressed, `closing`, or `seconds` have passed; whether it closes."""
        return closing.wait(seconds)

    def enter(self) -> bool:
        """Begin to take keys, also after something else has set the terminal; whether it had to be set."""
        return False

    def read(self) -> str:
        """The keys since the last call; empty for none."""
        return ""

    def leave(self) -> None:
        """Give the terminal back as it was; a second call does nothing."""


class TerminalKeys(NoKeys):
    """Keys of a POSIX terminal, without waiting for Enter and without echo."""

    available = True

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._fd = stream.fileno()
        self._lock = threading.Lock()  # a crash is cleaned up from another thread
        self._before: list[Any] | None = None
        self._ours: list[Any] | None = None
        self._pressed = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")

    def wait(self, seconds: float, closing: threading.Event) -> bool:
        """As of every terminal; `closing` is looked at again within `seconds`."""
        if self._ours is None or not in_foreground(self._stream):
            return closing.wait(seconds)
        if not select.select([self._fd], [], [], seconds)[0]:
            return closing.is_set()
        self.pressed_ns = time.monotonic_ns()
        data = os.read(self._fd, 256)
        self._pressed += data
        return closing.is_set() if data else closing.wait(seconds)  # nobody is there any more

    def enter(self) -> bool:
        """Set the terminal, if it is this process's now and something else has set it otherwise."""
        import termios

        with self._lock:
            if not in_foreground(self._stream):
                return False
            now = self._get()
            if now == self._ours:
                return False
            ours = self._get()
            ours[3] &= ~(termios.ICANON | termios.ECHO)  # Ctrl-C stays a signal
            ours[6][termios.VMIN], ours[6][termios.VTIME] = 0, 0  # a read returns at once
            ours[6][termios.VSUSP] = bytes([os.fpathconf(self._fd, "PC_VDISABLE") & 0xFF])
            if self._before is None:
                self._before = now
            self._set(ours)
            self._ours = self._get()
            return True

    def read(self) -> str:
        """Return at once, without the sequences of arrows and the like."""
        if self._ours is None or not in_foreground(self._stream):
            return ""
        if not self._pressed:
            self.pressed_ns = time.monotonic_ns()
        data, self._pressed = self._pressed + os.read(self._fd, 256), b""
        return _SEQUENCE.sub(_escape, self._decoder.decode(data))

    def leave(self) -> None:
        """Set the terminal as `enter` found it first."""
        with self._lock, suppress(OSError):  # the terminal has gone: nothing is left to give back
            if self._before is not None and in_foreground(self._stream):
                self._set(self._before)
        self._before = self._ours = None

    def _get(self) -> list[Any]:
        import termios

        try:
            return termios.tcgetattr(self._fd)
        except termios.error as error:  # no OSError, though it has the arguments of one
            raise OSError(*error.args) from error

    def _set(self, attributes: list[Any]) -> None:
        import termios

        try:
            termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        except termios.error as error:
            raise OSError(*error.args) from error


def _escape(found: re.Match[str]) -> str:
    """Escape itself is a key; what begins with it is none of ours."""
    return found[0] if found[1] == "" else ""


class ConsoleKeys(NoKeys):
    """Keys of a Windows console."""

    available = True

    def wait(self, seconds: float, closing: threading.Event) -> bool:
        """As of every terminal; a console is asked, and does not wake anybody."""
        end = time.monotonic() + seconds
        if sys.platform == "win32":
            import msvcrt

            while not msvcrt.kbhit() and time.monotonic() < end:
                if closing.wait(_ASK_S):
                    return True
        self.pressed_ns = time.monotonic_ns()
        return closing.is_set()

    def read(self) -> str:
        """Return at once."""
        keys = ""
        if sys.platform == "win32":
            import msvcrt

            while msvcrt.kbhit():
                keys += msvcrt.getwch()
        return keys


def open_keys(stream: TextIO | None) -> NoKeys:
    """The keys of a terminal; none where `stream` is no terminal."""
    try:
        if stream is None or not stream.isatty():
            return NoKeys()
        return ConsoleKeys() if sys.platform == "win32" else TerminalKeys(stream)
    except (OSError, ValueError):  # closed, or without a file
        return NoKeys()


def never_stopped() -> None:
    """In this thread, using a terminal in the background is an error, and does not stop the job."""
    if sys.platform != "win32":
        import signal

        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN, signal.SIGTTOU})


def wants_suspend(keys: str) -> bool:
    """Whether Ctrl-Z is among the keys."""
    return _SUSPEND in keys and sys.platform != "win32"


def suspend() -> None:
    """Stop this job as Ctrl-Z does; returns when it continues. Leave the terminal first."""
    if sys.platform != "win32":
        import signal

        os.kill(0, signal.SIGTSTP)
        time.sleep(_STOPS_WITHIN_S)  # the signal may reach another thread of this process first
