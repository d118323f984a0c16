"""Every attribute of TensorRT that we reach exists in the real bindings of each generation.

The bindings are NVIDIA's own, over stubs: what they have is asked, nothing is built or run.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from tests.edge.engines.trt.tensorrt_surface import (
    FOLDER,
    SWITCH,
    VERSIONS,
    Surface,
    absent,
    outside,
    own_names,
    python_with,
    reached,
    sources,
    split,
    surface_of,
    tables,
    unguarded,
)

RTX = "tensorrt_rtx_bindings"


def folder_of(version: str) -> Path:
    given = os.environ.get(FOLDER)
    if not given:
        pytest.skip(
            f"no TensorRT {version} bindings: make them with `python .ci/tensorrt_bindings FOLDER`"
            f" and set {FOLDER}=FOLDER"
        )
    folder = Path(given).resolve() / version
    assert folder.is_dir(), f"{FOLDER} is set and has no {version}: make it anew"
    return folder


@pytest.fixture(scope="module")
def surfaces() -> dict[str, Surface]:
    return {v: surface_of(folder_of(v), "tensorrt_bindings") for v in VERSIONS}


@pytest.fixture(scope="module")
def rtx() -> Surface:
    if importlib.util.find_spec(RTX) is None:
        pytest.skip("TensorRT-RTX is not here: pip install '.[trt-rtx]'")
    return surface_of(None, RTX)


def test_the_generations_differ_where_they_are_known_to(surfaces: dict[str, Surface]) -> None:
    """The surface has what it must: these are why there is a switch."""
    old, middle, new = (surfaces[v] for v in VERSIONS)
    assert "INT8" in old["BuilderFlag"] & middle["BuilderFlag"]
    assert "INT8" not in new["BuilderFlag"]
    assert "device_memory_size" in old["ICudaEngine"]
    assert "device_memory_size" not in new["ICudaEngine"]
    assert "create_runtime_config" not in old["ICudaEngine"]
    assert all("execute_async_v3" in s["IExecutionContext"] for s in surfaces.values())


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_touched_exists(version: str, surfaces: dict[str, Surface]) -> None:
    touched, _ = tables(sources())
    assert absent(touched, surfaces[version]) == []


def test_what_is_touched_exists_in_rtx(rtx: Surface) -> None:
    touched, _ = tables(sources())
    assert absent(touched, rtx) == []


def test_what_stands_behind_a_switch_exists_somewhere(
    surfaces: dict[str, Surface], rtx: Surface
) -> None:
    _, present = tables(sources())
    everywhere = [absent(present, s) for s in (*surfaces.values(), rtx)]
    assert set.intersection(*map(set, everywhere)) == set()


def test_nothing_is_touched_outside_the_table(surfaces: dict[str, Surface]) -> None:
    assert outside(sources(), surfaces) == []


def test_nothing_is_touched_outside_the_table_of_rtx(rtx: Surface) -> None:
    assert outside(sources(), {"rtx": rtx}) == []


def test_nothing_in_the_table_is_touched_no_more() -> None:
    files = sources()
    # Methods of a logger and a progress monitor are ours to define: the library calls them.
    used = {one.name for one in reached(files)} | own_names()
    touched, present = tables(files)
    stale = {e for e in touched | present if split(e)[1] not in used}
    assert stale == {"__version__", "ComputeCapability.SM86"}  # read otherwise: one of a family


def test_nothing_that_a_generation_lacks_is_reached_unguarded(
    surfaces: dict[str, Surface], rtx: Surface
) -> None:
    assert unguarded(sources(), {**surfaces, "rtx": rtx}) == []


WRONG = """
import numpy as np
TOUCHED = ("ILayer.name",)
TOUCHED_WHERE_PRESENT = ("IBuilderConfig.set_compute_capability",)
def wrong(trt, config, engine):
    config.set_flag(trt.BuilderFlag.INT8)
    size = engine.device_memory_size
    config.int8_calibrator = None
    config.set_compute_capability(None, 0)
    runtime = engine.create_runtime_config()
    runtime.get_execution_context_allocation_strategy()
    trt.IAlgorithmSelector
def right(trt, engine, layer):
    np.uint8(layer.name == trt.DataType.INT8)
    if hasattr(engine, "weight_streaming_budget"):
        engine.weight_streaming_budget = 0
