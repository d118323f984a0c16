"""The simulated source obeys its host, in real time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from firmware_bridge.events import Event, Restarted, Samples, StreamInfo
from firmware_bridge.source import Source, open_source
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.spec import FrameType

pytestmark = pytest.mark.realtime

BOUND_S = 10.0


async def ask(source: Source, kind: FrameType, rate: int, n_frames: int) -> list[Event]:
    """What follows a command, from its answer on, until `n_frames` frames of samples have come."""
    await source.link.transport.write(encode_frame(Command(kind, rate)))
    events: list[Event] = []
    async for timed in source:
        if events or isinstance(timed.event, StreamInfo | Restarted):
            events.append(timed.event)
        if events and sum(isinstance(event, Samples) for event in events) >= n_frames:
            return events
    raise AssertionError("the stream ended")


def test_stop_start_and_another_rate() -> None:
    async def dialogue() -> None:
        async with open_source("sim:") as source:
            await ask(source, FrameType.IDENTIFY, 0, 3)
            await ask(source, FrameType.STOP, 0, 0)
            started = await ask(source, FrameType.START, 0, 5)
            at = next(i for i, event in enumerate(started) if isinstance(event, Restarted))
            assert isinstance(started[at + 1], StreamInfo)
            first = started[at + 2]
            assert isinstance(first, Samples) and first.first_sample == 0

            faster = await ask(source, FrameType.SET_RATE, 500_000, 5)
            info = next(event for event in faster if isinstance(event, StreamInfo))
            assert info.sampling_hz == 500.0
            frames = [event for event in faster if isinstance(event, Samples)]
            ends = np.cumsum([frame.counts.shape[1] for frame in frames])
            assert [frame.first_sample for frame in frames] == [0, *ends[:-1]]
            ticks_us = [frame.tick_us - frames[0].tick_us for frame in frames]
            assert ticks_us == [0, *ends[:-1] * 2_000]

    asyncio.run(asyncio.wait_for(dialogue(), BOUND_S))
