"""The runner over a fake TensorRT on a fake GPU: what it does with memory, turns, graphs and threads.

No engine of TensorRT runs here: the fake's is the static int8 graph in ONNX Runtime.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.bundle import Bundle
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.errors import (
    InputError,
)
from tests.edge.engines.given import run, simulated
from tests.edge.engines.trt.tensorrt_bench import Bench

pytest.importorskip("onnx", reason="TensorRT's graph is made with onnx: install '.[test]'")

from edge.engines.trt.engine import TensorRtEngine

RMSE_MV, LEAST_R = 0.002, 0.9999  # ARCHITECTURE.md: across engines, per lead
SHAPE_NOISE = 1e-5  # mV: steps of other lengths add up the float head in another order


@pytest.fixture(params=[True, False], ids=["graph", "enqueue"])
def engine(request: pytest.FixtureRequest, bench: Bench) -> Iterator[TensorRtEngine]:
    with bench.open(graphs=request.param, frames=(1, 7)) as opened:
        yield opened
    bench.assert_nothing_left()


def in_thread(work: Callable[[], Any]) -> Any:
    """What `work` returns or raises in a thread of its own."""
    found: list[Any] = []

    def body() -> None:
        try:
            found.append(work())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def codes(engine: Any) -> np.ndarray:
    return np.concatenate([c.ravel() for c in engine.state().values()])


def test_it_agrees_with_onnxruntime(engine: TensorRtEngine) -> None:
    """The fake runs the int8 graph, so this is layout, conversion and ping-pong; ARCHITECTURE.md's bounds."""
    stream = simulated(engine.manifest, 120)
    runtime = OnnxRuntimeEngine(engine.bundle)
    expected, expected_sigma = run(runtime, stream)
    ecg_mv, log_sigma = run(engine, stream, 3)
    assert np.abs(expected).max() > 0.1  # else it would say nothing
    for one, other in zip(ecg_mv, expected, strict=True):
        assert np.sqrt(np.mean(np.square(one - other))) <= RMSE_MV
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] >= LEAST_R
    np.testing.assert_allclose(log_sigma, expected_sigma, atol=0.05)
    mine, theirs = codes(engine), codes(runtime)
    assert theirs.any()
    assert (mine != theirs).mean() < 1e-3


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_streams_cut_in_any_way_give_the_same_integers(
    engine: TensorRtEngine, cuts: list[int]
) -> None:
    ecg, mask, anchor = simulated(engine.manifest, sum(cuts))
    engine.reset()
    whole = run(engine, (ecg, mask, anchor), 1)
    state = engine.state()
    engine.reset()
    at, parts = 0, []
    for frames in cuts:
        here = slice(at, at + frames)
        parts.append([a.copy() for a in engine.step(ecg[..., here], mask[..., here], anchor)])
        at += frames
    assert all(np.array_equal(engine.state()[name], state[name]) for name in state)
    for one, expected in zip(zip(*parts, strict=True), whole, strict=True):
        np.testing.assert_allclose(np.concatenate(one, -1), expected, atol=SHAPE_NOISE)


def test_graphs_and_enqueue_are_bit_identical(bench: Bench) -> None:
    stream = simulated(bench.bundle.manifest, 61)
    results = []
    for graphs in (True, False):
        with bench.open(graphs=graphs) as engine:
            assert engine.details()["mode"] == ("graph" if graphs else "enqueue")
            results.append((*run(engine, stream, 5), codes(engine)))
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


def test_in_graph_mode_tensorrt_is_not_called_and_both_graphs_take_turns(bench: Bench) -> None:
    with bench.open(frames=(1,)) as engine:
        bench.trt.enqueued = 0
        bench.gpu.calls.clear()
        run(engine, simulated(engine.manifest, 6), 1)
        assert bench.trt.enqueued == 0
        assert bench.gpu.calls.count("cuGraphLaunch") == 6
        assert not {"cuMemcpyHtoDAsync", "cuMemAlloc", "cuMemHostAlloc"} & set(bench.gpu.calls)


def test_the_longest_engines_that_fit_run_in_turn(bench: Bench) -> None:
    with bench.open(frames=(1, 7)) as engine:
        ecg, mask, anchor = simulated(engine.manifest, 16)
        bench.gpu.calls.clear()
        engine.step(ecg, mask[..., :1], anchor)  # a mask of one value per lead goes for each part
        assert bench.gpu.calls.count("cuGraphLaunch") == 2 + 2


