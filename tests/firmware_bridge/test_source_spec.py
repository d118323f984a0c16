"""Source names: what is accepted, and messages that name what is."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge.errors import CaptureError, SourceSpecError
from firmware_bridge.source import open_source
from firmware_bridge.source_spec import parse_spec, simulating


def test_a_name_is_scheme_rest_and_options() -> None:
    scheme, rest, options = parse_spec("serial:/dev/ttyACM0?device=csv&baud=9600", ["serial"])
    assert (scheme, rest) == ("serial", "/dev/ttyACM0")
    assert options.choice("device", ["csv", "wire"], "wire") == "csv"
    assert options.integer("baud", 115200) == 9600
    assert options.number("rate", 250.0) == 250.0
    options.refuse_unknown()


@pytest.mark.parametrize(
    ("spec", "leads", "becomes"),
    [
        ("sim:", ("I", "II"), "sim:?leads=I,II"),
        ("sim:?rate=500", ("V2",), "sim:?rate=500&leads=V2"),
        ("sim:?leads=I", ("V2",), "sim:?leads=I"),
        ("sim:", None, "sim:"),
        ("serial:/dev/ttyACM0", ("I",), "serial:/dev/ttyACM0"),
    ],
)
def test_the_simulator_alone_measures_what_is_wanted(
    spec: str, leads: tuple[str, ...] | None, becomes: str
) -> None:
    assert simulating(spec, leads) == becomes


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "replay:, serial:, sim:"),
        ("/dev/ttyACM0", "replay:, serial:, sim:"),
        ("usb:1", "replay:, serial:, sim:"),
        ("serial:", "such as serial:/dev/ttyACM0"),
        ("serial:?baud=9600", "such as serial:/dev/ttyACM0"),
        ("serial:/dev/x?bud=9600", "device, missing, simulated, baud"),
        ("serial:/dev/x?rate=250", "unknown option 'rate'"),
        ("serial:/dev/x?device=morse", "csv, cyton, ganglion, lsl, openview, wire"),
        ("serial:/dev/x?device=cyton", "needs leads="),
        ("serial:/dev/x?device=cyton&leads=9:II", "this device has 1 to 8"),
        ("serial:/dev/x?device=cyton&leads=1:II&gain=5", "the Cyton has 1, 2, 4"),
        ("serial:/dev/x?device=openview&adcmax=big", "such as 0xF30000"),
        ("serial:/dev/x?device=openview&missing=V9", "name the leads that are not wired"),
        ("serial:/dev/x?device=ganglion&leads=1:II", "ble:NAME?device=ganglion"),
        ("ble:x?device=cyton&leads=1:II", "does not speak BLE here"),
        ("ble:x?device=ganglion&leads=1:II&firmware=1", "use one of 2, 3, auto"),
        ("serial:/dev/x?baud=fast", "whole number"),
        ("serial:/dev/x?baud", "?name=value"),
        ("serial:/dev/x?baud=1&baud=2", "once"),
        ("serial:/dev/x?device=csv&leads=II,X", "unknown lead"),
        ("serial:/dev/x?device=csv&rate=nan", "use a number"),
        ("replay:", "such as replay:"),
        ("sim:ecg", "options only"),
        ("sim:?hr=500", "20 to 250"),
        ("sim:?heart=60", "rate, hr, territory"),
        ("sim:?territory=left", "anterior"),
    ],
)
def test_what_is_not_accepted_is_told_in_one_line(spec: str, told: str) -> None:
    with pytest.raises(SourceSpecError) as caught:
        open_source(spec)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bounds_are_above_zero_and_a_replay_file_is_one(tmp_path: Path) -> None:
    with pytest.raises(SourceSpecError, match="stall_s"):
        open_source("sim:", stall_s=0)
    with pytest.raises(CaptureError, match="cannot read"):
        open_source(f"replay:{tmp_path / 'none'}")
