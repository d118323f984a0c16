"""Capturing a stream's work into a CUDA graph, with cuda.bindings; nothing else touches that package.

The calls that are used have the same signature in cuda-bindings 12.9 and 13.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

from edge.errors import DeviceError, EngineError
from firmware_bridge.extras import install_extra

TOUCHED = (
    "CUstream",
    "CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphInstantiate",
    "cuGraphLaunch",
    "cuStreamBeginCapture",
    "cuStreamEndCapture",
)
"""Every attribute of cuda.bindings.driver that is used: a test holds it to the real package."""


class Owner(Protocol):
    """The GPU whose stream is captured, and who keeps what was made on it: `edge.engines.trt.cuda.Cuda`."""

    @property
    def is_lost(self) -> bool:
        """Nothing works on it any more."""

    @property
    def stream_handle(self) -> int:
        """Its CUstream."""

    def failed(self, what: str, text: str = "", code: int | None = None) -> DeviceError:
        """The error of a CUDA call, to be raised."""

    def free(self, held: Graph) -> None:
        """Release a graph once."""


class GraphCaptureError(EngineError):
    """Work that cannot be captured into a graph, or nothing here to capture it with."""


class Graph:
    """Captured work that is launched again as a whole, at the addresses it was captured with."""

    def __init__(self, cuda: Owner, bindings: Any, executable: Any, stream: Any) -> None:
        self._cuda, self._bindings = cuda, bindings
        self._executable, self._stream = executable, stream

    def launch(self) -> None:
        """Enqueue it. Raises DeviceError."""
        (status,) = self._bindings.cuGraphLaunch(self._executable, self._stream)
        if int(status):
            raise self._cuda.failed("launching a graph", code=int(status))

    def close(self) -> None:
        """Destroy it; it may not be under way. May be called twice."""
        self._cuda.free(self)

    def release(self) -> None:
        """What `close` and the Cuda that made it call, once."""
        self._bindings.cuGraphExecDestroy(self._executable)


def load_bindings() -> Any:
    """The module cuda.bindings.driver. Raises GraphCaptureError where it does not import."""
    try:
        return importlib.import_module("cuda.bindings.driver")
    except ImportError as error:
        raise GraphCaptureError(
            f"cuda.bindings does not import ({str(error).splitlines()[0]}):"
            f" {install_extra('jetson')}"
        ) from error


def capture(cuda: Owner, bindings: Any, enqueue: Callable[[], None]) -> tuple[Any, Any]:
    """The CUgraphExec of what `enqueue` puts into the stream of `cuda`, and its CUstream.

    Raises GraphCaptureError, or DeviceLostError when the GPU is gone.
    """
    try:
        stream = bindings.CUstream(cuda.stream_handle)
        graph = _captured(cuda, bindings, stream, enqueue)
        try:
            made = _checked(cuda, "instantiating a graph", bindings.cuGraphInstantiate(graph, 0))
        finally:
            bindings.cuGraphDestroy(graph)
        return made, stream
    except RuntimeError as error:  # what cuda.bindings raises for a call that the driver lacks
        raise GraphCaptureError(f"cuda.bindings does not fit this driver: {error}") from error
    except EngineError as error:
        if cuda.is_lost or isinstance(error, GraphCaptureError):
            raise
        raise GraphCaptureError(f"the work cannot be captured: {error}") from error


def _captured(cuda: Owner, bindings: Any, stream: Any, enqueue: Callable[[], None]) -> Any:
    # Thread-local: what other threads do with CUDA meanwhile does not spoil it.
    mode = bindings.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    _checked(cuda, "beginning a capture", bindings.cuStreamBeginCapture(stream, mode))
    try:
        enqueue()
    except BaseException:
        # Else the stream stays in capture, and everything after that fails.
        status, graph = bindings.cuStreamEndCapture(stream)
        if not int(status):
            bindings.cuGraphDestroy(graph)
        raise
    return _checked(cuda, "ending a capture", bindings.cuStreamEndCapture(stream))


def _checked(cuda: Owner, what: str, result: tuple[Any, ...]) -> Any:
    status, *rest = result
    if int(status):
        raise cuda.failed(what, code=int(status))
    return rest[0] if rest else None
