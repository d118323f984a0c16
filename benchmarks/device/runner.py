"""Everything that is measured of a runner on a GPU, whatever engine it steps."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns
from typing import Any, Protocol, TypeVar

from benchmarks.device.event_clock import EventClock, event_durations
from benchmarks.latency.pacing import back_to_back, paced, summary
from benchmarks.report import samples_needed
from benchmarks.timing import Step
from edge.bundle import Manifest
from edge.engines.trt.cuda import Cuda
from edge.errors import EngineError

Given = TypeVar("Given")
Say = Callable[[str], None]
POWER_POLL_S = 0.5  # the sensors' own averages are no finer


@dataclass(frozen=True)
class Effort:
    """How long each part is measured."""

    records: int = 200
    """ARCHITECTURE.md's number for agreement across engines."""
    growth_steps: int = 10_000
    growth_settle: int = 500
    steps: int = samples_needed(99.9)
    """Back to back, by each clock."""
    paced_s: float = 16e-3 * samples_needed(99.9)  # 106 s
    """At the pace of the stream, by the host's clock; by events as many as p99 needs."""
    warm_up_s: float = 2.0
    """A GPU that sleeps raises its clock within a second or so."""
    power_s: float = 6.0
    """Of each load under which power is read; 0 reads none."""


class Runner(Protocol):
    """What is timed: one hop in, one hop out."""

    def close(self) -> None:
        """Release what it holds."""


OpenStep = Callable[[EventClock | None], "tuple[Runner, Step]"]
"""Open a runner, on the Cuda that the clock stands for if there is one, and the step that is timed."""


def attempt(
    results: dict[str, Any], name: str, measure: Callable[[], Any], say: Say
) -> dict[str, Any]:
    """Add what `measure` finds under `name`; where the engine fails, the reason under `failed`.

    A report that took minutes is not thrown away for one part of it.
    """
    try:
        results[name] = measure()
    except EngineError as error:
        results.setdefault("failed", {})[name] = str(error)
        say(f"  {name} failed: {error}")
    return results


def cycled(step: Callable[..., object], inputs: Sequence[tuple[Any, ...]]) -> Step:
    """A step that takes the inputs in turn, for ever."""
    endless = itertools.cycle(inputs)
    return lambda: step(*next(endless))


def latencies(
    open_step: OpenStep,
    make_clock: Callable[[], EventClock],
    hop_s: float,
    effort: Effort,
    say: Say,
) -> dict[str, Any]:
    """First step, back to back and paced, host to host; then the same by events, on a second runner."""
    runner, step = open_step(None)
    try:
        begun = perf_counter_ns()
        step()
        first_us = (perf_counter_ns() - begun) / 1e3
        say(f"    back to back, {effort.steps:,} steps")
        steady = back_to_back(step, effort.steps, effort.warm_up_s)
        n = max(1, round(effort.paced_s / hop_s))
        say(f"    paced, a step every {1e3 * hop_s:g} ms for {effort.paced_s:.0f} s")
        live = paced(step, n, hop_s, effort.warm_up_s)
    finally:
        runner.close()
    return {
        "first_step_us": first_us,
        "host": {"back_to_back": steady, "paced": live},
        "events": _by_events(
            open_step, make_clock(), hop_s, effort, min(n, samples_needed(99)), say
        ),
    }


def _by_events(
    open_step: OpenStep, clock: EventClock, hop_s: float, effort: Effort, n_paced: int, say: Say
) -> dict[str, Any]:
    runner, step = open_step(clock)
    try:
        say("    the same by events")
        steady = event_durations(
            step,
            clock,
            effort.steps,
            lambda timed: back_to_back(timed, effort.steps, effort.warm_up_s),
        )
        live = event_durations(
            step, clock, n_paced, lambda timed: paced(timed, n_paced, hop_s, effort.warm_up_s)
        )
    finally:
        runner.close()
    return {"back_to_back": summary(steady), "paced": summary(live)}


def powers(
    step: Step, read: Callable[[], dict[str, float]], hop_s: float, seconds: float
) -> dict[str, Any] | None:
    """Mean W of each rail while idle, paced and back to back; None where nothing is read.

    Sensors are read in a thread beside the steps, so no step here counts for latency.
    """
    if seconds <= 0 or not read():
        return None

    def idle() -> None:
        threading.Event().wait(seconds)

    def live() -> None:
        paced(step, max(1, round(seconds / hop_s)), hop_s, 0.0)

    def steady() -> None:
        until = perf_counter() + seconds
        while perf_counter() < until:
            step()

    found: dict[str, Any] = {}
    for name, load in (("idle", idle), ("paced", live), ("back_to_back", steady)):
        with _sampled(read) as samples:
            load()
        rails = sorted({rail for sample in samples for rail in sample})
        found[name] = {
            rail: sum(values) / len(values)
            for rail in rails
            if (values := [sample[rail] for sample in samples if rail in sample])
        }
    return {"unit": "W", "seconds_each": seconds, **found}


@contextmanager
def _sampled(read: Callable[[], dict[str, float]]) -> Iterator[list[dict[str, float]]]:
    samples: list[dict[str, float]] = []
    stop = threading.Event()

    def poll() -> None:
        while True:
            samples.append(read())
            if stop.wait(POWER_POLL_S):
                return

    thread = threading.Thread(target=poll, name="power", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()  # bounded: every tool that `read` asks is


def hop_seconds(manifest: Manifest) -> float:
    """From one hop of the stream to the next: 16 ms at 250 Hz and 4 samples."""
    return manifest.hop / manifest.sampling_hz


def free_bytes(cuda: Cuda) -> int:
    """Free memory of the device, asked for from this thread."""
    with cuda.current():
        return cuda.free_memory()
