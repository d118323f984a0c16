"""`leadlift devices` with a radio: what is heard, what it is believed to be, and no radio at all."""

from __future__ import annotations

import pytest

pytest.importorskip("dbus_fast", reason="the fake BlueZ needs dbus-fast, which bleak has on Linux")

from benchmarks.wire.bluez import private_bus
from benchmarks.wire.bluez.fake_bluez import FakePeripheral
from benchmarks.wire.bluez.fake_radio import ADDRESS, Peripheral, Radio
from edge.cli import main
from firmware_bridge.wire import gatt

pytestmark = pytest.mark.realtime

if why := private_bus.missing():
    pytest.skip(why, allow_module_level=True)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["devices", "--ble-seconds", "0.5"]) == 0
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("serial:")]


def test_peripherals_are_listed_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    heart_rate = {gatt.short_uuid(0x180D): []}
    others = [
        FakePeripheral("C0:FF:EE:00:00:02", "Polar H10 1", heart_rate),
        FakePeripheral("C0:FF:EE:00:00:03", "Lamp", {}),
        FakePeripheral("C0:FF:EE:00:00:04", "", {}),
    ]
    with Radio() as radio, Peripheral(radio):
        for other in others:
            radio.do(radio.bluez.add, other)
        lines = said(capsys)
    text = "\n".join(lines)
    assert f"ble:{ADDRESS}  ECG-TEST  leadlift wearable  -50 dBm" in lines
    assert "Polar H10 1  Polar chest strap, one lead only: not a source that leadlift reads" in text
    assert "ble:C0:FF:EE:00:00:03  Lamp  not known" in text
    assert "1 more BLE peripherals that say neither name nor kind" in lines


def test_nothing_in_reach_and_no_adapter_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Radio():
        assert "no BLE peripheral heard in 0.5 s" in said(capsys)[-1]
    with Radio(adapter=False):
        assert said(capsys)[-1].startswith("no BLE here: no Bluetooth adapter: plug one in")
