"""Which USB device a port belongs to, which port it has after a replug, and FTDI's latency timer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serial.tools import list_ports as system
from serial.tools.list_ports_common import ListPortInfo

from firmware_bridge.devices.wearable import IDENTIFY
from firmware_bridge.errors import NotFoundError, TransportError, TransportLost
from firmware_bridge.events import Gap, Samples
from firmware_bridge.links import Link
from firmware_bridge.recognise_ports import port_belief
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.pty_wearable import PtyWearable
from firmware_bridge.simulators.wearable import VirtualWearable
from firmware_bridge.source import Source
from firmware_bridge.transports.ports import (
    PortInfo,
    find_again,
    latency_hint,
    latency_timer_ms,
    list_ports,
    port_info,
)
from firmware_bridge.transports.serial_port import SerialTransport
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.spec import DELIMITER
from tests.firmware_bridge.usb_ports import DONGLE, Pty, Sockets, pty

BOUND_S = 10.0
FIRST = replace(DONGLE, name="/dev/ttyUSB0")
NAMELESS = replace(FIRST, serial_number=None)  # as the clones of CH340 are
OTHER = replace(FIRST, name="/dev/ttyUSB1", serial_number="DM00ZZZZ", location="1-3")


def test_a_jetsons_own_uart_is_listed_beside_what_pyserial_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = {"/dev/ttyTHS*": ["/dev/ttyTHS2", "/dev/ttyTHS1"], "/dev/ttymxc*": ["/dev/ttymxc0"]}
    monkeypatch.setattr("glob.glob", lambda pattern, *rest: there.get(pattern, []))
    monkeypatch.setattr(system, "comports", lambda: [ListPortInfo("/dev/ttymxc0")])
    ports = list_ports()
    assert [port.name for port in ports] == ["/dev/ttyTHS1", "/dev/ttyTHS2", "/dev/ttymxc0"]
    assert "Jetson" in ports[0].description and not ports[0].on_usb
    assert port_belief(ports[0]) is None


@pytest.fixture
def ptys() -> Iterator[list[Pty]]:
    made = [pty(), pty()]
    with ExitStack() as stack:
        for one in made:
            stack.callback(one.unplug)
        yield made


@pytest.mark.parametrize(
    "now",
    [
        [FIRST],
        [OTHER, FIRST],
        [replace(OTHER, name="/dev/ttyUSB0"), replace(FIRST, name="/dev/ttyUSB1")],  # swapped
        [OTHER, replace(FIRST, name="/dev/ttyUSB7", location="2-1")],  # another socket
        [replace(FIRST, name="/dev/ttyUSB3", description="as another driver words it")],
    ],
)
def test_a_device_is_found_under_whatever_name(now: list[PortInfo]) -> None:
    (expected,) = (port.name for port in now if port.serial_number == FIRST.serial_number)
    assert find_again(FIRST, FIRST.name, now) == expected


@pytest.mark.parametrize(
    ("known", "now", "remedy"),
    [
        (FIRST, [], "any USB socket"),
        (FIRST, [replace(OTHER, name=FIRST.name)], "any USB socket"),
        (NAMELESS, [replace(NAMELESS, location="1-3")], "the socket that it was in"),
    ],
)
def test_another_device_of_its_kind_is_not_it(
    known: PortInfo, now: list[PortInfo], remedy: str
) -> None:
    with pytest.raises(NotFoundError, match=remedy) as caught:
        find_again(known, known.name, now)
    assert "0403:6015" in str(caught.value) and "\n" not in str(caught.value)


def test_without_a_serial_number_the_socket_tells() -> None:
    now = [replace(NAMELESS, name="/dev/ttyUSB1", location="1-3"), replace(NAMELESS, name="/dev/x")]
    assert find_again(NAMELESS, NAMELESS.name, now) == "/dev/x"


def test_a_device_with_two_ports_keeps_the_one_it_was() -> None:
    second = replace(FIRST, name="/dev/ttyACM1", location="1-2:1.2")
    moved = [
        replace(second, name="/dev/ttyACM3", location="2-1:1.0"),
        replace(second, name="/dev/ttyACM4", location="2-1:1.2"),
    ]
    assert find_again(second, second.name, moved) == "/dev/ttyACM4"


def test_what_is_not_on_usb_keeps_its_name() -> None:
    assert find_again(PortInfo("/dev/ttyS0"), "/dev/ttyS0", [OTHER]) == "/dev/ttyS0"


@given(st.permutations([0, 1, 2]), st.permutations(["1-1", "1-2", "2-4.1"]))
def test_three_of_a_kind_are_never_mixed_up(names: list[int], locations: list[str]) -> None:
    before = [
        replace(FIRST, name=f"/dev/ttyUSB{n}", serial_number=f"S{n}", location=f"3-{n}")
        for n in range(3)
    ]
    now = [
        replace(port, name=f"/dev/ttyUSB{name}", location=location)
        for port, name, location in zip(before, names, locations, strict=True)
    ]
    for old, new in zip(before, now, strict=True):
        assert find_again(old, old.name, now) == new.name


def test_a_stable_name_of_udev_is_kept(tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    target = tmp_path / "ttyUSB5"
    target.touch()
    link.symlink_to(target)
    now = [replace(FIRST, name=str(target))]
    assert port_info(str(link), now) == now[0]
    assert find_again(FIRST, str(link), now) == str(link)


def test_a_device_that_goes_while_ports_are_listed_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []

    def comports() -> list[object]:
        calls.append(1)
        if len(calls) < 3:
            int(None, 16)  # type: ignore[call-overload]  # as pyserial does with a file that went
        return []

    monkeypatch.setattr(system, "comports", comports)
    assert list_ports() == []
    assert len(calls) == 3


def sysfs_of(root: Path, port: str, timer: str) -> Path:
    folder = root / "bus" / "usb-serial" / "devices" / Path(port).name
    folder.mkdir(parents=True)
    (folder / "latency_timer").write_text(timer)
    return folder / "latency_timer"


def test_a_timer_that_holds_bytes_back_is_told_with_the_remedy(tmp_path: Path) -> None:
    path = sysfs_of(tmp_path, "/dev/ttyUSB0", "16\n")
    assert latency_timer_ms("/dev/ttyUSB0", tmp_path) == 16
    hint = latency_hint("/dev/ttyUSB0", tmp_path)
    assert hint is not None and "up to 16 ms" in hint
    assert hint.endswith(f"echo 1 | sudo tee {path}")


@pytest.mark.parametrize("timer", ["1\n", "", "soon\n"])
def test_a_timer_that_is_short_or_says_nothing_needs_no_hint(tmp_path: Path, timer: str) -> None:
    sysfs_of(tmp_path, "/dev/ttyUSB0", timer)
    assert latency_hint("/dev/ttyUSB0", tmp_path) is None
    assert latency_hint("/dev/ttyACM0", tmp_path) is None


def test_a_replugged_device_is_opened_under_its_new_name(ptys: list[Pty]) -> None:
    old, new = ptys
    sockets = Sockets([replace(DONGLE, name=old.port)])

    async def host() -> None:
        transport = SerialTransport(old.port, ports=sockets)
        await transport.open()
        assert transport.info == replace(DONGLE, name=old.port)
        old.unplug()
        with pytest.raises(TransportLost):
            await transport.read()
        sockets.ports = []
        with pytest.raises(NotFoundError, match="DM00ABCD"):
            await transport.open()
        sockets.ports = [replace(DONGLE, name=new.port, location="2-4")]
        await transport.open()
        assert transport.port == new.port
        new.write(b"here again")
        assert (await transport.read()).data == b"here again"
        await transport.close()

    asyncio.run(asyncio.wait_for(host(), BOUND_S))


def test_another_device_under_the_old_name_is_left_alone(ptys: list[Pty]) -> None:
    mine, other = ptys
    sockets = Sockets([replace(DONGLE, name=mine.port)])

    async def host() -> None:
        transport = SerialTransport(mine.port, ports=sockets)
        await transport.open()
        await transport.close()
        sockets.ports = [replace(DONGLE, name=mine.port, serial_number="DM00ZZZZ")]
        with pytest.raises(NotFoundError, match="DM00ABCD"):
            await transport.open()
        sockets.ports.append(replace(DONGLE, name=other.port))
        await transport.open()
        assert transport.port == other.port
        await transport.close()

    asyncio.run(asyncio.wait_for(host(), BOUND_S))


@pytest.mark.realtime
def test_a_stream_goes_on_after_a_replug_and_the_gap_is_exact() -> None:
    wearable = VirtualWearable(EcgSimulator(), frames_hz=50)

    async def run() -> None:
        first = PtyWearable(wearable, wait_for_host=True)
        sockets = Sockets([replace(DONGLE, name=first.port)])
        link = Link(
            SerialTransport(first.port, ports=sockets),
            WireDecoder(),
            "wire",
            hello=IDENTIFY,
            resync=DELIMITER,
            reconnect_s=5.0,
        )
        expected: int | None = None
        gaps: list[Gap] = []
        with first:
            async with Source(link, name="serial:") as source:
                async for timed in source:
                    if isinstance(timed.event, Samples):
                        expected = timed.event.first_sample + timed.event.counts.shape[1]
                        break
                first.close()
                sockets.ports = []
                for _ in range(10):  # frames of the time without a cable
                    wearable.next_frame()
                with PtyWearable(wearable, wait_for_host=True) as second:
                    sockets.ports = [replace(DONGLE, name=second.port, location="1-7")]
                    async for timed in source:
                        if isinstance(timed.event, Gap):
                            gaps.append(timed.event)
                            assert timed.event.first_sample == expected
                        elif isinstance(timed.event, Samples):
                            expected = timed.event.first_sample + timed.event.counts.shape[1]
                        if gaps and isinstance(timed.event, Samples):
                            break
                assert source.reconnects == 1
        assert sum(gap.n_samples for gap in gaps) >= 50
        assert sockets.listed >= 2

    asyncio.run(asyncio.wait_for(run(), BOUND_S))


def test_a_pty_that_is_not_on_usb_is_opened_by_name_again(ptys: list[Pty]) -> None:
    async def host() -> None:
        transport = SerialTransport(ptys[0].port, ports=lambda: [OTHER])
        await transport.open()
        assert transport.info is None
        await transport.open()
        ptys[0].unplug()
        with pytest.raises(TransportError):
            await transport.open()

    asyncio.run(asyncio.wait_for(host(), BOUND_S))
    assert not os.path.exists(ptys[0].port)  # noqa: PTH110 - a name, gone with its master
