"""The TensorRT engine on a real GPU; speed is not judged here, `python -m benchmarks device` does."""

from __future__ import annotations

import threading
from contextlib import closing

import numpy as np
import pytest

from benchmarks.device.agreement import LEAST_R, RMSE_UV, Streams, given_from_leads, stream
from benchmarks.device.command import HOST_KEPT_MB, KEPT_MB
from benchmarks.device.engine import (
    Site,
    against_onnxruntime,
    build,
    chunking,
    graph_and_enqueue,
    grown,
    latency,
    layers,
)
from benchmarks.device.runner import Effort
from edge.errors import DeviceMemoryError

pytestmark = pytest.mark.gpu
MORE_THAN_ANY = 1 << 46  # bytes; asking for all that a Jetson has would take the host down with it


def test_agrees_with_onnxruntime_over_streamed_records(site: Site, records: Streams) -> None:
    found = against_onnxruntime(site, records, print)
    assert found["n_records"] == 200
    assert found["rmse_uv"] <= RMSE_UV
    assert found["r"] >= LEAST_R


def test_longer_steps_give_what_hop_by_hop_gives(site: Site, records: Streams) -> None:
    found = chunking(site, records)
    assert found["codes_changed"] == 0
    assert found["largest_uv"] <= 0.01  # 1e-5 mV


def test_a_graph_makes_the_bits_of_the_enqueue(site: Site, records: Streams) -> None:
    found = graph_and_enqueue(site, records)
    assert found["modes"] == ["graph", "enqueue"]
    assert found["outputs_differ"] == found["states_differ"] == 0


@pytest.mark.parametrize("graphs", [True, False])
def test_ten_thousand_steps_leave_no_memory(
    site: Site, records: Streams, effort: Effort, graphs: bool
) -> None:
    found = grown(site, records, effort, graphs=graphs)
    assert found["steps"] == 10_000
    assert float(found["device_mb"]) <= KEPT_MB
    assert float(found["host_mb"]) <= HOST_KEPT_MB


def test_every_convolution_is_int8(site: Site) -> None:
    site.open().close()
    found = layers(site)
    assert found["convolutions"] > 0
    assert found["convolutions_not_int8"] == 0, {
        frames: of["convolutions_not_int8"] for frames, of in found["by_frames"].items()
    }


def test_the_second_opening_builds_nothing(site: Site) -> None:
    found = build(site)
    assert found["details_from_cache"]["built_s"] == 0
    assert set(found["details_from_cache"]["cache"].values()) == {"from the cache"}
    assert [engine["frames"] for engine in found["engines"]] == found["details"]["frames"]


def test_an_altered_engine_is_built_anew(site: Site) -> None:
    site.open().close()
    for engine in site.cache.folder.glob("*.engine"):
        data = bytearray(engine.read_bytes())
        data[len(data) // 2] ^= 1
        engine.write_bytes(data)
    with closing(site.open()) as opened:
        notes = opened.details()["cache"]
        assert isinstance(notes, dict)
        assert all("truncated or altered" in note for note in notes.values())


def test_latency_is_reported_by_both_clocks(site: Site, records: Streams, effort: Effort) -> None:
    found = latency(site, records, effort, print, graphs=True)
    assert found is not None
    for clock in ("host", "events"):
        row = found[clock]["back_to_back"]
        assert row["n"] == effort.steps
        assert 0 < row["min"] <= row["p50"] <= row["p99"] <= row["p99.9"] <= row["max"]
    steady = {clock: found[clock]["back_to_back"]["p50"] for clock in ("host", "events")}
    assert steady["events"] < 2 * steady["host"]  # of one order: both are microseconds of one step
    assert found["host"]["paced"]["n"] == round(effort.paced_s / 0.016)


def test_stepped_in_another_thread_than_it_was_opened_in(site: Site, records: Streams) -> None:
    given = given_from_leads(site.bundle.manifest, records.ecg_mv[0])
    made: list[np.ndarray] = []
    with closing(site.open()) as engine:
        here = stream(engine, given)[0]
        thread = threading.Thread(target=lambda: made.append(stream(engine, given)[0]))
        thread.start()
        thread.join(60)
        assert np.array_equal(made[0], here)


def test_exhausted_memory_is_its_own_error_and_the_engine_lives(
    site: Site, records: Streams
) -> None:
    given = given_from_leads(site.bundle.manifest, records.ecg_mv[0])
    with closing(site.open()) as engine:
        before = stream(engine, given)[0]
        with site.cuda.current(), pytest.raises(DeviceMemoryError, match="out of memory"):
            site.cuda.allocate(MORE_THAN_ANY)
        assert np.array_equal(stream(engine, given)[0], before)
