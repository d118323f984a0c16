"""Steps by events, on a fake GPU whose time is the number of commands that ran."""

from __future__ import annotations

import pytest

from benchmarks.device.engine import Site, step_of
from benchmarks.device.event_clock import EventClock, event_durations
from edge.bundle import Bundle
from tests.benchmarks.device.fake_device import two_records
from tests.edge.engines.trt.fake_cuda import open_fake
from tests.edge.engines.trt.fake_gpu import FakeGpu
from tests.hardware.stand_in import NoCache, stand_in_library

COPIES = 2  # in and out: the fake counts them; kernels do nothing here


@pytest.mark.parametrize("graphs", [True, False])
def test_a_step_is_all_that_lies_between_its_first_command_and_its_last(
    any_bundle: Bundle, graphs: bool
) -> None:
    gpu = FakeGpu()
    library = stand_in_library(any_bundle.manifest, lambda *_: None)
    site = Site(any_bundle, library, open_fake(gpu), NoCache())
    clock = EventClock(site.cuda)
    with site.open(graphs=graphs, clock=clock) as engine:
        assert engine.details()["mode"] == ("graph" if graphs else "enqueue")
        step = step_of(engine, two_records(40))
        found = event_durations(step, clock, 5, lambda timed: [timed() for _ in range(8)])
        assert found.tolist() == [1e3 * COPIES] * 5
        engine.state()  # a copy outside a step
        step()
        assert clock.last_us() == 1e3 * COPIES
        engine.reset()
        step()
        assert clock.last_us() == 1e3 * COPIES
    assert gpu.accidents == []
    site.cuda.close()
    assert gpu.leftovers() == {}
