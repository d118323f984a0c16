"""uvicorn on a thread of its own, bound before it starts, and ended within seconds whoever is connected."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.errors import SinkError
from firmware_bridge.closing import Closing

if TYPE_CHECKING:
    from starlette.applications import Starlette

DEFAULT_PORT = 8765
MAX_MESSAGE_BYTES = 1024  # a browser says markers alone, of 240 bytes at most
MAX_HEAD_BYTES = 16384  # request line and headers
MAX_CONNECTIONS = 128  # open at once, also those that ask for nothing
GRACE_S = 1
_PING_S = 20.0
_JOIN_S = 4.0


def bind(host: str, port: int | None) -> socket.socket:
    """A listening socket; without a port the default one, or any that is free where that is taken.

    Raises SinkError, saying why, where it cannot be had.
    """
    wanted = DEFAULT_PORT if port is None else port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), wanted, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SinkError(
            f"view: cannot listen on {host}: {error.strerror}: give an address of this machine"
        ) from error
    if os.name == "posix":  # on Windows the option would let two programs share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE and port is None:
            return bind(host, 0)
        way = "view:0 takes any free port" if error.errno == errno.EADDRINUSE else "take another"
        raise SinkError(
            f"view: cannot listen on {host}:{wanted}: {error.strerror}: {way}"
        ) from error
    return listener


class Server(Closing):
    """Serves `app` on `listener`, which has `port`, until closed. `failure` is why it serves no more."""

    def __init__(
        self,
        app: Starlette,
        listener: socket.socket,
        tick: Callable[[], object],
        tick_s: float,
    ) -> None:
        """`tick` is called on the loop every `tick_s`."""
        import uvicorn

        self.port = int(listener.getsockname()[1])
        self.failure: BaseException | None = None
        self._listener = listener
        self._tick, self._tick_s = tick, tick_s
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="websockets-sansio",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,  # addresses hold the token
                proxy_headers=False,
                server_header=False,
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_ping_interval=_PING_S,
                ws_ping_timeout=_PING_S,
                ws_per_message_deflate=False,  # costs a core more than a network
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send every browser away; a second call does nothing."""
        self._server.should_exit = True
        self._thread.join(_JOIN_S)
        self._listener.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # raised by the next write
            self.failure = error

    async def _serve(self) -> None:
        ticking = asyncio.create_task(self._tick_on())
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            ticking.cancel()
            for connection in tuple(self._server.server_state.connections):
                if connection.transport is not None:  # a browser that takes nothing
                    connection.transport.abort()
            await asyncio.sleep(0)  # they are told, and let go

    async def _tick_on(self) -> None:
        while True:
            self._tick()
            await asyncio.sleep(self._tick_s)
