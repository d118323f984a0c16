"""Twelve live leads in a browser. `write` only copies and queues: no browser can slow the run."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from edge.errors import LeadliftError, SinkError
from edge.files.recording import MetadataSource, Timeline
from edge.samples import TwelveLeadBlock
from edge.sinks.base import LiveStatus, MarkCallable
from edge.sinks.picture import RECENT_S, SECONDS, LivePicture, Picture
from edge.sinks.viewer.access import LOOPBACK, Access, reachable_address
from edge.sinks.viewer.app import make_app
from edge.sinks.viewer.marking import Wish, marks
from edge.sinks.viewer.messages import pack, state
from edge.sinks.viewer.server import Server, bind
from edge.sinks.viewer.viewers import Message, Viewers
from firmware_bridge.closing import Closing

STATE_EVERY_S = 0.5
HISTORY_S = 300.0
"""What a page keeps to scroll back."""
MOST_TOLD = 50
"""Markers in each state."""
MISSING_EXTRA = "the view in a browser needs more libraries: pip install 'leadlift[view]'"


class ViewSink(Closing):
    """Serves the view until closed."""

    def __init__(
        self,
        sampling_hz: float,
        metadata: MetadataSource,
        status: Callable[[], LiveStatus] | None = None,
        *,
        port: int | None = None,
        host: str | None = None,
        mark: MarkCallable | None = None,
    ) -> None:
        """Listen on `port`, 0 for any that is free, of `host`, this machine alone unless given. `mark`
        records the markers of browsers.

        Raises SinkError where the libraries are missing or the port cannot be had.
        """
        if not can_view():
            raise SinkError(MISSING_EXTRA)
        host = host or LOOPBACK
        self._access = Access.on(host)
        self._host = host.strip("[]")
        self._picture = LivePicture(sampling_hz, metadata, status)
        self._timeline = Timeline(sampling_hz)
        self._mark = mark
        self._lock = threading.Lock()  # of the timeline: a browser's marker is placed by it
        self._run = secrets.token_hex(8)
        self._viewers = Viewers()
        self._closed = False
        app = make_app(self._access, self._viewers, self._greeting, self._record)
        listener = bind(host, port)
        self._server = Server(app, listener, self._viewers.start, self._tell, STATE_EVERY_S)

    @property
    def address(self) -> str:
        """What a browser opens, with the token where one is demanded."""
        host = reachable_address(self._host)
        host = f"[{host}]" if ":" in host else host
        token = f"?token={self._access.token}" if self._access.token else ""
        return f"http://{host}:{self._server.port}/{token}"

    def write(self, block: TwelveLeadBlock) -> None:
        """Take the next block; costs a copy. Raises SinkError if closed or if the server has failed."""
        if self._closed:
            raise SinkError("view: is closed: open a new sink to write more")
        if self._server.failure is not None:
            raise SinkError(f"view: the server has failed: {self._server.failure}: start it anew")
        self._picture.push(block)
        with self._lock:
            self._timeline.place(block)
            noted = [(self._timeline.position_of(m.sample), m.text) for m in block.markers]
        if len(self._viewers) == 0:
            return
        if block.n_samples:
            first = self._timeline.end - block.n_samples
            for message in pack(first, block.ecg_mv, block.sigma_mv, block.quality):
                self._viewers.publish(message)
        if noted:
            self._viewers.publish(marks(noted))

    def close(self) -> None:
        """Send every browser away and free the port; a second call does nothing."""
        self._closed = True
        self._server.close()

    def counters(self) -> dict[str, int]:
        """What browsers were too slow for."""
        return {"view_messages_dropped": self._viewers.dropped}

    def _greeting(self) -> Iterator[Message]:
        """The state and the last seconds: a page that comes, or comes back, begins with a trace."""
        picture = self._picture.snapshot(SECONDS)
        yield self._state(picture)
        yield marks(self._picture.markers(HISTORY_S))
        first = picture.end - picture.ecg_mv.shape[1]
        yield from pack(first, picture.ecg_mv, picture.sigma_mv, picture.quality)

    def _tell(self) -> None:
        """The state to every browser; on the loop's thread."""
        if len(self._viewers):
            picture = self._picture.snapshot(RECENT_S)
            for viewer in self._viewers:
                viewer.put(self._state(picture, viewer.dropped))

    def _state(self, picture: Picture, dropped: int = 0) -> str:
        late = self._picture.markers(SECONDS)[-MOST_TOLD:]
        return state(picture, self._run, dropped, late, marks=self._mark is not None)

    def _record(self, wish: Wish) -> str:
        """Why a browser's marker is not recorded; empty where it is. On the loop's thread."""
        if self._mark is None:
            return "this run records no markers"
        if wish.run != self._run:
            return "another run has begun"
        with self._lock:
            sample = self._timeline.sample_at(wish.position)
        try:
            self._mark(wish.text, sample=sample)
        except LeadliftError as error:
            return str(error)
        return ""


def can_view() -> bool:
    """Whether the libraries of the extra are here."""
    return all(find_spec(name) for name in ("starlette", "uvicorn", "websockets"))
