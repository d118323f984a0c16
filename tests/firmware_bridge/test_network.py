"""Sources over TCP and UDP, on loopback: streams, reconnects, strangers, and what cannot be opened."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from firmware_bridge.devices.wearable import IDENTIFY
from firmware_bridge.errors import (
    AccessError,
    NotFoundError,
    SourceSpecError,
    StallError,
    TransportError,
)
from firmware_bridge.events import Duplicate, Event, Gap, Samples, StreamInfo
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info
from firmware_bridge.source import open_source
from firmware_bridge.transports.network import explained, host_and_port
from firmware_bridge.transports.tcp import TcpTransport
from firmware_bridge.transports.udp import CAPACITY_BYTES, UdpTransport

pytestmark = pytest.mark.realtime

BOUND_S = 20.0
_T = TypeVar("_T")


def run(call: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(asyncio.wait_for(call, BOUND_S))


def free_port(kind: socket.SocketKind, host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def frames(n: int = 40) -> list[bytes]:
    wearable = VirtualWearable(EcgSimulator(), stream_info(250.0, session=3), vary_frames=False)
    made = [wearable.next_frame() for _ in range(n)]
    return [frame.data for frame in made if frame is not None]


class Server:
    """A board's TCP server: each connection is given the next pieces, and closed after them."""

    def __init__(self, *turns: list[bytes]) -> None:
        self.turns = list(turns)
        self.heard = b""
        self.port = 0

    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, host, port)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            self.heard += await reader.read(64)
            for piece in self.turns.pop(0) if self.turns else []:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)


async def taken(spec: str, n_samples: int, said: list[Event] | None = None) -> list[Event]:
    events: list[Event] = [] if said is None else said
    async with open_source(spec) as source:
        async for timed in source:
            events.append(timed.event)
            n = sum(e.counts.shape[1] for e in events if isinstance(e, Samples))
            if n >= n_samples:
                break
    return events


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_tcp_server_is_a_source(host: str) -> None:
    async def check() -> None:
        board = Server(frames())
        try:
            server = await board.serve(host.strip("[]"))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        async with server:
            events = await taken(f"tcp:{host}:{board.port}", 200)
        assert isinstance(events[0], StreamInfo) and events[0].session == 3
        assert board.heard == IDENTIFY

    run(check())


