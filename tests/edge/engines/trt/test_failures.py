"""The runner over fakes when something is missing, refused, exhausted or lost, and how it lets go."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.engines.cache import Built, Cached, EngineCache
from edge.engines.trt.build import BuildOptions, build_plan
from edge.engines.trt.cuda import LIBCUDA
from edge.engines.trt.cuda_graph import GraphCaptureError
from edge.engines.trt.engine import TensorRtEngine
from edge.engines.trt.key import EngineKey
from edge.errors import (
    DeviceError,
    DeviceLostError,
    DeviceMemoryError,
    DriverError,
    EngineError,
    InputError,
)
from tests.edge.engines.given import run, simulated
from tests.edge.engines.trt.fake_cuda import open_fake
from tests.edge.engines.trt.fake_gpu import FakeFaultError, FakeGpu
from tests.edge.engines.trt.rtx import DEVICE, rtx_library
from tests.edge.engines.trt.tensorrt_bench import Bench

pytest.importorskip("onnx", reason="TensorRT's graph is made with onnx: install '.[test]'")


@pytest.mark.parametrize(
    ("routine", "code"),
    [("cuStreamBeginCapture", 900), ("cuStreamEndCapture", 901), ("cuGraphInstantiate", 2)],
)
def test_it_falls_back_to_enqueue_and_says_why(bench: Bench, routine: str, code: int) -> None:
    stream = simulated(bench.bundle.manifest, 12)
    with bench.open() as engine:
        expected = run(engine, stream, 5)[0]
    bench.gpu.fail[routine] = code
    with bench.open() as engine:
        details = engine.details()
        assert details["mode"] == "enqueue"
        assert "CUDA_ERROR_" in str(details["why_no_graph"])
        assert bench.gpu.graphs == {}  # not one engine with graphs and one without
        np.testing.assert_array_equal(run(engine, stream, 5)[0], expected)
    bench.assert_nothing_left()


def test_without_cuda_bindings_it_enqueues(engine_folder: Path, any_bundle: Bundle) -> None:
    def missing() -> Any:
        raise GraphCaptureError("cuda.bindings does not import")

    bench = Bench(engine_folder, any_bundle, bindings=missing)
    with bench.open(frames=(1,)) as engine:
        assert engine.details()["mode"] == "enqueue"
        assert "cuda.bindings does not import" in str(engine.details()["why_no_graph"])
        assert np.isfinite(run(engine, simulated(engine.manifest, 3), 1)[0]).all()
    bench.cuda.close()
    assert bench.gpu.leftovers() == {}


def test_a_step_that_tensorrt_refuses_within_a_capture_is_a_fallback_too(bench: Bench) -> None:
    calls = 2  # each turn of the one engine runs once before the captures
    bench.trt.refuses["execute_async_v3"] = []
    original = bench.gpu.enqueue

    def enqueue(op: Callable[[], None]) -> None:
        if bench.gpu.captured is not None and not bench.trt.refuses["execute_async_v3"]:
            bench.trt.refuses["execute_async_v3"] = ["capture is not supported by a layer"]
        original(op)

    bench.gpu.enqueue = enqueue  # type: ignore[method-assign]
    with bench.open(frames=(1,)) as engine:
        assert bench.trt.enqueued == calls + 1
        assert "capture is not supported by a layer" in str(engine.details()["why_no_graph"])
        bench.trt.refuses.clear()
        assert np.isfinite(run(engine, simulated(engine.manifest, 3), 1)[0]).all()


def test_rtx_is_asked_and_captures_by_itself_where_we_may_not(
    engine_folder: Path, any_bundle: Bundle
) -> None:
    bench = Bench(engine_folder, any_bundle, rtx=True)
    with bench.open(frames=(1,)) as engine:
        assert engine.details()["mode"] == "graph"
        expected = run(engine, simulated(engine.manifest, 5), 1)[0]
    bench.trt.refuses["is_stream_capturable"] = ["no"]
    with bench.open(frames=(1,)) as engine:
        assert engine.details()["mode"] == "enqueue"
        assert "cannot be captured" in str(engine.details()["why_no_graph"])
        assert bench.trt.configs[-1].cuda_graph_strategy == "whole graph"
        np.testing.assert_array_equal(run(engine, simulated(engine.manifest, 5), 1)[0], expected)
    bench.assert_nothing_left()
    bench.cuda.close()


def test_what_the_runtime_refuses_is_built_anew_once(bench: Bench) -> None:
    with bench.open(frames=(1,)):
        pass
    bench.trt.builds = 0
    with bench.open(frames=(1,)) as engine:
        assert bench.trt.builds == 0
        assert engine.details()["built_s"] == 0
    bench.trt.refuses["deserialize_cuda_engine"] = ["version tag does not match"]
    with bench.open(frames=(1,)) as engine:
        assert bench.trt.builds == 1
        run(engine, simulated(engine.manifest, 2))
    bench.trt.refuses["deserialize_cuda_engine"] = ["version tag does not match"] * 3
    with pytest.raises(EngineError, match="version tag does not match"):
        bench.open(frames=(1,))
    assert len(bench.trt.refuses["deserialize_cuda_engine"]) == 1  # twice, not for ever
    bench.assert_nothing_left()


@pytest.mark.parametrize(
    ("method", "line", "error", "told"),
    [
        (
            "Runtime",
            "CUDA initialization failure with error: 35",
            DriverError,
            "InsufficientDriver",
        ),
        (
            "deserialize_cuda_engine",
            "(cudaError 35: CUDA driver version is insufficient for CUDA runtime version)",
            DriverError,
            "cudaErrorInsufficientDriver",
        ),
        (
            "create_execution_context",
            "Error Code 1: Cuda Runtime (out of memory)",
            DeviceMemoryError,
            "CUDA_ERROR_OUT_OF_MEMORY",
        ),
        (
            "create_execution_context",
            "Requested amount of GPU memory (9 bytes) could not be allocated.",
            DeviceMemoryError,
            "CUDA_ERROR_OUT_OF_MEMORY",
        ),
        ("execute_async_v3", "Cuda failure: 719", DeviceLostError, "CUDA_ERROR_LAUNCH_FAILED"),
        ("execute_async_v3", "Error Code 3: API Usage Error", EngineError, "API Usage Error"),
        ("set_tensor_address", "no such tensor", EngineError, "refuses the address of ecg"),
    ],
)
def test_what_tensorrt_logs_becomes_a_typed_error(
    bench: Bench, method: str, line: str, error: type[EngineError], told: str
) -> None:
    bench.trt.refuses[method] = [line] * 2
    with pytest.raises(error, match=told) as raised:
        bench.open(frames=(1,))
    assert type(raised.value) is error
    assert len(str(raised.value).splitlines()) == 1
    # Also while the error lives, whose frames have seen them.
    assert (bench.trt.contexts, bench.trt.engines) == (0, 0)
    if error is not DeviceLostError:  # which takes all memory with its context
        bench.assert_nothing_left()
    bench.cuda.close()
    assert bench.gpu.retained == 0


def test_an_engine_with_other_tensors_is_refused(bench: Bench) -> None:
    bench.trt.renamed = {"log_sigma": "sigma"}
    with pytest.raises(EngineError, match=r"log_sigma: None, not .*; |sigma: .*, not None"):
        bench.open(frames=(1,))
    bench.trt.renamed, bench.trt.reshaped = {}, {"state_0": (1, 1, 2, 3)}
    with pytest.raises(EngineError, match=r"state_0: \(\(1, 1, 2, 3\)"):
        bench.open(frames=(1,))
    bench.assert_nothing_left()


def test_step_lengths_without_one_are_refused(bench: Bench) -> None:
    for frames in ((32,), (0, 1)):
        with pytest.raises(InputError, match="1 must be one"):
            bench.open(frames=frames)


def test_out_of_memory_leaves_nothing_behind(bench: Bench) -> None:
    """Whatever the allocation that fails: the first, the second ... until there is enough."""
    total, opened = bench.gpu.nbytes, None
    refused = 0
    for nbytes in range(0, 1 << 16, 512):
        bench.gpu.nbytes = nbytes
        try:
            opened = bench.open(frames=(1, 7))
            break
        except DeviceMemoryError as error:
            assert "CUDA_ERROR_OUT_OF_MEMORY" in str(error)
        refused += 1
        bench.assert_nothing_left()
    assert refused > 5  # two sets of states, then in and out of two engines
    assert opened is not None
    opened.close()
    bench.gpu.nbytes = total
    bench.gpu.fail["cuMemHostAlloc"] = 2
    with pytest.raises(DeviceMemoryError, match="pinning"):
        bench.open()
    bench.assert_nothing_left()


@pytest.mark.parametrize("graphs", [True, False])
def test_a_lost_device_is_told_once_and_for_all(bench: Bench, graphs: bool) -> None:
    engine = bench.open(frames=(1,), graphs=graphs)
    stream = simulated(engine.manifest, 2)
    engine.step(*(stream[0][..., :1], stream[1][..., :1], stream[2]))

    def fault() -> None:
        raise FakeFaultError(700)

    bench.gpu.queue.append(fault)
    with pytest.raises(DeviceLostError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        run(engine, stream, 1)
    for call in (lambda: run(engine, stream, 1), engine.state, engine.reset):
        with pytest.raises(DeviceLostError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
            call()
    engine.close()
    engine.close()
    assert (bench.trt.contexts, bench.trt.engines) == (0, 0)
    bench.cuda.close()
    assert bench.gpu.retained == 0


def test_a_device_that_hangs_is_lost_and_close_returns(
    engine_folder: Path, any_bundle: Bundle
) -> None:
    bench = Bench(engine_folder, any_bundle, wait_s=0.02)
    engine = bench.open(frames=(1,))
    bench.gpu.hangs = True
    with pytest.raises(DeviceLostError, match="has not answered"):
        run(engine, simulated(engine.manifest, 1))
    bench.gpu.calls.clear()
    engine.close()
    bench.cuda.close()
    waiting = {"release memory", "release pinned", "release stream", "release execution context"}
    assert not waiting & set(bench.gpu.calls)  # each would wait for the GPU
    assert bench.trt.contexts == 2


def test_after_a_failed_step_the_stream_goes_on_where_it_was(bench: Bench) -> None:
    stream = simulated(bench.bundle.manifest, 10)
    with bench.open(frames=(1,), graphs=False) as engine:
        expected = run(engine, stream, 1)[0]
        engine.reset()
        ecg, mask, anchor = stream
        parts = []
        for i in range(10):
            here = ecg[..., i : i + 1], mask[..., i : i + 1], anchor
            if i == 4:
                bench.trt.refuses["execute_async_v3"] = ["Error Code 3: no"]
                with pytest.raises(EngineError, match="does not run a step"):
                    engine.step(*here)
            parts.append(engine.step(*here)[0].copy())
        np.testing.assert_array_equal(np.concatenate(parts, -1), expected)


def test_release_is_in_order_and_close_may_be_called_twice(bench: Bench) -> None:
    engine = bench.open(frames=(1,))
    bench.gpu.calls.clear()
    engine.close()
    engine.close()
    order = [c for c in bench.gpu.calls if c.startswith("release")]
    kinds = list(dict.fromkeys(order))
    assert kinds == [
        "release graph",
        "release execution context",
        "release pinned",
        "release memory",
    ]
    bench.assert_nothing_left()
    for call in (
        lambda: run(engine, simulated(engine.manifest, 1)),
        engine.state,
        engine.reset,
        lambda: engine.set_state(engine.zero_state()),
    ):
        with pytest.raises(EngineError, match="closed"):
            call()


def test_closed_under_a_closed_cuda(bench: Bench) -> None:
    engine = bench.open(frames=(1,))
    bench.cuda.close()
    with pytest.raises(DeviceError, match="closed"):
        engine.reset()
    engine.close()
    assert bench.trt.contexts == 0


def driver_is_here() -> bool:
    try:
        ctypes.CDLL(LIBCUDA)
    except OSError:
        return False
    return True


class SeededCache(EngineCache):
    """Fake: a cache that has the engine which it was given."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.forgotten = 0

    def get(self, key: EngineKey, build: Callable[[], Built]) -> Cached:
        return Cached(self.data, None, False, "given")

    def forget(self, key: EngineKey) -> None:
        self.forgotten += 1


def test_the_real_rtx_runtime_without_a_driver_is_a_driver_error(any_bundle: Bundle) -> None:
    """Real: TensorRT-RTX's own runtime and its own words, on a machine where it cannot run."""
    library = rtx_library()
    if driver_is_here():
        pytest.skip("a driver is here: tests/hardware runs the engine")
    plan = build_plan(any_bundle, library, BuildOptions(compute_capability=DEVICE))
    gpu, cache = FakeGpu(), SeededCache(plan.data)
    cuda = open_fake(gpu)
    with pytest.raises(DriverError, match="cudaErrorInsufficientDriver") as raised:
        TensorRtEngine(any_bundle, library=library, cuda=cuda, cache=cache, frames=(1,))
    assert len(str(raised.value).splitlines()) == 1
    assert cache.forgotten == 0  # another build would end the same
    cuda.close()
    assert gpu.leftovers() == {}
