"""The stand-in kernels: C, NumPy and the engine on a fake GPU say the same, and a fault shows."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.device.engine import Site
from benchmarks.device.stand_in import (
    NAME,
    SOURCE,
    WEIGHTS,
    NoCache,
    check,
    compile_kernels,
    expected_step,
    stand_in_library,
)
from edge.bundle import Bundle
from edge.errors import EngineMissingError
from tests.benchmarks.device.fake_device import LITTLE, numpy_launch
from tests.edge.engines.trt.fake_cuda import open_fake
from tests.edge.engines.trt.fake_gpu import FakeGpu

LENGTHS = LITTLE.checked
HOST = """
struct Index { int x; };
Index blockIdx, blockDim = {1}, threadIdx;
#define __global__
"""


def site(bundle: Bundle, gpu: FakeGpu, launch: Any = None) -> Site:
    library = stand_in_library(bundle.manifest, launch or numpy_launch(gpu))
    return Site(bundle, library, open_fake(gpu), NoCache())


@pytest.mark.parametrize("graphs", [True, False])
def test_the_engine_steps_the_kernels_as_numpy_does(any_bundle: Bundle, graphs: bool) -> None:
    gpu = FakeGpu()
    opened = site(any_bundle, gpu)
    with opened.open(graphs=graphs) as engine:
        assert engine.details()["library"] == NAME
        assert engine.details()["mode"] == ("graph" if graphs else "enqueue")
        found = check(engine, LENGTHS)
    assert found == {"steps": len(LENGTHS), "outputs_differ": 0, "states_differ": 0}
    opened.cuda.close()
    assert gpu.accidents == []


@pytest.mark.parametrize("fault", ["swapped", "stale"])
def test_a_fault_shows(any_bundle: Bundle, fault: str) -> None:
    gpu = FakeGpu()
    right = numpy_launch(gpu)

    def wrong(name: str, n: int, arguments: tuple[Any, ...]) -> None:
        if name == "advance" and fault == "swapped":
            arguments = (arguments[1], arguments[0], *arguments[2:])
        if name == "answer" or fault != "stale":
            right(name, n, arguments)

    with site(any_bundle, gpu, wrong).open() as engine:
        found = check(engine, LENGTHS)
    assert found["states_differ"] > 0
    assert found["outputs_differ"] > 0


def test_the_source_is_what_numpy_expects(tmp_path: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler here")
    library = tmp_path / "step.so"
    (tmp_path / "step.cpp").write_text(HOST + SOURCE)
    command = [compiler, "-shared", "-fPIC", "-O2", "-w", "-o", str(library), "step.cpp"]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=120)
    kernels = ctypes.CDLL(str(library))
    thread = ctypes.c_int.in_dll(kernels, "threadIdx")
    rng = np.random.default_rng(3)
    n, n_results = 200, 40
    before = rng.integers(0, 128, n).astype(np.int8)
    ecg, mask, anchor = (rng.integers(-100, 100, k).astype(np.float32) for k in (12, 12, 15))
    codes, expected = expected_step({"s": before}, ecg, mask, anchor, n_results)

    def run(name: str, threads: int, *arguments: Any) -> None:
        for thread.value in range(threads):
            getattr(kernels, name)(*arguments)

    def given(array: np.ndarray) -> tuple[ctypes.c_void_p, int]:
        return ctypes.c_void_p(array.ctypes.data), array.size

    after = np.empty(n, np.int8)
    run("advance", n + 7, given(before)[0], *given(after), *given(ecg))  # a block's end lies beyond
    assert np.array_equal(after, codes["s"])
    for name, weight in WEIGHTS.items():
        results = np.empty(n_results, np.float32)
        tensors = (part for array in (results, before, ecg, mask, anchor) for part in given(array))
        run("answer", n_results + 7, *tensors, ctypes.c_float(weight))
        assert np.array_equal(results, expected[name]), name


def test_nvrtc_makes_machine_code_without_a_gpu() -> None:
    try:
        cubin = compile_kernels("8.7")
    except EngineMissingError as missing:
        assert "\n" not in str(missing)
        pytest.skip(str(missing))
    assert cubin.startswith(b"\x7fELF")
    assert b"advance" in cubin
    assert b"answer" in cubin
