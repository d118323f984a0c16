"""Fixtures of the TensorRT runner's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.engines.trt.cuda import Cuda
from tests.edge.engines.trt.fake_cuda import open_fake
from tests.edge.engines.trt.fake_gpu import FakeGpu
from tests.edge.engines.trt.tensorrt_bench import Bench


@pytest.fixture(scope="session")
def engine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture
def bench(engine_folder: Path, any_bundle: Bundle) -> Iterator[Bench]:
    made = Bench(engine_folder, any_bundle)
    yield made
    made.cuda.close()
    assert made.gpu.accidents == []


@pytest.fixture
def gpu() -> FakeGpu:
    return FakeGpu()


@pytest.fixture
def cuda(gpu: FakeGpu) -> Iterator[Cuda]:
    opened = open_fake(gpu)
    yield opened
    opened.close()
    assert gpu.retained == 0
    assert gpu.accidents == []
