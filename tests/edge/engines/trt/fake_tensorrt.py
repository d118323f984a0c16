"""A fake TensorRT under the real runner: its engine is the ONNX graph, run by ONNX Runtime on fake memory.

Fake: nothing is built or run by TensorRT. It keeps what the runner must respect: failures are None or False
with a line in the log, never exceptions; addresses belong to a context and are read when work is enqueued;
a context that never ran cannot be captured; inputs and outputs may not overlap.
"""

from __future__ import annotations

import functools
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np

from edge.engines.onnxruntime_engine import open_session
from edge.engines.trt.library import TensorRtLibrary, library_from_module
from tests.edge.engines.trt.fake_gpu import FakeGpu

Severity = IntEnum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])
DataType = IntEnum("DataType", ["FLOAT", "INT8", "UINT8"])
TensorIOMode = IntEnum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"])
DTYPES = {
    "tensor(float)": (DataType.FLOAT, np.float32),
    "tensor(int8)": (DataType.INT8, np.int8),
}
HEADER = b"fake engine of "


class FakeLogger:
    """Fake: the base class of loggers."""

    def log(self, severity: Any, message: str) -> None:
        raise NotImplementedError


class FakeMonitor:
    """Fake: the base class of progress monitors."""


@functools.lru_cache(maxsize=8)
def session_of(graph: bytes) -> Any:
    return open_session(graph)


def run(trt: FakeTensorRt, session: Any, addresses: dict[str, int]) -> None:
    """What the GPU does when the step's turn comes."""
    at = {}
    for value in [*session.get_inputs(), *session.get_outputs()]:
        dtype = np.dtype(DTYPES[value.type][1])
        memory = trt.gpu.at(addresses[value.name], int(np.prod(value.shape)) * dtype.itemsize)
        at[value.name] = memory.view(dtype).reshape(value.shape)
    inputs = {value.name: at[value.name] for value in session.get_inputs()}
    outputs = {value.name: at[value.name] for value in session.get_outputs()}
    for output, written in outputs.items():
        for name, read in inputs.items():
            assert not np.shares_memory(written, read), f"{output} overwrites {name}"
    for name, result in zip(outputs, session.run(list(outputs), inputs), strict=True):
        outputs[name][...] = result
    trt.gpu.launches += 1


class FakeContext:
    """Fake: an execution context."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.trt = engine.trt
        self.addresses: dict[str, int] = {}
        self.warm = False
        self.trt.contexts += 1

    def __del__(self) -> None:
        self.trt.contexts -= 1
        self.trt.calls.append("context destroyed")
        self.trt.gpu.calls.append("release execution context")

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if memory % 256 or name not in self.engine.tensors:
            return self.trt.fails(f"setTensorAddress {name} {memory}")
        self.addresses[name] = memory
        return not self.trt.refused("set_tensor_address")

    def execute_async_v3(self, stream_handle: int) -> bool:
        gpu = self.trt.gpu
        assert stream_handle == 0x57
        self.trt.enqueued += 1
        if self.trt.refused("execute_async_v3"):
            return False
        if gpu.captured is not None and not self.warm:
            gpu.capture_spoilt = True
            return self.trt.fails("first enqueueV3 within a capture")
        self.warm = True
        lacks = set(self.engine.tensors) - set(self.addresses)
        if lacks:
            return self.trt.fails(f"no address set for {sorted(lacks)}")
        # A captured graph keeps neither context nor engine alive.
        gpu.enqueue(functools.partial(run, self.trt, self.engine.session, dict(self.addresses)))
        return True


class FakeRtxContext(FakeContext):
    """Fake: TensorRT-RTX's, which can be asked."""

    def is_stream_capturable(self, stream: int) -> bool:
        return not self.trt.refused("is_stream_capturable")


