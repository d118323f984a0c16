"""A fake GPU: memory that is NumPy, work that waits until somebody waits for it, capture, and faults."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engines.trt.cuda_errors import CUDA_ERRORS

ALIGNMENT = 256
Op = Callable[[], None]


class FakeFaultError(Exception):
    """Fake: work on the device fails with this CUDA error."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class PycudaError(Exception):
    """Fake: pycuda's Error: a text, no code."""


class FakeGpu:
    """Fake: memory, one queue of work, capture, faults."""

    def __init__(self, nbytes: int = 1 << 24) -> None:
        self.nbytes = nbytes
        self.memory: dict[int, NDArray[np.uint8]] = {}
        self.pinned: list[Any] = []
        self.graphs: dict[int, list[Op]] = {}
        self.queue: list[Op] = []
        self.captured: list[Op] | None = None
        self.capture_spoilt = False
        self.retained = self.streams = self.launches = 0
        self.fail: dict[str, int] = {}
        """Routine -> the code that its next call fails with."""
        self.sticky: int | None = None
        self.hangs = False
        self.calls: list[str] = []
        self.accidents: list[str] = []
        self.stacks = threading.local()
        self._next = 0x10000

    def stack(self) -> list[FakeContext]:
        if not hasattr(self.stacks, "contexts"):
            self.stacks.contexts = []
        return self.stacks.contexts  # type: ignore[no-any-return]

    def status(self, routine: str, *, current: bool = True) -> int:
        """Count a call and say how it ends."""
        self.calls.append(routine)
        if self.sticky is not None:
            return self.sticky
        if routine in self.fail:
            return self.fail.pop(routine)
        if current and not (self.stack() and self.stack()[-1].valid):
            return 201
        return 0

    def call(self, routine: str, *, current: bool = True) -> None:
        if code := self.status(routine, current=current):
            text = CUDA_ERRORS[code][1]
            raise PycudaError(f"{routine} failed: {text}")

    def allocate(self, nbytes: int) -> int:
        if sum(m.nbytes for m in self.memory.values()) + nbytes > self.nbytes:
            self.fail["cuMemAlloc"] = 2
        self.call("cuMemAlloc")
        address, self._next = self._next, self._next + (-(-nbytes // ALIGNMENT) + 1) * ALIGNMENT
        # Neither zero nor one value: what is read before it is written shows.
        self.memory[address] = np.arange(nbytes).astype(np.uint8)
        return address

    def at(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        """Device memory as the GPU sees it."""
        for start, memory in self.memory.items():
            if start <= address and address + nbytes <= start + memory.nbytes:
                return memory[address - start : address - start + nbytes]
        raise FakeFaultError(700)

    def enqueue(self, op: Op) -> None:
        if self.captured is not None:
            self.captured.append(op)
        else:
            self.queue.append(op)

    def run(self) -> None:
        queue, self.queue = self.queue, []
        for op in queue:
            try:
                op()
            except FakeFaultError as fault:
                self.sticky = fault.code
                return

    def leftovers(self) -> dict[str, int]:
        """What was made and not released."""
        counts = {
            "memory": len(self.memory),
            "pinned": len(self.pinned),
            "graphs": len(self.graphs),
            "streams": self.streams,
            "contexts": self.retained,
        }
        return {name: n for name, n in counts.items() if n}


class FakeContext:
    """Fake: pycuda's primary context. Released in another thread without being current there, it leaks."""

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu, self.valid, self.thread = gpu, True, threading.get_ident()
        gpu.retained += 1

    def push(self) -> None:
        self.gpu.call("cuCtxPushCurrent", current=False)
        self.gpu.stack().append(self)

    def pop(self) -> None:
        assert self.gpu.stack(), "pycuda raises when nothing is current"
        self.gpu.stack().pop()

    def detach(self) -> None:
        self.gpu.calls.append("cuDevicePrimaryCtxRelease")
        assert self.valid, "pycuda raises for a context that was detached already"
        self.valid = False
        if self in self.gpu.stack() or threading.get_ident() == self.thread:
            self.gpu.retained -= 1
        self.gpu.stack()[:] = [c for c in self.gpu.stack() if c is not self]
