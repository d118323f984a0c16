"""The GPU as an engine needs it: context, memory, one stream, events, graphs; nothing else touches pycuda.

pycuda has no call for capturing a graph: `cuda_graph` does that, on pycuda's stream. The context is the
device's primary one, which TensorRT, torch and everything on the runtime API share; it is pushed for as
long as a thread works with it and popped again, so any thread may. All that is made here is released by
`close`, backwards and in the thread that calls it, never by a garbage collector.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import importlib.util
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engines.trt.cuda_errors import device_error
from edge.engines.trt.cuda_graph import Graph, capture, load_bindings
from edge.errors import (
    DeviceError,
    DeviceLostError,
    DriverError,
    EngineError,
    EngineMissingError,
    InputError,
)
from firmware_bridge.extras import install_extra

WAIT_S = 10.0  # longest wait for a stream: thousands of steps; a GPU that needs longer hangs
LOCK_S = 2 * WAIT_S  # longest wait for another thread's turn, which ends in at most one such wait
SPIN_S = 0.002  # asked again and again for so long: above any step, and sleeping is slow to wake
POLL_S = 0.0001  # between two questions after that
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no waiting for the default stream of other libraries
LIBCUDA = "libcuda.so.1"


def open_cuda(device: int = 0) -> Cuda:
    """The GPU numbered `device`. Where there is none, that is found out in milliseconds.

    Raises DriverError without a driver or a GPU, EngineMissingError without pycuda, DeviceError.
    """
    try:
        libcuda = ctypes.CDLL(LIBCUDA)
    except OSError as error:
        raise DriverError(
            f"no NVIDIA driver here ({LIBCUDA} does not load): on a Jetson it comes with JetPack, on a"
            " workstation install the driver; nvidia-smi then names the GPU"
        ) from error
    if importlib.util.find_spec("pycuda") is None:
        raise EngineMissingError(
            f"pycuda is not installed: {install_extra('jetson')}, with the CUDA toolkit's nvcc on the"
            " PATH"
        )
    try:
        driver = importlib.import_module("pycuda.driver")
    except ImportError as error:
        raise EngineMissingError(
            f"pycuda does not import ({str(error).splitlines()[0]}): build it for this driver and NumPy with"
            " pip install --force-reinstall --no-binary pycuda pycuda"
        ) from error
    return Cuda(driver, libcuda, device)


class DeviceBuffer:
    """Memory of the GPU."""

    def __init__(self, cuda: Cuda, allocation: Any, nbytes: int) -> None:
        self.address = int(allocation)
        self.nbytes = nbytes
        self._cuda, self._allocation = cuda, allocation

    def free(self) -> None:
        """Give it back; no work that uses it may be under way. May be called twice."""
        self._cuda.free(self)

    def release(self) -> None:
        """What `free` and the Cuda that made it call, once."""
        self._allocation.free()


class Event:
    """A mark in the stream, with the GPU's own time."""

    def __init__(self, cuda: Cuda, event: Any) -> None:
        self._cuda, self._event = cuda, event

    def record(self) -> None:
        """Set the mark after all that was enqueued so far."""
        self._cuda._call("recording an event", self._event.record, self._cuda._stream)

    def milliseconds_since(self, earlier: Event) -> float:
        """GPU time between two marks that the stream has passed: synchronize first."""
        return float(self._cuda._call("timing an event", self._event.time_since, earlier._event))

    def release(self) -> None:
        """What the Cuda that made it calls, once."""
        self._event = None  # pycuda destroys it with its last reference


