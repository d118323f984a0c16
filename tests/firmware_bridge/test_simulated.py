"""That a stream is simulated travels with it: over the wire, in a capture, and where only the user knows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.events import Samples, StreamInfo
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.pty_wearable import PtyWearable
from firmware_bridge.simulators.twins import Setup, make_twin, source_options
from firmware_bridge.simulators.wearable import stream_info
from firmware_bridge.source import Source, open_source
from firmware_bridge.transports.base import Received
from firmware_bridge.transports.replay import CaptureWriter, read_header
from firmware_bridge.wire.encoder import WireEncoder
from firmware_bridge.wire.packets import InfoPacket

pytestmark = pytest.mark.realtime
INFO = stream_info(250.0)


def first_info(source: Source) -> tuple[StreamInfo, bool]:
    """What it says of its stream, once samples follow, and whether it is then known to be simulated."""

    async def run() -> tuple[StreamInfo, bool]:
        info = None
        async with source:
            async for timed in source:
                if isinstance(timed.event, StreamInfo):
                    info = timed.event
                if isinstance(timed.event, Samples) and info is not None:
                    return info, source.simulated
        raise AssertionError("no samples")

    return asyncio.run(asyncio.wait_for(run(), 10))


def test_the_simulator_says_so_and_so_does_the_replay_of_its_capture(tmp_path: Path) -> None:
    capture = tmp_path / "s.capture"
    for spec, options in (("sim:", {"capture": capture}), (f"replay:{capture}", {})):
        source = open_source(spec, **options)
        info, simulated = first_info(source)
        assert info.simulated and simulated and source.simulated
        assert info.device == "virtual wearable"
    assert read_header(capture)["simulated"] is True


@pytest.mark.parametrize("device", ["wearable", "csv", "cyton", "openview"])
def test_a_twin_read_as_it_says_is_simulated(device: str, tmp_path: Path) -> None:
    capture = tmp_path / "s.capture"
    with PtyWearable(make_twin(device, Setup(EcgSimulator)), wait_for_host=True) as port:
        spec = f"serial:{port.port}{source_options(device)}"
        info, simulated = first_info(open_source(spec, capture=capture))
    assert info.simulated and simulated
    info, simulated = first_info(open_source(f"replay:{capture}?speed=inf"))
    assert info.simulated and simulated


def test_a_device_is_not_simulated_unless_it_or_the_user_says_so(tmp_path: Path) -> None:
    real = replace(INFO, firmware="1.2", simulated=False)
    assert InfoPacket.from_stream_info(INFO).stream_info(0) == INFO
    assert InfoPacket.from_stream_info(real).stream_info(0) == real
    capture = tmp_path / "real.capture"
    with CaptureWriter(capture, {"device": "wire"}) as writer:  # as captures before this were
        encoder = WireEncoder(real)
        frames = encoder.stream_info() + encoder.samples(np.zeros((3, 4), np.int32), 0)
        writer.write(Received(frames, 1))
    info, simulated = first_info(open_source(f"replay:{capture}?speed=inf"))
    assert not info.simulated and not simulated
    info, simulated = first_info(open_source(f"replay:{capture}?speed=inf&simulated=1"))
    assert info.simulated and simulated
