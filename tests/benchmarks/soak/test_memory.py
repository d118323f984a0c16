"""Memory of a soak: a leak is told from noise, a start is no leak, what is kept by design is there before."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from benchmarks.soak.memory import (
    NUMPY_KEEPS,
    NUMPY_KEEPS_BELOW,
    WINDOWS,
    fill,
    fill_numpy,
    settled_mb,
    slope,
)
from edge.reconstructor import Reconstructor
from edge.stream_state import KEPT_HOPS

HOURS = np.arange(288) / 12


@pytest.mark.parametrize("growth", [0.0, 0.05, 2.0])
@pytest.mark.parametrize("steps", [0.0, 0.02])
def test_the_interval_has_the_growth_beside_noise_and_a_start(growth: float, steps: float) -> None:
    """Noise of single looks, and a level that wanders: an allocator that changes its mind."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.3, len(HOURS)) + steps * np.cumsum(rng.choice([-1, 1], len(HOURS)))
    start = 40 * (1 - np.exp(-HOURS))
    found = slope([*zip(HOURS, 80 + start + growth * HOURS + noise, strict=True)])
    low, high = found["low_mb_per_hour"], found["high_mb_per_hour"]
    assert low is not None and high is not None
    assert low <= growth <= high
    assert high < growth + 0.1  # so much can be told from none


def test_a_small_leak_in_calm_memory_is_found() -> None:
    rng = np.random.default_rng(4)
    found = slope([(h, 80 + 0.05 * h + rng.normal(0, 0.1)) for h in HOURS])
    assert found["low_mb_per_hour"] is not None and found["low_mb_per_hour"] > 0


def test_too_few_recordings_tell_no_slope() -> None:
    found = slope([(h, 50.0) for h in HOURS[: WINDOWS - 1]])
    assert found["mb_per_hour"] is None and found["last_mb"] == 50.0


def test_what_is_kept_of_pushes_is_there_before_the_first_look() -> None:
    with Reconstructor.open(engine="onnxruntime") as reconstructor:
        fill(reconstructor)
        lengths = {n * reconstructor.hop for n in range(1, KEPT_HOPS + 1)}
        assert set(reconstructor._stream._assemblies) == lengths
        assert reconstructor.push(np.zeros((3, 8))).first_sample == 0
    assert settled_mb() > 10


class _Mallinfo2(ctypes.Structure):
    """What glibc says of its heaps, in bytes."""

    _fields_ = (
        ("before", ctypes.c_size_t * 7),
        ("in_use", ctypes.c_size_t),
        ("after", ctypes.c_size_t * 2),
    )


def test_what_numpy_keeps_of_freed_arrays_is_there_before_the_first_look() -> None:
    """Of any size, in any order: without `fill_numpy` 3.7 MB more are in use, unseen by tracemalloc."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        pytest.skip("the C library does not say how much is in use: glibc 2.33 does")
    mallinfo2.restype = _Mallinfo2
    fill_numpy()
    before = mallinfo2().in_use
    for size in range(NUMPY_KEEPS_BELOW + 100):
        _ = [np.empty(size, np.uint8) for _ in range(NUMPY_KEEPS + 1)]
    assert mallinfo2().in_use - before < 300_000
