"""Devices and listeners over WebSocket, each with a token, every connection and message bounded.

    /devices/NAME    a device sends frames of the wire format, in messages of any size
    /patients/NAME   a reader is sent that patient's blocks: see `edge.fleet.feed`

The token comes as `Authorization: Bearer TOKEN`, that of a reader as `Bearer READER:TOKEN`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from edge.errors import EngineMissingError, InputError, LeadliftError, SinkError
from edge.fleet.admission import Admission
from edge.fleet.feed import Listeners
from edge.fleet.fleet import Fleet
from edge.fleet.ray_shards import MISSING_EXTRA

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

MOST_CONNECTIONS = 4096
"""Open at once, also those that have not said who they are."""
MOST_STRANGERS = 128
"""Of those without a token yet: whoever comes then is cut off, and devices find room again soon."""
OPENS_S = 5.0
"""In which a connection must say who it is."""
MAX_MESSAGE_BYTES = 16 << 10
"""A second of eight leads of 24 bits at 500 Hz, in frames."""
_QUEUE = 8  # messages that a connection holds before TCP slows it down
_PING_S = 20.0
_BACKLOG = 128
NOT_TAKEN, REPLACED, TOO_MANY = 1008, 1012, 1013  # WebSocket close codes


class WebSocketGateway:
    """Serves one fleet."""

    def __init__(self, fleet: Fleet, admission: Admission, listeners: Listeners) -> None:
        self.counts: Counter[str] = Counter()
        """Connections `accepted`, `refused` (no token, no room), `cut` (too many strangers)."""
        self.port = 0
        self._fleet, self._admission, self._listeners = fleet, admission, listeners
        self._devices: dict[str, ServerConnection] = {}
        self._strangers: set[Any] = set()
        self._known: set[Any] = set()

    @asynccontextmanager
    async def listening(
        self, host: str, port: int, context: ssl.SSLContext | None = None
    ) -> AsyncIterator[None]:
        """Serve in here. Raises SinkError for a port that cannot be had, EngineMissingError."""
        if not find_spec("websockets"):
            raise EngineMissingError(MISSING_EXTRA)
        from websockets.asyncio.server import ServerConnection, serve

        gateway = self

        class Connection(ServerConnection):
            """One that is counted from its first byte on."""

            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                strangers = len(gateway._strangers)
                if (
                    strangers >= MOST_STRANGERS
                    or strangers + len(gateway._known) >= MOST_CONNECTIONS
                ):
                    gateway.counts["cut"] += 1
                    transport.abort()
                else:
                    gateway._strangers.add(self)

            def connection_lost(self, exc: Exception | None) -> None:
                gateway._strangers.discard(self)
                gateway._known.discard(self)
                super().connection_lost(exc)

        silent = logging.getLogger("leadlift.fleet.websockets")
        silent.propagate = False  # it would log what strangers say, and headers with tokens
        silent.setLevel(logging.CRITICAL + 1)
        try:
            server = await serve(
                self._serve,
                host,
                port,
                ssl=context,
                process_request=self._process_request,
                create_connection=Connection,
                compression=None,
                open_timeout=OPENS_S,
                ping_interval=_PING_S,
                close_timeout=1.0,
                max_size=MAX_MESSAGE_BYTES,
                max_queue=_QUEUE,
                server_header=None,
                logger=silent,
                backlog=_BACKLOG,
            )
        except OSError as error:
            raise SinkError(
                f"fleet: cannot listen on {host}:{port}: {error.strerror}: take another port, or 0 for any "
                "that is free"
            ) from error
        try:
            self.port = server.sockets[0].getsockname()[1]
            yield
        finally:
            server.close()
            await server.wait_closed()

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        self._admission.look()
        kind, _, name = request.path.strip("/").partition("/")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        known = False
        if request.headers.get("Origin") is None:  # no page of a browser may ask
            if kind == "devices":
                known = self._admission.patient_of(name, token) is not None
            elif kind == "patients":
                reader, _, secret = token.partition(":")
                known = self._admission.reads(reader, secret, name)
        if not known:
            self.counts["refused"] += 1
            return connection.respond(HTTPStatus.FORBIDDEN, "no such name, or a wrong token\n")
        self._strangers.discard(connection)
        self._known.add(connection)
        self.counts["accepted"] += 1
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        assert connection.request is not None
        kind, _, name = connection.request.path.strip("/").partition("/")
        try:
            if kind == "devices":
                await self._receive(connection, name)
            else:
                await self._send(connection, name)
        except ConnectionClosed:
            pass

    async def _receive(self, connection: ServerConnection, device: str) -> None:
        entry = self._admission.devices.get(device)
        [patient] = entry.patients if entry is not None and entry.patients else [""]
        if not patient:  # taken off the list since
            await connection.close(NOT_TAKEN)
            return
        before, self._devices[device] = self._devices.get(device), connection
        if before is not None:  # it came back: the old link is dead and does not know it yet
            await before.close(REPLACED, "the device has connected anew")
        try:
            self._fleet.admit(patient, device)
            async for message in connection:
                if self._devices.get(device) is not connection:
                    return
                if isinstance(message, str):
                    raise InputError("send frames of the wire format, as bytes")
                self._fleet.receive(patient, device, message)
        except LeadliftError as error:
            self.counts["not_taken"] += 1
            await connection.close(NOT_TAKEN, str(error).encode()[:120].decode(errors="ignore"))
        finally:
            if self._devices.get(device) is connection:
                del self._devices[device]

    async def _send(self, connection: ServerConnection, patient: str) -> None:
        with self._listeners.listening(patient) as viewer:
            if viewer is None:
                await connection.close(TOO_MANY, "too many listen to this patient")
                return
            sending = asyncio.ensure_future(self._send_all(connection, viewer))
            try:
                async for _ in connection:
                    await connection.close(1003, "this stream is to be listened to")
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    @staticmethod
    async def _send_all(connection: ServerConnection, viewer: Any) -> None:
        async for message in viewer.messages():
            await connection.send(message)


def tls(certificate: str, key: str) -> ssl.SSLContext:
    """Of PEM files. Raises InputError for files that are none."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"cannot use certificate {certificate} with key {key}: {error.strerror or error}"
        ) from error
    return context
