"""Every device gives any leads, as many as it has channels: a watch, limb leads, a patch, a Holter."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from firmware_bridge.devices.registry import make_decoder
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import ArrivalDecoder, HostedDecoder, Samples, StreamInfo
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.twins import (
    DEVICES,
    PORTS,
    Setup,
    make_ble_twin,
    make_twin,
    source_options,
)
from firmware_bridge.source import open_source
from firmware_bridge.source_spec import parse_spec
from firmware_bridge.wire.spec import LEADS

CHANNELS = {"csv": 8, "cyton": 8, "ganglion": 4, "openview": 3, "wearable": 8}
SETS = [
    ("I",),
    ("I", "II"),
    ("II", "V2"),
    ("V1", "V5", "aVF"),
    ("V6", "aVR", "III", "aVL"),
    ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"),
    ("aVL", "V3", "aVR"),
]
BOUND_S = 10.0


def read_twin(
    device: str, leads: tuple[str, ...], seconds: float = 6.0
) -> tuple[StreamInfo, np.ndarray]:
    """What the decoder of a device makes of its twin, (n_leads, n) mV, on the clock of the twin."""
    make = make_twin if device in PORTS["pty"] else make_ble_twin
    twin = make(device, Setup(lambda rate_hz: EcgSimulator(rate_hz, seed=2), leads=leads))
    _, _, options = parse_spec("udp:1" + source_options(device, leads), ("udp",))
    decoder = make_decoder(options).decoder
    info: StreamInfo | None = None
    counts: list[np.ndarray] = []
    if isinstance(decoder, HostedDecoder):
        decoder.opened()
    while (due_s := twin.next_due_s()) is not None and due_s < seconds:
        pieces = [b""]
        if isinstance(decoder, HostedDecoder):
            pieces.append(twin.receive(decoder.data_to_send()))
        if twin.next_due_s() == due_s and (frame := twin.next_frame()) is not None:
            pieces.append(frame.data)
        if isinstance(decoder, ArrivalDecoder):
            decoder.arrived(round(due_s * 1e9))
        for event in decoder.receive_data(b"".join(pieces)):
            if isinstance(event, StreamInfo):
                info = event
            elif isinstance(event, Samples):
                counts.append(event.counts)
    assert info is not None
    return info, np.concatenate(counts, axis=1) * info.nanovolts_per_lsb * 1e-6


def test_every_twin_is_tried() -> None:
    assert set(CHANNELS) == set(DEVICES)


@pytest.mark.parametrize("leads", SETS, ids=",".join)
@pytest.mark.parametrize("device", DEVICES)
def test_any_leads_come_out_as_the_heart_has_them(device: str, leads: tuple[str, ...]) -> None:
    leads = leads[: CHANNELS[device]]
    info, ecg_mv = read_twin(device, leads)
    assert info.leads == leads
    truth = EcgSimulator(info.sampling_hz, seed=2).read(ecg_mv.shape[1] + 50)
    rows = truth[[LEADS.index(lead) for lead in leads]]
    n = ecg_mv.shape[1] - 50
    assert n > 2 * info.sampling_hz
    off = [np.abs(rows[:, i : i + n] - ecg_mv[:, 50 : 50 + n]).max() for i in range(100)]
    assert min(off) < 0.02  # a Ganglion that compresses rounds most


@pytest.mark.parametrize(
    ("leads", "said"), [("I", ("I",)), ("v2, ii", ("V2", "II")), ("aVF", ("aVF",))]
)
def test_the_simulated_wearable_sends_what_is_asked(leads: str, said: tuple[str, ...]) -> None:
    async def first_info() -> StreamInfo:
        async with open_source(f"sim:?leads={leads}") as source:
            async for timed in source:
                if isinstance(timed.event, StreamInfo):
                    return timed.event
        raise AssertionError("no stream info")

    assert asyncio.run(asyncio.wait_for(first_info(), BOUND_S)).leads == said


@pytest.mark.parametrize(
    ("leads", "says"),
    [
        ("", "each once, from I, II"),
        ("I,V7", "each once, from I, II"),
        ("I,I", "each once, from I, II"),
        (",".join(LEADS[:9]), "has 8 channels; leave out"),
    ],
)
def test_what_the_simulated_wearable_cannot_send_is_refused(leads: str, says: str) -> None:
    with pytest.raises(SourceSpecError, match=says):
        open_source(f"sim:?leads={leads}")
