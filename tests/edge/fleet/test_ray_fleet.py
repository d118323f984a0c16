"""The whole fleet on Ray: a shard's process is killed, its patients go on, the files hold what they must."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray", reason="no ray here")
pytest.importorskip("websockets", reason="no websockets here")

from edge.fleet.admission import Admission, add_entry
from edge.fleet.fleet import TICK_S
from edge.fleet.service import Plan, Service
from edge.quality import Quality
from tests.edge.fleet.local import expected, frames

pytestmark = pytest.mark.realtime

FRAMES_HZ = 1 / TICK_S
GO_ON_S = 3.0
A_TICK = 30 + 3  # samples; less than a hop may wait for the next frame
HEARTS = 8  # signals; patients share them


@dataclass
class Failure:
    """What happens to one of the two shards, and when."""

    tick: int
    victim: Callable[[dict[str, int]], str] = lambda pids: "shard-0"
    """Of the process of each shard."""
    happens: Callable[[int], object] = lambda pid: os.kill(pid, signal.SIGKILL)
    """To the process of that shard."""


async def killed(
    folder: Path,
    patients: int,
    ticks: int,
    failure: Failure,
    **given: Any,
) -> dict[str, Any]:
    """Two shards, one of them killed; what became of it. `given` is of the Plan."""
    add_entry(folder / "devices.json", "devices", "watch", None)
    told: list[str] = []
    plan = Plan(
        Admission(folder / "devices.json"),
        shards=2,
        slots=patients,
        files=[f"file:{folder}/{{patient}}.npz"],
        # Ray tells of a death; a machine that others use, too, is no reason.
        **{"deadline_s": 20.0, "options": {"engine": "onnxruntime"}, **given},
    )
    service, opened = Service(plan, told.append), asyncio.Event()
    running = asyncio.create_task(service.run(opened.set))
    await asyncio.wait(
        [running, asyncio.ensure_future(opened.wait())], return_when="FIRST_COMPLETED"
    )
    if running.done():
        running.result()
    fleet = service.fleet
    assert fleet is not None
    try:
        sent = [frames(ticks * TICK_S, seed=i, frames_hz=FRAMES_HZ) for i in range(HEARTS)]
        names = [f"bed-{i}" for i in range(patients)]
        pids = await service.pids()
        victim, due = failure.victim(pids), time.monotonic()
        killed_s, went_on_s = 0.0, 0.0
        hit: set[str] = set()
        for i in range(ticks):
            if i == failure.tick:
                hit = {patient.name for patient in fleet.lanes[victim].patients.values()}
                killed_s = time.monotonic()
                failure.happens(pids[victim])
            for k, name in enumerate(names):
                fleet.receive(name, name, sent[k % HEARTS][i])
            due = max(due + TICK_S, time.monotonic())
            late_s = due + 2 * GO_ON_S
            # The next tick comes once this one was taken: a slow machine is no overload of the fleet.
            while (now := time.monotonic()) < due or (
                now < late_s and any(len(p.waiting) > A_TICK for p in fleet.patients.values())
            ):
                await asyncio.sleep(0.01)
                if killed_s and not went_on_s and fleet.report()["began_anew"] == len(hit):
                    went_on_s = time.monotonic() - killed_s
    finally:
        service.stop()
        await running
    kept = {"hit": hit, "victim": victim, "went_on_s": went_on_s, "told": told, "sent": sent}
    return {**service.report(), **kept}


def check(folder: Path, found: dict[str, Any], patients: int, ticks: int) -> None:
    """One tick at most is lost, of the patients of the dead shard alone, flagged, and counted once."""
    hit = found["hit"]
    assert 0 < len(hit) < patients, found["told"]
    assert found["shards"][found["victim"]]["failures"] == 1 and found["samples_shed"] == 0
    assert found["began_anew"] == len(hit), found["told"]
    assert found["went_on_s"] > 0
    lost_in_all = 0
    for k in range(patients):
        with np.load(folder / f"bed-{k}.npz") as file:
            ecg, quality = file["ecg_mv"], file["quality"]
        lost = (quality & Quality.GAP).astype(bool)
        assert np.array_equal(lost, np.isnan(ecg)), "what is lost is flagged, and nothing else"
        assert ecg.shape[1] >= (ticks - 1) * TICK_S * 250
        lost_in_all += int(lost[0].sum())
        if f"bed-{k}" in hit:
            assert lost[0].sum() <= A_TICK
        else:
            alone = expected(found["sent"][k % HEARTS], ecg.shape[1])
            assert not lost.any() and np.abs(ecg - alone).max() < 1e-5
    assert lost_in_all == found["samples_missing"] == found["samples_lost_by_shards"]


def test_a_shard_is_killed_and_its_patients_go_on(tmp_path: Path) -> None:
    found = asyncio.run(killed(tmp_path, 6, 25, Failure(8)))
    check(tmp_path, found, 6, 25)


@pytest.mark.slow
def test_two_shards_of_64_patients_lose_a_tick_when_one_is_killed(tmp_path: Path) -> None:
    found = asyncio.run(killed(tmp_path, 128, 120, Failure(30)))
    check(tmp_path, found, 128, 120)
    assert found["went_on_s"] < GO_ON_S
