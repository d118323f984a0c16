"""Cuda over a fake GPU: contexts and threads, work in order, capture, typed errors, release; the real API."""

from __future__ import annotations

import ast
import ctypes
import gc
import importlib
import inspect
import threading
import weakref
from typing import Any

import numpy as np
import pytest

from edge.engines.trt import cuda as cuda_module
from edge.engines.trt.cuda import LIBCUDA, Cuda, open_cuda
from edge.engines.trt.cuda_errors import CUDA_ERRORS, LOST
from edge.errors import (
    DeviceError,
    DeviceLostError,
    DeviceMemoryError,
    DriverError,
    EngineMissingError,
    InputError,
)
from tests.edge.engines.trt.fake_cuda import open_fake
from tests.edge.engines.trt.fake_gpu import FakeFaultError, FakeGpu


def fault(code: int) -> Any:
    def op() -> None:
        raise FakeFaultError(code)

    return op


def test_it_says_what_it_is(cuda: Cuda) -> None:
    assert (cuda.device_name, cuda.compute_capability) == ("fake GPU", "8.7")
    assert (cuda.driver_version, cuda.runtime_of_pycuda) == ("12.6", "12.6")
    assert cuda.stream_handle == 0x57
    with cuda.current():
        before = cuda.free_memory()
        cuda.allocate(1024)
        assert before - cuda.free_memory() == 1024


@pytest.mark.parametrize("code", [3, 35, 46, 100, 803, 804, 999])
def test_no_usable_driver_is_told_on_opening(gpu: FakeGpu, code: int) -> None:
    gpu.fail["cuInit"] = code
    with pytest.raises(DriverError, match=CUDA_ERRORS[code][0]):
        open_fake(gpu)
    assert gpu.leftovers() == {}


def test_a_stream_that_cannot_be_made_leaves_nothing(gpu: FakeGpu) -> None:
    gpu.fail["cuStreamCreate"] = 2
    with pytest.raises(DeviceMemoryError, match="CUDA_ERROR_OUT_OF_MEMORY"):
        open_fake(gpu)
    assert gpu.leftovers() == {}
    assert gpu.accidents == []


def test_the_context_is_current_in_the_thread_that_works_and_nowhere_else(
    gpu: FakeGpu, cuda: Cuda
) -> None:
    assert gpu.stack() == []
    with cuda.current():
        with cuda.current():
            assert len(gpu.stack()) == 1  # pushed once however deep
        assert len(gpu.stack()) == 1
    assert gpu.stack() == []
    with pytest.raises(DeviceError, match="CUDA_ERROR_INVALID_CONTEXT"):
        cuda.allocate(1)


def test_a_context_of_the_caller_is_current_again_afterwards(gpu: FakeGpu, cuda: Cuda) -> None:
    other = open_fake(gpu)
    with other.current():
        theirs = gpu.stack()[-1]
        with cuda.current():
            assert gpu.stack()[-1] is not theirs
        assert gpu.stack()[-1] is theirs
    other.close()


def test_threads_take_turns(gpu: FakeGpu, cuda: Cuda) -> None:
    inside, most = [], []

    def work() -> None:
        for _ in range(50):
            with cuda.current():
                inside.append(1)
                most.append(len(inside))
                cuda.synchronize()
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(most) == 200
    assert max(most) == 1


def test_copies_go_in_and_out_when_somebody_waits(gpu: FakeGpu, cuda: Cuda) -> None:
    with cuda.current():
        buffer, host = cuda.allocate(300), cuda.pinned(300)
        assert buffer.address % 256 == 0
        assert not host.any()
        host[:] = np.arange(300) % 251
        cuda.copy_in(buffer, host)
        cuda.synchronize()
        given = host.copy()
        host[:] = 0
        cuda.copy_out(host, buffer)
        assert not host.any()  # the fake would show a result that is used too early
        cuda.synchronize()
        assert np.array_equal(host, given)
        cuda.zero(buffer)
        cuda.copy_out(host, buffer, 100)
        cuda.synchronize()
        assert not host[:100].any()
        assert np.array_equal(host[100:], given[100:])


def test_a_copy_beyond_the_end_is_refused(cuda: Cuda) -> None:
    with cuda.current():
        buffer, host = cuda.allocate(16), cuda.pinned(8)
        for nbytes in (9, 16, 17):
            with pytest.raises(InputError, match="cannot copy"):
                cuda.copy_in(buffer, host, nbytes)
        with pytest.raises(InputError, match="cannot copy 20 bytes"):
            cuda.copy_out(cuda.pinned(20), buffer)


def test_events_time_what_lies_between_them(cuda: Cuda) -> None:
    with cuda.current():
        begin, end, buffer = cuda.event(), cuda.event(), cuda.allocate(8)
        begin.record()
        for _ in range(3):
            cuda.zero(buffer)
        end.record()
        with pytest.raises(DeviceError, match="not ready"):
            end.milliseconds_since(begin)
        cuda.synchronize()
        assert end.milliseconds_since(begin) == 3  # the fake counts commands


