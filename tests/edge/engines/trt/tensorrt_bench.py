"""A fake GPU with a fake TensorRT on it, and what is opened there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.bundle import Bundle
from edge.engines.cache import EngineCache
from edge.engines.trt.cuda import Cuda
from edge.engines.trt.engine import TensorRtEngine
from tests.edge.engines.trt.fake_cuda import open_fake
from tests.edge.engines.trt.fake_gpu import FakeGpu
from tests.edge.engines.trt.fake_tensorrt import FakeTensorRt


class Bench:
    """A fake GPU with its library, and what is opened on it."""

    def __init__(self, folder: Path, bundle: Bundle, *, rtx: bool = False, **cuda: Any) -> None:
        self.gpu = FakeGpu()
        self.trt = FakeTensorRt(self.gpu, rtx=rtx)
        self.cuda: Cuda = open_fake(self.gpu, **cuda)
        self.cache = EngineCache(folder)
        self.bundle = bundle

    def open(self, **options: Any) -> TensorRtEngine:
        library = self.trt.library()
        return TensorRtEngine(
            self.bundle, library=library, cuda=self.cuda, cache=self.cache, **options
        )

    def assert_nothing_left(self) -> None:
        """Of an engine: the stream and the context belong to the Cuda."""
        assert self.gpu.leftovers() == {"streams": 1, "contexts": 1}
        assert (self.trt.contexts, self.trt.engines) == (0, 0)
        assert self.gpu.accidents == []
