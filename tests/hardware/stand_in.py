"""Two small kernels in place of TensorRT's enqueue: the rest of the engine runs on a GPU without TensorRT.

What TensorRtEngine takes from the library is handed to it here: an engine with the tensors of the bundle,
whose contexts launch the kernels. Pinned slabs, state sets that take turns and captured graphs are the
engine's own. NumPy knows the kernels' numbers exactly, so a swapped buffer, a stale copy or a graph that
replays the wrong turn shows in the first steps. This is not the decoder, and no TensorRT.
"""

from __future__ import annotations

import ctypes
import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from edge.bundle import Manifest
from edge.engines.base import Array, Engine
from edge.engines.cache import Built, Cached, EngineCache
from edge.engines.trt.cuda import Cuda
from edge.engines.trt.key import EngineKey
from edge.engines.trt.library import TensorRtLibrary
from edge.engines.trt.stepper import input_layout, output_layout, state_layout
from edge.errors import DeviceError, EngineMissingError

NAME = "stand-in kernel, no TensorRT"
THREADS = 128  # of a block: any multiple of the warp does
WEIGHTS = {"ecg_mv": 0.5, "log_sigma": -0.25}  # powers of two: exact in float32, fused or not
SOURCE = """
extern "C" __global__ void advance(const signed char *before, signed char *after, int n,
                                   const float *ecg, int n_ecg)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        after[i] = (signed char)((3 * before[(i + 1) % n] + (int)ecg[i % n_ecg] + i) & 127);
}
extern "C" __global__ void answer(float *results, int n, const signed char *state, int n_state,
                                  const float *ecg, int n_ecg, const float *mask, int n_mask,
                                  const float *anchor, int n_anchor, float weight)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        results[i] = weight * ecg[i % n_ecg] + mask[i % n_mask] + anchor[i % n_anchor]
                     + (float)state[(7 * i) % n_state];
}
"""
Codes = dict[str, NDArray[np.int8]]
Launch = Callable[[str, int, tuple[Any, ...]], None]
"""Enqueue a kernel: its name, how many elements it makes, its arguments as ctypes values."""


class DataType(Enum):
    """Those of TensorRT that the engine's tensors have."""

    FLOAT = "float32"
    INT8 = "int8"


class TensorIOMode(Enum):
    """TensorRT's."""

    INPUT = 1
    OUTPUT = 2


