"""Markers on their way into the recording: each waits for the sample that was taken when it was made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns

from edge.errors import SinkError
from edge.marker import Marker, checked, mended
from edge.samples import TwelveLeadBlock
from firmware_bridge.events import Marked

MOST = 1000
"""Waiting at once: more than this is a fault of who sends them."""
HOLD_S = 5.0
"""While no samples come, as in an outage, a marker waits so long; a file must not lack it for ever."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    text: str
    at_ns: int
    sample: int | None
    since_ns: int


class PendingMarkers:
    """`add` from any thread; the rest from the one that hands blocks to the sinks."""

    def __init__(self, say: Callable[[str], object], *, live: bool) -> None:
        """`say` is called with a line for markers that are not recorded. A source that is not `live` plays a
        recording: its samples are not of now."""
        self._say = say
        self._live = live
        self.placed = 0
        """Markers that were handed over."""
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._over = False
        self._first: int | None = None  # sample of the stream
        self._end = 0  # just after the newest sample
        self._acquired = (0, 0, 0.0)  # a sample, when it was taken in ns, the rate in Hz

    def add(self, text: str, at_ns: int | None = None, sample: int | None = None) -> None:
        """Note `text` at `at_ns` (`time.monotonic_ns()`), now unless given, or at a sample of the stream.

        Raises InputError for a text that no marker can hold; SinkError once the recording has ended, and for
        more than MOST at once.
        """
        text = checked(text)
        now_ns = monotonic_ns()
        at_ns = now_ns if at_ns is None else min(at_ns, now_ns)
        with self._lock:
            if self._over:
                raise SinkError("the recording has ended: the marker is not in it")
            if len(self._waiting) >= MOST:
                raise SinkError(f"{MOST} markers wait for samples: this one is not recorded")
            self._waiting.append(_Waiting(text, at_ns, sample, now_ns))

    def hear(self, event: Marked, arrival_ns: int) -> None:
        """What another device sent, mended rather than refused."""
        try:
            self.add(mended(event.text), arrival_ns if event.at_ns is None else event.at_ns)
        except SinkError as error:
            self._say(f"warning: {error}")

    def take(self, block: TwelveLeadBlock) -> tuple[Marker, ...]:
        """Those whose sample `block`, or one before it, holds."""
        self.follow(block)
        if block.acquired_ns:
            self._acquired = (self._end - 1, block.acquired_ns, block.sampling_hz)
        return self._placed(lambda one, sample: sample < self._end)

    def follow(self, block: TwelveLeadBlock) -> None:
        """Take note of samples that say nothing of time, such as those that a look-ahead held back."""
        if self._first is None:
            self._first = block.first_sample
        self._end = block.first_sample + block.n_samples

    def overdue(self) -> tuple[Marker, ...]:
        """Those that have waited for HOLD_S, at the sample that will be theirs if the stream goes on."""
        oldest_ns = monotonic_ns() - round(HOLD_S * 1e9)
        return self._placed(
            lambda one, sample: (
                sample < self._end or (one.sample is None and one.since_ns < oldest_ns)
            )
        )

    def finish(self) -> tuple[Marker, ...]:
        """All that wait, on the last sample where theirs has not come; from now on `add` refuses."""
        with self._lock:
            self._over = True
        return self._placed(lambda one, sample: True, last=self._end - 1)

    def close(self) -> None:
        """Refuse from now on; say how many were never placed."""
        with self._lock:
            self._over, lost = True, len(self._waiting)
            self._waiting = []
        if lost:
            self._say(
                f"warning: {lost} markers are not recorded: there are no samples to place them"
            )

    def _placed(
        self, due: Callable[[_Waiting, int], bool], last: int | None = None
    ) -> tuple[Marker, ...]:
        """Take out those that are `due` with the sample that is theirs."""
        if not self._waiting or self._first is None:
            return ()
        found: list[Marker] = []
        with self._lock:
            left: list[_Waiting] = []
            for one in self._waiting:
                sample = max(self._sample_of(one), self._first)
                if due(one, sample):
                    found.append(Marker(one.text, sample if last is None else min(sample, last)))
                else:
                    left.append(one)
            self._waiting = left
        self.placed += len(found)
        return tuple(found)

    def _sample_of(self, one: _Waiting) -> int:
        """By the line from samples to time where there is one: a recording is played at any speed."""
        if one.sample is not None:
            return one.sample
        at, acquired_ns, sampling_hz = self._acquired
        if not (self._live and acquired_ns):
            return self._end - 1
        return at + round((one.at_ns - acquired_ns) * 1e-9 * sampling_hz)
