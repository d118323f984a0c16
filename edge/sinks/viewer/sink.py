"""Twelve live leads in a browser. `write` only copies and queues: no browser can slow the run."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from edge.errors import SinkError
from edge.files.recording import MetadataSource
from edge.samples import TwelveLeadBlock
from edge.sinks.base import LiveStatus, MarkCallable
from edge.sinks.viewer.access import LOOPBACK, Access, address_of
from edge.sinks.viewer.app import make_app
from edge.sinks.viewer.channel import Channel
from edge.sinks.viewer.server import Server, bind
from firmware_bridge.closing import Closing
from firmware_bridge.extras import install_extra

STATE_EVERY_S = 0.5
MISSING_EXTRA = f"the view in a browser needs more libraries: {install_extra('view')}"


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
        self._channel = Channel(sampling_hz, metadata, status, mark)
        self._closed = False
        access = Access.on(host)
        listener = bind(host, port)
        app = make_app(access, lambda _: self._channel)
        self._server = Server(app, listener, self._channel.tell, STATE_EVERY_S)
        self._address = address_of(host, self._server.port, access)

    @property
    def address(self) -> str:
        """What a browser opens, with the token where one is demanded."""
        return self._address

    def write(self, block: TwelveLeadBlock) -> None:
        """Take the next block; costs a copy. Raises SinkError if closed or if the server has failed."""
        if self._closed:
            raise SinkError("view: is closed: open a new sink to write more")
        if self._server.failure is not None:
            raise SinkError(f"view: the server has failed: {self._server.failure}: start it anew")
        self._channel.write(block)

    def close(self) -> None:
        """Send every browser away and free the port; a second call does nothing."""
        self._closed = True
        self._server.close()

    def counters(self) -> dict[str, int]:
        """What browsers were too slow for."""
        return {"view_messages_dropped": self._channel.viewers.dropped}


def can_view() -> bool:
    """Whether the libraries of the extra are here."""
    return all(find_spec(name) for name in ("starlette", "uvicorn", "websockets"))
