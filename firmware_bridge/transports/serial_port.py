"""A serial port through pyserial: USB CDC, UART adapters, pseudo-terminals.

On POSIX the event loop wakes on the port's file descriptor and reads it there and then: no polling,
no thread between the driver and the decoder. Elsewhere a thread reads with a short timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING

from firmware_bridge.errors import SourceSpecError, TransportError, TransportLost
from firmware_bridge.transports.base import Received
from firmware_bridge.transports.bounded import bounded
from firmware_bridge.transports.ports import (
    ListPorts,
    PortInfo,
    find_again,
    list_ports,
    port_info,
)
from firmware_bridge.transports.serial_open import (
    WRITE_TIMEOUT_S,
    faults,
    open_port,
    takes_no_bytes,
    within,
)

if TYPE_CHECKING:
    import serial

MAX_BAUD = 12_000_000  # the fastest USB adapters
READ_BYTES = 65536  # more than any tty driver holds: one read takes all that is there
THREAD_WAKE_S = 0.05  # how long the reading thread may outlive a cancelled read
DRAIN_S = 0.2  # for the last command to leave; the system would wait 30 s for a device that hangs
_DRAIN_POLL_S = 0.005


class SerialTransport:
    """A `Transport` over the serial port named `port` (`/dev/ttyACM0`, `COM3`), opened exclusively.

    What is opened again is the same device: one on USB is known by vendor, product and serial number,
    whatever name the system gives its port after a replug. `ports` lists what is there. Any `baud` that the
    hardware does will do; raises SourceSpecError for one that no hardware does.

    `threaded` reads in a thread; the default does so only where the event loop cannot watch a port.
    """

    def __init__(
        self,
        port: str,
        baud: int = 115200,
        *,
        threaded: bool = os.name != "posix",
        ports: ListPorts = list_ports,
    ) -> None:
        if not 0 < baud <= MAX_BAUD:
            raise SourceSpecError(f"baud={baud}: use 1 to {MAX_BAUD}, as the device does")
        self.port = port
        """Its name now."""
        self.baud = baud
        self.info: PortInfo | None = None
        """The USB device that was opened; None before, and where there is none."""
        self._named = port
        self._threaded = threaded
        self._ports = ports
        self._serial: serial.Serial | None = None

    async def open(self) -> None:
        """Open the port, dropping what the driver buffered before.

        Raises NotFoundError (with the names of the ports that exist), AccessError, or TransportError: in
        use, no serial port at all, a baud rate that it refuses, or no answer within 8 s.
        """
        await self.close()
        if self.info is not None:
            self.port = find_again(self.info, self._named, self._ports())
        name, timeout_s = self.port, THREAD_WAKE_S if self._threaded else 0
        self._serial = await within(lambda: open_port(name, self.baud, timeout_s), name)
        if self.info is None:
            info = port_info(name, self._ports())
            self.info = info if info is not None and info.on_usb else None

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
            raise takes_no_bytes(self.port) from error
        except OSError as error:
            raise self._lost() from error

    async def close(self) -> None:
        """Close the port, after at most 0.2 s for what was written to leave."""
        port, self._serial = self._serial, None
        if port is None:
            return
        # A port whose device is gone may refuse even to be closed properly.
        try:
            with contextlib.suppress(*faults()):
                until_s = time.monotonic() + DRAIN_S
                while port.out_waiting and time.monotonic() < until_s:
                    await asyncio.sleep(_DRAIN_POLL_S)
                if port.out_waiting:
                    port.reset_output_buffer()
        finally:
            with contextlib.suppress(*faults()):
                port.close()

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
            raise takes_no_bytes(self.port) from error
        except (serial.SerialException, OSError) as error:
            raise self._lost() from error

    def _lost(self) -> TransportLost:
        return TransportLost(f"{self.port} has gone: the device was unplugged or switched off")


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
