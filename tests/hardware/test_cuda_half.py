"""The engine's CUDA half on a real GPU, with kernels of our own in place of TensorRT's enqueue."""

from __future__ import annotations

import pytest

from benchmarks.device.agreement import Streams
from benchmarks.device.command import HOST_KEPT_MB, KEPT_MB
from benchmarks.device.engine import Site, graph_and_enqueue, grown, latency
from benchmarks.device.runner import Effort
from edge.engines.trt.cuda import Cuda
from edge.errors import DeviceMemoryError
from tests.hardware.stand_in import check

pytestmark = pytest.mark.gpu
CHECKED = (*(1,) * 400, *(3, 32, 1, 33) * 10)  # frames of the steps that are held against NumPy
MORE_THAN_ANY = 1 << 46  # bytes


@pytest.mark.parametrize("graphs", [True, False])
def test_every_step_is_that_of_numpy(stand_in: Site, graphs: bool) -> None:
    with stand_in.open(graphs=graphs) as engine:
        assert engine.details()["mode"] == ("graph" if graphs else "enqueue")
        found = check(engine, CHECKED)
    assert found == {"steps": len(CHECKED), "outputs_differ": 0, "states_differ": 0}


def test_a_graph_makes_the_bits_of_the_enqueue(stand_in: Site, records: Streams) -> None:
    found = graph_and_enqueue(stand_in, records)
    assert found["modes"] == ["graph", "enqueue"]
    assert found["outputs_differ"] == found["states_differ"] == 0


@pytest.mark.parametrize("graphs", [True, False])
def test_ten_thousand_steps_leave_no_memory(
    stand_in: Site, records: Streams, effort: Effort, graphs: bool
) -> None:
    found = grown(stand_in, records, effort, graphs=graphs)
    assert float(found["device_mb"]) <= KEPT_MB
    assert float(found["host_mb"]) <= HOST_KEPT_MB


def test_latency_is_reported_by_both_clocks(
    stand_in: Site, records: Streams, effort: Effort
) -> None:
    found = latency(stand_in, records, effort, print, graphs=True)
    assert found is not None
    for clock in ("host", "events"):
        assert found[clock]["back_to_back"]["n"] == effort.steps
        assert found[clock]["back_to_back"]["min"] > 0


def test_exhausted_memory_is_its_own_error(cuda: Cuda) -> None:
    with cuda.current(), pytest.raises(DeviceMemoryError, match="out of memory"):
        cuda.allocate(MORE_THAN_ANY)
