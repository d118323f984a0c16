"""Captured graphs over a fake GPU, and what is reached on cuda.bindings held to the real one."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest

from edge.engines.trt import cuda_graph
from edge.engines.trt.cuda import Cuda
from edge.engines.trt.cuda_graph import GraphCaptureError
from edge.errors import (
    DeviceLostError,
)
from tests.edge.engines.trt.fake_cuda import open_fake
from tests.edge.engines.trt.fake_gpu import FakeGpu


def test_a_graph_does_again_what_was_captured(gpu: FakeGpu, cuda: Cuda) -> None:
    with cuda.current():
        buffer, given, found = cuda.allocate(4), cuda.pinned(4), cuda.pinned(4)

        def work() -> None:
            cuda.copy_in(buffer, given)
            cuda.copy_out(found, buffer)

        given[:] = 1
        graph = cuda.capture(work)
        cuda.synchronize()
        assert not found.any()  # captured, not run
        for value in (2, 3):
            given[:] = value
            graph.launch()
            cuda.synchronize()
            assert (found == value).all()
        graph.close()
        graph.close()
        assert gpu.graphs == {}


@pytest.mark.parametrize(
    "routine", ["cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate"]
)
def test_a_capture_that_fails_leaves_the_stream_as_it_was(
    gpu: FakeGpu, cuda: Cuda, routine: str
) -> None:
    gpu.fail[routine] = 901
    with cuda.current():
        buffer, host = cuda.allocate(4), cuda.pinned(4)
        with pytest.raises(GraphCaptureError, match="CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"):
            cuda.capture(lambda: cuda.zero(buffer))
        assert gpu.graphs == {}
        cuda.zero(buffer)
        cuda.copy_out(host, buffer)
        cuda.synchronize()
        assert not host.any()


def test_work_that_raises_ends_its_capture(gpu: FakeGpu, cuda: Cuda) -> None:
    def memory() -> None:
        cuda.allocate(1 << 30)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with cuda.current():
        with pytest.raises(GraphCaptureError, match="CUDA_ERROR_OUT_OF_MEMORY"):
            cuda.capture(memory)
        with pytest.raises(KeyboardInterrupt):
            cuda.capture(interrupted)
        assert gpu.captured is None
        assert gpu.graphs == {}
        cuda.synchronize()


def test_a_device_lost_within_a_capture_is_no_fallback(gpu: FakeGpu, cuda: Cuda) -> None:
    gpu.fail["cuGraphInstantiate"] = 700
    with cuda.current(), pytest.raises(DeviceLostError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        cuda.capture(lambda: None)
    assert cuda.is_lost


def test_bindings_that_do_not_fit_the_driver_are_a_capture_error(gpu: FakeGpu) -> None:
    class TooNew:
        """Fake: cuda.bindings on a driver without the call."""

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(f'Function "{name}" not found')

    cuda = open_fake(gpu, bindings=TooNew)
    with cuda.current(), pytest.raises(GraphCaptureError, match='"CUstream" not found'):
        cuda.capture(lambda: None)
    cuda.close()


def test_a_failed_launch_is_typed(gpu: FakeGpu, cuda: Cuda) -> None:
    with cuda.current():
        graph = cuda.capture(lambda: None)
        gpu.fail["cuGraphLaunch"] = 719
        with pytest.raises(DeviceLostError, match=r"launching a graph: .*CUDA_ERROR_LAUNCH_FAILED"):
            graph.launch()


def test_cuda_bindings_have_what_is_reached() -> None:
    driver = pytest.importorskip(
        "cuda.bindings.driver",
        reason="cuda.bindings is not here: install '.[jetson]'",
        exc_type=ImportError,
    )
    for entry in cuda_graph.TOUCHED:
        found = driver
        for part in entry.split("."):
            found = getattr(found, part)
    assert int(driver.CUstream(5)) == 5
    assert "hGraph, unsigned long long flags" in driver.cuGraphInstantiate.__doc__
    source = inspect.getsource(cuda_graph)
    reached = {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr.startswith(("cu", "CU"))
    }
    assert reached - {"cuda"} == {part for entry in cuda_graph.TOUCHED for part in entry.split(".")}
