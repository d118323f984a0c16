"""One hop's engine step, the engines that work here side by side in one run."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks.latency.engine_step import BURST, SECONDS, inputs
from benchmarks.report import PERCENTILES, percentiles, samples_needed
from benchmarks.timing import WARM_UP_S, Step, time_in_turn
from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.engines.registry import AUTO, REFERENCE, open_engine
from edge.errors import EngineError


def measure_engines(
    bundle: Bundle, seconds: float = SECONDS, warm_up_s: float = WARM_UP_S
) -> dict[str, Any]:
    """Durations in us of a step of one hop by engine, in turn, and the ratio of each to ONNX Runtime.

    Those of `auto` that work; each is held to the reference as it opens. `skipped` says why one is not there.
    """
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        engines: dict[str, Engine] = {}
        for name in AUTO:
            try:
                engines[name] = stack.enter_context(open_engine(bundle, name).engine)
            except EngineError as error:
                skipped[name] = str(error)
        steps = {name: _step(engine) for name, engine in engines.items()}
        trial = time_in_turn(steps, 3, BURST, warm_up_s)
        all_s = sum(float(np.median(t)) for t in trial.values()) * 1e-9
        calls = max(seconds / all_s, samples_needed(PERCENTILES[-1]))
        durations = time_in_turn(steps, math.ceil(calls / BURST), BURST, warm_up_s)
        details = {name: engine.details() for name, engine in engines.items()}
    reference = durations[REFERENCE]
    return {
        "unit": "us",
        "engines": {
            name: {
                **percentiles(t / 1e3),
                "ratio_of_medians": float(np.median(t) / np.median(reference)),
                "median_of_paired_ratios": float(
                    np.median(np.median(t, axis=1) / np.median(reference, axis=1))
                ),
                "details": details[name],
            }
            for name, t in durations.items()
        },
        "skipped": skipped,
    }


def _step(engine: Engine) -> Step:
    ecg, mask, anchor = inputs(engine.manifest, 1)
    mask.flags.writeable = False  # as a reconstructor gives it
    return lambda: engine.step(ecg, mask, anchor)
