"""A short stream through an engine and through ONNX Runtime: does it compute what the bundle says?

An engine that was built on the device is new code each time, by a library that no one could test there
beforehand. Before it is taken it must agree with ONNX Runtime to the bounds that hold across engines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Manifest
from edge.engines.base import Array, Engine
from edge.errors import EngineError
from edge.signal.anchor import anchor_from_moments

MAX_RMSE_UV = 2.0  # of the reconstructed leads, as DESIGN bounds it across engines
MAX_LOG_SIGMA = 0.05  # root mean square; 5 % of sigma
STEPS = (*[1] * 24, 40, *[1] * 8)
"""Frames of each step: live hops, both turns of the states, and a block."""


def self_check(engine: Engine, reference: Engine) -> float:
    """Root mean square of the difference over a made-up stream, uV; both engines are reset.

    Raises EngineError when it is out of bounds.
    """
    assert engine.manifest == reference.manifest
    stream = made_up_stream(engine.manifest)
    ours, theirs = _run(engine, *stream), _run(reference, *stream)
    with np.errstate(invalid="ignore", over="ignore"):
        rmse_uv, log_sigma = (
            float(np.sqrt(np.mean(np.square(a - b, dtype=np.float64))))
            for a, b in zip(ours, theirs, strict=True)
        )
    rmse_uv *= 1000
    for value in (engine, reference):
        value.reset()
    if not (rmse_uv <= MAX_RMSE_UV and log_sigma <= MAX_LOG_SIGMA):
        raise EngineError(
            f"the {engine.name} engine does not compute what {reference.name} computes: {rmse_uv:.3g} uV"
            f" apart (bound {MAX_RMSE_UV:g}), log sigma {log_sigma:.3g} (bound {MAX_LOG_SIGMA:g}):"
            " use --engine onnxruntime, and report this line"
        )
    return rmse_uv


def made_up_stream(manifest: Manifest) -> tuple[Array, Array, Array]:
    """`ecg`, `mask` and `anchor` of a seeded stream with the amplitudes of an ECG, the same always."""
    rng = np.random.default_rng(0)
    n_in, frames = len(manifest.input_leads), sum(STEPS)
    n = frames * manifest.hop
    waves = np.convolve(rng.normal(0, 0.25, n + 8), np.hanning(9), "valid")
    ecg = waves * rng.uniform(0.5, 1.5, (n_in, 1)) + rng.normal(0, 0.01, (n_in, n))
    framed = ecg.reshape(n_in, frames, manifest.hop).transpose(0, 2, 1)[None]
    anchor = anchor_from_moments(
        manifest.moments, manifest.input_leads, manifest.output_leads, np.ones(n_in, bool)
    )
    return (
        np.ascontiguousarray(framed, np.float32),
        np.ones_like(framed, np.float32),
        np.ascontiguousarray(anchor[None, :, :, None, None], np.float32),
    )


def _run(
    engine: Engine, ecg: Array, mask: Array, anchor: Array
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    engine.reset()
    results, first = [], 0
    for frames in STEPS:
        at = slice(first, first + frames)
        results.append([a.copy() for a in engine.step(ecg[..., at], mask[..., at], anchor)])
        first += frames
    ecg_mv, log_sigma = (np.concatenate(parts, -1) for parts in zip(*results, strict=True))
    return ecg_mv, log_sigma
