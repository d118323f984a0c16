"""Markers of another program, sent as a stream of texts over the Lab Streaming Layer, beside any source."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from firmware_bridge.errors import TransportError
from firmware_bridge.events import Marked
from firmware_bridge.transports.lsl_library import Selection, find, library

WAVE_S = 1.0  # of one question to the network
CONNECT_S = 5.0
PULL_S = 0.2  # longest wait for a marker; a stop is noticed within it
MOST = 1000  # markers that wait: more at once is a program that runs wild


class LslMarkers:
    """Finds the stream, reads it, and finds it again where it is lost; in a thread of its own."""

    def __init__(self, selection: Selection, say: Callable[[str], object]) -> None:
        """`say` is called with a line when the stream is found, and when it is lost."""
        self.selection = selection
        self._say = say
        self._marked: deque[Marked] = deque(maxlen=MOST)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look for it. Raises TransportError where LSL cannot be had."""
        library()
        self._thread = threading.Thread(target=self._run, name="LSL markers", daemon=True)
        self._thread.start()

    def take(self) -> list[Marked]:
        """The markers since the last call, each handed out once."""
        marked = []
        with suppress(IndexError):
            while True:
                marked.append(self._marked.popleft())
        return marked

    def close(self) -> None:
        """Stop looking; a second call does nothing."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(WAVE_S + PULL_S)  # it is in a call of liblsl's at most so long, or connects

    def _run(self) -> None:
        name, said = self.selection.in_words(), ""
        while not self._stop.is_set():
            try:
                fitting = [one for one in find(WAVE_S) if self.selection.fits(one) and one.is_text]
            except TransportError as error:
                fitting, said = [], self._once(str(error), said)
                self._stop.wait(WAVE_S)
            if not fitting:
                said = self._once(f"waiting for the markers of {name}", said)
                continue
            try:
                inlet = library().StreamInlet(fitting[0].handle, recover=False)
                inlet.open_stream(timeout=CONNECT_S)
                said = self._once(f"markers come from {fitting[0].in_words()}", said)
                self._pull(inlet)
            except (TimeoutError, RuntimeError) as error:
                said = self._once(f"the markers of {name} are gone ({error})", said)

    def _once(self, line: str, said: str) -> str:
        if line != said and not self._stop.is_set():
            self._say(line)
        return line

    def _pull(self, inlet: Any) -> None:
        """Raises what liblsl does once the stream is lost."""
        lsl = library()
        while not self._stop.is_set():
            texts, stamp_s = inlet.pull_sample(timeout=PULL_S)
            if stamp_s is None:
                continue
            correction_s = inlet.time_correction(timeout=CONNECT_S)
            ago_s = lsl.local_clock() - (stamp_s + correction_s)
            at_ns = time.monotonic_ns() - round(ago_s * 1e9)
            self._marked.append(Marked(" ".join(text for text in texts if text), at_ns))
