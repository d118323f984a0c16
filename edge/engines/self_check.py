"""Short made-up streams through an engine: does it compute what the bundle says?

Two streams: one with the amplitudes of an ECG, one with those of an electrode fault, where codes saturate.
ONNX Runtime is the reference, and must give numbers; every other engine must agree with it to be taken. An
engine that was built on the device is new code each time, by a library that no one could test before. One
that says that it computes the same codes is held to that: no code may differ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Manifest
from edge.engines.base import Array, Engine
from edge.errors import BundleError, EngineError
from edge.lead_set import LeadSet, Present

ECG_UV, FAULT_UV = 2.0, 20.0
"""Largest root mean square of the difference, in uV, over each stream.

The first holds across engines. In the second a code that is rounded the other way stands for up to 20 uV;
engines that saturate apart differ by hundreds.
"""
SAME_CODES_UV = (
    0.02  # of an engine with the same codes: float32 sums in another order, of up to 100 mV
)
MAX_LOG_SIGMA = 0.05  # root mean square; 5 % of sigma
FAULT_MV = 32.0  # where the converters of wearables end
STEPS = (*[1] * 24, 40, *[1] * 8)
"""Frames of each step: live hops, both turns of the states, and a block."""


class Stream(NamedTuple):
    """What an engine is given over all STEPS, and how far engines may lie apart on it."""

    ecg: Array
    mask: Array
    anchor: Array
    bound_uv: float


def self_check(engine: Engine, reference: Engine) -> float:
    """Root mean square of the difference over the stream like an ECG, uV; both engines are reset.

    Raises EngineError when either stream is out of its bound, BundleError as `check_finite`.
    """
    assert engine.manifest == reference.manifest
    found = []
    for stream in made_up_streams(engine.manifest):
        theirs = _finite_results(reference, stream)
        ours = _results(engine, stream)
        with np.errstate(invalid="ignore", over="ignore"):
            rmse_uv, log_sigma = (
                float(np.sqrt(np.mean(np.square(a - b, dtype=np.float64))))
                for a, b in zip(ours, theirs, strict=True)
            )
        rmse_uv *= 1000
        found.append(rmse_uv)
        bound_uv, differ = stream.bound_uv, 0
        if engine.same_codes:
            bound_uv, differ = SAME_CODES_UV, _codes_that_differ(engine, reference)
        if not (rmse_uv <= bound_uv and log_sigma <= MAX_LOG_SIGMA and differ == 0):
            codes = f", {differ} codes of the state differ" if engine.same_codes else ""
            raise EngineError(
                f"the {engine.name} engine does not compute what {reference.name} computes: {rmse_uv:.3g} uV"
                f" apart (bound {bound_uv:g}), log sigma {log_sigma:.3g} (bound {MAX_LOG_SIGMA:g}){codes}:"
                " use --engine onnxruntime, and report this line"
            )
    for one in (engine, reference):
        one.reset()
    return found[0]


def check_finite(engine: Engine) -> None:
    """Raise BundleError for a bundle whose weights, scales or anchor give no numbers; the engine is reset."""
    for stream in made_up_streams(engine.manifest):
        _finite_results(engine, stream)
    engine.reset()


def made_up_streams(
    manifest: Manifest, leads: LeadSet | None = None, present: Present | None = None
) -> tuple[Stream, Stream]:
    """Seeded streams, the same always: with the amplitudes of an ECG, and of an electrode fault.

    Of `leads`, by default the decoder's own, of which those of `present` are on, by default all.
    """
    rng = np.random.default_rng(0)
    leads = leads or LeadSet(manifest)
    present = present or leads.all_present
    n_in, frames = leads.n_measured, sum(STEPS)
    n = frames * manifest.hop
    waves = np.convolve(rng.normal(0, 0.25, n + 8), np.hanning(9), "valid")
    ecg = waves * rng.uniform(0.5, 1.5, (n_in, 1)) + rng.normal(0, 0.01, (n_in, n))
    # Levels that no two samples share: of a periodic signal one tie in rounding would come back and back.
    levels = np.repeat(rng.uniform(-FAULT_MV, FAULT_MV, (n_in, n // 8 + 1)), 8, axis=1)[:, :n]

    def stream(samples: NDArray[np.float64], bound_uv: float) -> Stream:
        given = np.where(present.on[:, None], samples, 0).astype(np.float32)
        rows = np.ascontiguousarray(leads.engine_rows(present, given))
        mask = np.broadcast_to(present.mask, rows.shape).astype(np.float32)
        return Stream(rows, mask, present.engine_anchor, bound_uv)

    return stream(ecg, ECG_UV), stream(levels + ecg, FAULT_UV)


def _codes_that_differ(engine: Engine, reference: Engine) -> int:
    ours, theirs = engine.state(), reference.state()
    return sum(int(np.count_nonzero(ours[name] != theirs[name])) for name in theirs)


def _finite_results(engine: Engine, stream: Stream) -> tuple[Array, Array]:
    ecg_mv, log_sigma = _results(engine, stream)
    # A large log sigma is sound: the reconstructor bounds it, and in float arithmetic a fault makes one.
    if not (np.isfinite(ecg_mv).all() and np.isfinite(log_sigma).all()):
        raise BundleError(
            f"the model {engine.manifest.name} gives values that are no numbers: its weights or scales are"
            " damaged; take another copy, or export it again"
        )
    return ecg_mv, log_sigma


def _results(engine: Engine, stream: Stream) -> tuple[Array, Array]:
    """`ecg_mv` and `log_sigma` of the whole stream, from reset."""
    engine.reset()
    results, first = [], 0
    for frames in STEPS:
        at = slice(first, first + frames)
        step = engine.step(stream.ecg[..., at], stream.mask[..., at], stream.anchor)
        results.append([a.copy() for a in step])
        first += frames
    ecg_mv, log_sigma = (np.concatenate(parts, -1) for parts in zip(*results, strict=True))
    return ecg_mv, log_sigma
