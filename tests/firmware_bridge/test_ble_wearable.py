"""The virtual wearable as a BLE peripheral: registered with the (fake) BlueZ, read by our own host."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("dbus_fast", reason="the fake BlueZ needs dbus-fast, which bleak has on Linux")

from benchmarks.wire.bluez.fake_bluez_server import ADDRESS, FakeBlueZServer
from benchmarks.wire.bluez.fake_radio import Radio
from firmware_bridge.devices import ganglion
from firmware_bridge.errors import AdapterError, RefusedError
from firmware_bridge.events import Battery, Corrupt, Event, Gap, Samples, StreamInfo
from firmware_bridge.simulators.__main__ import main
from firmware_bridge.simulators.ble_wearable import BleWearable
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info
from firmware_bridge.source import open_source
from firmware_bridge.transports.ble import BleTransport
from firmware_bridge.wire import gatt
from tests.firmware_bridge.ble_host import run, running

pytestmark = [pytest.mark.realtime, pytest.mark.usefixtures("bluetooth", "quick")]


def wearable() -> VirtualWearable:
    return VirtualWearable(EcgSimulator(), stream_info(250.0, session=5))


async def listen(n_samples: int) -> list[Event]:
    said: list[Event] = []
    async with open_source("ble:ECG-AIR") as source:
        async for timed in source:
            said.append(timed.event)
            if sum(e.counts.shape[1] for e in said if isinstance(e, Samples)) >= n_samples:
                break
    return said


@pytest.mark.parametrize("mtu", [23, 247])
def test_it_is_found_and_streams_from_the_first_frame_of_a_subscription(mtu: int) -> None:
    with (
        Radio(FakeBlueZServer(mtu=mtu)),
        running(BleWearable(wearable(), name="ECG-AIR")) as device,
    ):
        first, second = run(listen(50)), run(listen(50))
        assert device.frames_sent >= 10
        assert device.frames_dropped == 0
    for said in (first, second):
        assert isinstance(said[0], StreamInfo)
        assert not any(isinstance(e, Corrupt | Gap) for e in said)
    samples = [e for e in (*first, *second) if isinstance(e, Samples)]
    assert samples[0].first_sample < samples[-1].first_sample
    assert {e.session for e in samples} == {5}


def test_its_info_is_read_and_its_battery_in_step_with_the_stream() -> None:
    async def host() -> bytes:
        transport = BleTransport(ADDRESS)
        await transport.open()
        assert transport.info is not None and transport.info.device == "virtual wearable"
        assert transport._client is not None
        level = await transport._client.read_gatt_char(gatt.BATTERY_LEVEL)
        await transport.close()
        return bytes(level)

    async def until_it_says_that_it_is_lower() -> None:
        async with open_source("ble:ECG-AIR") as source:
            async for timed in source:
                if isinstance(timed.event, Samples):
                    twin.battery = 63
                if timed.event == Battery(63):
                    return

    twin = wearable()
    twin.battery = 64
    with Radio(FakeBlueZServer()), running(BleWearable(twin, name="ECG-AIR")):
        assert run(host()) == bytes([64])
        run(until_it_says_that_it_is_lower())
        assert run(host()) == bytes([63])


def test_nobody_listening_is_counted() -> None:
    with Radio(FakeBlueZServer()):
        device = BleWearable(wearable())
        device.run(0.3)
        device.close()
    assert device.frames_unheard >= 5
    assert device.frames_sent == 0


def test_what_keeps_it_from_advertising_is_told() -> None:
    with Radio(FakeBlueZServer(adapter=False)), pytest.raises(AdapterError, match="plug one in"):
        BleWearable(wearable())
    with Radio(FakeBlueZServer(powered=False)), pytest.raises(AdapterError, match="is off: turn"):
        BleWearable(wearable())
    with Radio(FakeBlueZServer()), pytest.raises(AdapterError, match=r"hci7 .* there is hci0"):
        BleWearable(wearable(), adapter="hci7")
    with Radio(FakeBlueZServer()) as radio:
        full = ("org.bluez.Error.NotPermitted", "Maximum advertisements reached")
        radio.bluez.errors["RegisterAdvertisement"] = [full]
        with pytest.raises(RefusedError, match="Maximum advertisements reached"):
            BleWearable(wearable())


def test_the_command_advertises(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--port", "ble", "--name", "ECG-AIR", "--seconds", "0.2"]
    with Radio(FakeBlueZServer()):
        assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.out == "ble:ECG-AIR\n"
    assert "0 frames sent, 0 dropped" in said.err
    with Radio(FakeBlueZServer(adapter=False)):
        assert main(arguments) == 1
    assert "error: no Bluetooth adapter" in capsys.readouterr().err


def test_the_command_is_a_ganglion_that_waits_for_its_host(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--device", "ganglion", "--name", "Ganglion-1a2b", "--seconds", "0.2"]
    with Radio(FakeBlueZServer()) as radio:
        assert main(arguments) == 0
        registered = radio.bluez.registered  # type: ignore[attr-defined]
    assert registered.advertised == (ganglion.PROFILE.service,)
    offered = {c.uuid for c in registered.services[ganglion.PROFILE.service]}
    assert offered == {ganglion.PROFILE.stream, ganglion.PROFILE.control}
    said = capsys.readouterr()
    assert said.out == "ble:Ganglion-1a2b\n"
    assert "0 frames sent, 0 dropped, 0 while" in said.err


def test_stopping_late_does_no_harm() -> None:
    with Radio(FakeBlueZServer()):
        device = BleWearable(wearable())
        device.close()
        device.stop()  # late, and harmless


def test_without_a_system_bus_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    with pytest.raises(AdapterError, match="no system D-Bus here"):
        BleWearable(wearable())
