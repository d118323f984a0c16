"""The virtual twins: each can be made, plays what it is given, and is read back as its own device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Samples
from firmware_bridge.simulators.__main__ import main
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.pty_wearable import PtyWearable
from firmware_bridge.simulators.twins import (
    PORTS,
    Setup,
    Twin,
    chosen_port,
    make_ble_twin,
    make_twin,
    source_options,
)
from firmware_bridge.source import open_source
from firmware_bridge.wire.spec import LEADS

BOUND_S = 10.0


@pytest.mark.realtime
@pytest.mark.parametrize("device", ["csv", "wearable"])
def test_a_twin_on_a_port_is_read_with_the_options_that_go_with_it(device: str) -> None:
    setup = Setup(lambda rate_hz: EcgSimulator(rate_hz, seed=2), leads=("V5", "II"), frames_hz=50)
    options = source_options(device, setup.leads)

    async def read(port: str) -> np.ndarray:
        counts: list[np.ndarray] = []
        async with open_source(f"serial:{port}{options}") as source:
            async for timed in source:
                if isinstance(timed.event, Samples):
                    counts.append(timed.event.counts)
                if sum(part.shape[1] for part in counts) >= 40:
                    break
        return np.concatenate(counts, axis=1)[:, :40]

    with PtyWearable(make_twin(device, setup), wait_for_host=True) as port:
        counts = asyncio.run(asyncio.wait_for(read(port.port), BOUND_S))
    truth = EcgSimulator(250.0, seed=2).read(40)[[LEADS.index("V5"), LEADS.index("II")]]
    lsb_mv = 100e-6 if device == "csv" else 50e-6
    np.testing.assert_allclose(counts * lsb_mv, truth, atol=lsb_mv)


@pytest.mark.parametrize(
    ("device", "leads", "sampling_hz", "options"),
    [
        ("wearable", ("I", "II"), 500.0, ""),
        ("csv", ("II", "V1", "V5"), None, "?device=csv&rate=250&simulated=1"),
        ("csv", ("I", "II"), 500.0, "?device=csv&leads=I,II&rate=500&simulated=1"),
        ("cyton", ("I", "II"), 250.0, "?device=cyton&leads=1:I,2:II&simulated=1"),
        ("openview", ("I", "II", "V1"), None, "?device=openview&leads=1:I,2:II,3:V1&simulated=1"),
        ("ganglion", ("II", "V1", "V5"), None, "?device=ganglion&leads=1:II,2:V1,3:V5&simulated=1"),
        ("openview", ("II",), 200.0, "?device=openview&leads=1:II&rate=200&simulated=1"),
    ],
)
def test_the_options_of_a_source_are_those_of_the_twin(
    device: str, leads: tuple[str, ...], sampling_hz: float | None, options: str
) -> None:
    assert source_options(device, leads, sampling_hz) == options


@pytest.mark.parametrize(
    ("make", "device"),
    [
        *((make_twin, device) for device in sorted(PORTS["pty"])),
        *((make_ble_twin, device) for device in sorted(PORTS["ble"])),
    ],
)
def test_a_signal_without_the_rate_of_the_device_is_told(
    make: Callable[[str, Setup], Twin], device: str
) -> None:
    def signal_at(rate_hz: float) -> EcgSimulator:
        raise SourceSpecError(f"no {rate_hz:g} Hz here")

    with pytest.raises(SourceSpecError, match="Hz here"):
        make(device, Setup(signal_at))


def test_a_device_without_a_twin_is_told_with_those_that_have_one() -> None:
    with pytest.raises(SourceSpecError, match=r"no virtual 'toaster': use one of .*wearable"):
        make_twin("toaster", Setup(EcgSimulator))


@pytest.mark.parametrize(
    ("device", "ports"),
    [
        ("wearable", ["pty", "ble"]),
        ("csv", ["pty"]),
        ("cyton", ["pty"]),
        ("openview", ["pty"]),
        ("ganglion", ["ble"]),
    ],
)
def test_a_device_has_its_own_ports_and_names_them(device: str, ports: list[str]) -> None:
    assert chosen_port(device) == ports[0]
    for port in ("pty", "ble"):
        if port in ports:
            assert chosen_port(device, port) == port
        else:
            with pytest.raises(
                SourceSpecError, match=f"{device} .* {port}: use --port {ports[0]}$"
            ):
                chosen_port(device, port)


@pytest.mark.parametrize(("device", "port"), [("ganglion", "pty"), ("cyton", "ble")])
def test_a_port_that_the_device_has_not_is_wrong_usage(
    device: str, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--device", device, "--port", port]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    other = {"pty": "ble", "ble": "pty"}[port]
    assert said.err == (
        f"error: a virtual {device} cannot be on --port {port}: use --port {other}\n"
    )
