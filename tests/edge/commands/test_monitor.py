"""`leadlift monitor`: its lines, its screen, how it ends, and captures that play back as what they were."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.commands.monitor import Monitor
from edge.errors import InputError
from edge.sinks.picture import Picture
from edge.sinks.screen import frame
from firmware_bridge.events import Battery, Notice, Samples, StreamInfo
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.pty_wearable import PtyWearable
from firmware_bridge.simulators.twins import Setup, make_twin, source_options
from firmware_bridge.source import Timed, open_source
from firmware_bridge.transports.base import Received
from firmware_bridge.transports.replay import CaptureWriter, read_header

pytestmark = pytest.mark.realtime

SECOND_NS = 1_000_000_000
BOUND_S = 20.0
INFO = StreamInfo(("II", "V1", "V5"), 250.0, 1000.0, 24, config_id=0, device="board")


def following(n_samples: int = 500, lead_off: int = 0) -> tuple[Monitor, list[str]]:
    """A monitor that saw a battery at 80 % and two seconds of a square wave, and its lines."""
    monitor = Monitor()
    square = np.tile(np.arange(n_samples) // 50 % 2 * 1000, (3, 1)).astype(np.int32)
    lines = [*monitor.take(Timed(Battery(80), 0), 0), *monitor.take(Timed(INFO, 0), 0)]
    for at in range(0, n_samples, 10):
        packet = Samples(at, square[:, at : at + 10], lead_off=lead_off)
        now_ns = round(at / 250 * SECOND_NS) + 40_000_000
        lines += monitor.take(Timed(packet, now_ns), now_ns)
    return monitor, lines


def text(shown: Picture, width: int = 120, height: int = 30) -> list[str]:
    lines = ["".join(part for part, _ in line) for line in frame(shown, width, height).lines]
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    return [line.strip() for line in lines]


def test_a_line_tells_rate_losses_drift_and_battery() -> None:
    _, lines = following()
    assert lines[0] == "board: II, V1, V5 at 250 Hz, 24 bits of 1000 nV"
    assert re.match(
        r" *2\d\d\.\d Hz  lost 0  gaps 0  corrupt 0  drift \+0 ppm  jitter 0\.0 ms  "
        r"battery 80 %  II \+0\.00\.\.\+1\.00 mV",
        lines[1],
    )


def test_the_screen_shows_each_lead_as_measured_and_which_is_off() -> None:
    monitor, _ = following(lead_off=0b010)
    said = text(monitor.picture(recording=("a.llcap",)))
    head = "  ".join(said[:2])
    for part in ("REC a.llcap", "not filtered", "not a medical device", "LEAD OFF V1"):
        assert part in head
    assert "battery 80 %" in head and "drift +0 ppm" in head
    rows = [said.index("II m"), said.index("V1 m lead off"), said.index("V5 m")]
    assert rows == sorted(rows)
    drawn = [any("\u2800" < c <= "\u28ff" for c in line[4:]) for line in said]
    assert any(drawn[rows[0] + 1 : rows[1]]) and any(drawn[rows[2] + 1 : rows[2] + 8])
    assert not any(drawn[rows[1] + 1 : rows[2]])


def test_the_screen_says_what_the_device_is_and_what_it_warns_of() -> None:
    monitor, _ = following()
    list(monitor.take(Timed(Notice("its battery is low"), 0), 0))
    said = "  ".join(text(monitor.picture(), 250))
    assert "WARNING its battery is low" in said
    assert "board: II, V1, V5 at 250 Hz" in said
    assert "SIMULATED" not in said
    simulated = Monitor()
    list(simulated.take(Timed(replace(INFO, simulated=True), 0), 0))
    assert "SIMULATED" in text(simulated.picture())[0]


@pytest.mark.parametrize("hz", [1e-5, 20.0, 1e9])
def test_a_rate_that_no_ecg_has_is_refused(hz: float) -> None:
    with pytest.raises(InputError, match="give one from 50 to 8000 Hz"):
        list(Monitor().take(Timed(replace(INFO, sampling_hz=hz), 0), 0))


def test_the_screen_says_that_the_link_is_lost() -> None:
    monitor, _ = following()
    assert text(monitor.picture(in_outage=True))[0].startswith("LINK LOST, waiting for the device")


@pytest.mark.parametrize(("width", "height"), [(20, 3), (59, 40), (80, 6), (200, 60), (1, 1)])
def test_the_screen_fits_any_terminal(width: int, height: int) -> None:
    text(following()[0].picture(), width, height)
    text(Monitor().picture(), width, height)


def test_seconds_end_it_while_the_device_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    master, slave = os.openpty()
    try:
        assert main(["monitor", f"serial:{os.ttyname(slave)}", "--seconds", "0.2"]) == 0
    finally:
        os.close(master)
        os.close(slave)
    assert capsys.readouterr().out.startswith("0 samples, 0 lost")


def test_wrong_baud_ends_in_one_line_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """At another rate a UART makes one byte of several, or several of one: no frame survives it."""
    device = PtyWearable(make_twin("wearable", Setup(EcgSimulator)), wait_for_host=True)
    device._write_pending = lambda: garbled(device)  # type: ignore[method-assign]
    try:
        device.start()
        assert main(["monitor", f"serial:{device.port}"]) == 1
    finally:
        device.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"received [\d,]+ bytes but no valid frame.*and baud=", line)


def garbled(device: PtyWearable) -> None:
    """Send each pair of bytes as one that is neither, as a receiver at half the rate reads them."""
    data = np.frombuffer(device._pending[: len(device._pending) // 2 * 2], np.uint8)
    device._pending = b""
    os.write(device._master, (data[0::2] ^ (data[1::2] << 1) | 1).tobytes())


@pytest.mark.parametrize(("on_port", "percent"), [(True, 64), (False, 100)])
def test_the_battery_of_a_simulated_wearable_is_shown(on_port: bool, percent: int) -> None:
    async def first_line(source: str) -> str:
        monitor = Monitor()
        async with open_source(source) as opened:
            async for timed in opened:
                for line in monitor.take(timed, timed.arrival_ns):
                    if " Hz  lost" in line:
                        return line
        raise AssertionError("the stream ended")

    device = PtyWearable(make_twin("wearable", Setup(EcgSimulator, battery=64)), wait_for_host=True)
    with device:
        source = f"serial:{device.port}" if on_port else "sim:"
        line = asyncio.run(asyncio.wait_for(first_line(source), BOUND_S))
    assert f"  battery {percent} %  II " in line


@pytest.mark.parametrize("device", ["wearable", "csv", "cyton", "openview"])
def test_a_capture_of_any_device_plays_back_as_what_it_was(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = tmp_path / "a.capture"
    leads = ("I", "II", "V1") if device == "openview" else ("II", "V1", "V5")
    twin = make_twin(device, Setup(EcgSimulator, leads=leads))
    with PtyWearable(twin, wait_for_host=True) as port:
        source = f"serial:{port.port}{source_options(device, leads)}"
        assert main(["monitor", source, "--seconds", "1.5", "--capture", str(capture)]) == 0
    live = capsys.readouterr().out.splitlines()
    header = read_header(capture)
    assert header["device"] == {"wearable": "wire"}.get(device, device)
    assert main(["monitor", f"replay:{capture}?speed=inf"]) == 0
    again = capsys.readouterr().out.splitlines()
    assert live[0] == again[0]  # the same device, told by the file alone
    totals = [next(line for line in said if " samples, " in line) for said in (live, again)]
    assert totals[0] == totals[1]
    assert int(totals[0].split()[0]) > 20


@pytest.mark.parametrize("arguments", [["monitor"], ["run", "--sink", "file:a.csv", "--source"]])
def test_a_rate_that_is_plainly_wrong_is_told_of_a_few_seconds(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    header = {"device": "csv", "options": {"rate": "250"}}
    with CaptureWriter("a.llcap", header, start_ns=0) as writer:
        for at in range(0, 2000, 10):  # 500 lines a second
            lines = b"".join(b"%d,0.5,0.5\n" % (i // 50 % 2) for i in range(at, at + 10))
            writer.write(Received(lines, at * 2_000_000))
    assert main([*arguments, "replay:a.llcap?speed=inf"]) == 0
    assert "samples arrive at 500 Hz, not at 250 Hz as declared" in capsys.readouterr().err
