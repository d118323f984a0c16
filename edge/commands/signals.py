"""What Ctrl-C, SIGTERM and a closed terminal do to a command."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def clean_stop(stop: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal call `stop` in here; a second one ends as it always does."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[number])
        stop()

    # What is ignored from the start (SIGHUP under nohup, SIGINT in a shell's background) stays ignored.
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    numbers = [number for number in numbers if before[number] not in (signal.SIG_IGN, None)]
    for number in numbers:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal raise KeyboardInterrupt in here, as Ctrl-C does: half a file goes."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals are not for it
        yield
        return
    with clean_stop(interrupt):
        yield
