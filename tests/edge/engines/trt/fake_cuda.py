"""A fake GPU under the real edge.engines.trt.cuda: pycuda, libcuda, cuda.bindings, as far as it calls them.

Fake: device memory is NumPy and nothing runs on a GPU. What it keeps of the real one, read in pycuda 2026.1's
sources and CUDA's documentation:

- Nothing enqueued happens before somebody waits, so a result read too early is old, and pinned memory that
  is overwritten too early is copied as it is then.
- Captured work is replayed at the addresses that it was captured with.
- A context is current in the thread that pushed it and in no other; calls without one fail; what pycuda's
  destructors would release outside its context is counted as an accident.
- pycuda's errors are a class and a text, without a code. A failed kernel makes every later call fail.
"""

from __future__ import annotations

from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engines.trt.cuda import Cuda
from tests.edge.engines.trt.fake_gpu import FakeContext, FakeGpu, Op, PycudaError


class Owned:
    """Fake: what belongs to a context and is released by its destructor at the latest."""

    kind = ""

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu, self.context, self.released = gpu, gpu.stack()[-1], False

    def release(self) -> bool:
        """Whether CUDA was told: not for a dead context, which took everything with it."""
        assert not self.released, f"pycuda raises when {self.kind} is freed twice"
        self.released = True
        if not self.context.valid:
            return False
        if self.context not in self.gpu.stack():
            self.gpu.accidents.append(f"{self.kind} released without its context")
        if self.gpu.queue:
            self.gpu.accidents.append(f"{self.kind} released under work that uses it")
        self.gpu.calls.append(f"release {self.kind}")
        return True

    def destroy(self) -> None:
        if not self.released:
            self.release()

    def __del__(self) -> None:
        self.destroy()


class FakeAllocation(Owned):
    """Fake: pycuda's DeviceAllocation."""

    kind = "memory"

    def __init__(self, gpu: FakeGpu, nbytes: int) -> None:
        self.released = True  # until it is there
        self.address = gpu.allocate(nbytes)
        super().__init__(gpu)

    def __int__(self) -> int:
        return self.address

    def free(self) -> None:
        if self.release():
            del self.gpu.memory[self.address]


class FakeHostAllocation(Owned):
    """Fake: the base of a pagelocked array."""

    kind = "pinned"

    def __init__(self, gpu: FakeGpu, nbytes: int) -> None:
        self.released = True
        gpu.call("cuMemHostAlloc")
        super().__init__(gpu)
        self.bytes = np.full(nbytes, 0xAB, np.uint8)
        self.__array_interface__ = self.bytes.__array_interface__
        gpu.pinned.append(self)

    def free(self) -> None:
        if self.release():
            self.gpu.pinned.remove(self)


class FakeStream(Owned):
    """Fake: pycuda's Stream. It is never done at the first asking, as if something took time."""

    kind = "stream"

    def __init__(self, gpu: FakeGpu, flags: int) -> None:
        self.released = True
        gpu.call("cuStreamCreate")
        super().__init__(gpu)
        assert flags == 1, "the stream must not wait for the default stream"
        gpu.streams += 1
        self.handle = 0x57
        self.asked = False

    def is_done(self) -> bool:
        assert self.gpu.captured is None, "waiting within a capture"
        self.asked = not self.asked
        if self.asked or self.gpu.hangs:
            return False
        self.gpu.run()
        self.gpu.call("cuStreamQuery")
        return True

    def destroy(self) -> None:
        if not self.released and self.release():
            self.gpu.streams -= 1


class FakeEvent(Owned):
    """Fake: pycuda's Event; its time is the number of commands that ran before."""

    kind = "event"

    def __init__(self, gpu: FakeGpu) -> None:
        super().__init__(gpu)
        self.at: float | None = None

    def record(self, stream: FakeStream) -> None:
        self.gpu.call("cuEventRecord")
        self.at = None
        self.gpu.enqueue(lambda: setattr(self, "at", float(self.gpu.launches)))

    def time_since(self, start: FakeEvent) -> float:
        if self.at is None or start.at is None:
            raise PycudaError("cuEventElapsedTime failed: device not ready")
        return self.at - start.at


