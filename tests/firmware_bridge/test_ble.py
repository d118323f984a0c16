"""The BLE transport through bleak's own BlueZ backend, on a private bus with a fake BlueZ."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.errors import (
    AccessError,
    AdapterError,
    BridgeError,
    NotFoundError,
    PeerError,
    RefusedError,
    TransportError,
    TransportLost,
)
from firmware_bridge.transports import ble, ble_scan, bounded
from firmware_bridge.transports.ble import BleTransport
from firmware_bridge.wire import gatt
from firmware_bridge.wire.encoder import WireEncoder
from tests.firmware_bridge import private_bus

if why := private_bus.missing():
    pytest.skip(why, allow_module_level=True)
pytest.importorskip("bleak", reason="BLE needs bleak: install leadlift")
pytest.importorskip("dbus_fast", reason="the fake BlueZ needs dbus-fast, which bleak has on Linux")

from tests.firmware_bridge.fake_bluez import (
    FAILED,
    FakeCharacteristic,
    FakePeripheral,
)
from tests.firmware_bridge.radio import ADDRESS, INFO, NAME, Peripheral, Radio

BOUND_S = 20.0
UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"


@pytest.fixture
def radio() -> Iterator[Radio]:
    with Radio() as radio:
        yield radio


@pytest.fixture
def device(radio: Radio) -> Iterator[Peripheral]:
    with Peripheral(radio) as device:
        yield device


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for what never comes, kept short; what does come has all its time."""
    monkeypatch.setattr(ble_scan, "OTHERS_S", 0.15)
    for module in (bounded, ble_scan):
        monkeypatch.setattr(module, "GRACE_S", 0.1)


def run(call: Any) -> Any:
    return asyncio.run(asyncio.wait_for(call, BOUND_S))


def opening(target: str = ADDRESS, **options: Any) -> BridgeError:
    """The error that opening meets; afterwards nothing is open."""
    options.setdefault("scan_s", 0.4)

    async def host() -> None:
        transport = BleTransport(target, **options)
        try:
            await transport.open()
        finally:
            with pytest.raises(TransportError, match="not open"):
                await transport.read()
            await transport.close()

    with pytest.raises(BridgeError) as caught:
        run(host())
    assert "\n" not in str(caught.value)
    return caught.value


async def first_bytes(target: str, **options: Any) -> bytes:
    transport = BleTransport(target, **options)
    await transport.open()
    data = (await transport.read()).data
    await transport.close()
    return data


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


# What can be wrong with the machine.


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"adapter": False}, "no Bluetooth adapter: plug one in"),
        ({"powered": False}, "the Bluetooth adapter is off: turn Bluetooth on"),
    ],
)
def test_no_adapter_or_one_that_is_off(options: dict[str, bool], says: str) -> None:
    with Radio(**options):
        error = opening()
    assert isinstance(error, AdapterError)
    assert says in str(error)


def test_an_adapter_that_is_not_there(radio: Radio) -> None:
    assert "hci7" in str(opening(adapter="hci7"))


def test_no_bluetooth_service() -> None:
    with private_bus.PrivateBus():
        error = opening()
    assert isinstance(error, AdapterError)
    assert "does not run: start it" in str(error)


def test_no_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(private_bus.VARIABLE, f"unix:path={tmp_path}/none")
    error = opening()
    assert isinstance(error, AdapterError)
    assert "no system D-Bus here" in str(error)


def test_a_user_whom_the_bus_denies() -> None:
    deny = (
        '<policy context="mandatory"><deny send_destination="org.bluez" '
        'send_interface="org.freedesktop.DBus.ObjectManager"/></policy>'
    )
    with Radio(policy=deny):
        error = opening()
    assert isinstance(error, AccessError)
    assert "no permission to use BlueZ" in str(error)


def test_an_adapter_that_goes_off_while_it_scans(radio: Radio) -> None:
    radio.bluez.errors["StartDiscovery"] = [("org.bluez.Error.NotReady", "Resource Not Ready")]
    error = opening()
    assert isinstance(error, AdapterError)
    assert "is off" in str(error)


# What can be wrong with the device.


@pytest.mark.parametrize("target", ["", "NOBODY", "AA:AA:AA:AA:AA:AA"])
def test_a_device_that_is_not_heard(radio: Radio, target: str) -> None:
    error = opening(target)
    assert isinstance(error, NotFoundError)
    assert "heard in 0.4 s: check that it is on" in str(error)


