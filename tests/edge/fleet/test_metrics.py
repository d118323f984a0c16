"""What a fleet counts, scraped over HTTP while it runs; the dashboard asks for what is there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="pip install '.[metrics]'")

from edge.fleet.fleet import Fleet
from edge.metrics.exporter import Exporter
from edge.metrics.fleet import COUNTERS, GAUGES, SHARDS
from edge.metrics.tables import FLEET_BUCKETS_MS
from tests.edge.fleet.local import Kept, LocalShard, fleet_of, frames, sinks, until
from tests.edge.fleet.test_fleet import fed
from tests.edge.metrics.test_metrics import OPS, names_in, scraped, value

pytestmark = pytest.mark.realtime

PREFIX = "leadlift_fleet_"
Families = dict[str, Any]


@pytest.fixture(scope="module")
def pages() -> tuple[Families, Families, Families, dict[str, Any]]:
    """Before anybody came, while streams go on, after a shard died and all have ended; the last report."""
    sent = {f"bed-{i}": frames(3.0, seed=i) for i in range(6)}
    lossy = sent["bed-0"]
    del lossy[4:7]  # never arrive: a gap
    lossy[8] = lossy[8][:20] + bytes([lossy[8][20] ^ 1]) + lossy[8][21:]
    kept: dict[str, Kept] = {}
    seen: list[Families] = []

    async def scenario(exporter: Exporter) -> Fleet:
        links = [LocalShard("a"), LocalShard("b")]
        fleet = fleet_of(links, sinks(kept))
        gateways = {"websocket": {"accepted": 6}, "mqtt": {}, "engine": "onnxruntime"}
        exporter.follow_fleet(lambda: {**fleet.report(), **gateways}, lambda: fleet.latency)
        seen.append(await asyncio.to_thread(scraped, exporter.address))

        def each(i: int) -> None:
            if i == 6:
                seen.append(scraped(exporter.address))
                links[0].dies_in = 0

        await fed(fleet, sent, each)
        await until(lambda: not fleet.patients)
        seen.append(await asyncio.to_thread(scraped, exporter.address))
        return fleet

    with Exporter() as exporter:
        fleet = asyncio.run(scenario(exporter))
    return seen[0], seen[1], seen[2], {**fleet.report(), "messages_dropped": 0}


def test_names_types_and_labels(pages: tuple[Families, Families, Families, Any]) -> None:
    kinds = {PREFIX + name: "counter" for name in (*COUNTERS, "gateway_events")}
    kinds |= {PREFIX + name: "gauge" for name in (*GAUGES, *SHARDS)}
    kinds |= {PREFIX + "latency_seconds": "histogram", PREFIX + "engine_info": "gauge"}
    for families in pages[:3]:
        ours = {name: one for name, one in families.items() if name.startswith(PREFIX)}
        assert {name: one.type for name, one in ours.items()} == kinds
        assert all(one.documentation.endswith(".") for one in ours.values())
        shards = {s.labels["shard"] for s in ours[PREFIX + "shard_patients"].samples}
        assert shards == {"a", "b"}
    assert value(pages[0], PREFIX + "engine_info", engine="onnxruntime") == 1


def test_values_follow_the_fleet(
    pages: tuple[Families, Families, Families, dict[str, Any]],
) -> None:
    before, during, after, report = pages

    def of(families: Families, name: str, **labels: str) -> float:
        return value(families, PREFIX + name, **labels)

    assert [of(page, "patients") for page in (before, during, after)] == [0, 6, 0]
    on_shards = [of(during, "shard_patients", shard=name) for name in "ab"]
    assert sum(on_shards) == 6 and all(on_shards)
    assert [of(page, "shard_failures", shard="a") for page in (during, after)] == [0, 1]
    assert of(after, "shard_failures", shard="b") == 0 and of(after, "slots") == 16
    for name, (entry, _) in COUNTERS.items():
        rising = [of(page, name) for page in (before, during, after)]
        assert rising == sorted(rising) and rising[0] == 0, name
        assert rising[2] == report[entry], name
    changed = (
        "samples_received",
        "samples_reconstructed",
        "samples_lost",
        "gaps",
        "corrupt_packets",
    )
    assert all(of(after, name) > 0 for name in changed)
    assert of(after, "decoders_began_anew") == on_shards[0]
    assert of(after, "samples_missing") > of(after, "samples_lost_by_shards") > 0


def test_the_histogram_counts_every_block(
    pages: tuple[Families, Families, Families, dict[str, Any]],
) -> None:
    name = PREFIX + "latency_seconds"
    counts = []
    for families in pages[:3]:
        samples = families[name].samples
        buckets = [s.value for s in samples if s.name == f"{name}_bucket"]
        assert len(buckets) == len(FLEET_BUCKETS_MS) + 1 and buckets == sorted(buckets)
        counts.append(value(families, name, f"{name}_count"))
        assert counts[-1] == buckets[-1]
        assert (value(families, name, f"{name}_sum") > 0) == (counts[-1] > 0)
    assert counts[0] == 0 < counts[1] < counts[2] == pages[3]["latency_us"]["n"]


def test_the_dashboard_shows_metrics_that_exist(
    pages: tuple[Families, Families, Families, Any],
) -> None:
    page = json.loads((OPS / "grafana-fleet.json").read_text(encoding="utf-8"))
    there = {sample.name for family in pages[2].values() for sample in family.samples}
    used = names_in(page)
    assert used <= there, used - there
    assert {name for name in used if not name.startswith(PREFIX)} == set()
    shown = {name.removeprefix(PREFIX).removesuffix("_total") for name in used}
    assert shown >= {*COUNTERS, *GAUGES, *SHARDS}