class FakeEngine:
    """Fake: a deserialised engine."""

    def __init__(self, trt: FakeTensorRt, graph: bytes) -> None:
        self.trt = trt
        self.session = session_of(graph)
        self.inputs = {v.name: (tuple(v.shape), v.type) for v in self.session.get_inputs()}
        self.outputs = {v.name: (tuple(v.shape), v.type) for v in self.session.get_outputs()}
        self.tensors = {**self.inputs, **self.outputs}
        trt.engines += 1

    def __del__(self) -> None:
        self.trt.engines -= 1

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return self.trt.renamed.get(name := list(self.tensors)[index], name)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        shape = self.tensors.get(name, ((7,), ""))[0]
        return self.trt.reshaped.get(name, shape)

    def get_tensor_dtype(self, name: str) -> DataType:
        return DTYPES.get(self.tensors.get(name, ((), ""))[1], (DataType.UINT8, None))[0]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def create_execution_context(self, config: Any = None) -> FakeContext | None:
        self.trt.configs.append(config)
        if self.trt.refused("create_execution_context"):
            return None
        return (FakeRtxContext if self.trt.rtx else FakeContext)(self)

    def create_runtime_config(self) -> Any:
        assert self.trt.rtx
        return SimpleNamespace(cuda_graph_strategy=None)


class FakeRuntime:
    """Fake: takes only engines of its own version."""

    def __init__(self, trt: FakeTensorRt) -> None:
        self.trt = trt

    def deserialize_cuda_engine(self, data: bytes) -> FakeEngine | None:
        header = HEADER + self.trt.__version__.encode() + b"\n"
        if self.trt.refused("deserialize_cuda_engine"):
            return None
        if not data.startswith(header):
            self.trt.fails("Serialization assertion failed: version tag does not match")
            return None
        return FakeEngine(self.trt, data[len(header) :])


class FakeTensorRt:
    """Fake: the module `tensorrt`, or `tensorrt_rtx`, on one fake GPU."""

    ILogger = FakeLogger
    IProgressMonitor = FakeMonitor
    DataType = DataType
    TensorIOMode = TensorIOMode
    MemoryPoolType = SimpleNamespace(WORKSPACE=0)
    ProfilingVerbosity = SimpleNamespace(DETAILED=1)

    def __init__(self, gpu: FakeGpu, version: str = "10.3.0", *, rtx: bool = False) -> None:
        self.__version__ = version
        self.gpu, self.rtx = gpu, rtx
        self.engines = self.contexts = self.enqueued = self.builds = 0
        self.refuses: dict[str, list[str]] = {}
        """Method -> lines, one for each call that fails with it."""
        self.renamed: dict[str, str] = {}
        self.reshaped: dict[str, tuple[int, ...]] = {}
        self.configs: list[Any] = []
        self.calls: list[str] = []
        self._logger: Any = None
        if rtx:
            self.CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole graph")

    def library(self) -> TensorRtLibrary:
        return library_from_module(self, "tensorrt_rtx" if self.rtx else "tensorrt")

    def fails(self, line: str) -> bool:
        self._logger.log(Severity.ERROR, line)
        return False

    def refused(self, method: str) -> bool:
        lines = self.refuses.get(method)
        return bool(lines) and not self.fails(lines.pop(0))  # type: ignore[union-attr]

    def Runtime(self, logger: Any) -> FakeRuntime:  # noqa: N802 - TensorRT's names from here on
        self._logger = logger
        if self.refused("Runtime"):
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return FakeRuntime(self)

    def Builder(self, logger: Any) -> Any:  # noqa: N802
        self._logger = logger
        return SimpleNamespace(
            create_network=lambda flags: SimpleNamespace(num_layers=0, num_inputs=0, num_outputs=0),
            create_builder_config=lambda: SimpleNamespace(
                set_memory_pool_limit=lambda pool, nbytes: None
            ),
            build_serialized_network=self._build,
        )

    def OnnxParser(self, network: Any, logger: Any) -> Any:  # noqa: N802
        def parse(graph: bytes) -> bool:
            network.graph = graph
            return True

        return SimpleNamespace(parse=parse, num_errors=0)

    def _build(self, network: Any, config: Any) -> bytes:
        self.builds += 1
        return HEADER + self.__version__.encode() + b"\n" + bytes(network.graph)
