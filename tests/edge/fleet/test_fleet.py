"""The fleet with shards of this process: as one Reconstructor each; a shard that dies costs a tick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from edge.errors import InputError, LeadliftError
from edge.fleet.fleet import Fleet
from edge.fleet.ledger import BEGAN_ANEW
from edge.quality import Quality
from tests.edge.fleet.local import (
    TICK_S,
    Kept,
    LocalShard,
    expected,
    fleet_of,
    frames,
    sinks,
    until,
)

pytestmark = pytest.mark.realtime


async def fed(fleet: Fleet, sent: dict[str, list[bytes]], each: Callable[[int], object]) -> None:
    """A frame of everybody at a time; the next once it was taken, as in life."""
    running = asyncio.create_task(fleet.run())
    for i in range(max(map(len, sent.values()))):
        each(i)
        for name, data in sent.items():
            if i < len(data):
                fleet.receive(name, f"watch-of-{name}", data[i])
        for _ in range(400):
            if all(len(p.waiting) < 4 for p in fleet.patients.values()):
                break
            await asyncio.sleep(TICK_S / 2)
    await asyncio.sleep(3 * TICK_S)
    fleet.stop()
    await running


def test_patients_on_two_shards_are_as_each_alone() -> None:
    sent = {f"bed-{i}": frames(2.0, seed=i, hz=hz) for i, hz in enumerate([250, 250, 250, 500])}
    kept: dict[str, Kept] = {}

    async def scenario() -> Fleet:
        fleet = fleet_of([LocalShard("a"), LocalShard("b")], sinks(kept))
        await fed(fleet, sent, lambda i: None)
        return fleet

    fleet = asyncio.run(scenario())
    report = fleet.report()
    assert report["samples_missing"] == report["began_anew"] == report["patients"] == 0
    assert all(lane.steps for lane in fleet.lanes.values()), "both shards have some"
    for name, one in kept.items():
        whole = one.whole()
        assert whole.n_samples >= 480 and one.closed == 1
        alone = expected(sent[name], whole.n_samples)
        assert np.abs(whole.ecg_mv - alone).max() < 1e-5, "as hop by hop is to whole"


def test_a_shard_dies_and_its_patients_alone_lose_a_tick() -> None:
    sent = {f"bed-{i}": frames(2.4, seed=i) for i in range(6)}
    kept: dict[str, Kept] = {}
    told: list[str] = []

    async def scenario() -> tuple[Fleet, set[str]]:
        links = [LocalShard("a"), LocalShard("b")]
        fleet = fleet_of(links, sinks(kept), say=told.append)
        hit: set[str] = set()

        def each(i: int) -> None:
            if i == 5:
                hit.update(p.name for p in fleet.lanes["a"].patients.values())
                links[0].dies_in = 0

        await fed(fleet, sent, each)
        assert links[0].revived == 1 and fleet.lanes["a"].up
        return fleet, hit

    fleet, hit = asyncio.run(scenario())
    assert 0 < len(hit) < 6
    report = fleet.report()
    assert report["samples_missing"] == report["samples_lost_by_shards"] > 0
    assert report["began_anew"] == len(hit) and report["shards"]["a"]["failures"] == 1
    assert len(told) == 2 and "lost" in told[0] and "back" in told[1]
    for name, one in kept.items():
        whole = one.whole()  # has no hole: what is lost is there, as NaN
        lost = (whole.quality & Quality.GAP).astype(bool)
        assert np.array_equal(lost, np.isnan(whole.ecg_mv))
        texts = [marker.text for marker in whole.markers]
        if name in hit:
            assert 0 < lost[0].sum() <= 52 and texts == [BEGAN_ANEW]
        else:
            assert not lost.any() and not texts
            alone = expected(sent[name], whole.n_samples)
            assert np.abs(whole.ecg_mv - alone).max() < 1e-5


def test_a_shard_that_hangs_stalls_nobody_else() -> None:
    sent = {f"bed-{i}": frames(1.6, seed=i) for i in range(6)}
    kept: dict[str, Kept] = {}

    async def scenario() -> tuple[set[str], dict[str, int]]:
        links = [LocalShard("a"), LocalShard("b")]
        fleet = fleet_of(links, sinks(kept))
        running = asyncio.create_task(fleet.run())
        links[0].held.clear()
        for i in range(8):
            for name, data in sent.items():
                fleet.receive(name, name, data[i])
            await asyncio.sleep(TICK_S)
        held = {p.name for p in fleet.lanes["a"].patients.values()}
        for _ in range(1000):
            so_far = {name: one.whole().n_samples for name, one in kept.items()}
            if set(so_far) == set(sent) - held and min(so_far.values()) >= 390:
                break
            await asyncio.sleep(TICK_S)
        links[0].held.set()
        fleet.stop()
        await running
        return held, so_far

    held, so_far = asyncio.run(scenario())
    assert held and set(so_far) == set(sent) - held
    assert min(so_far.values()) >= 390, "all that they sent"


def test_without_a_shard_the_oldest_samples_make_room_and_are_counted() -> None:
    sent = frames(10.0)
    kept: dict[str, Kept] = {}

    async def scenario() -> Fleet:
        link = LocalShard("a")
        fleet = fleet_of([link], sinks(kept))
        running = asyncio.create_task(fleet.run())
        for i, data in enumerate(sent):
            if i == 5:
                await until(lambda: "bed" in kept and kept["bed"].whole().n_samples >= 248)
                link.held.clear()
            fleet.receive("bed", "watch", data)
        link.held.set()
        fleet.stop()
        await running
        return fleet

    report = asyncio.run(scenario()).report()
    whole = kept["bed"].whole()
    lost = np.isnan(whole.ecg_mv[0])
    assert 250 < report["samples_shed"] == report["samples_missing"] == lost.sum()
    assert report["began_anew"] == 0 and not lost[:200].any() and not lost[-250:].any()


def test_who_may_come() -> None:
    async def scenario() -> None:
        fleet = fleet_of([LocalShard("a", slots=1)], sinks({}))
        fleet.admit("bed-1", "watch-1")
        fleet.admit("bed-1", "watch-1")  # it comes back
        with pytest.raises(InputError, match="watch-1 is the device"):
            fleet.admit("bed-1", "watch-2")
        with pytest.raises(InputError, match="all 1 places"):
            fleet.admit("bed-2", "watch-2")

    asyncio.run(scenario())


def test_a_silent_stream_ends_and_the_next_is_a_new_one() -> None:
    kept: dict[str, Kept] = {}

    async def scenario() -> None:
        link = LocalShard("a", slots=1)
        fleet = fleet_of([link], sinks(kept), idle_s=0.5)
        running = asyncio.create_task(fleet.run())
        for name in ("bed-1", "bed-2"):
            for data in frames(1.0):
                fleet.receive(name, name, data)
            await until(lambda name=name: name in kept and kept[name].closed == 1)
            assert not fleet.patients
        fleet.stop()
        await running
        assert link.shard._multi.patients == ()

    asyncio.run(scenario())
    assert kept["bed-2"].whole().first_sample == 0


def test_a_stream_that_makes_no_sense_ends_and_leaves_the_others_alone() -> None:
    kept: dict[str, Kept] = {}
    good, bad = frames(2.0), [*frames(1.0), *frames(1.0, hz=500.0, session=7)]

    async def scenario() -> Fleet:
        fleet = fleet_of([LocalShard("a")], sinks(kept))
        running = asyncio.create_task(fleet.run())
        refused = 0
        for one, other in zip(good, bad, strict=False):
            fleet.receive("good", "good", one)
            fleet.receive("noise", "noise", np.random.default_rng(len(other)).bytes(300))
            try:
                fleet.receive("bad", "bad", other)
            except LeadliftError as error:
                assert "changed" in str(error)
                refused += 1
                break
            await asyncio.sleep(2 * TICK_S)
        assert refused == 1 and "bad" not in fleet.patients
        fleet.stop()
        await running
        return fleet

    report = asyncio.run(scenario()).report()
    assert report["corrupt"] > 0 and kept["bad"].closed == 1
    assert not np.isnan(kept["good"].whole().ecg_mv).any()
