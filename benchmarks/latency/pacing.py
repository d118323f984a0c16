"""Steps back to back and at the pace of the stream: durations, deadline misses, growth of memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ratios import spread
from benchmarks.report import percentiles
from benchmarks.timing import WARM_UP_S, Step, collection_off, time_calls, warm_up
from edge.live.memory import read_memory


def back_to_back(step: Step, n: int, warm_up_s: float = WARM_UP_S) -> dict[str, Any]:
    """Durations in us by the host's clock of `n` calls in a row."""
    with collection_off():
        warm_up(step, warm_up_s)
        durations = time_calls(step, n)
    return summary(durations / 1e3)


def paced(
    step: Step,
    n: int,
    period_s: float,
    warm_up_s: float = WARM_UP_S,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], int] = perf_counter_ns,
) -> dict[str, Any]:
    """Durations in us of `n` calls that are due every `period_s`, as a live stream asks for them.

    A step misses its deadline when it ends after the next one is due. `woken_late` is from due to begun: the
    operating system's share. `jitter` is how far the time between two results lies from the period.
    """
    durations, late, ends = (np.empty(n, np.int64) for _ in range(3))
    period, misses = round(period_s * 1e9), 0
    with collection_off():
        warm_up(step, warm_up_s)
        start = clock() + period
        for k in range(n):
            due = start + k * period
            wait = due - clock()
            if wait > 0:
                sleep(wait / 1e9)
            begun = clock()
            step()
            done = clock()
            durations[k], late[k], ends[k] = done - begun, begun - due, done
            misses += done > due + period
    return {
        **summary(durations / 1e3),
        "ecdf": spread(durations / 1e3)["ecdf"],
        "period_ms": period_s * 1e3,
        "deadline_misses": misses,
        "woken_late": summary(late / 1e3),
        "jitter": summary(np.abs(np.diff(ends) - period) / 1e3),
    }


def summary(values_us: NDArray[np.floating]) -> dict[str, Any]:
    """Percentiles that the count allows, and the spread p99/p50."""
    found = {"unit": "us", **percentiles(values_us)}
    p50, p99 = found["p50"], found["p99"]
    found["p99_over_p50"] = p99 / p50 if p50 and p99 is not None else None
    return found


def growth(
    step: Step, free_bytes: Callable[[], int], steps: int, settle: int = 500
) -> dict[str, float | int]:
    """What `steps` steps leave taken: MB of the device, MB of the host process.

    The `settle` steps before are not counted: lazy loading is start, not growth. `free_bytes` is the device's
    count of free memory; on a Jetson all processes share that with the host, so there it moves by itself.
    """
    for _ in range(settle):
        step()
    free, host_mb = free_bytes(), read_memory().now_mb
    for _ in range(steps):
        step()
    return {
        "steps": steps,
        "device_mb": (free - free_bytes()) / 1e6,
        "host_mb": read_memory().now_mb - host_mb,
    }
