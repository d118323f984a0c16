"""The serial transport on real pseudo-terminals, with and without a reading thread."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import serial

from firmware_bridge.errors import (
    NotFoundError,
    SourceSpecError,
    TransportError,
    TransportLost,
)
from firmware_bridge.transports.ports import list_ports
from firmware_bridge.transports.serial_open import open_port, within
from firmware_bridge.transports.serial_port import SerialTransport

pytestmark = pytest.mark.realtime

BOUND_S = 10.0


@dataclass
class Device:
    """The far end of a pseudo-terminal."""

    master: int
    port: str
    slaves: list[int] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        assert os.write(self.master, data) == len(data)

    def unplug(self) -> None:
        for fd in (self.master, *self.slaves):
            os.close(fd)
        self.master = -1
        self.slaves.clear()


@pytest.fixture
def device() -> Iterator[Device]:
    master, slave = os.openpty()
    tty.setraw(slave)
    device = Device(master, os.ttyname(slave))
    os.close(slave)
    yield device
    if device.master >= 0:
        device.unplug()


@pytest.fixture(params=[False, True], ids=["event loop", "thread"])
def transport(request: pytest.FixtureRequest, device: Device) -> SerialTransport:
    return SerialTransport(device.port, threaded=request.param)


def test_bytes_arrive_in_order_with_their_time(device: Device, transport: SerialTransport) -> None:
    stream = bytes(range(256)) * 200

    def send() -> None:
        for start in range(0, len(stream), 100):
            device.write(stream[start : start + 100])  # waits while the pty is full

    async def host() -> None:
        await transport.open()
        sending = asyncio.get_running_loop().run_in_executor(None, send)
        received = b""
        last_ns = time.monotonic_ns()
        while len(received) < len(stream):
            piece = await transport.read()
            assert piece.data
            assert last_ns <= piece.arrival_ns <= time.monotonic_ns()
            last_ns = piece.arrival_ns
            received += piece.data
        await sending
        assert received == stream
        await transport.close()

    asyncio.run(asyncio.wait_for(host(), BOUND_S))


def test_what_the_host_writes_reaches_the_device(
    device: Device, transport: SerialTransport
) -> None:
    async def host() -> None:
        await transport.open()
        await transport.write(b"\x00identify\x00")
        await transport.close()

    asyncio.run(asyncio.wait_for(host(), BOUND_S))
    assert os.read(device.master, 100) == b"\x00identify\x00"


def test_unplugging_is_told(device: Device, transport: SerialTransport) -> None:
    async def host() -> None:
        await transport.open()
        reading = asyncio.ensure_future(transport.read())
        await asyncio.sleep(0)
        device.unplug()
        with pytest.raises(TransportLost, match="has gone"):
            await reading
        with pytest.raises(TransportLost, match="has gone"):
            await transport.write(b"anyone?")
        await transport.close()
        await transport.close()

    asyncio.run(asyncio.wait_for(host(), BOUND_S))


def test_a_cancelled_read_loses_nothing(device: Device) -> None:
    async def host() -> None:
        transport = SerialTransport(device.port)
        await transport.open()
        reading = asyncio.ensure_future(transport.read())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        device.write(b"later")
        assert (await transport.read()).data == b"later"
        await transport.close()

    asyncio.run(asyncio.wait_for(host(), BOUND_S))


def test_a_port_that_takes_no_bytes_is_told(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware_bridge.transports.serial_port.WRITE_TIMEOUT_S", 0.05)

    async def host() -> None:
        transport = SerialTransport(device.port)
        await transport.open()
        with pytest.raises(TransportError, match="takes no bytes"):
            await transport.write(bytes(1_000_000))  # nobody reads: the pty fills
        await transport.close()

    asyncio.run(asyncio.wait_for(host(), BOUND_S))


def opening(port: str, baud: int = 115200) -> str:
    async def host() -> None:
        await SerialTransport(port, baud).open()

    with pytest.raises(TransportError) as caught:
        asyncio.run(host())
    assert not isinstance(caught.value, TransportLost)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_port_names_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    message = opening("/dev/ttyNOWHERE7")
    expected = ", ".join(port.name for port in list_ports()) or "none"
    assert "no serial port /dev/ttyNOWHERE7" in message and expected in message


def test_a_port_in_use_and_a_file_that_is_no_port_are_told(device: Device, tmp_path: Path) -> None:
    async def both() -> None:
        first, second = SerialTransport(device.port), SerialTransport(device.port)
        await first.open()
        try:
            with pytest.raises(TransportError, match="in use"):
                await second.open()
        finally:
            await first.close()
        await second.open()
        await second.close()

    asyncio.run(both())
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert "no serial port that can be used" in opening(str(plain))
    assert str(tmp_path) in opening(str(tmp_path))


@pytest.mark.parametrize("baud", [-9600, 0, 99_999_999_999])
def test_a_baud_rate_that_no_hardware_does_is_refused(baud: int) -> None:
    with pytest.raises(SourceSpecError, match=f"baud={baud}: use 1 to"):
        SerialTransport("/dev/null", baud)


@pytest.mark.parametrize("baud", [9600, 57600, 250_000, 74880, 3_000_000])
def test_any_other_baud_rate_will_do(device: Device, baud: int) -> None:
    async def host() -> None:
        transport = SerialTransport(device.port, baud)
        await transport.open()
        device.write(b"x")
        assert (await transport.read()).data == b"x"
        await transport.close()

    asyncio.run(asyncio.wait_for(host(), BOUND_S))


def test_reading_before_opening_is_told() -> None:
    with pytest.raises(TransportError, match="not open"):
        asyncio.run(SerialTransport("/dev/null").read())


def test_a_second_process_is_refused_in_one_line(device: Device) -> None:
    async def host() -> subprocess.CompletedProcess[str]:
        transport = SerialTransport(device.port)
        await transport.open()
        second = [sys.executable, "-m", "edge.cli", "monitor", f"serial:{device.port}"]
        done = await asyncio.to_thread(
            subprocess.run, second, capture_output=True, text=True, timeout=60, check=False
        )
        await transport.close()
        return done

    done = asyncio.run(asyncio.wait_for(host(), 60))
    assert done.returncode == 1
    assert done.stderr == (
        f"leadlift: error: {device.port} is in use by another program: close that first\n"
    )


OPENS = """
import grp, os, sys
import serial.tools.list_ports  # before: who opens may not be allowed to read the packages
from firmware_bridge.errors import AccessError
from firmware_bridge.transports.serial_open import open_port

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    open_port(sys.argv[1], 115200, 0)
    print("it opened")
