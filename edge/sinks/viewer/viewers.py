"""The browsers that look on: each has a short queue; what one is too slow for is dropped and counted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

Message = bytes | str
END = ""
"""The last message: a browser that has been sent all before it is sent away."""

QUEUE = (
    64  # messages: 2.5 s of blocks of 10 samples at 250 Hz, after which a browser only falls behind
)
MOST = 32
"""Browsers at once: each costs a copy of every block."""


class Viewer:
    """One browser's queue; used on the loop's thread alone."""

    def __init__(self, leads: tuple[str, ...] = ()) -> None:
        self.leads = leads
        """Those that it is sent."""
        self.dropped = 0
        """Messages that it was too slow for."""
        self._waiting: deque[Message] = deque(maxlen=QUEUE)
        self._ready = asyncio.Event()

    def put(self, message: Message) -> None:
        """Queue a message; the oldest makes room."""
        self.dropped += len(self._waiting) == QUEUE
        self._waiting.append(message)
        self._ready.set()

    async def messages(self) -> AsyncIterator[Message]:
        """Each message, until END."""
        while True:
            await self._ready.wait()
            while self._waiting:
                message = self._waiting.popleft()
                if message == END:
                    return
                yield message
            self._ready.clear()


class Viewers:
    """All of them. `publish` may be called from any thread and never waits."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._viewers: set[Viewer] = set()
        self._inbox: deque[Message] = deque(maxlen=QUEUE)
        self._scheduled = False
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._viewers)

    def __iter__(self) -> Iterator[Viewer]:
        return iter(tuple(self._viewers))

    @property
    def dropped(self) -> int:
        """Messages that browsers, those that have left too, were too slow for."""
        return self._dropped + sum(viewer.dropped for viewer in self)

    def publish(self, message: Message) -> None:
        """To every browser that looks on now."""
        if self._loop is None or not self._viewers:
            return
        if len(self._inbox) == QUEUE:  # the loop has no time: the oldest makes room
            self._dropped += len(self._viewers)
        self._inbox.append(message)
        if not self._scheduled:
            self._scheduled = True
            with suppress(RuntimeError):  # the loop has closed: nobody looks on
                self._loop.call_soon_threadsafe(self._deliver)

    @contextmanager
    def joined(self, leads: tuple[str, ...] = ()) -> Iterator[Viewer | None]:
        """A queue for one more browser, which is sent `leads`, while it stays, on this loop; None where there
        are too many."""
        self._loop = asyncio.get_running_loop()
        if len(self._viewers) >= MOST:
            yield None
            return
        viewer = Viewer(leads)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            self._dropped += viewer.dropped

    def _deliver(self) -> None:
        self._scheduled = False  # first: what is put from here on has a call of its own
        while self._inbox:
            message = self._inbox.popleft()
            for viewer in self._viewers:
                viewer.put(message)
