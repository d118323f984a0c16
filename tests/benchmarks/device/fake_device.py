"""A fake device for reports: the fakes of tests/edge/engines, an inspector, and kernels in NumPy."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.device.agreement import SIMULATED, Streams
from benchmarks.device.runner import Effort
from benchmarks.device.stand_in import Launch
from benchmarks.report import samples_needed
from tests.edge.engines.trt.fake_gpu import FakeGpu
from tests.edge.engines.trt.fake_tensorrt import FakeEngine, FakeRuntime, FakeTensorRt
from tests.edge.signals import three_leads

LITTLE = Effort(
    records=2,
    growth_steps=20,
    growth_settle=1,
    checked=(1, 1, 1, 3, 32, 1, 33),
    steps=samples_needed(90),
    paced_s=0.1,
    warm_up_s=0.0,
    power_s=0.0,
)
INT8 = [
    {"Name": "in", "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}
]
FP32 = [{"Name": "out", "Format/Datatype": "Row major linear FP32"}]
LAYERS = [
    {"Name": "stem", "LayerType": "CaskConvolution", "Inputs": INT8, "Outputs": INT8},
    {"Name": "head", "LayerType": "CaskConvolution", "Inputs": INT8, "Outputs": FP32},
    {"Name": "cast", "LayerType": "Reformat", "Inputs": FP32, "Outputs": INT8},
]


class InspectedTensorRt(FakeTensorRt):
    """Fake: its engines have an inspector, which says what `says` is."""

    LayerInformationFormat = SimpleNamespace(JSON=1)

    def __init__(self, gpu: FakeGpu, says: str | None = None) -> None:
        super().__init__(gpu)
        self.says = json.dumps({"Layers": LAYERS}) if says is None else says

    def Runtime(self, logger: Any) -> FakeRuntime:  # noqa: N802 - TensorRT's name
        runtime = super().Runtime(logger)
        deserialize, says = runtime.deserialize_cuda_engine, self.says

        def inspected(data: bytes) -> FakeEngine | None:
            engine = deserialize(data)
            inspector = SimpleNamespace(get_engine_information=lambda kind: says)
            if engine is not None:
                engine.create_engine_inspector = lambda: inspector  # type: ignore[attr-defined]
            return engine

        runtime.deserialize_cuda_engine = inspected  # type: ignore[method-assign]
        return runtime


def two_records(n_samples: int = 160) -> Streams:
    """Simulated II, V1, V5."""
    return Streams(SIMULATED, np.stack([three_leads(n_samples, seed) for seed in (1, 2)]))


def numpy_launch(gpu: FakeGpu) -> Launch:
    """The stand-in kernels, element by element as the CUDA source says it, on fake memory."""

    def launch(name: str, n: int, arguments: tuple[Any, ...]) -> None:
        values = [a.value for a in arguments]
        gpu.enqueue(lambda: KERNELS[name](gpu, n, *values))

    return launch


def _advance(
    gpu: FakeGpu, count: int, before: int, after: int, n: int, ecg: int, n_ecg: int
) -> None:
    assert count == n
    old, new = (gpu.at(a, n).view(np.int8) for a in (before, after))
    given = gpu.at(ecg, 4 * n_ecg).view(np.float32)
    new[:] = [(3 * int(old[(i + 1) % n]) + int(given[i % n_ecg]) + i) & 127 for i in range(n)]


def _answer(gpu: FakeGpu, count: int, *values: Any) -> None:
    results, n, state, n_state, ecg, n_ecg, mask, n_mask, anchor, n_anchor, weight = values
    assert count == n
    codes = gpu.at(state, n_state).view(np.int8)
    x, on, a = (
        gpu.at(at, 4 * size).view(np.float32)
        for at, size in ((ecg, n_ecg), (mask, n_mask), (anchor, n_anchor))
    )
    gpu.at(results, 4 * n).view(np.float32)[:] = [
        weight * x[i % n_ecg] + on[i % n_mask] + a[i % n_anchor] + codes[(7 * i) % n_state]
        for i in range(n)
    ]


KERNELS = {"advance": _advance, "answer": _answer}