def test_steady_steps_keep_their_arrays(engine: TensorRtEngine) -> None:
    ecg, mask, anchor = simulated(engine.manifest, 8)
    first = engine.step(ecg, mask, anchor)
    again = engine.step(ecg, mask, anchor)
    assert all(one is other for one, other in zip(first, again, strict=True))


def test_results_outlive_the_engine(bench: Bench) -> None:
    """They are not views of pinned memory, which is gone after `close`."""
    with bench.open(frames=(1,)) as engine:
        results = engine.step(*simulated(engine.manifest, 1))
        assert not any(np.shares_memory(r, p.bytes) for r in results for p in bench.gpu.pinned)


def test_states_move_to_onnxruntime_and_back(engine: TensorRtEngine) -> None:
    ecg, mask, anchor = simulated(engine.manifest, 90)
    first, second = ((ecg[..., h], mask[..., h], anchor) for h in (slice(45), slice(45, 90)))
    run(engine, first, 4)
    snapshot = engine.state()
    expected = run(engine, second, 4)[0]
    runtime = OnnxRuntimeEngine(engine.bundle)
    runtime.set_state(snapshot)
    assert np.sqrt(np.mean(np.square(run(runtime, second)[0] - expected))) <= RMSE_MV
    runtime.set_state(snapshot)
    engine.reset()
    engine.set_state(runtime.state())
    assert all(np.array_equal(engine.state()[n], c) for n, c in snapshot.items())
    np.testing.assert_array_equal(run(engine, second, 4)[0], expected)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_state_comes_back_as_it_was_set(engine: TensorRtEngine, seed: int) -> None:
    random = np.random.default_rng(seed)
    state = {
        name: random.integers(0, 128, zero.shape).astype(zero.dtype)
        for name, zero in engine.zero_state().items()
    }
    engine.set_state(state)
    found = engine.state()
    assert all(np.array_equal(found[n], c) and found[n].dtype == c.dtype for n, c in state.items())


def test_states_that_do_not_fit_are_refused(engine: TensorRtEngine) -> None:
    run(engine, simulated(engine.manifest, 5))
    before = engine.state()
    name = next(iter(before))
    wrong = before[name].copy()
    wrong.flat[0] = 200
    for state, told in (({}, "do not fit"), (before | {name: wrong}, "above 127")):
        with pytest.raises(InputError, match=told):
            engine.set_state(state)
        assert all(np.array_equal(engine.state()[n], c) for n, c in before.items())


@pytest.mark.parametrize("graphs", [True, False])
def test_it_starts_and_restarts_at_zero(bench: Bench, graphs: bool) -> None:
    """Memory of the fake GPU is not zero by itself, and opening has run steps."""
    with bench.open(frames=(1,), graphs=graphs) as engine:
        stream = simulated(engine.manifest, 9)
        for _ in range(2):
            assert not codes(engine).any()
            first = run(engine, stream, 3)
            assert codes(engine).any()
            engine.reset()
            np.testing.assert_array_equal(run(engine, stream, 3)[0], first[0])
            engine.reset()


def test_opened_in_one_thread_stepped_in_another_closed_in_a_third(bench: Bench) -> None:
    stream = simulated(bench.bundle.manifest, 20)
    engine = in_thread(lambda: bench.open())
    ecg_mv, _ = in_thread(lambda: run(engine, stream, 1))
    state = engine.state()
    engine.reset()
    np.testing.assert_allclose(run(engine, stream, 1)[0], ecg_mv, atol=0)
    assert all(np.array_equal(engine.state()[n], c) for n, c in state.items())
    in_thread(engine.close)
    bench.assert_nothing_left()
    assert bench.gpu.stack() == []  # nothing stays pushed


def test_threads_that_step_at_once_take_turns(engine: TensorRtEngine) -> None:
    stream = simulated(engine.manifest, 30)
    threads = [threading.Thread(target=run, args=(engine, stream, 1)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    together = codes(engine)
    assert together.any()  # mixed streams, but whole steps


def test_details_are_plain_and_complete(bench: Bench) -> None:
    with bench.open() as engine:
        details = engine.details()
    assert details["library"] == "tensorrt"
    assert details["version"] == "10.3.0"
    assert details["device"] == "fake GPU"
    assert details["compute_capability"] == "8.7"
    assert details["driver"] == "12.6"
    assert details["frames"] == [1, 32]
    assert isinstance(details["cache"], dict)
    assert set(details["cache"]) == {"1", "32"}


def test_onnxruntime_gives_details_too(any_bundle: Bundle) -> None:
    details = OnnxRuntimeEngine(any_bundle, threads=2).details()
    assert set(details) == {"version", "threads"}
    assert details["threads"] == 2
