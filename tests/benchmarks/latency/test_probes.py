"""Fresh child processes: import, reconstruct, demo, and what becomes of one that fails or hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.latency.probes import (
    _child,
    measure_demo,
    measure_import,
    measure_reconstruct,
    watch,
)
from benchmarks.timing import collection_off
from edge.live.memory import read_memory, reset_peak
from tests.benchmarks.pages import written_pages

pytestmark = pytest.mark.realtime

linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


def test_import_edge_pulls_in_numpy_alone() -> None:
    found = measure_import(repeats=1)
    foreign = set(found["packages_outside_the_standard_library"])
    assert {"edge", "numpy"} <= foreign
    assert not foreign & {"torch", "onnx", "onnxruntime", "scipy", "rich", "serial", "pyedflib"}
    assert found["median_s"] == found["min_s"] == found["max_s"] > 0
    assert "edge.reconstructor" in found["edge_modules"]


@linux
def test_reconstruct_is_measured_beyond_input_and_output() -> None:
    found = measure_reconstruct(seconds=20.0)
    assert found["record_s"] == 20.0
    assert found["output_mb"] == pytest.approx(4 * found["input_mb"])
    assert found["times_real_time"] > 0
    expected = found["peak_mb"] - found["baseline_mb"] - found["output_mb"]
    assert found["extra_mb"] == pytest.approx(expected)


@linux
def test_the_demo_is_watched_from_outside() -> None:
    found = measure_demo(seconds=1.0)
    assert found["peak_mb"] > 10
    assert found["peak_of_children_mb"] > 10
    assert found["report"]["samples_in"] > 0


def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(BenchmarkError, match="no luck"):
        _child(["-c", "import sys; sys.exit('no luck')"])


def test_a_child_that_hangs_is_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(BenchmarkError, match="still ran"):
        watch(child, 0.2)
    assert child.returncode is not None


@linux
def test_memory_is_that_of_the_process_asked_for() -> None:
    with collection_off():  # what earlier tests left would shrink the process meanwhile
        reset_peak()
        before = read_memory()
        held = written_pages(30_000_000)
        after = read_memory()
    assert after.now_mb - before.now_mb == pytest.approx(30, abs=3)
    assert after.peak_mb >= after.now_mb
    held.close()
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    with pytest.raises(ProcessLookupError):
        read_memory(child.pid)
