"""What tests on a real GPU share: opened once, and each test skipped with the reason where there is none.

Run with  pytest -m gpu
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.device.agreement import Streams, streams
from benchmarks.device.engine import Site
from benchmarks.device.runner import Effort
from edge.bundle import Bundle
from edge.engines.cache import EngineCache
from edge.engines.trt.cuda import Cuda, open_cuda
from edge.engines.trt.library import TensorRtLibrary, load_library
from edge.errors import EngineError, EngineMissingError
from tests.hardware.stand_in import NoCache, loaded_kernels, stand_in_library


@pytest.fixture(scope="session")
def cuda() -> Iterator[Cuda]:
    """The GPU, or a skip that says why not."""
    try:
        opened = open_cuda()
    except EngineError as error:
        pytest.skip(str(error))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def library(cuda: Cuda) -> TensorRtLibrary:
    """TensorRT, or a skip where none is installed; one that is and fails is a failure."""
    try:
        return load_library()
    except EngineMissingError as error:
        pytest.skip(f"{cuda.device_name}: {error}")


@pytest.fixture(scope="session")
def effort() -> Effort:
    """The report's, but for the paced runs: what is claimed of speed comes from the report."""
    return replace(Effort(), paced_s=12.0, power_s=0.0)


@pytest.fixture(scope="session")
def records(shipped_bundle: Bundle, effort: Effort) -> Streams:
    """Real ones where they are, else the simulator's."""
    return streams(shipped_bundle.manifest, effort.records)


@pytest.fixture(scope="session")
def site(
    cuda: Cuda,
    library: TensorRtLibrary,
    shipped_bundle: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    """The shipped bundle in TensorRT, in a cache of this session's own."""
    folder = Path(tmp_path_factory.mktemp("engines"))
    return Site(shipped_bundle, library, cuda, EngineCache(folder))


@pytest.fixture(scope="session")
def stand_in(cuda: Cuda, shipped_bundle: Bundle) -> Iterator[Site]:
    """The same engine on kernels of our own, or a skip where nothing compiles them."""
    kernels = loaded_kernels(cuda)
    try:
        launch = kernels.__enter__()
    except EngineMissingError as error:
        pytest.skip(f"{cuda.device_name}: {error}")
    library = stand_in_library(shipped_bundle.manifest, launch)
    yield Site(shipped_bundle, library, cuda, NoCache())
    kernels.__exit__(None, None, None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say once why tests of this folder were skipped: pytest tells it only with -rs."""
    skipped = terminalreporter.stats.get("skipped", [])
    here = [r for r in skipped if r.nodeid.startswith("tests/hardware/")]
    for why in sorted({r.longrepr[2] for r in here}):
        names = [r.nodeid.split("::")[-1] for r in here if r.longrepr[2] == why]
        terminalreporter.write_line(f"{len(names)} on hardware {why[0].lower()}{why[1:]}")
        terminalreporter.write_line(f"    {', '.join(names)}")
