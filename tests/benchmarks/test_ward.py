"""A ward in real time: what a slow machine does to it, and the core that it is to run on."""

from __future__ import annotations

import os

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.ward import Given, pin, run


def test_hops_that_were_due_meanwhile_come_together_and_none_is_lost() -> None:
    """A machine that is slower than the stream: each look at the clock is 20 ms later, a hop is 16 ms."""
    ticks = iter(range(0, 10**12, 20_000_000))
    given = Given(patients=2, seconds=0.8, engine="onnxruntime")
    found = run(given, sleep=lambda seconds: None, clock=lambda: next(ticks))
    assert found["n"] == 50
    assert found["samples_lost"] == 0
    assert found["hops_at_once"] > 1
    assert found["deadline_misses"] == 50


def test_a_core_that_is_not_there_is_said() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system pins no process to a core")
    with pytest.raises(BenchmarkError, match=r"core 9999 is not to be had: give one of \d"):
        pin(9999)
