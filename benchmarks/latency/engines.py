"""One hop's engine step, everything that can compute it side by side in one run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.latency.engine_step import BURST, SECONDS, float32_bundle, inputs
from benchmarks.ratios import ratio, spread
from benchmarks.report import PERCENTILES, samples_needed
from benchmarks.timing import WARM_UP_S, Step, time_in_turn
from edge.bundle import Bundle, load_bundle
from edge.engines.base import Array, Engine
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.engines.registry import AUTO, REFERENCE, open_engine
from edge.errors import EngineError
from firmware_bridge.extras import install_extra

ON_A_GPU = ("tensorrt",)
FLOAT32 = ("onnxruntime float32", "torch float32")
"""The same weights in float32 arithmetic: what INT8 is to be compared with."""
SMALL = "small model"
"""Ends the name of an engine with the small bundle that ships."""
OF_SMALL = (REFERENCE, "c")
COMPARED_HOPS = 250


def measure_engines(
    bundle: Bundle, seconds: float = SECONDS, warm_up_s: float = WARM_UP_S
) -> dict[str, Any]:
    """Durations in us of a step of one hop by engine, in turn, and the ratio of each to ONNX Runtime.

    Those of `auto` that work here, each held to the reference as it opens, the float32 twin, and the small
    model on two. `difference_mv` is the most by which the leads of an engine differ from the reference's, of
    the same model. `skipped` says why one is not there. `fastest` is the fastest INT8 engine on the CPU.
    """
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        engines = _opened(bundle, stack, skipped)
        differences = _differences(engines)
        engines |= _small(stack, skipped)
        steps = {name: _step(engine) for name, engine in engines.items()}
        trial = time_in_turn(steps, 3, BURST, warm_up_s)
        all_s = sum(float(np.median(t)) for t in trial.values()) * 1e-9
        calls = max(seconds / all_s, min(samples_needed(PERCENTILES[-1]), 25 * seconds / all_s))
        durations = time_in_turn(steps, math.ceil(calls / BURST), BURST, warm_up_s)
        details = {name: engine.details() for name, engine in engines.items()}
    found = {
        name: {
            **spread(t / 1e3),
            **ratio(t, durations[REFERENCE]),
            "difference_mv": differences.get(name),
            "details": details[name],
        }
        for name, t in durations.items()
    }
    return {"unit": "us", "engines": found, "fastest": fastest(found), "skipped": skipped}


def fastest(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The fastest INT8 engine on the CPU, its ratio to the reference and the interval."""
    others = (*ON_A_GPU, *FLOAT32)
    on_cpu = [name for name in found if name not in others and not name.endswith(SMALL)]
    name = min(on_cpu, key=lambda one: float(found[one]["ratio"]))
    return {"engine": name, **{key: found[name][key] for key in ("ratio", "interval", "p50")}}


def _opened(bundle: Bundle, stack: ExitStack, skipped: dict[str, str]) -> dict[str, Engine]:
    engines: dict[str, Engine] = {}
    for name in AUTO:
        try:
            engines[name] = stack.enter_context(open_engine(bundle, name).engine)
        except EngineError as error:
            skipped[name] = str(error)
    try:
        from edge.engines.torch_engine import TorchEngine

        twin = float32_bundle(bundle)
        engines[FLOAT32[0]] = stack.enter_context(OnnxRuntimeEngine(twin))
        stack.enter_context(one_thread_of_torch())
        engines[FLOAT32[1]] = stack.enter_context(TorchEngine(twin, exact=False))
    except (BenchmarkError, EngineError) as error:
        skipped[", ".join(name for name in FLOAT32 if name not in engines)] = str(error)
    return engines


def _small(stack: ExitStack, skipped: dict[str, str]) -> dict[str, Engine]:
    engines: dict[str, Engine] = {}
    for name in OF_SMALL:
        try:
            opened = open_engine(load_bundle("small"), name).engine
            engines[f"{name}, {SMALL}"] = stack.enter_context(opened)
        except EngineError as error:
            skipped[f"{name}, {SMALL}"] = str(error)
    return engines


@contextmanager
def one_thread_of_torch() -> Iterator[None]:
    """Torch on one thread in here. Raises BenchmarkError where it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise BenchmarkError(f"{error}: {install_extra('train')}") from error
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _differences(engines: Mapping[str, Engine]) -> dict[str, float]:
    """The most in mV by which each differs from the reference over one signal, hop by hop."""
    made = {name: _leads(engine) for name, engine in engines.items()}
    return {name: float(np.abs(one - made[REFERENCE]).max()) for name, one in made.items()}


def _leads(engine: Engine) -> Array:
    ecg, mask, anchor = inputs(engine.manifest, COMPARED_HOPS)
    engine.reset()
    hops = np.split(ecg, COMPARED_HOPS, axis=3)
    on = mask[..., :1] if mask.shape[-1] == COMPARED_HOPS else mask
    leads = [engine.step(np.ascontiguousarray(hop), on, anchor)[0].copy() for hop in hops]
    return np.concatenate(leads, axis=2)


def _step(engine: Engine) -> Step:
    ecg, mask, anchor = inputs(engine.manifest, 1)
    mask.flags.writeable = False  # as a reconstructor gives it
    return lambda: engine.step(ecg, mask, anchor)