class _Current:
    """`with cuda.current():`, one object for all turns, so that entering it allocates nothing."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda

    def __enter__(self) -> None:
        self._cuda._enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cuda._exit()


class Cuda:
    """One GPU, its primary context and one stream of work.

    Any thread may work with it, one at a time, inside `with cuda.current():`; the others wait, at most
    LOCK_S. Every call raises DeviceError (DeviceMemoryError, DeviceLostError ...) with CUDA's own name for
    what happened; after a DeviceLostError nothing works but `close`.
    """

    def __init__(
        self,
        driver: Any,
        libcuda: Any,
        device: int = 0,
        bindings: Callable[[], Any] = load_bindings,
        wait_s: float = WAIT_S,
    ) -> None:
        """`driver` is pycuda.driver, `libcuda` the driver's library, `bindings` loads cuda.bindings."""
        self._wait_s = wait_s
        self._driver, self._libcuda, self._load_bindings = driver, libcuda, bindings
        self._lock = threading.RLock()
        self._depth = 0
        self._current = _Current(self)
        self._held: list[DeviceBuffer | Event | Graph] = []
        self._pinned: list[NDArray[np.uint8]] = []
        self._lost = ""  # why; the error itself would keep alive what its frames refer to
        self._hangs = self._closed = False
        if code := int(libcuda.cuInit(0)):  # asked directly: pycuda would only hand on the text
            raise device_error("CUDA does not start", code=code, opening=True)
        try:
            driver.init()
            gpu = driver.Device(device)
            self.device_name = str(gpu.name())
            self.compute_capability = "{}.{}".format(*gpu.compute_capability())
            version = int(driver.get_driver_version())
            self._context = gpu.retain_primary_context()
        except driver.Error as error:
            raise device_error(f"opening GPU {device}", str(error), opening=True) from error
        self.driver_version = f"{version // 1000}.{version % 1000 // 10}"
        """The newest CUDA that the driver knows."""
        self.runtime_of_pycuda = "{}.{}".format(*driver.get_version())
        """The CUDA that pycuda was built with."""
        self._stream: Any = None
        atexit.register(self.close)  # also keeps it alive: it is closed, never collected
        try:
            with self.current():
                self._stream = self._call("making a stream", driver.Stream, NON_BLOCKING)
        except DeviceError:
            self.close()
            raise

    @property
    def stream_handle(self) -> int:
        """The CUstream, for libraries that enqueue work themselves."""
        return int(self._stream.handle)

    @property
    def hangs(self) -> bool:
        """The GPU did not answer within WAIT_S: whatever frees its memory would wait for it too."""
        return self._hangs

    @property
    def is_lost(self) -> bool:
        """The GPU failed: nothing works any more but `close`."""
        return bool(self._lost)

    def current(self) -> _Current:
        """Context manager: this thread works with the GPU now."""
        return self._current

    def pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """Host memory that the GPU reads and writes by itself, zeroed; no view of it may outlive `close`."""
        array = self._call(
            f"pinning {nbytes} bytes of host memory",
            self._driver.pagelocked_empty,
            nbytes,
            np.uint8,
        )
        self._pinned.append(array)
        array[:] = 0
        return array  # type: ignore[no-any-return]

    def unpin(self, array: NDArray[np.uint8]) -> None:
        """Give pinned memory back; no view of it may be used again."""
        kept = [other for other in self._pinned if other is not array]
        if len(kept) < len(self._pinned) and not self._lost:
            self._pinned = kept
            with suppress(self._driver.Error):
                array.base.free()  # type: ignore[union-attr]

    def allocate(self, nbytes: int) -> DeviceBuffer:
        """Memory of the GPU, not initialised, aligned to 256 bytes."""
        what = f"allocating {nbytes} bytes on the GPU"
        buffer = DeviceBuffer(self, self._call(what, self._driver.mem_alloc, nbytes), nbytes)
        self._held.append(buffer)
        return buffer

    def event(self) -> Event:
        """A new mark."""
        event = Event(self, self._call("making an event", self._driver.Event))
        self._held.append(event)
        return event

    def copy_in(self, buffer: DeviceBuffer, host: NDArray[Any], nbytes: int | None = None) -> None:
        """Enqueue a copy of pinned memory to the GPU; leave `host` alone until `synchronize`."""
        self._call(
            "copying to the GPU",
            self._driver.memcpy_htod_async,
            buffer.address,
            _part(host, buffer, nbytes),
            self._stream,
        )

    def copy_out(self, host: NDArray[Any], buffer: DeviceBuffer, nbytes: int | None = None) -> None:
        """Enqueue a copy from the GPU to pinned memory; `host` is valid after `synchronize`."""
        self._call(
            "copying from the GPU",
            self._driver.memcpy_dtoh_async,
            _part(host, buffer, nbytes),
            buffer.address,
            self._stream,
        )

    def zero(self, buffer: DeviceBuffer) -> None:
        """Enqueue filling it with zeros."""
        self._call(
            "zeroing memory",
            self._driver.memset_d8_async,
            buffer.address,
            0,
            buffer.nbytes,
            self._stream,
        )

    def synchronize(self) -> None:
        """Wait for all that was enqueued. Raises DeviceLostError when that takes longer than WAIT_S."""
        begin = monotonic()
        try:
            while not self._stream.is_done():
                waited = monotonic() - begin
                if waited > self._wait_s:
                    self._hangs = True
                    self._lost = (
                        f"the GPU has not answered for {self._wait_s:g} s: restart the program; if that does"
                        " not help, the machine (dmesg says what the driver saw)"
                    )
                    raise DeviceLostError(self._lost)
                if waited > SPIN_S:
                    sleep(POLL_S)
        except self._driver.Error as error:
            raise self.failed("waiting for the GPU", str(error)) from error

    def capture(self, enqueue: Callable[[], None]) -> Graph:
        """What `enqueue` puts into the stream, as a graph; nothing of it runs now.

        Raises GraphCaptureError when it cannot be captured, DeviceLostError when the GPU is gone.
        """
        bindings = self._load_bindings()
        graph = Graph(self, bindings, *capture(self, bindings, enqueue))
        self._held.append(graph)
        return graph

    def free_memory(self) -> int:
        """Bytes of the GPU's memory that are free; on a Jetson the system's."""
        return int(self._call("asking for free memory", self._driver.mem_get_info)[0])

    def close(self) -> None:
        """Release everything, the primary context last. May be called twice, from any thread; never raises.

        What a GPU that hangs holds is left to the end of the process.
        """
        got = self._lock.acquire(timeout=LOCK_S)
        try:
            if self._closed:
                return
            self._closed = True
            atexit.unregister(self.close)
            if got and not self._hangs:
                self._close()
            if not got or self._hangs:
                keep_forever(self._context, self._stream, *self._held, *self._pinned)
        finally:
            if got:
                self._lock.release()

    def _close(self) -> None:
        failures = (self._driver.Error, DeviceError)
        with suppress(*failures):
            self._context.push()  # in another thread than the one it was made in, pycuda would leak it
        if not self._lost and self._stream is not None:
            with suppress(*failures):
                self.synchronize()
            if self._hangs:
                return
        if not self._lost:
            for held in reversed(self._held):
                with suppress(*failures):
                    held.release()
            for array in reversed(self._pinned):
                with suppress(*failures):
                    array.base.free()  # type: ignore[union-attr]
            self._stream = None
        with suppress(*failures):
            self._context.detach()
        # Now dead, and pycuda destroys without calls whatever a lost device has left of these.
        self._held.clear()
        self._pinned.clear()
        self._stream = None
        if self._driver.Context.get_current() is None:
            self._libcuda.cuCtxSetCurrent(None)  # releasing a primary context does not pop it

    def _enter(self) -> None:
        if not self._lock.acquire(timeout=LOCK_S):
            raise DeviceLostError(
                f"another thread has held the GPU for {LOCK_S:g} s: it hangs; restart the program"
            )
        try:
            if self._closed:
                raise DeviceError("the GPU was closed: open it again")
            if self._lost:
                raise DeviceLostError(self._lost)
            if not self._depth:
                self._call("entering the context", self._context.push)
            self._depth += 1
        except BaseException:
            self._lock.release()
            raise

    def _exit(self) -> None:
        self._depth -= 1
        if not self._depth and not self._closed:
            with suppress(self._driver.Error):
                self._context.pop()
        self._lock.release()

    def _call(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(*args)
        except self._driver.Error as error:
            raise self.failed(what, str(error)) from error

    def note_loss(self, error: EngineError) -> None:
        """Remember that the GPU is lost, if that is what `error` of another library says."""
        if isinstance(error, DeviceLostError):
            self._lost = str(error)

    def failed(self, what: str, text: str = "", code: int | None = None) -> DeviceError:
        """The typed error of what CUDA said, to be raised; a loss is remembered."""
        error = device_error(what, text, code)
        self.note_loss(error)
        return error

    def free(self, held: DeviceBuffer | Event | Graph) -> None:
        """Release one thing that was made here; a second time does nothing."""
        if held in self._held and not self._lost:
            self._held.remove(held)
            with suppress(self._driver.Error):
                held.release()


def _part(host: NDArray[Any], buffer: DeviceBuffer, nbytes: int | None) -> NDArray[Any]:
    if nbytes is None:
        nbytes = host.nbytes
    if nbytes > min(host.nbytes, buffer.nbytes):
        raise InputError(
            f"cannot copy {nbytes} bytes between {host.nbytes} on the host and {buffer.nbytes} on the GPU"
        )
    return host if nbytes == host.nbytes else host.view(np.uint8)[:nbytes]


def keep_forever(*objects: object) -> None:
    """Never destroy these, not even at exit: on a GPU that hangs their destructors would hang too."""
    for thing in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
