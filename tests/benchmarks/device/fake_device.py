"""A fake device for reports: the fakes of tests/edge/engines, and an inspector."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.device.agreement import SIMULATED, Streams
from benchmarks.device.runner import Effort
from benchmarks.report import samples_needed
from tests.edge.engines.trt.fake_gpu import FakeGpu
from tests.edge.engines.trt.fake_tensorrt import FakeEngine, FakeRuntime, FakeTensorRt
from tests.edge.signals import three_leads

LITTLE = Effort(
    records=2,
    growth_steps=20,
    growth_settle=1,
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
