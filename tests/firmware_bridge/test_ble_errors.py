"""What can be wrong with the machine and with the device: one line each, saying what to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("dbus_fast", reason="the fake BlueZ needs dbus-fast, which bleak has on Linux")

from bleak import exc

from benchmarks.wire.bluez import private_bus
from benchmarks.wire.bluez.fake_bluez import FAILED, FakeCharacteristic, FakePeripheral
from benchmarks.wire.bluez.fake_radio import INFO, Peripheral, Radio
from firmware_bridge.errors import (
    AccessError,
    AdapterError,
    NotFoundError,
    PeerError,
    RefusedError,
    TransportError,
)
from firmware_bridge.transports.ble import BleTransport
from firmware_bridge.transports.ble_errors import explain
from firmware_bridge.wire import gatt
from firmware_bridge.wire.encoder import WireEncoder
from tests.firmware_bridge.ble_host import ADDRESS, NAME, first_bytes, opening, run

pytestmark = [pytest.mark.realtime, pytest.mark.usefixtures("bluetooth", "quick")]


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
        (WireEncoder(INFO).battery(50), "it is no stream info"),
    ):
        device.info.value = value
        error = opening()
        assert isinstance(error, PeerError)
        assert says in str(error)


@pytest.mark.parametrize(
    ("reason", "platform", "kind", "says"),
    [
        ("DENIED_BY_USER", "darwin", AccessError, "System Settings, Privacy & Security"),
        ("DENIED_BY_SYSTEM", "linux", AccessError, "join the group that may use it"),
        ("DENIED_BY_UNKNOWN", "darwin", AccessError, "no permission to use Bluetooth"),
        ("NO_BLE_CENTRAL_ROLE", "linux", AdapterError, "can connect to BLE devices: plug in"),
        ("NO_BLUETOOTH", "linux", AdapterError, "no Bluetooth adapter"),
        ("POWERED_OFF", "linux", AdapterError, "is off"),
        ("UNKNOWN", "win32", AdapterError, "not available"),
    ],
)
def test_why_bluetooth_is_not_available(
    reason: str,
    platform: str,
    kind: type[Exception],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    told = exc.BleakBluetoothNotAvailableError(
        "it says", exc.BleakBluetoothNotAvailableReason[reason]
    )
    error = explain(told, "ble:X", "connecting")
    assert type(error) is kind
    assert says in str(error)


@pytest.mark.parametrize(
    ("told", "kind", "says"),
    [
        (PermissionError(13, "denied"), AccessError, "system D-Bus"),
        (ConnectionRefusedError(111, "refused"), AdapterError, "start dbus"),
        (EOFError(), TransportError, "EOFError while connecting; try again"),
        (asyncio.TimeoutError(), TransportError, "does not answer while connecting"),
        (exc.BleakDeviceNotFoundError("X", "gone"), NotFoundError, "has gone since"),
        (exc.BleakError("one\ntwo"), TransportError, "one two while connecting"),
        (exc.BleakDBusError("org.bluez.Error.Odd", []), TransportError, "[org.bluez.Error.Odd]"),
        (exc.BleakDBusError("org.bluez.Error.NotReady", []), AdapterError, "is off"),
        (exc.BleakGATTProtocolError(0x80), RefusedError, "refused connecting ("),
        (exc.BleakGATTProtocolError(0x0F), RefusedError, "wants to be paired"),
    ],
)
def test_each_failure_has_its_type_and_one_line(
    told: BaseException, kind: type[Exception], says: str
) -> None:
    error = explain(told, "ble:X", "connecting")
    assert type(error) is kind
    assert says in str(error) and "\n" not in str(error)
