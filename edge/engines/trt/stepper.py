"""One TensorRT engine of a fixed step length on the GPU: its tensors by name, its two turns, its graphs.

A turn reads one set of state tensors and writes the other, so a state is never copied. Addresses belong to
an execution context and are baked into a graph: each turn has its own of both. What goes in and what comes
out lies in one slab each, so a step is one copy in, the engine, one copy out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Manifest
from edge.engines.base import Array
from edge.engines.graph_rewrites import rewritten_states
from edge.engines.trt.cuda import Cuda, DeviceBuffer
from edge.engines.trt.cuda_errors import error_in_log
from edge.engines.trt.cuda_graph import Graph, GraphCaptureError
from edge.engines.trt.library import LogLine, TensorRtLibrary
from edge.errors import EngineError

ALIGNMENT = 256  # bytes: what TensorRT asks of the address of a tensor
SHOWN_LINES = 3  # of a log in one error
TURNS = (0, 1)

TOUCHED = (
    "DataType.FLOAT",
    "DataType.INT8",
    "ICudaEngine.create_execution_context",
    "ICudaEngine.get_tensor_dtype",
    "ICudaEngine.get_tensor_mode",
    "ICudaEngine.get_tensor_name",
    "ICudaEngine.get_tensor_shape",
    "ICudaEngine.num_io_tensors",
    "IExecutionContext.execute_async_v3",
    "IExecutionContext.set_tensor_address",
    "Runtime.deserialize_cuda_engine",
    "TensorIOMode.INPUT",
)
"""Every attribute that running touches in each generation: a test holds it to the real bindings."""

TOUCHED_WHERE_PRESENT = (  # TensorRT-RTX
    "CudaGraphStrategy.WHOLE_GRAPH_CAPTURE",
    "ICudaEngine.create_runtime_config",
    "IExecutionContext.is_stream_capturable",
    "IRuntimeConfig.cuda_graph_strategy",
)
"""What is used where the library has it."""


@dataclass(frozen=True)
class SlabTensor:
    """An input or output of the engine and where it lies in its slab."""

    shape: tuple[int, ...]
    dtype: str
    is_input: bool
    offset: int = 0

    @property
    def nbytes(self) -> int:
        """Without padding."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def view(self, slab: NDArray[np.uint8]) -> NDArray[Any]:
        """The tensor in a slab of host memory, without a copy."""
        part = slab[self.offset : self.offset + self.nbytes]
        return part.view(self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Layout:
    """Tensors by name, one after the other in a slab."""

    tensors: Mapping[str, SlabTensor]
    nbytes: int


def laid_out(tensors: Mapping[str, SlabTensor]) -> Layout:
    """The tensors with aligned offsets, in their order."""
    found, at = {}, 0
    for name, tensor in tensors.items():
        found[name] = SlabTensor(tensor.shape, tensor.dtype, tensor.is_input, at)
        at += -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
    return Layout(found, at)


def state_layout(manifest: Manifest) -> Layout:
    """One set of state tensors by input name, as TensorRT has them: int8, (1, channels, 1, frames)."""
    states = rewritten_states(manifest.states, "int8")
    return laid_out({s.input: SlabTensor((1, *s.shape), s.dtype, True) for s in states})


def input_layout(manifest: Manifest, frames: int) -> Layout:
    """What a step of `frames` frames reads, but for the states."""
    n_in, n_out = len(manifest.input_leads), len(manifest.output_leads)
    leads = SlabTensor((1, n_in, manifest.hop, frames), "float32", True)
    anchor = SlabTensor((1, n_out, n_in, 1, 1), "float32", True)
    return laid_out({"ecg": leads, "mask": leads, "anchor": anchor})


def output_layout(manifest: Manifest, frames: int) -> Layout:
    """What a step of `frames` frames writes, but for the states."""
    leads, sigmas = (
        SlabTensor((1, len(rows), manifest.hop, frames), "float32", False)
        for rows in (manifest.output_leads, manifest.sigma_leads)
    )
    return laid_out({"ecg_mv": leads, "log_sigma": sigmas})


def failure(what: str, log: list[LogLine], library: TensorRtLibrary) -> EngineError:
    """The typed error of a call that TensorRT answered with None or False; empties the log it quotes."""
    errors = [line for line in log if "ERROR" in line.severity]
    lines = [" ".join(line.text.split()) for line in errors]
    log.clear()
    what = f"{library.name} {library.version} {what}"
    said = "; ".join(dict.fromkeys(lines[-SHOWN_LINES:])) or "nothing"
    return error_in_log(what, lines) or EngineError(
        f"{what} (log: {said}): if it comes back, report it with this line"
    )


class Stepper:
    """Steps of `frames` frames. All of it runs inside `with cuda.current()`.

    Write `ecg`, `mask` and `anchor`, call `run`, read `ecg_mv` and `log_sigma` after `cuda.synchronize`.
    """

    def __init__(
        self,
        cuda: Cuda,
        library: TensorRtLibrary,
        engine: Any,
        manifest: Manifest,
        frames: int,
        states: tuple[DeviceBuffer, DeviceBuffer],
        log: list[LogLine],
    ) -> None:
        """Raises EngineError for an engine with other tensors, DeviceError; `close` even then."""
        self.frames = frames
        self._cuda, self._library, self._engine, self._log = cuda, library, engine, log
        self._inputs, self._outputs = (
            input_layout(manifest, frames),
            output_layout(manifest, frames),
        )
        self._states = state_layout(manifest)
        self._newest = {s.output: s.input for s in manifest.states}
        self._contexts: list[Any] = []
        self._graphs: list[Graph] = []
        self._buffers: list[DeviceBuffer] = []
        self._slabs: list[NDArray[np.uint8]] = []
        self._launch: tuple[Callable[[], None], ...] = ()
        self._state_buffers = states

    def open(self) -> None:
        """Check the engine's tensors, make the contexts, bind their addresses and run each turn once.

        TensorRT does what it puts off at the first call, and that must not fall into a capture; the states
        are anything afterwards. Raises EngineError for an engine with other tensors, DeviceError.
        """
        self._check_tensors()
        for layout in (self._inputs, self._outputs):  # kept one by one: the next may fail
            self._buffers.append(self._cuda.allocate(layout.nbytes))
            self._slabs.append(self._cuda.pinned(layout.nbytes))
        given, results = self._slabs
        self.ecg: Array = self._inputs.tensors["ecg"].view(given)
        self.mask: Array = self._inputs.tensors["mask"].view(given)
        self.anchor: Array = self._inputs.tensors["anchor"].view(given)
        self.ecg_mv: Array = self._outputs.tensors["ecg_mv"].view(results)[0]
        self.log_sigma: Array = self._outputs.tensors["log_sigma"].view(results)[0]
        self._make_contexts()

    def capture(self) -> None:
        """From now on launch graphs. Raises GraphCaptureError, after which it goes on as before."""
        try:
            for turn in TURNS:
                self._graphs.append(self._captured(turn))
        except GraphCaptureError:
            self.drop_graphs()
            raise
        self._launch = (self._graphs[0].launch, self._graphs[1].launch)

    def let_library_capture(self) -> None:
        """Where our capture fails TensorRT-RTX may still capture by itself; elsewhere this does nothing."""
        trt = self._library.module
        if not (
            hasattr(trt, "CudaGraphStrategy") and hasattr(self._engine, "create_runtime_config")
        ):
            return
        config = self._engine.create_runtime_config()
        if not hasattr(config, "cuda_graph_strategy"):
            return
        config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._make_contexts(config)

    def drop_graphs(self) -> None:
        """Go back to enqueueing each call."""
        self._launch = (lambda: self._enqueue(0), lambda: self._enqueue(1))
        while self._graphs:
            self._graphs.pop().close()

    def run(self, turn: int) -> None:
        """Enqueue a step that reads the states of `turn` and writes the others."""
        self._launch[turn]()

    def close(self) -> None:
        """Release graphs, contexts, engine and memory, in this order; nothing may be under way."""
        self.drop_graphs()
        self._launch = ()
        self._contexts.clear()
        self._engine = None
        for name in ("ecg", "mask", "anchor", "ecg_mv", "log_sigma"):
            with suppress(AttributeError):  # it may never have been opened
                delattr(self, name)
        while self._slabs:
            self._cuda.unpin(self._slabs.pop())
        while self._buffers:
            self._buffers.pop().free()

    def held(self) -> list[object]:
        """What must not be destroyed on a GPU that hangs."""
        return [self._engine, *self._contexts, *self._graphs]

    def _check_tensors(self) -> None:
        trt, engine = self._library.module, self._engine
        dtypes = {"float32": trt.DataType.FLOAT, "int8": trt.DataType.INT8}
        states = self._states.tensors
        wanted = {
            **{n: (t.shape, dtypes[t.dtype], t.is_input) for n, t in self._inputs.tensors.items()},
            **{n: (t.shape, dtypes[t.dtype], t.is_input) for n, t in self._outputs.tensors.items()},
            **{n: (t.shape, dtypes[t.dtype], True) for n, t in states.items()},
            **{o: (states[i].shape, dtypes["int8"], False) for o, i in self._newest.items()},
        }
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        found = {
            name: (
                tuple(engine.get_tensor_shape(name)),
                engine.get_tensor_dtype(name),
                engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
            )
            for name in names
        }
        if found != wanted:
            odd = sorted(n for n in {*found, *wanted} if found.get(n) != wanted.get(n))
            raise EngineError(
                f"the engine for {self.frames} frames does not have the tensors of this model"
                f" ({', '.join(f'{n}: {found.get(n)}, not {wanted.get(n)}' for n in odd[:SHOWN_LINES])}):"
                " remove it from the cache and build it again"
            )

    def _make_contexts(self, *config: Any) -> None:
        """One for each turn, and each run once: that must not fall into a capture."""
        self._launch = (lambda: self._enqueue(0), lambda: self._enqueue(1))
        self._contexts.clear()
        for turn in TURNS:
            self._contexts.append(self._context(turn, config))
        for turn in TURNS:
            self.run(turn)
            self._cuda.synchronize()

    def _context(self, turn: int, config: tuple[Any, ...]) -> Any:
        """An execution context that reads the states of `turn` and writes the others."""
        context = self._engine.create_execution_context(*config)
        if context is None:
            raise self._failure("gives no execution context")
        given, results = (buffer.address for buffer in self._buffers)
        before, after = (self._state_buffers[i].address for i in (turn, 1 - turn))
        states = self._states.tensors
        addresses = {
            **{name: given + t.offset for name, t in self._inputs.tensors.items()},
            **{name: results + t.offset for name, t in self._outputs.tensors.items()},
            **{name: before + t.offset for name, t in states.items()},
            **{output: after + states[name].offset for output, name in self._newest.items()},
        }
        for name, address in addresses.items():
            if not context.set_tensor_address(name, address):
                raise self._failure(f"refuses the address of {name}")
        return context

    def _enqueue(self, turn: int) -> None:
        cuda, (given, results) = self._cuda, self._buffers
        cuda.copy_in(given, self._slabs[0])
        if not self._contexts[turn].execute_async_v3(cuda.stream_handle):
            raise self._failure("does not run a step")
        cuda.copy_out(self._slabs[1], results)

    def _captured(self, turn: int) -> Graph:
        context = self._contexts[turn]
        if hasattr(context, "is_stream_capturable") and not context.is_stream_capturable(
            self._cuda.stream_handle
        ):
            raise GraphCaptureError(
                f"{self._library.name} says that this engine cannot be captured"
            )
        return self._cuda.capture(lambda: self._enqueue(turn))

    def _failure(self, what: str) -> EngineError:
        error = failure(f"({self.frames} frames) {what}", self._log, self._library)
        self._cuda.note_loss(error)
        return error
