"""A serial port through pyserial: USB CDC, UART adapters, pseudo-terminals.

On POSIX the event loop wakes on the port's file descriptor and reads it there and then: no polling,
no thread between the driver and the decoder. Elsewhere a thread reads with a short timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING

from firmware_bridge.errors import TransportError, TransportLost
from firmware_bridge.transports.base import Received
from firmware_bridge.transports.bounded import bounded

if TYPE_CHECKING:
    import serial

READ_BYTES = 65536  # more than any tty driver holds: one read takes all that is there
WRITE_TIMEOUT_S = 2.0  # commands are a few bytes; a port that takes none for this long is stuck
THREAD_WAKE_S = 0.05  # how long the reading thread may outlive a cancelled read


class SerialTransport:
    """A `Transport` over the serial port named `port` (`/dev/ttyACM0`, `COM3`), opened exclusively.

    `threaded` reads in a thread; the default does so only where the event loop cannot watch a port.
    """

    def __init__(
        self, port: str, baud: int = 115200, *, threaded: bool = os.name != "posix"
    ) -> None:
        self.port = port
        self.baud = baud
        self._threaded = threaded
        self._serial: serial.Serial | None = None

    async def open(self) -> None:
        """Open the port, dropping what the driver buffered before.

        Raises TransportError: no such port (with the names of those that exist), in use, forbidden,
        no serial port at all, or a baud rate that it refuses.
        """
        import serial

        await self.close()
        timeout_s = THREAD_WAKE_S if self._threaded else 0
        try:
            self._serial = serial.Serial(
                self.port,
                self.baud,
                timeout=timeout_s,
                write_timeout=WRITE_TIMEOUT_S,
                exclusive=True,
            )
        except (serial.SerialException, ValueError) as error:
            raise TransportError(self._why_not(error)) from error
        # USB adapters hold bytes back for up to 16 ms unless told not to; a pty has no such thing.
        with contextlib.suppress(ValueError, NotImplementedError, AttributeError, OSError):
            self._serial.set_low_latency_mode(True)

    async def read(self) -> Received:
        """Wait for bytes and take all that is there. Raises TransportLost when the port has gone."""
        port = self._opened()
        if self._threaded:
            return await self._read_in_thread(port)
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Received] = loop.create_future()
        fd = port.fileno()
        loop.add_reader(fd, self._read_ready, fd, result)
        try:
            return await result
        finally:
            loop.remove_reader(fd)

    async def write(self, data: bytes) -> None:
        """Send all of `data`. Raises TransportLost, or TransportError after 2 s without progress."""
        port = self._opened()
        if self._threaded:
            await asyncio.get_running_loop().run_in_executor(None, self._write_blocking, data)
            return
        try:
            while data:
                await bounded(_writable(port.fileno()), WRITE_TIMEOUT_S)
                data = data[os.write(port.fileno(), data) :]
        except asyncio.TimeoutError as error:
            raise TransportError(
                f"{self.port} takes no bytes: the device does not read its port"
            ) from error
        except OSError as error:
            raise self._lost() from error

    async def close(self) -> None:
        """Close the port."""
        if self._serial is not None:
            # A port whose device is gone may refuse even to be closed properly.
            with contextlib.suppress(OSError):
                self._serial.close()
            self._serial = None

    def _opened(self) -> serial.Serial:
        if self._serial is None:
            raise TransportError(f"{self.port} is not open: open it first")
        return self._serial

    def _read_ready(self, fd: int, result: asyncio.Future[Received]) -> None:
        if result.done():
            return
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            lost = self._lost()
            lost.__cause__ = error
            result.set_exception(lost)
            return
        arrival_ns = time.monotonic_ns()
        if data:
            result.set_result(Received(data, arrival_ns))
        elif _hung_up(fd):
            result.set_exception(self._lost())
        # Else another reader was faster: readiness without bytes on a live port. Keep waiting.

    async def _read_in_thread(self, port: serial.Serial) -> Received:
        import serial

        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.run_in_executor(None, _read_blocking, port)
            except (serial.SerialException, OSError, TypeError) as error:
                # TypeError: pyserial reading a descriptor that a close took away meanwhile.
                raise self._lost() from error
            if data:
                return Received(data, time.monotonic_ns())

    def _write_blocking(self, data: bytes) -> None:
        import serial

        try:
            self._opened().write(data)
        except serial.SerialTimeoutException as error:
            raise TransportError(
                f"{self.port} takes no bytes: the device does not read its port"
            ) from error
        except (serial.SerialException, OSError) as error:
            raise self._lost() from error

    def _lost(self) -> TransportLost:
        return TransportLost(f"{self.port} has gone: the device was unplugged or switched off")

    def _why_not(self, error: Exception) -> str:
        code = getattr(error, "errno", None)
        if code in (errno.EACCES, errno.EPERM):
            return f"{self.port}: no permission; join the group that owns it, often `dialout`"
        if code in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
            return f"{self.port} is in use by another program: close that first"
        if code in (errno.ENOENT, errno.ENXIO, errno.ENODEV) or (
            code is None and "FileNotFoundError" in str(error)
        ):
            return f"no serial port {self.port}: {_ports_here()}"
        if isinstance(error, ValueError):
            return f"{self.port}: {error}".replace("\n", " ")
        return f"{self.port} is no serial port that can be used ({error}): {_ports_here()}".replace(
            "\n", " "
        )


def port_names() -> list[str]:
    """The serial ports of this machine, sorted."""
    from serial.tools import list_ports

    return sorted(port.device for port in list_ports.comports())


def _ports_here() -> str:
    names = port_names()
    return f"this machine has {', '.join(names)}" if names else "this machine has none; plug one in"


def _read_blocking(port: serial.Serial) -> bytes:
    return bytes(port.read(max(1, port.in_waiting)))


def _hung_up(fd: int) -> bool:
    """Whether the far end of a readable port is gone, rather than merely silent."""
    import select

    poll = select.poll()
    poll.register(fd, 0)  # errors and hang-ups are always reported
    return bool(poll.poll(0))


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, ready.set_result, None)
    try:
        await ready
    finally:
        loop.remove_writer(fd)