class KernelEngine:
    """The part of ICudaEngine that a stepper touches, with the tensors of a step of `frames` frames."""

    def __init__(self, manifest: Manifest, frames: int, launch: Launch) -> None:
        self.states = {s.input: s.output for s in manifest.states}
        before = state_layout(manifest).tensors
        given, results = input_layout(manifest, frames), output_layout(manifest, frames)
        after = {self.states[name]: tensor for name, tensor in before.items()}
        self.tensors = {**given.tensors, **before, **results.tensors, **after}
        self._inputs = {*given.tensors, *before}
        self._names, self._launch = list(self.tensors), launch
        self.num_io_tensors = len(self._names)

    def get_tensor_name(self, index: int) -> str:
        """As ICudaEngine."""
        return self._names[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """As ICudaEngine."""
        return self.tensors[name].shape

    def get_tensor_dtype(self, name: str) -> DataType:
        """As ICudaEngine."""
        return DataType(self.tensors[name].dtype)

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        """As ICudaEngine."""
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def create_execution_context(self, config: object = None) -> KernelContext:
        """As ICudaEngine."""
        return KernelContext(self, self._launch)


class KernelContext:
    """The part of IExecutionContext that a stepper touches: one launch for each output tensor."""

    def __init__(self, engine: KernelEngine, launch: Launch) -> None:
        self._engine, self._launch = engine, launch
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        """As IExecutionContext."""
        self._addresses[name] = address
        return name in self._engine.tensors

    def execute_async_v3(self, stream_handle: int) -> bool:
        """As IExecutionContext; `launch` knows the one stream that there is."""
        for name, weight in WEIGHTS.items():
            given = (next(iter(self._engine.states)), "ecg", "mask", "anchor")
            pairs = [part for tensor in (name, *given) for part in self._pair(tensor)]
            self._launch("answer", pairs[1].value, (*pairs, ctypes.c_float(weight)))
        for before, after in self._engine.states.items():
            (source, n), (target, _) = self._pair(before), self._pair(after)
            self._launch("advance", n.value, (source, target, n, *self._pair("ecg")))
        return True

    def _pair(self, name: str) -> tuple[Any, Any]:
        """Address and number of elements."""
        n = int(np.prod(self._engine.tensors[name].shape))
        return ctypes.c_void_p(self._addresses[name]), ctypes.c_int(n)


class NoCache(EngineCache):
    """Hands the stand-in to an engine as if it lay in the cache: it is not built, and no native code."""

    def get(self, key: EngineKey, build: Callable[[], Built]) -> Cached:
        """The step length that is asked for, as bytes."""
        frames = json.dumps(key.options["frames"]).encode()
        return Cached(frames, None, False, f"not an engine: {NAME}")


def stand_in_library(manifest: Manifest, launch: Launch) -> TensorRtLibrary:
    """What TensorRtEngine takes for TensorRT; use it with NoCache."""

    class Runtime:
        def __init__(self, logger: object) -> None:
            pass

        def deserialize_cuda_engine(self, data: bytes) -> KernelEngine:
            return KernelEngine(manifest, json.loads(data), launch)

    module = SimpleNamespace(DataType=DataType, TensorIOMode=TensorIOMode, Runtime=Runtime)
    return TensorRtLibrary(module, NAME, "-", None)


def expected_step(
    before: Codes, ecg: Array, mask: Array, anchor: Array, n_results: int
) -> tuple[Codes, dict[str, Array]]:
    """What the kernels make of flat codes and inputs: the codes after, `ecg_mv` and `log_sigma`; exact."""
    first = next(iter(before.values()))
    i = np.arange(n_results)
    results = {
        name: np.float32(weight) * ecg[i % ecg.size]
        + mask[i % mask.size]
        + anchor[i % anchor.size]
        + first[7 * i % first.size].astype(np.float32)
        for name, weight in WEIGHTS.items()
    }
    after = {}
    for name, codes in before.items():
        i = np.arange(codes.size)
        sums = 3 * np.roll(codes, -1).astype(np.int32) + ecg[i % ecg.size].astype(np.int32) + i
        after[name] = (sums & 127).astype(np.int8)
    return after, results


def check(engine: Engine, lengths: Sequence[int]) -> dict[str, int]:
    """Steps of these lengths in frames whose outputs, or state, are not NumPy's, bit for bit."""
    m = engine.manifest
    tensors = state_layout(m).tensors
    rng = np.random.default_rng(0)
    codes: Codes = {name: np.zeros(np.prod(t.shape), np.int8) for name, t in tensors.items()}
    outputs = states = 0
    engine.reset()
    for frames in lengths:
        shape = (1, len(m.input_leads), m.hop, frames)
        ecg, mask = (rng.integers(-100, 100, shape).astype(np.float32) for _ in range(2))
        anchor = rng.integers(-9, 9, (1, len(m.output_leads), shape[1], 1, 1)).astype(np.float32)
        parts = []
        at = 0
        while at < frames:  # the longest of the engine's lengths that fits, in turn
            n = 32 if frames - at >= 32 else 1
            now, on = (np.ascontiguousarray(a[..., at : at + n]).ravel() for a in (ecg, mask))
            n_results = len(m.output_leads) * m.hop * n
            codes, made = expected_step(codes, now, on, anchor.ravel(), n_results)
            parts.append([made[k].reshape(-1, m.hop, n) for k in WEIGHTS])
            at += n
        expected = [np.concatenate(part, -1) for part in zip(*parts, strict=True)]
        found = engine.step(ecg, mask, anchor)
        outputs += not all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        states += not _same_state(engine, codes)
    return {"steps": len(lengths), "outputs_differ": outputs, "states_differ": states}


def _same_state(engine: Engine, codes: Codes) -> bool:
    """The bundle's uint8 has (1, 1, P, C) where TensorRT has (1, C, 1, P)."""
    return all(
        np.array_equal((c.transpose(0, 3, 1, 2) if c.dtype == np.uint8 else c).ravel(), codes[name])
        for name, c in engine.state().items()
    )


def compile_kernels(compute_capability: str) -> bytes:
    """SOURCE as machine code of a device, `"8.7"`, by NVRTC; no GPU is needed for it.

    Machine code, not PTX: a driver older than NVRTC refuses newer PTX. Raises EngineMissingError without
    NVRTC, BenchmarkError when it does not compile.
    """
    try:
        nvrtc = importlib.import_module("cuda.bindings.nvrtc")
        error, program = nvrtc.nvrtcCreateProgram(SOURCE.encode(), b"step.cu", 0, None, None)
    except (
        ImportError,
        RuntimeError,
    ) as missing:  # no bindings; bindings, and no library behind them
        raise EngineMissingError(
            f"no NVRTC ({str(missing).splitlines()[0]}): on a Jetson apt install cuda-nvrtc of JetPack,"
            " elsewhere pip install cuda-bindings nvidia-cuda-nvrtc"
        ) from missing
    if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise BenchmarkError(f"NVRTC makes no program of the kernels: {error.name}")
    try:
        option = f"-arch=sm_{compute_capability.replace('.', '')}".encode()
        (error,) = nvrtc.nvrtcCompileProgram(program, 1, [option])
        if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            log = bytes(nvrtc.nvrtcGetProgramLogSize(program)[1])
            nvrtc.nvrtcGetProgramLog(program, log)
            said = " ".join(log.decode(errors="replace").strip("\0 \n").split())
            raise BenchmarkError(
                f"NVRTC does not compile for {compute_capability}: {said or error.name}"
            )
        cubin = bytes(nvrtc.nvrtcGetCUBINSize(program)[1])
        nvrtc.nvrtcGetCUBIN(program, cubin)
        return cubin
    finally:
        nvrtc.nvrtcDestroyProgram(program)


@contextmanager
def loaded_kernels(cuda: Cuda) -> Iterator[Launch]:
    """The kernels on the device: `launch` enqueues them on `cuda`'s stream.

    Raises DeviceError when the driver refuses them, and as `compile_kernels` does.
    """
    cubin = compile_kernels(cuda.compute_capability)
    driver = importlib.import_module("cuda.bindings.driver")

    def done(answer: tuple[Any, ...]) -> Any:
        if int(answer[0]):
            raise DeviceError(f"the driver refuses a kernel of ours: {answer[0].name}")
        return answer[1] if len(answer) > 1 else None

    with cuda.current():
        module = done(driver.cuModuleLoadData(cubin))
        kernels = {
            name: done(driver.cuModuleGetFunction(module, name.encode()))
            for name in ("advance", "answer")
        }

    def launch(name: str, n: int, arguments: tuple[Any, ...]) -> None:
        values = tuple(a.value for a in arguments), tuple(type(a) for a in arguments)
        grid, block = (-(-n // THREADS), 1, 1), (THREADS, 1, 1)
        done(driver.cuLaunchKernel(kernels[name], *grid, *block, 0, cuda.stream_handle, values, 0))

    try:
        yield launch
    finally:
        with cuda.current():
            done(driver.cuModuleUnload(module))