class FakePycuda:
    """Fake: the module pycuda.driver on one fake GPU."""

    Error = PycudaError

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu
        self.Context = SimpleNamespace(get_current=self._current)

    def _current(self) -> FakeContext | None:
        return self.gpu.stack()[-1] if self.gpu.stack() else None

    def init(self) -> None:
        self.gpu.call("cuInit", current=False)

    def get_version(self) -> tuple[int, int, int]:
        return (12, 6, 0)

    def get_driver_version(self) -> int:
        return 12060

    def Device(self, number: int) -> Any:  # noqa: N802 - pycuda's name
        if number:
            raise PycudaError("cuDeviceGet failed: invalid device ordinal")

        def retain() -> FakeContext:
            self.gpu.call("cuDevicePrimaryCtxRetain", current=False)
            return FakeContext(self.gpu)

        return SimpleNamespace(
            name=lambda: "fake GPU",
            compute_capability=lambda: (8, 7),
            retain_primary_context=retain,
        )

    def Stream(self, flags: int) -> FakeStream:  # noqa: N802
        return FakeStream(self.gpu, flags)

    def Event(self) -> FakeEvent:  # noqa: N802
        return FakeEvent(self.gpu)

    def mem_alloc(self, nbytes: int) -> FakeAllocation:
        return FakeAllocation(self.gpu, nbytes)

    def pagelocked_empty(self, shape: int, dtype: type) -> NDArray[Any]:
        assert dtype is np.uint8
        return np.asarray(FakeHostAllocation(self.gpu, shape))

    def memcpy_htod_async(self, dest: int, src: NDArray[Any], stream: FakeStream) -> None:
        self.gpu.call("cuMemcpyHtoDAsync")
        self._check_pinned(src)
        self._do(lambda: np.copyto(self.gpu.at(dest, src.nbytes), src.reshape(-1).view(np.uint8)))

    def memcpy_dtoh_async(self, dest: NDArray[Any], src: int, stream: FakeStream) -> None:
        self.gpu.call("cuMemcpyDtoHAsync")
        self._check_pinned(dest)
        self._do(lambda: np.copyto(dest.reshape(-1).view(np.uint8), self.gpu.at(src, dest.nbytes)))

    def memset_d8_async(self, dest: int, data: int, size: int, stream: FakeStream) -> None:
        self.gpu.call("cuMemsetD8Async")
        self._do(lambda: self.gpu.at(dest, size).fill(data))

    def mem_get_info(self) -> tuple[int, int]:
        self.gpu.call("cuMemGetInfo")
        return self.gpu.nbytes - sum(m.nbytes for m in self.gpu.memory.values()), self.gpu.nbytes

    def _do(self, op: Op) -> None:
        def counted() -> None:
            op()
            self.gpu.launches += 1

        self.gpu.enqueue(counted)

    def _check_pinned(self, array: NDArray[Any]) -> None:
        assert any(np.shares_memory(array, p.bytes) for p in self.gpu.pinned), "not pinned"
        assert array.flags.c_contiguous


class FakeBindings:
    """Fake: the module cuda.bindings.driver; each call gives (status, results ...)."""

    CUstreamCaptureMode = IntEnum("CUstreamCaptureMode", {"CU_STREAM_CAPTURE_MODE_THREAD_LOCAL": 1})
    CUstream = staticmethod(int)

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu
        self._executables: dict[int, list[Op]] = {}

    def cuStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:  # noqa: N802
        if code := self.gpu.status("cuStreamBeginCapture"):
            return (code,)
        assert mode == 1
        assert stream == 0x57
        assert not self.gpu.queue, "work under way when a capture begins"
        self.gpu.captured, self.gpu.capture_spoilt = [], False
        return (0,)

    def cuStreamEndCapture(self, stream: int) -> tuple[int, Any]:  # noqa: N802
        captured, self.gpu.captured = self.gpu.captured, None
        code = self.gpu.status("cuStreamEndCapture") or (901 if self.gpu.capture_spoilt else 0)
        if code:
            return code, None
        assert captured is not None
        return 0, self._keep(captured)

    def cuGraphInstantiate(self, graph: int, flags: int) -> tuple[int, Any]:  # noqa: N802
        if code := self.gpu.status("cuGraphInstantiate"):
            return code, None
        return 0, self._keep(self.gpu.graphs[graph])

    def cuGraphLaunch(self, executable: int, stream: int) -> tuple[int]:  # noqa: N802
        if code := self.gpu.status("cuGraphLaunch"):
            return (code,)
        for op in self.gpu.graphs[executable]:
            self.gpu.enqueue(op)
        return (0,)

    def cuGraphDestroy(self, graph: int) -> tuple[int]:  # noqa: N802
        del self.gpu.graphs[graph]
        return (0,)

    def cuGraphExecDestroy(self, executable: int) -> tuple[int]:  # noqa: N802
        self.gpu.calls.append("release graph")
        del self.gpu.graphs[executable]
        return (0,)

    def _keep(self, ops: list[Op]) -> int:
        key = 1 + max(self.gpu.graphs, default=0)
        self.gpu.graphs[key] = list(ops)
        return key


class FakeLibcuda:
    """Fake: the driver's library as ctypes loads it."""

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.gpu.status("cuInit", current=False)

    def cuCtxSetCurrent(self, context: None) -> int:  # noqa: N802
        return 0


def open_fake(gpu: FakeGpu, *, wait_s: float = 10.0, bindings: Any = None) -> Cuda:
    """The real Cuda on a fake GPU."""
    return Cuda(
        FakePycuda(gpu),
        FakeLibcuda(gpu),
        bindings=bindings or (lambda: FakeBindings(gpu)),
        wait_s=wait_s,
    )
