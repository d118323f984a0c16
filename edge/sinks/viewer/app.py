"""The pages and the stream of the live view, as an ASGI application. It reads no file once it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from importlib import resources
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from edge.sinks.viewer.access import Access
from edge.sinks.viewer.marking import Pace, Wish, answer, wish
from edge.sinks.viewer.viewers import Message, Viewer, Viewers

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the token stands in the address
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
REFUSED, TOO_MANY, SPOKEN_TO, GONE = 1008, 1013, 1003, 1000  # WebSocket close codes


class Told(Protocol):
    """What browsers are told, and may say."""

    @property
    def viewers(self) -> Viewers:
        """Those that look on."""
        ...

    @property
    def leads(self) -> tuple[str, ...]:
        """Those that the browsers are sent."""
        ...

    def greeting(self) -> Iterable[Message]:
        """The messages that a browser gets first."""
        ...

    def record(self, wish: Wish) -> str:
        """Take a marker; why it is not recorded, or nothing."""
        ...


def pages(home: str = "index.html") -> dict[str, tuple[str, bytes]]:
    """Content type and bytes of every page, by its path: `home` is `/`, else one patient is `/patient`."""
    paths = {"index.html": "/patient", home: "/"}
    found = {}
    for entry in resources.files("edge.sinks.viewer").joinpath("page").iterdir():
        path = paths.get(entry.name, f"/{entry.name}")
        for suffix, kind in TYPES.items():
            if entry.name.endswith(suffix) and (suffix != ".html" or entry.name in paths):
                found[path] = (kind, entry.read_bytes())
    return found


def make_app(
    access: Access,
    channel_of: Callable[[str], Told | None],
    ward: Callable[[str], Told] | None = None,
) -> Starlette:
    """The application. `channel_of` gives what is told of a patient, by name; `ward`, where there
    is one, what is told of all, on a page of its own, by the leads that the page asks for."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route, WebSocketRoute

    def page(path: str, kind: str, body: bytes) -> Route:
        async def serve(request: Request) -> Response:
            secret = path in ("/", "/patient")
            refusal = access.refusal(request.headers, request.url.query, secret=secret)
            if refusal is not None:
                return PlainTextResponse(f"{refusal}\n", 403, HEADERS)
            return Response(body, media_type=kind, headers=HEADERS)

        return Route(path, serve, methods=["GET"])

    async def serve(socket: WebSocket, told: Told | None) -> None:
        if access.refusal(socket.headers, socket.url.query, secret=True) is not None:
            await socket.close(REFUSED)  # before it is accepted: the browser sees 403
            return
        if told is None:
            await socket.accept()
            await socket.close(GONE, "this patient is not here now")
            return
        with told.viewers.joined(told.leads) as viewer:
            await socket.accept()
            if viewer is None:
                await socket.close(TOO_MANY, "too many browsers look on: close one")
                return
            await _first(_send(socket, viewer, told), _listen(socket, viewer, told))

    async def live(socket: WebSocket) -> None:
        await serve(socket, channel_of(socket.query_params.get("patient", "")))

    sockets = [WebSocketRoute("/live", live)]
    if ward is not None:

        async def all_of_them(socket: WebSocket) -> None:
            await serve(socket, ward(socket.query_params.get("leads", "")))

        sockets.append(WebSocketRoute("/ward", all_of_them))
    named = pages("index.html" if ward is None else "ward.html").items()
    return Starlette(routes=[*(page(path, kind, body) for path, (kind, body) in named), *sockets])


async def _send(socket: WebSocket, viewer: Viewer, told: Told) -> None:
    """The greeting, which overlaps with what is queued meanwhile, then the queue until it ends."""
    for message in told.greeting():
        await _send_one(socket, message)
    async for message in viewer.messages():
        await _send_one(socket, message)
    await socket.close(GONE, "this patient has left")


async def _send_one(socket: WebSocket, message: Message) -> None:
    """Waits while the browser takes nothing, and at least until the loop has seen whether it is still there:
    a queue must not be written into a connection that has failed."""
    if isinstance(message, bytes):
        await socket.send_bytes(message)
    else:
        await socket.send_text(message)
    await asyncio.sleep(0)


async def _listen(socket: WebSocket, viewer: Viewer, told: Told) -> None:
    """Until the browser leaves, or says what is no marker: it has nothing else to say."""
    pace = Pace()
    while (message := await socket.receive())["type"] == "websocket.receive":
        found = wish(message.get("text"))
        if found is None:
            await socket.close(SPOKEN_TO, "this stream is to be listened to")
            return
        refusal = told.record(found) if pace.allows(monotonic()) else "too many markers at once"
        viewer.put(answer(found.number, refusal))


async def _first(*work: Coroutine[object, object, None]) -> None:
    """Until one of them ends, however it does; the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
