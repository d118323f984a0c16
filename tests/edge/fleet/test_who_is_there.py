"""Of patients who never come, and of those who have gone, a fleet lists nothing and keeps nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from edge.fleet.admission import Admission
from edge.fleet.feed import Listeners
from edge.fleet.outputs import PatientSinks
from tests.edge.fleet.local import LocalShard, fleet_of, frames, until

pytestmark = pytest.mark.realtime

NAMES = [f"bed-{i}" for i in range(3000)]


def test_nothing_is_kept_of_who_is_not_there(tmp_path: Path) -> None:
    devices = {name: {"token_sha256": f"{i:064x}"} for i, name in enumerate(NAMES)}
    (tmp_path / "devices.json").write_text(json.dumps({"devices": devices}))
    admission, listeners = Admission(tmp_path / "devices.json"), Listeners()
    sinks = PatientSinks((), None, listeners.publish, {"prefilter": "", "model": ""}, print)
    reports = []

    async def scenario() -> None:
        link = LocalShard("a", slots=2)
        fleet = fleet_of([link], sinks, idle_s=0.5)
        running = asyncio.create_task(fleet.run())
        for name in NAMES:
            assert admission.patient_of(name, "a guess") is None
            with listeners.listening(name) as nobody:
                assert nobody is not None
        reports.append(fleet.report())
        fleet.admit("bed-0", "watch")  # connects, and sends nothing
        for data in frames(1.0):
            fleet.receive("bed-1", "watch-1", data)
        await until(lambda: fleet.report()["samples_out"] > 0)
        with listeners.listening("bed-1") as viewer:
            assert viewer is not None
            first = await anext(viewer.messages())
            assert isinstance(first, str) and json.loads(first)["patient"] == "bed-1"
        await until(lambda: not fleet.patients)
        await until(lambda: link.shard._multi.patients == ())
        reports.append(fleet.report())
        fleet.stop()
        await running
        assert not fleet.counts._streams

    asyncio.run(scenario())
    assert [report["patients"] for report in reports] == [0, 0]
    assert reports[1]["shards"]["a"]["patients"] == reports[1]["patients_unplaced"] == 0
    assert not listeners._by_patient and not listeners._states
