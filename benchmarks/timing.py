"""How calls are timed: warmed up by time, garbage collection off, alternatives in turn."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter, perf_counter_ns

import numpy as np
from numpy.typing import NDArray

WARM_UP_S = 0.5  # caches, branch predictors and a processor that raises its clock
Step = Callable[[], object]


@contextmanager
def collection_off() -> Iterator[None]:
    """No garbage collection in here: it would fall on some call and be no part of it."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def warm_up(step: Step, seconds: float = WARM_UP_S) -> None:
    """Call `step` for `seconds`, at least once."""
    until = perf_counter() + seconds
    step()
    while perf_counter() < until:
        step()


def time_calls(step: Step, n: int, clock: Callable[[], int] = perf_counter_ns) -> NDArray[np.int64]:
    """Durations of `n` calls in ns, by `clock`."""
    durations = np.empty(n, np.int64)
    for i in range(n):
        begun = clock()
        step()
        durations[i] = clock() - begun
    return durations


def time_in_turn(
    steps: Mapping[str, Step],
    rounds: int,
    burst: int = 1,
    warm_up_s: float = WARM_UP_S,
    clock: Callable[[], int] = perf_counter_ns,
) -> dict[str, NDArray[np.int64]]:
    """Durations in ns, (rounds, burst) for each of `steps`, taken A B A B.

    Each round calls every step `burst` times in a row, after one call that is not counted: it finds the
    caches as the other left them. What the machine does meanwhile so falls on all alike. Where steps differ
    much in length, take `thread_time_ns` as the clock: a long step is interrupted more often.
    """
    durations = {name: np.empty((rounds, burst), np.int64) for name in steps}
    with collection_off():
        for step in steps.values():
            warm_up(step, warm_up_s)
        for i in range(rounds):
            for name, step in steps.items():
                step()
                durations[name][i] = time_calls(step, burst, clock)
    return durations