def test_any_device_speaks_over_tcp() -> None:
    async def sketch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                writer.write(b"0.1,0.2,0.3\n" * 10)
                await writer.drain()
                await asyncio.sleep(0.04)
        except OSError:
            pass  # the host has gone
        finally:
            writer.close()
            gone.set()

    gone = asyncio.Event()

    async def check() -> list[Event]:
        server = await asyncio.start_server(sketch, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            events = await taken(f"tcp:127.0.0.1:{port}?device=csv&rate=250", 100)
            await gone.wait()
            return events
        finally:
            server.close()

    counts = [event.counts for event in run(check()) if isinstance(event, Samples)]
    assert counts[0][:, 0].tolist() == [1000, 2000, 3000]


def test_a_tcp_server_that_goes_is_connected_to_again_and_the_gap_told() -> None:
    made = frames(60)

    async def check() -> list[Event]:
        board = Server(made[:20], made[30:])
        async with await board.serve():
            return await taken(f"tcp:127.0.0.1:{board.port}?reconnect=5", 300)

    events = run(check())
    gaps = [event for event in events if isinstance(event, Gap)]
    assert [gap.n_samples for gap in gaps] == [100]
    assert not [event for event in events if isinstance(event, Duplicate)]


def test_nobody_at_a_tcp_port_is_told() -> None:
    port = free_port(socket.SOCK_STREAM)
    with pytest.raises(NotFoundError, match=f"tcp:127.0.0.1:{port} refuses the connection"):
        run(taken(f"tcp:127.0.0.1:{port}", 1))
    with pytest.raises(TransportError, match="open it first"):
        run(TcpTransport("127.0.0.1", port).read())


async def _send(port: int, pieces: list[bytes], sender: socket.socket) -> None:
    for piece in pieces:
        sender.sendto(piece, ("127.0.0.1", port))
        await asyncio.sleep(0.002)


def _sender() -> socket.socket:
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(("127.0.0.1", 0))
    sender.setblocking(False)
    return sender


def test_datagrams_are_a_source_and_the_first_sender_is_the_device() -> None:
    made = frames(60)
    port = free_port(socket.SOCK_DGRAM)

    async def check() -> tuple[list[Event], int, bytes]:
        events: list[Event] = []
        with _sender() as device, _sender() as stranger:
            async with open_source(f"udp:{port}") as source:
                transport = source.link.transport
                assert isinstance(transport, UdpTransport)
                await _send(port, made[:1], device)
                sending = asyncio.gather(
                    _send(port, made[1:], device), _send(port, [b"\x00junk\x00"] * 20, stranger)
                )
                async for timed in source:
                    events.append(timed.event)
                    if sum(isinstance(e, Samples) for e in events) == len(made):
                        break
                await sending
                await asyncio.sleep(0.01)
                return events, transport.strangers_dropped, device.recv(100)

    events, strangers, heard = run(check())
    assert {type(e).__name__ for e in events} <= {"StreamInfo", "Battery", "Samples"}
    assert strangers == 20
    assert heard == IDENTIFY  # sent when it was known where to


def test_a_board_that_restarts_under_another_port_is_taken_after_its_silence() -> None:
    made = frames(40)
    port = free_port(socket.SOCK_DGRAM)

    async def check() -> int:
        events: list[Event] = []
        with _sender() as first, _sender() as second:
            source = open_source(f"udp:{port}?reconnect=5", stall_s=0.2)
            async with source:
                await _send(port, made[:10], first)

                async def later() -> None:
                    for _ in range(500):
                        if source.reconnects:
                            break
                        await asyncio.sleep(0.01)
                    await _send(port, made[10:], second)

                sending = asyncio.ensure_future(later())
                async for timed in source:
                    events.append(timed.event)
                    if sum(isinstance(e, Samples) for e in events) == len(made):
                        break
                await sending
                return source.reconnects

    assert run(check()) >= 1


def test_a_reader_that_stopped_loses_the_oldest_datagrams_and_they_are_counted() -> None:
    async def check() -> None:
        transport = UdpTransport("127.0.0.1", free_port(socket.SOCK_DGRAM))
        await transport.open()
        piece = bytes(1024)
        for i in range(80):
            transport.datagram_received(bytes([i]) + piece, ("127.0.0.1", 9))
        assert transport.notifications_dropped == 80 - CAPACITY_BYTES // 1025
        assert (await transport.read()).data[0] == transport.notifications_dropped
        await transport.close()
        with pytest.raises(TransportError, match="open it first"):
            await transport.read()

    run(check())


def test_a_port_that_is_taken_is_told_and_loopback_is_where_it_listens() -> None:
    async def check() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            port = other.getsockname()[1]
            with pytest.raises(TransportError, match=f"udp:127.0.0.1:{port} is in use"):
                await UdpTransport("127.0.0.1", port).open()

    run(check())
    link = open_source("udp:5000").link
    assert isinstance(link.transport, UdpTransport) and link.transport.host == "127.0.0.1"
    link = open_source("udp:0.0.0.0:5000").link
    assert isinstance(link.transport, UdpTransport) and link.transport.host == "0.0.0.0"
    with pytest.raises(StallError, match="silent"):
        port = free_port(socket.SOCK_DGRAM)
        run(_first(f"udp:{port}"))


async def _first(spec: str) -> None:
    async with open_source(spec, stall_s=0.05) as source:
        await anext(source)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("board.local:5000", ("board.local", 5000)),
        ("192.168.4.1:80", ("192.168.4.1", 80)),
        ("[fe80::1%wlan0]:5000", ("fe80::1%wlan0", 5000)),
        ("5000", ("127.0.0.1", 5000)),
    ],
)
def test_addresses(text: str, found: tuple[str, int]) -> None:
    assert host_and_port(text, "x:1", "127.0.0.1") == found


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("tcp:5000", "no address: write tcp:"),
        ("tcp:host", "no address"),
        ("tcp::5000", "no address"),
        ("tcp:::1:5000", "IPv6 in brackets"),
        ("tcp:host:", "its port is to be 1 to 65535"),
        ("tcp:host:0", "1 to 65535"),
        ("udp:70000", "1 to 65535"),
        ("udp:", "1 to 65535"),
        ("tcp:host:1?baud=9600", "unknown option 'baud'"),
    ],
)
def test_what_is_no_address_is_told_in_one_line(spec: str, says: str) -> None:
    with pytest.raises(SourceSpecError) as caught:
        open_source(spec)
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (asyncio.TimeoutError(), NotFoundError, "does not answer"),
        (socket.gaierror(-2, "Name or service not known"), NotFoundError, "no host of that name"),
        (PermissionError(13, "Permission denied"), AccessError, "above 1023"),
        (OSError(99, "Cannot assign requested address"), NotFoundError, "of this machine"),
        (OSError(113, "No route to host"), NotFoundError, "No route to host"),
    ],
)
def test_why_it_cannot_be_opened(error: Exception, kind: type, says: str) -> None:
    told = explained("tcp:x:1", error)
    assert type(told) is kind and says in str(told)
