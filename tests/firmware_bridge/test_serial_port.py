"""The serial transport on real pseudo-terminals, with and without a reading thread."""

from __future__ import annotations

import asyncio
import os
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from firmware_bridge.errors import TransportError, TransportLost
from firmware_bridge.transports.serial_port import SerialTransport, port_names

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
    expected = ", ".join(port_names()) or "none"
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


def test_a_baud_rate_that_cannot_be_is_told(device: Device) -> None:
    assert "-9600" in opening(device.port, -9600)


def test_reading_before_opening_is_told() -> None:
    with pytest.raises(TransportError, match="not open"):
        asyncio.run(SerialTransport("/dev/null").read())
