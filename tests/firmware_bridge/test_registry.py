"""The device formats: the page for people lists each of them, with its rate, channels and baud."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from firmware_bridge import devices
from firmware_bridge.devices import cyton, ganglion, openview
from firmware_bridge.devices.registry import DEVICES
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.source import open_source
from firmware_bridge.source_spec import Options

PAGE = Path(devices.__file__).with_name("README.md")
BOARDS = {"cyton": cyton, "ganglion": ganglion, "openview": openview}


def tables() -> list[dict[str, list[str]]]:
    """The page's tables of devices: the cells of each row, by the name of its device."""
    blocks = PAGE.read_text().split("| `device=` |")[1:]
    rows = [
        [line.strip("|").split("|") for line in block.split("\n\n")[0].splitlines()[2:]]
        for block in blocks
    ]
    return [{cells[0].strip(" `"): [c.strip() for c in cells[1:]] for cells in t} for t in rows]


def test_the_page_lists_every_device_and_what_each_was_tried_on() -> None:
    given, tried = tables()
    assert set(given) == set(tried) == set(DEVICES)
    assert all(all(cells) for table in (given, tried) for cells in table.values())


def test_the_page_says_what_the_code_does() -> None:
    given, _ = tables()
    for name, (_, link, channels, _, rate, _) in given.items():
        assert ("BLE" in link) == (DEVICES[name].profile is not None)
        if name in BOARDS:
            board = BOARDS[name]
            assert channels == str(board.CHANNELS)
            assert rate.startswith(f"{board.SAMPLING_HZ:g} Hz")
    for name in ("cyton", "openview"):
        assert f"{DEVICES[name].baud} baud" in given[name][1]


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_is_one_record_that_agrees_with_itself(name: str) -> None:
    device = DEVICES[name]
    assert device.name == name and device.title
    assert device.on_serial or device.scheme or device.profile is not None
    if device.usual:
        scheme, target = ("serial", "/dev/x") if device.on_serial else ("ble", "x")
        link = open_source(f"{scheme}:{target}{device.options}").link
        assert link.device == name
    if device.is_wired:
        with pytest.raises(SourceSpecError, match="leads="):
            device.make(Options("x", {"leads": "oops"}))


def test_no_simulator_is_imported_for_a_device_that_is_read() -> None:
    code = (
        "import sys, firmware_bridge.source, firmware_bridge.recognise, firmware_bridge.recognise_ports;"
        "print([m for m in sys.modules if 'simulators' in m])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
