"""Opening a serial port within a bound, and why it could not be opened, in words."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_bridge.errors import AccessError, NotFoundError, TransportError
from firmware_bridge.transports.bounded import bounded
from firmware_bridge.transports.ports import NOT_PYSERIAL

if TYPE_CHECKING:
    import serial

OPEN_S = 8.0  # an adapter that does not answer its driver keeps an open waiting for 5 s at most
WRITE_TIMEOUT_S = 2.0  # commands are a few bytes; a port that takes none for this long is stuck

_NO_SUCH_PORT = (errno.ENOENT, errno.ENXIO, errno.ENODEV)
_WENT_AWAY = (errno.EIO, errno.EPROTO, errno.EPIPE, errno.ENOTCONN, errno.ESHUTDOWN)


def open_port(name: str, baud: int, timeout_s: float) -> serial.Serial:
    """Open `name` for this process alone, at `baud`, raw, without what the driver had buffered before.

    Raises AccessError, NotFoundError, or TransportError: in use, gone while it was opened, no serial port,
    a baud rate that it does not do.
    """
    import serial

    if not hasattr(serial, "Serial"):
        raise TransportError(NOT_PYSERIAL)
    try:
        port = serial.Serial(
            name, baud, timeout=timeout_s, write_timeout=WRITE_TIMEOUT_S, exclusive=True
        )
    except faults() as error:
        raise _explained(name, error) from error
    # USB adapters hold bytes back for up to 16 ms unless told not to; a pty has no such thing.
    with contextlib.suppress(*faults(), NotImplementedError, AttributeError):
        port.set_low_latency_mode(True)
    return port


async def within(
    call: Callable[[], serial.Serial], what: str, seconds: float = OPEN_S
) -> serial.Serial:
    """The port that `call` opens in a thread, or TransportError after `seconds`.

    A port that is opened after all, when nobody waits for it any more, is closed.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[serial.Serial] = loop.create_future()

    def deliver(port: serial.Serial | None, error: BaseException | None) -> None:
        if opened.done():
            if port is not None:
                port.close()
        elif port is not None:
            opened.set_result(port)
        elif error is not None:
            opened.set_exception(error)

    def run() -> None:
        port, failure = None, None
        try:
            port = call()
        except BaseException as error:  # whatever it is, it belongs to the caller
            failure = error
        try:
            loop.call_soon_threadsafe(deliver, port, failure)
        except RuntimeError:  # the loop has closed
            if port is not None:
                port.close()

    # Not the loop's executor: the end of the loop would wait for a call that hangs.
    threading.Thread(target=run, name="opening a port", daemon=True).start()
    try:
        return await bounded(opened, seconds)
    except asyncio.TimeoutError as error:
        raise TransportError(
            f"{what} does not open within {seconds:g} s: unplug the device and plug it in again"
        ) from error


def takes_no_bytes(name: str) -> TransportError:
    """What a write that does not end comes to."""
    return TransportError(f"{name} takes no bytes: the device does not read its port")


def faults() -> tuple[type[Exception], ...]:
    """What pyserial lets through when a port cannot be handled; its own error is an OSError."""
    # OverflowError: a baud rate of more than 32 bits. termios.error is no OSError.
    faults: tuple[type[Exception], ...] = (OSError, ValueError, OverflowError)
    if os.name == "posix":
        import termios

        faults += (termios.error,)
    return faults


def _explained(name: str, error: Exception) -> TransportError:
    code = getattr(error, "errno", None)
    if code is None and error.args and isinstance(error.args[0], int):
        code = error.args[0]  # termios.error
    text = " ".join(str(error).split())
    if code in (errno.EACCES, errno.EPERM):
        return AccessError(f"{name}: no permission; {access_remedy(name)}")
    # The latter is what Windows says of a port that another program has open.
    if code in (errno.EBUSY, errno.EAGAIN) or "PermissionError" in text:
        return TransportError(f"{name} is in use by another program: close that first")
    if code in _NO_SUCH_PORT or (code is None and "FileNotFoundError" in text):
        return NotFoundError(f"no serial port {name}: {_ports_here()}")
    if code in _WENT_AWAY and Path(name).exists():
        return TransportError(
            f"{name} does not answer while it is opened ({text}): plug the device in again"
        )
    if code in _WENT_AWAY:
        return NotFoundError(f"{name} went away while it was opened: plug the device in again")
    if isinstance(error, (ValueError, OverflowError)):
        return TransportError(f"{name}: {text}; choose another baud=")
    return TransportError(f"{name} is no serial port that can be used ({text}): {_ports_here()}")


def access_remedy(name: str) -> str:
    """How a user gets the right to open a port."""
    group = "dialout"
    with contextlib.suppress(OSError, KeyError, NotImplementedError):
        group = Path(name).group()
    if group == "root":
        return "it belongs to root alone: add a udev rule that gives it to the group dialout"
    return f"join the group that owns it, `sudo usermod -aG {group} $USER`, and log in again"


def _ports_here() -> str:
    from firmware_bridge.transports.ports import list_ports

    names = [port.name for port in list_ports()]
    return f"this machine has {', '.join(names)}" if names else "this machine has none; plug one in"
