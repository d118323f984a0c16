"""The BLE source over bumble's host stack: an MTU that is really negotiated, and what it truncates."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

pytest.importorskip("dbus_fast", reason="the fake BlueZ needs dbus-fast, which bleak has on Linux")
pytest.importorskip("bumble", reason="a negotiated MTU needs bumble: install '.[test]'")

from bumble.link import LocalLink

from benchmarks.wire.bluez.private_bus import PrivateBus
from firmware_bridge.errors import PeerError
from firmware_bridge.events import Corrupt, Event, Gap, Samples
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info
from firmware_bridge.source import open_source
from tests.firmware_bridge.bumble_radio import ADDRESS, BumbleBlueZ, BumbleWearable

pytestmark = [pytest.mark.realtime, pytest.mark.usefixtures("bluetooth", "quick")]
BOUND_S = 20.0


@contextlib.asynccontextmanager
async def air(mtu: int, *, cut: bool = True) -> AsyncIterator[BumbleWearable]:
    """A wearable and a host's radio in reach of each other."""
    link = LocalLink()
    virtual = VirtualWearable(EcgSimulator(), stream_info(250.0, session=2))
    wearable = BumbleWearable(link, virtual, cut=cut)
    running = asyncio.ensure_future(wearable.run())
    bluez = await BumbleBlueZ(link, mtu).start()
    try:
        yield wearable
    finally:
        running.cancel()
        await bluez.stop()


async def listen(
    wearable: BumbleWearable, until: Callable[[list[Event]], object], **bounds: float
) -> list[Event]:
    said: list[Event] = []
    async with open_source(f"ble:{ADDRESS}", **bounds) as source:
        async for timed in source:
            said.append(timed.event)
            if until(said):
                break
            if sum(isinstance(e, Samples) for e in said) == 3 and not source.reconnects:
                await wearable.hang_up()
    return said


@pytest.mark.parametrize("mtu", [23, 185, 517])
def test_the_negotiated_mtu_carries_the_stream_and_a_hang_up_is_a_gap(mtu: int) -> None:
    async def host() -> list[Event]:
        async with air(mtu) as wearable:
            said = await listen(
                wearable,
                lambda said: isinstance(said[-1], Samples) and any(type(e) is Gap for e in said),
            )
            assert wearable.mtu == mtu
            return said

    with PrivateBus():
        said = asyncio.run(asyncio.wait_for(host(), BOUND_S))
    samples = [e for e in said if isinstance(e, Samples)]
    lost = sum(e.n_samples for e in said if isinstance(e, Gap))
    received = sum(e.counts.shape[1] for e in samples)
    last = samples[-1]
    assert received + lost == last.first_sample + last.counts.shape[1] - samples[0].first_sample


def test_what_the_stack_truncates_is_never_believed() -> None:
    async def host() -> None:
        async with air(23, cut=False) as wearable:
            await listen(wearable, lambda said: not isinstance(said[-1], Corrupt), peer_s=0.3)

    with PrivateBus(), pytest.raises(PeerError, match="no valid frame"):
        asyncio.run(asyncio.wait_for(host(), BOUND_S))
