"""A ward in real time: a hop of every patient when it is due, in a process of its own.

`measure_ward` starts it: `python -m benchmarks.ward` with a `Given` in JSON prints a line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.latency.probes import ONE_THREAD
from benchmarks.report import percentiles
from edge.bundle import load_bundle
from edge.multi_reconstructor import MultiReconstructor
from firmware_bridge.simulators.ecg import EcgSimulator

HEARTS = 16  # more are no different to a processor
SIGNAL_S = 20.0  # of simulated ECG, played over and over
SETTLED_S = 3.0  # the filters settle before anything is timed
STARTS_S = 120.0  # more than a process takes to open an engine
Hops = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Given:
    """What to run."""

    patients: int
    seconds: float
    engine: str = "auto"
    model: str | None = None
    core: int | None = None
    """The one core to run on; None for any."""


class Ward:
    """Patients of a MultiReconstructor, each with a signal, who came one hop after another.

    So the blocks of their filters end one after another, too, as they do where people come and go.
    """

    def __init__(self, multi: MultiReconstructor, patients: int) -> None:
        self.multi = multi
        names = [f"bed-{i}" for i in range(patients)]
        for name in names:
            multi.join(name)
        signals = signals_of(patients, multi.sampling_hz, multi.leads(names[0]))
        self._hops = [dict(zip(names, hop, strict=True)) for hop in hops_of(signals, multi.hop)]
        self._at = 0
        for name, signal in zip(names, signals, strict=True):
            here = signal[:, : multi.hop * (len(names) - names.index(name))]
            multi.push({name: here})
        for _ in range(round(SETTLED_S * multi.sampling_hz / multi.hop)):
            multi.push(self.next())

    def next(self, n: int = 1) -> Hops:
        """The next `n` hops of each patient."""
        found = [self._hops[(self._at + i) % len(self._hops)] for i in range(n)]
        self._at += n
        if n == 1:
            return found[0]
        return {name: np.concatenate([hop[name] for hop in found], 1) for name in found[0]}


def signals_of(n: int, sampling_hz: float, leads: Sequence[str]) -> list[NDArray[np.float32]]:
    """The leads of `n` hearts, (n_leads, samples) float32 mV."""
    found = []
    for seed in range(min(n, HEARTS)):
        signal = EcgSimulator(sampling_hz, 60 + seed, baseline_mv=0.03, muscle_mv=0.005, seed=seed)
        rows = [signal.leads.index(lead) for lead in leads]
        found.append(signal.read(round(SIGNAL_S * sampling_hz))[rows].astype(np.float32))
    return [found[i % len(found)] for i in range(n)]


def hops_of(
    signals: Sequence[NDArray[np.float32]], hop: int
) -> list[tuple[NDArray[np.float32], ...]]:
    """Of each hop in time, that of each signal: side by side, as what has just arrived lies in a cache."""
    n = signals[0].shape[1] // hop
    whole = np.stack(signals)[:, :, : n * hop]
    in_time = whole.reshape(*whole.shape[:2], n, hop).transpose(2, 0, 1, 3).copy()
    return [tuple(together) for together in in_time]


def measure_ward(given: Given) -> dict[str, Any]:
    """`run` in a process of its own, on one thread. Raises BenchmarkError where it fails."""
    command = [sys.executable, "-m", "benchmarks.ward", json.dumps(asdict(given))]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=given.seconds + STARTS_S,
            env={**os.environ, **ONE_THREAD},
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(
            f"the ward still ran after {given.seconds + STARTS_S:.0f} s: is this machine too slow for it?"
        ) from error
    if done.returncode != 0:
        said = done.stderr.splitlines() or ["it said nothing"]
        raise BenchmarkError(f"the ward failed: {said[-1]}")
    return cast("dict[str, Any]", json.loads(done.stdout.splitlines()[-1]))


def run(
    given: Given,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, Any]:
    """Every patient's hop whenever its last sample is due, and the time from then to its block, in us.

    All hops are due at once: the most that can come together. What was due while a push ran is in the next
    one. A hop whose block comes after the next one is due has missed its deadline; a sample without a block
    is lost.
    """
    pin(given.core)
    with MultiReconstructor.open(
        load_bundle(given.model), given.engine, slots=given.patients
    ) as multi:
        ward, period = Ward(multi, given.patients), round(multi.hop / multi.sampling_hz * 1e9)
        n = max(1, round(given.seconds * 1e9 / period))
        latencies = np.empty(n, np.int64)
        samples_out = at_once = taken = 0
        cpu, start = time.process_time_ns(), clock() + period
        while taken < n:
            wait = start + taken * period - clock()
            if wait > 0:
                sleep(wait / 1e9)
            due = min(n, 1 + max(taken, (clock() - start) // period))
            blocks = multi.push(ward.next(due - taken))
            done = clock()
            at_once = max(at_once, due - taken)
            latencies[taken:due] = done - (start + np.arange(taken, due) * period)
            samples_out += sum(block.n_samples for block in blocks.values())
            taken = due
        elapsed, cpu = clock() - start, time.process_time_ns() - cpu
        return {
            "unit": "us",
            **percentiles(latencies / 1e3),
            "period_ms": period / 1e6,
            "deadline_misses": int(np.count_nonzero(latencies > period)),
            "samples_lost": n * multi.hop * given.patients - samples_out,
            "hops_at_once": at_once,
            "cpu_share": cpu / elapsed,
            "engine": multi.engine.name,
            **asdict(given),
        }


def pin(core: int | None) -> None:
    """Run this process on one core from here on. Raises BenchmarkError where that cannot be."""
    if core is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise BenchmarkError("this system pins no process to a core: leave --core out")
    try:
        os.sched_setaffinity(0, {core})
    except (OSError, ValueError) as error:
        here = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
        raise BenchmarkError(f"core {core} is not to be had: give one of {here}") from error


if __name__ == "__main__":
    print(json.dumps(run(Given(**json.loads(sys.argv[1])))))