"""


def names_in(lines: list[str]) -> list[str]:
    return [line.split()[-1] for line in lines]


def test_a_wrong_source_is_caught(surfaces: dict[str, Surface]) -> None:
    found = names_in(unguarded({"tensorrt_wrong.py": WRONG}, surfaces))
    lacking = {"INT8", "device_memory_size", "int8_calibrator", "IAlgorithmSelector"}
    assert set(found) == lacking | {
        "create_runtime_config",
        "get_execution_context_allocation_strategy",
    }
    unnamed = names_in(outside({"tensorrt_wrong.py": WRONG}, surfaces))
    assert set(unnamed) == {
        *found,
        "set_flag",
        "BuilderFlag",
        "DataType",
        "weight_streaming_budget",
    }


def test_the_table_allows_in_the_switch_alone(surfaces: dict[str, Surface], rtx: Surface) -> None:
    with_rtx = {**surfaces, "rtx": rtx}
    assert "set_compute_capability" in names_in(unguarded({"tensorrt_wrong.py": WRONG}, with_rtx))
    assert "set_compute_capability" not in names_in(unguarded({SWITCH: WRONG}, with_rtx))


def test_a_wrong_table_is_caught(surfaces: dict[str, Surface]) -> None:
    touched = {"BuilderFlag.INT8", "ICudaEngine.num_bindings", "ILayer.name", "volumes"}
    assert absent(touched, surfaces["10.3.0"]) == ["ICudaEngine.num_bindings", "volumes"]
    assert absent(touched, surfaces["11.4.0.106"]) == sorted(touched - {"ILayer.name"})


BEHAVIOUR = """
import importlib, json
import numpy as np
from benchmarks.device.layer_report import contiguous
trt = importlib.import_module("tensorrt_bindings")
same = {}
for dtype in (np.float32, np.int8):
    given = np.arange(-3, 3).astype(dtype)
    weights = trt.Weights(given)
    same[np.dtype(dtype).name] = (
        weights.size == given.size
        and weights.nbytes == given.nbytes
        and np.array_equal(contiguous(weights.numpy()), given)
    )
shape = trt.Dims((1, 3, 4, 32))
print(json.dumps({
    "weights": same,
    "dims": list(tuple(shape)),
    "dims_equal": tuple(shape) == (1, 3, 4, 32),
    "names": [trt.DataType.FLOAT.name.lower(), trt.DataType.INT8.name.lower()],
    "types": [np.dtype(trt.nptype(t)).name for t in (trt.DataType.FLOAT, trt.DataType.INT8)],
    "modes": trt.TensorIOMode.INPUT != trt.TensorIOMode.OUTPUT,
    "severities": [s.name for s in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.VERBOSE)],
}))
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_bindings_behave_as_we_read_them(version: str) -> None:
    """Weights come back as they were given, dims as tuples, enums with the names that we compare."""
    found = json.loads(python_with(folder_of(version), BEHAVIOUR))
    assert found["weights"] == {"float32": True, "int8": True}
    assert found["dims"] == [1, 3, 4, 32] and found["dims_equal"]
    assert found["names"] == ["float", "int8"]
    assert found["types"] == ["float32", "int8"]
    assert found["modes"]
    assert found["severities"] == ["ERROR", "VERBOSE"]


LIBRARY = """
import importlib, json
from edge.engines.trt.build import parse
from edge.engines.trt.library import library_from_module
from edge.errors import EngineError
library = library_from_module(importlib.import_module("tensorrt_bindings"), "tensorrt")
try:
    parse(b"", library)
    said = ""
except EngineError as error:
    said = str(error)
devices = library.compute_capabilities()
print(json.dumps([library.version, library.network_flags(), list(devices), said]))
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_switch_works_on_the_real_bindings(version: str) -> None:
    """Our logger is one of theirs, the network is strongly typed, and a builder of nothing is an error."""
    found, flags, devices, said = json.loads(python_with(folder_of(version), LIBRARY))
    assert found == version
    assert flags == (
        1 if version.startswith("11.") else 2
    )  # the bit moved when the flag before it went
    assert devices == []
    assert "its builder does not start" in said
    assert len(said.splitlines()) == 1