def test_a_device_under_another_name_is_hinted_at(device: Peripheral) -> None:
    assert "1 leadlift wearable in reach under another name" in str(opening("NOBODY"))


def test_two_devices_of_one_name_are_not_guessed_between(radio: Radio, device: Peripheral) -> None:
    other = "C0:FF:EE:00:00:02"
    with Peripheral(radio, address=other):
        for target in (NAME, ""):
            error = opening(target)
            assert type(error) is TransportError
            assert f"name one of ble:{ADDRESS}, ble:{other}" in str(error)
        assert run(first_bytes(other))


def test_a_device_that_goes_between_scan_and_connection(radio: Radio, device: Peripheral) -> None:
    radio.bluez.on_discovery_stopped = lambda: radio.bluez.remove(device.fake)
    error = opening()
    assert isinstance(error, NotFoundError)
    assert "was found and has gone since" in str(error)


def test_a_connection_that_interference_ends_is_tried_again(device: Peripheral) -> None:
    abort = (FAILED, "le-connection-abort-by-remote")
    device.fake.errors["Connect"] = [abort] * 2
    assert run(first_bytes(ADDRESS))
    device.fake.errors["Connect"] = [abort] * 3
    error = opening()
    assert type(error) is TransportError
    assert "le-connection-abort-by-remote while connecting" in str(error)


@pytest.mark.parametrize("refusal", ["AuthenticationRejected", "AuthenticationFailed"])
def test_a_device_that_refuses_to_pair(device: Peripheral, refusal: str) -> None:
    device.fake.errors["Pair"] = [(f"org.bluez.Error.{refusal}", "Authentication failed")]
    error = opening(pair=True)
    assert isinstance(error, RefusedError)
    assert "refused to pair" in str(error)
    assert run(first_bytes(ADDRESS, pair=True))


@pytest.mark.parametrize("start", [True, False], ids=["StartNotify", "AcquireNotify"])
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (("org.bluez.Error.NotPermitted", "Operation is not permitted"), "refused notifications"),
        ((FAILED, "Operation failed with ATT error: 0x05"), "wants to be paired before"),
        ((FAILED, "Operation failed with ATT error: 0x11"), "(insufficient resource): check"),
    ],
)
def test_a_device_that_refuses_to_notify(
    device: Peripheral, start: bool, answer: tuple[str, str], says: str
) -> None:
    device.fake.errors["StartNotify" if start else "AcquireNotify"] = [answer]
    error = opening(use_start_notify=start)
    assert isinstance(error, RefusedError)
    assert says in str(error)
    assert not device.fake.connected


def test_a_device_that_refuses_a_write(device: Peripheral) -> None:
    device.fake.errors["WriteValue"] = [(FAILED, "Operation failed with ATT error: 0xfc")]

    async def host() -> None:
        transport = BleTransport(ADDRESS)
        await transport.open()
        with pytest.raises(RefusedError, match=r"refused a control write \(write request rejected"):
            await transport.write(b"start")
        await transport.write(b"start")
        await transport.close()

    run(host())


def services(*left_out: str) -> dict[str, list[FakeCharacteristic]]:
    ours = [FakeCharacteristic(c.uuid, c.properties) for c in gatt.CHARACTERISTICS[:2]]
    return {gatt.SERVICE: [c for c in ours if c.uuid not in left_out]}


@pytest.mark.parametrize(
    ("has", "says"),
    [
        ({gatt.short_uuid(0x180D): []}, "it has: Heart Rate"),
        ({}, "it has: none"),
        (services(gatt.STREAM), f"lacks the characteristic {gatt.STREAM}"),
        (services(gatt.CONTROL), f"lacks the characteristic {gatt.CONTROL}"),
    ],
)
def test_another_kind_of_device(
    radio: Radio, has: dict[str, list[FakeCharacteristic]], says: str
) -> None:
    fake = radio.do(radio.bluez.add, FakePeripheral(ADDRESS, "HRM", has))
    error = opening("HRM")
    assert isinstance(error, PeerError)
    assert "is no leadlift wearable" in str(error) and says in str(error)
    assert not fake.connected


def test_firmware_that_cannot_be_understood(device: Peripheral) -> None:
    known = device.info.value
    for value, says in (
        (b"", "too short"),
        (known[:-6] + b"zzzzz\x00", "CRC does not match"),
        (WireEncoder(INFO).battery(50), "no stream info as its info"),
    ):
        device.info.value = value
        error = opening()
        assert isinstance(error, PeerError)
        assert says in str(error)


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
