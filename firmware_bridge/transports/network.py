"""What the network transports share: addresses as people write them, and why one cannot be used, in words."""

from __future__ import annotations

import asyncio
import errno
import socket

from firmware_bridge.errors import AccessError, NotFoundError, SourceSpecError, TransportError

READ_BYTES = 65536
MAX_PORT = 65535


def host_and_port(text: str, example: str, default_host: str = "") -> tuple[str, int]:
    """`HOST:PORT`, `[IPv6]:PORT`, or `PORT` where there is a default. Raises SourceSpecError."""
    host, colon, port = text.rpartition(":")
    if not colon:
        host = default_host
    bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if bracketed else host
    if not name or (":" in name and not bracketed):
        raise SourceSpecError(
            f"{text!r} is no address: write {example}, and IPv6 in brackets, such as [::1]:5000"
        )
    if not port.isdecimal() or not 1 <= int(port) <= MAX_PORT:
        raise SourceSpecError(f"{text!r}: its port is to be 1 to {MAX_PORT}, as in {example}")
    return name, int(port)


def written(host: str, port: int) -> str:
    """The address as people write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def explained(name: str, error: BaseException) -> TransportError:
    """Why `name` could not be opened."""
    if isinstance(error, asyncio.TimeoutError):
        return NotFoundError(f"{name} does not answer: check that the device is on this network")
    if isinstance(error, socket.gaierror):
        return NotFoundError(f"{name}: no host of that name ({error.strerror})")
    code = getattr(error, "errno", None)
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if code == errno.ECONNREFUSED:
        return NotFoundError(
            f"{name} refuses the connection: start the device's server, or check the port"
        )
    if code == errno.EADDRINUSE:
        return TransportError(
            f"{name} is in use by another program: close that, or take another port"
        )
    if code in (errno.EACCES, errno.EPERM):
        return AccessError(f"{name}: no permission; take a port above 1023")
    if code == errno.EADDRNOTAVAIL:
        return NotFoundError(
            f"{name} is no address of this machine: take 127.0.0.1, or 0.0.0.0 for all"
        )
    return NotFoundError(f"{name} cannot be reached ({text}): check the address and the network")
