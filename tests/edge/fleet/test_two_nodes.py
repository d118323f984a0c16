"""A fleet that joins a Ray cluster of two nodes, a shard on each, and what the loss of a node costs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="no ray here: pip install '.[fleet]'")
pytest.importorskip("websockets", reason="no websockets here")

from tests.edge.fleet.test_ray_fleet import GO_ON_S, Failure, check, killed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.realtime,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head and a second node, with room for one shard each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        made.add_node(num_cpus=1)
        yield made
    finally:
        made.shutdown()


def family(pids: list[int]) -> list[int]:
    """Processes and all that descend from them."""
    found = list(pids)
    for pid in found:
        children = Path(f"/proc/{pid}/task/{pid}/children")
        found += map(int, children.read_text().split())
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "silent"])
def test_a_node_is_lost_and_its_patients_go_on(
    number: signal.Signals, cluster: Any, tmp_path: Path
) -> None:
    """`silent`, as one whose cable is drawn: nothing says that it is lost but the deadline."""
    [second] = cluster.worker_nodes
    raylets = [info.process.pid for infos in second.all_processes.values() for info in infos]
    node: list[int] = []

    def victim(pids: dict[str, int]) -> str:
        node[:] = family(raylets)
        on_second = [name for name, pid in pids.items() if pid in node]
        assert len(on_second) == 1, "a shard on each node"
        return on_second[0]

    def lost(pid: int) -> None:
        for one in node:  # the raylet first, as where the machine fails
            os.kill(one, number)

    try:
        found = asyncio.run(
            killed(
                tmp_path,
                16,
                60,
                Failure(20, victim, lost),
                address=cluster.address,
                deadline_s=2.5,
            )
        )
    finally:
        for one in node if number == signal.SIGSTOP else []:
            os.kill(one, signal.SIGKILL)
    print(f"{number.name}: {found['went_on_s']:.2f} s, {len(found['hit'])} patients")
    check(tmp_path, found, 16, 60)
    assert not found["shards"][found["victim"]]["up"]
    assert found["went_on_s"] < GO_ON_S
