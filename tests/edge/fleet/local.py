"""Devices that play a simulated ECG, and shards of this process that can be killed as Ray's can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ShardLostError
from edge.fleet.batch import Batch, Made
from edge.fleet.decoder import Decoder
from edge.fleet.device_stream import DeviceStream
from edge.fleet.fleet import Fleet
from edge.fleet.patient import OpenSinks, Patient
from edge.fleet.shard import Shard
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock
from edge.sinks.base import Sink
from firmware_bridge.closing import Closing
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info


def frames(
    seconds: float,
    *,
    seed: int = 0,
    hz: float = 250.0,
    frames_hz: float = 5.0,
    leads: Sequence[str] = ("II", "V1", "V5"),
    session: int = 0,
    signal: EcgSimulator | None = None,
) -> list[bytes]:
    """What a wearable sends in so many seconds, `frames_hz` pieces a second."""
    info = stream_info(hz, leads, session=session)
    signal = signal or EcgSimulator(hz, seed=seed)
    device = VirtualWearable(signal, info, frames_hz=frames_hz, vary_frames=False)
    sent: list[bytes] = []
    while (frame := device.next_frame()) is not None and frame.due_s <= seconds + 1e-6:
        sent.append(frame.data)
    return sent


OPTIONS = {"engine": "onnxruntime"}
TICK_S = 0.01


class LocalShard:
    """A `ShardLink` around the real Shard.

    Unlike Ray's it runs on a thread of this process, dies when told so, and is revived at once.
    """

    def __init__(self, name: str, slots: int = 8) -> None:
        self.name, self.slots = name, slots
        self.shard = Shard(slots, OPTIONS)
        self.dies_in = -1
        """Steps until it dies with one; none below 0."""
        self.revived = 0
        self.held = asyncio.Event()
        self.held.set()

    async def step(self, batch: Batch) -> Made:
        await self.held.wait()
        self.dies_in -= 1
        if self.dies_in == -1:
            raise ShardLostError("killed")
        return await asyncio.to_thread(self.shard.step, batch)

    async def revive(self) -> None:
        self.shard = Shard(self.slots, OPTIONS)
        self.revived += 1


class Kept(Closing):
    """A sink that keeps its blocks."""

    def __init__(self) -> None:
        self.blocks: list[TwelveLeadBlock] = []
        self.closed = 0

    def write(self, block: TwelveLeadBlock) -> None:
        self.blocks.append(block)

    def close(self) -> None:
        self.closed += 1

    def whole(self) -> TwelveLeadBlock:
        whole = self.blocks[0]
        for block in self.blocks[1:]:
            assert block.first_sample == whole.first_sample + whole.n_samples, "a hole"
            whole = whole.then(block)
        return whole


def expected(sent: list[bytes], n: int) -> NDArray[np.float32]:
    """(12, n) of the same frames through one Reconstructor."""
    stream = DeviceStream(250.0)
    blocks = [block for data in sent for block in stream.receive_data(data, 0)]
    with Reconstructor.open(engine="onnxruntime", leads=stream.ingest.leads) as one:
        made = one.push(np.concatenate([block.ecg_mv for block in blocks], 1)).ecg_mv
    return np.asarray(made[:, :n])


def sinks(kept: dict[str, Kept]) -> OpenSinks:
    """Keeps the blocks of each."""

    def open_sinks(patient: Patient) -> Mapping[str, Sink]:
        kept[patient.name] = Kept()
        return {"kept": kept[patient.name]}

    return open_sinks


def fleet_of(
    links: Sequence[LocalShard],
    open_sinks: OpenSinks,
    calibrations: Path | None = None,
    **given: Any,
) -> Fleet:
    """A fleet that is fed faster than life."""
    return Fleet(
        links,
        decoder=Decoder(links[0].shard._multi.bundle, calibrations),
        open_sinks=open_sinks,
        tick_s=TICK_S,
        **given,
    )


async def until(true: Callable[[], bool]) -> None:
    """Wait for what comes true soon."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true in 10 s")
