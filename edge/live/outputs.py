"""The sinks of a run: one that fails is closed, and the others go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from edge.errors import SinkError
from edge.samples import TwelveLeadBlock
from edge.sinks.base import AddressedSink, CountingSink, FilingSink, Sink

_FILE = "file:"


class Outputs:
    """Open sinks by name, written and closed as one."""

    def __init__(self, sinks: Mapping[str, Sink], say: Callable[[str], object]) -> None:
        """`say` is called with a line when a sink fails and others go on."""
        self.sinks: dict[str, Sink] = dict(sinks)
        self.failures: dict[str, str] = {}
        """Why each sink that failed did, by its name."""
        self.watchers: list[Callable[[TwelveLeadBlock], object]] = []
        """Called with each block before it is written; they are no outputs, and must not fail."""
        self._say = say
        self._last: SinkError | None = None
        self._closed = False

    @property
    def address(self) -> str:
        """Where a browser sees the run; empty where none does."""
        found = (sink.address for sink in self.sinks.values() if isinstance(sink, AddressedSink))
        return next(found, "")

    def write(self, block: TwelveLeadBlock) -> None:
        """Into every sink that has not failed. Raises what the last one raised once none is left."""
        for watch in self.watchers:
            watch(block)
        for name, sink in self.sinks.items():
            if name in self.failures:
                continue
            try:
                sink.write(block)
            except Exception as error:  # whatever a broken output does, it must not end the others
                self._failed(name, error)
                with suppress(Exception):
                    sink.close()
        self.raise_if_none_is_left()

    def close(self) -> None:
        """Close them all; one that cannot be finished has failed. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for name, sink in self.sinks.items():
            if name in self.failures:
                continue
            try:
                sink.close()
            except Exception as error:
                self._failed(name, error)

    def raise_if_none_is_left(self) -> None:
        """Raise SinkError, of the last one to fail, if there were sinks and all have failed."""
        if self._last is not None and len(self.failures) == len(self.sinks):
            raise self._last

    def names(self) -> list[str]:
        """Every sink by its name; one that wrote several files, by each of those."""
        return [one for name in self.sinks for one in self._files(name) or [name]]

    def recording(self) -> tuple[str, ...]:
        """The files that are being written."""
        there = [name for name in self.sinks if name not in self.failures]
        newest = [(self._files(name) or [name])[-1] for name in there]
        return tuple(one.removeprefix(_FILE) for one in newest if one.startswith(_FILE))

    def _files(self, name: str) -> list[str]:
        sink = self.sinks[name]
        return [_FILE + one for one in sink.files] if isinstance(sink, FilingSink) else []

    def counters(self) -> dict[str, int]:
        """What the sinks could not hold, added up over them."""
        counts = Counter({"annotations_dropped": 0, "samples_clipped": 0})
        for sink in self.sinks.values():
            if isinstance(sink, CountingSink):
                counts.update(sink.counters())
        return dict(counts)

    def _failed(self, name: str, error: Exception) -> None:
        if isinstance(error, SinkError):
            self._last = error
        else:
            self._last = SinkError(f"{name} failed: {type(error).__name__}: {error}")
            self._last.__cause__ = error
        self.failures[name] = str(self._last)
        if len(self.failures) < len(self.sinks):  # else it is the error of the run
            self._say(f"warning: {self._last}; the other outputs go on")