@pytest.mark.parametrize("code", sorted(LOST))
def test_after_a_loss_everything_says_so_but_close(gpu: FakeGpu, code: int) -> None:
    cuda = open_fake(gpu)
    with cuda.current():
        cuda.allocate(8), cuda.pinned(8), cuda.event(), cuda.capture(lambda: None)
        gpu.queue.append(fault(code))
        with pytest.raises(DeviceLostError, match=CUDA_ERRORS[code][0]):
            cuda.synchronize()
    for _ in range(2):
        with pytest.raises(DeviceLostError, match=CUDA_ERRORS[code][0]), cuda.current():
            pass
    gpu.calls.clear()
    cuda.close()
    cuda.close()
    assert gpu.retained == 0
    assert not [c for c in gpu.calls if c.startswith("release")]  # gone with the context


def test_close_releases_backwards_the_context_last(gpu: FakeGpu) -> None:
    cuda = open_fake(gpu)
    with cuda.current():
        cuda.allocate(8), cuda.pinned(8), cuda.allocate(8), cuda.capture(lambda: None)
        cuda.zero(cuda.allocate(4))  # under way when it closes
    gpu.calls.clear()
    cuda.close()
    told = [c for c in gpu.calls if "elease" in c]
    assert told == [
        "release memory",
        "release graph",
        "release memory",
        "release memory",
        "release pinned",
        "release stream",
        "cuDevicePrimaryCtxRelease",
    ]
    assert gpu.leftovers() == {}
    assert gpu.accidents == []
    cuda.close()
    with pytest.raises(DeviceError, match="closed"), cuda.current():
        pass


@pytest.mark.parametrize("inside", [False, True])
def test_close_works_in_any_thread(gpu: FakeGpu, inside: bool) -> None:
    """pycuda leaks a context that another thread lets go of without having it current."""
    cuda = open_fake(gpu)
    with cuda.current():
        cuda.allocate(8), cuda.event()

    def close() -> None:
        if inside:
            with cuda.current():
                cuda.close()
        else:
            cuda.close()
        assert gpu.stack() == []

    thread = threading.Thread(target=close)
    thread.start()
    thread.join(30)
    assert gpu.leftovers() == {}
    assert gpu.accidents == []


def test_what_was_given_back_early_is_not_released_again(gpu: FakeGpu) -> None:
    cuda = open_fake(gpu)
    with cuda.current():
        buffer, host = cuda.allocate(8), cuda.pinned(8)
        for _ in range(2):
            buffer.free()
            cuda.unpin(host)
        assert gpu.leftovers() == {"streams": 1, "contexts": 1}
    cuda.close()
    assert gpu.leftovers() == {}


def test_it_is_never_garbage(gpu: FakeGpu) -> None:
    """A collector runs in any thread; what is not closed stays until the process ends, and is closed then."""
    cuda = open_fake(gpu)
    with cuda.current():
        cuda.allocate(8)
    alive = weakref.ref(cuda)
    del cuda
    gc.collect()
    found = alive()
    assert found is not None
    found.close()
    del found
    gc.collect()
    assert alive() is None
    assert gpu.accidents == []


def test_a_gpu_that_hangs_is_given_up_within_the_bound(gpu: FakeGpu) -> None:
    cuda = open_fake(gpu, wait_s=0.02)
    with cuda.current():
        cuda.allocate(8), cuda.pinned(8)
        gpu.hangs = True
        with pytest.raises(DeviceLostError, match=r"has not answered for 0\.02 s"):
            cuda.synchronize()
    assert cuda.hangs
    gpu.calls.clear()
    cuda.close()
    gc.collect()
    assert gpu.calls == []  # whatever is freed waits for the GPU


def test_this_machine_says_what_is_missing() -> None:
    """Real: without a driver or pycuda, opening ends in an error that names the next step."""
    try:
        ctypes.CDLL(LIBCUDA)
    except OSError:
        with pytest.raises(DriverError, match=r"no NVIDIA driver here .*: on a Jetson"):
            open_cuda()
        return
    if importlib.util.find_spec("pycuda") is None:
        with pytest.raises(EngineMissingError, match="pycuda is not installed"):
            open_cuda()
        return
    pytest.skip("a driver and pycuda are here: tests/hardware opens them")


def pycuda_touched() -> set[str]:
    """What the source reaches on pycuda.driver."""
    tree = ast.parse(inspect.getsource(cuda_module))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if owner in ("driver", "self._driver"):
                found.add(node.attr)
    return found


def test_what_is_reached_on_pycuda_is_known() -> None:
    """The list that was read in pycuda 2026.1's sources; whoever adds to it reads again."""
    assert pycuda_touched() == {
        "Context",
        "Device",
        "Error",
        "Event",
        "Stream",
        "get_driver_version",
        "get_version",
        "init",
        "mem_alloc",
        "mem_get_info",
        "memcpy_dtoh_async",
        "memcpy_htod_async",
        "memset_d8_async",
        "pagelocked_empty",
    }


def test_pycuda_has_what_is_reached() -> None:
    driver = pytest.importorskip(
        "pycuda.driver", reason="pycuda is not here: install '.[jetson]'", exc_type=ImportError
    )
    assert [name for name in pycuda_touched() if not hasattr(driver, name)] == []
    for name in ("push", "pop", "detach", "get_current"):
        assert hasattr(driver.Context, name)
    for kind, names in {
        driver.Device: ("name", "compute_capability", "retain_primary_context"),
        driver.Stream: ("handle", "is_done"),
        driver.Event: ("record", "time_since"),
        driver.DeviceAllocation: ("free", "__int__"),
        driver.PagelockedHostAllocation: ("free",),
    }.items():
        assert [name for name in names if not hasattr(kind, name)] == []
