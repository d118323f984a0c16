"""A browser that looks on and is killed: a socket that asks for the live stream and never says goodbye."""

from __future__ import annotations

import socket
import struct

from benchmarks.soak.schedule import Fault, Kind

_CONNECT_S = 5.0
_RESET = struct.pack(
    "ii", 1, 0
)  # closed at once, with a reset: what the kernel does for a killed process


class Looker:
    """Comes when a viewer is to be killed, reads nothing, and is gone at the fault's end."""

    def __init__(self, address: str) -> None:
        self.killed = 0
        """How often it was."""
        self._address = address
        self._socket: socket.socket | None = None

    def follow(self, fault: Fault, begins: bool) -> None:
        """A fault begins or ends."""
        if fault.kind is not Kind.KILLED_VIEWER:
            return
        self.close()
        if begins:
            here = self._address.split("/")[
                2
            ]  # urlsplit keeps addresses: memory would seem to grow
            host, _, port = here.rpartition(":")
            self._socket = socket.create_connection((host, int(port)), _CONNECT_S)
            self._socket.sendall(
                f"GET /live HTTP/1.1\r\nHost: {here}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: bGVhZGxpZnQgc29hayB0ZQ==\r\n\r\n".encode()
            )

    def close(self) -> None:
        """Kill it, if it is there."""
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._socket.close()
            self._socket = None
            self.killed += 1
