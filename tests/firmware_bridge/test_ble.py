"""The BLE transport through bleak's own BlueZ backend, on a private bus with a fake BlueZ."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("dbus_fast", reason="the fake BlueZ needs dbus-fast, which bleak has on Linux")

from benchmarks.wire.bluez.fake_radio import INFO, Peripheral, Radio
from firmware_bridge.errors import (
    TransportError,
    TransportLost,
)
from firmware_bridge.transports import ble, ble_scan
from firmware_bridge.transports.ble import BleTransport
from tests.firmware_bridge.ble_host import ADDRESS, NAME, first_bytes, opening, run

pytestmark = [pytest.mark.realtime, pytest.mark.usefixtures("bluetooth", "quick")]


@pytest.mark.parametrize("target", ["", NAME, ADDRESS, ADDRESS.lower()])
@pytest.mark.parametrize("start", [True, False], ids=["StartNotify", "AcquireNotify"])
def test_a_device_is_found_by_service_name_or_address(
    device: Peripheral, target: str, start: bool
) -> None:
    assert run(first_bytes(target, use_start_notify=start))
    assert device.fake.calls["StartNotify"] == start
    assert device.fake.calls["AcquireNotify"] == (not start)
    assert device.fake.calls["Disconnect"] == 1
    assert not device.fake.connected


def test_what_the_device_says_of_itself_is_read(device: Peripheral) -> None:
    async def host() -> None:
        transport = BleTransport()
        await transport.open()
        assert transport.info is not None
        assert transport.info.stream_info(INFO.session) == INFO
        assert transport.address == ADDRESS
        await transport.close()
        await transport.close()

    run(host())


def test_what_the_host_writes_is_cut_at_the_mtu_and_arrives(radio: Radio) -> None:
    async def host() -> None:
        transport = BleTransport(ADDRESS)
        await transport.open()
        await transport.write(bytes(range(100)))
        await transport.close()

    with Peripheral(radio, mtu=23) as device:
        run(host())
        assert device.written == bytes(range(100))
        assert device.fake.calls["WriteValue"] == 5


@pytest.mark.parametrize("target", ["", NAME, ADDRESS])
def test_a_connection_that_a_killed_program_left_is_taken_over(
    radio: Radio, device: Peripheral, target: str
) -> None:
    async def left_behind() -> None:
        radio.bluez._advertise(device.fake)  # BlueZ knows it from then
        await radio.bluez._connect(device.fake)

    radio.run(left_behind())
    assert run(first_bytes(target))
    assert device.fake.calls["Connect"] == 0
    assert not device.fake.connected


def test_the_loss_of_the_link_is_told_after_what_came(device: Peripheral) -> None:
    async def host() -> None:
        transport = BleTransport(ADDRESS)
        await transport.open()
        await transport.read()
        await asyncio.to_thread(device.drop)
        with pytest.raises(TransportLost, match=f"ble:{ADDRESS} has gone"):
            while True:
                await transport.read()
        with pytest.raises(TransportLost):
            await transport.write(b"anyone?")
        await transport.close()

    run(host())


def test_a_reader_who_stopped_loses_the_oldest_and_it_is_counted(
    device: Peripheral, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ble, "CAPACITY_BYTES", 300)

    async def host() -> None:
        transport = BleTransport(ADDRESS)
        await transport.open()
        while not transport.notifications_dropped:
            await asyncio.sleep(0.02)
        await transport.read()
        dropped = transport.notifications_dropped
        await transport.close()
        assert transport.notifications_dropped == dropped

    run(host())


# What does not answer.


@pytest.mark.parametrize("member", ["Connect", "ReadValue", "StartNotify"])
def test_a_device_that_never_answers_is_told_in_time(
    device: Peripheral, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.fake.hangs = {member, "Disconnect"}
    monkeypatch.setattr(ble, "CONNECT_S" if member == "Connect" else "ANSWER_S", 0.3)
    monkeypatch.setattr(ble, "DBUS_S", 0.3)
    error = opening()
    assert type(error) is TransportError
    assert "does not answer while" in str(error)


def test_a_write_that_is_never_answered_is_told_in_time(
    device: Peripheral, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def host() -> None:
        transport = BleTransport(ADDRESS)
        await transport.open()
        monkeypatch.setattr(ble, "ANSWER_S", 0.3)
        device.fake.hangs = {"WriteValue"}
        with pytest.raises(TransportError, match="does not answer while a control write"):
            await transport.write(b"start")
        await transport.close()

    run(host())


@pytest.mark.parametrize("member", ["SetDiscoveryFilter", "StartDiscovery"])
def test_a_bluetooth_service_that_never_answers_is_told_in_time(
    radio: Radio, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ble_scan, "DBUS_S", 0.3)
    radio.bluez.hangs = {member}
    assert "does not answer while starting to scan" in str(opening())


def test_a_slow_subscription_is_waited_for(device: Peripheral) -> None:
    device.fake.delays_s = {"StartNotify": 0.5}
    assert run(first_bytes(ADDRESS))


@pytest.mark.parametrize("member", ["scan", "Connect", "StartNotify", "read"])
def test_cancelling_leaves_nothing_open(radio: Radio, device: Peripheral, member: str) -> None:
    device.fake.delays_s = {member: 0.5}
    device.silent = True

    async def host() -> None:
        transport = BleTransport("NOBODY" if member == "scan" else ADDRESS)
        task = asyncio.ensure_future(open_and_read(transport))
        while not (
            radio.bluez.discoveries if member == "scan" else device.fake.calls[member]
        ) and not (member == "read" and device.stream.subscribed):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await transport.close()

    async def open_and_read(transport: BleTransport) -> None:
        await transport.open()
        await transport.read()

    run(host())
    assert not device.fake.connected
    assert not radio.bluez.discovering
    device.silent = False
    assert run(first_bytes(ADDRESS))