except AccessError as error:
    print(error)
"""


def said_to_nobody(path: str) -> str:
    """What another user hears who opens `path`."""
    done = subprocess.run(
        [sys.executable, "-c", OPENS, path], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs root, to be another user")
@pytest.mark.parametrize(("gid", "remedy"), [(0, "udev rule"), (20, "sudo usermod -aG ")])
def test_no_permission_is_told_with_the_remedy(device: Device, gid: int, remedy: str) -> None:
    os.chown(device.port, 0, gid)
    Path(device.port).chmod(0o660)
    said = said_to_nobody(device.port)
    assert said.startswith(f"{device.port}: no permission; ")
    assert remedy in said and "\n" not in said


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (termios.error(errno.EIO, "Input/output error"), NotFoundError, "went away while it was"),
        (OSError(errno.EPROTO, "Protocol error"), NotFoundError, "went away while it was"),
        (OSError(errno.ENODEV, "No such device"), NotFoundError, "no serial port"),
        (OSError(errno.EBUSY, "busy"), TransportError, "in use by another program"),
        (ValueError("Failed to set custom\nbaud rate"), TransportError, "choose another baud="),
        (serial.SerialException("PermissionError(13, 'denied')"), TransportError, "in use by"),
    ],
)
def test_a_port_that_fails_while_it_is_opened_is_told(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, kind: type[TransportError], says: str
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise fault

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(kind, match=says) as caught:
        open_port("/dev/ttyGONE", 115200, 0)
    assert type(caught.value) is kind and "\n" not in str(caught.value)


def test_a_port_that_is_there_and_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise termios.error(errno.EIO, "Input/output error")

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(TransportError, match="does not answer while it is opened"):
        open_port(device.port, 115200, 0)


@pytest.mark.parametrize("waiting", [True, False], ids=["too late", "cancelled"])
def test_an_open_that_hangs_ends_in_time_and_a_late_port_is_closed(
    device: Device, waiting: bool
) -> None:
    let_go, closed = threading.Event(), threading.Event()

    class Slow(serial.Serial):
        def close(self) -> None:
            super().close()
            if not self.is_open and let_go.is_set():
                closed.set()

    def call() -> serial.Serial:
        assert let_go.wait(BOUND_S)
        return Slow(device.port)

    async def host() -> None:
        if waiting:
            with pytest.raises(TransportError, match=r"does not open within 0\.05 s"):
                await within(call, device.port, 0.05)
        else:
            opening = asyncio.ensure_future(within(call, device.port))
            await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        let_go.set()
        assert await asyncio.to_thread(closed.wait, BOUND_S)

    asyncio.run(asyncio.wait_for(host(), 2 * BOUND_S))


def test_a_stuck_port_is_closed_in_time(device: Device) -> None:
    async def host() -> None:
        transport = SerialTransport(device.port)
        await transport.open()

        class Stuck(serial.Serial):
            dropped = False

            @property
            def out_waiting(self) -> int:
                return 0 if self.dropped else 14

            def reset_output_buffer(self) -> None:
                self.dropped = True

        stuck = Stuck()
        transport._serial, real = stuck, transport._serial
        await transport.close()
        assert stuck.dropped
        assert real is not None
        real.close()

    asyncio.run(asyncio.wait_for(host(), BOUND_S))
