"""`leadlift devices` and `doctor` with serial ports: what each is believed to be, and what hinders it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from edge.commands import devices, doctor
from edge.commands.devices import Port, port_line, serial_ports
from firmware_bridge.transports.ports import PortInfo
from tests.firmware_bridge.usb_ports import DONGLE

DONGLE_PORT = replace(DONGLE, name="/dev/ttyUSB0")


def lines(*ports: PortInfo, sysfs: Path = Path("/nowhere")) -> list[str]:
    return [port_line(port) for port in serial_ports(lambda: ports, sysfs)]


def test_a_dongle_is_listed_with_what_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: True)
    assert lines(DONGLE_PORT) == [
        "serial:/dev/ttyUSB0  FT231X USB UART  FTDI FT231X serial adapter, maybe OpenBCI's dongle  "
        "try ?device=cyton&leads=1:II,2:V1,3:V5  0403:6015 DM00ABCD"
    ]


def test_what_leadlift_does_not_read_or_know_says_so() -> None:
    modem = PortInfo("/dev/ttyUSB1", "EC25", 0x2C7C, 0x0125, product="EC25")
    unknown = PortInfo("/dev/ttyACM0", "thing", 0xFFFF, 1, "42")
    built_in = PortInfo("/dev/ttyS0", "ttyS0")
    said = lines(modem, unknown, built_in)
    assert "modem, no ECG: not a source that leadlift reads  2C7C:0125 without serial" in said[0]
    assert "thing  not known  FFFF:0001 42" in said[1]
    assert said[2].startswith("serial:/dev/ttyS0  ttyS0")
    assert "not known" not in said[2]


def test_a_port_that_this_user_may_not_open_is_listed_with_the_remedy() -> None:
    port = Port("/dev/ttyUSB9", "adapter", allowed=False)
    assert port_line(port).endswith(
        "no permission: join the group that owns it, `sudo usermod -aG dialout $USER`, "
        "and log in again"
    )


def test_the_command_prints_a_line_for_each_port(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = argparse.Namespace(ble_seconds=0.0, lsl_seconds=0.0, json=False)
    monkeypatch.setattr(devices, "serial_ports", lambda: serial_ports(lambda: [DONGLE_PORT]))
    assert devices.run(arguments) == 0
    assert capsys.readouterr().out.startswith("serial:/dev/ttyUSB0  FT231X USB UART")
    monkeypatch.setattr(devices, "serial_ports", lambda: [])
    assert devices.run(arguments) == 0
    assert capsys.readouterr().out.startswith("no serial ports here; plug a device in")


def test_doctor_says_how_to_set_ftdis_timer(tmp_path: Path) -> None:
    folder = tmp_path / "bus" / "usb-serial" / "devices" / "ttyUSB0"
    folder.mkdir(parents=True)
    (folder / "latency_timer").write_text("16\n")
    found = doctor.examine(lambda: [DONGLE_PORT], tmp_path)
    (port,) = found["ports"]
    assert port["name"] == "/dev/ttyUSB0" and port["usb"] == "0403:6015 DM00ABCD"
    said = doctor._in_words(found).splitlines()
    (hint,) = (line for line in said if line.startswith("hint "))
    assert "holds bytes back for up to 16 ms" in hint
    assert f"echo 1 | sudo tee {folder / 'latency_timer'}" in hint
    (folder / "latency_timer").write_text("1\n")
    found = doctor.examine(lambda: [DONGLE_PORT], tmp_path)
    assert "latency" not in doctor._in_words(found)
