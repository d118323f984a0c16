"""Engines agree on what no ECG is: electrode faults, square waves, converters at their end."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.leads import INPUT_LEADS
from tests.edge.engines.given import given_from_leads, int8_bundle, run

pytest.importorskip("onnx", reason="the int8 graph is made with onnx: install '.[test]'")
pytest.importorskip("torch", reason="torch is the reference: install '.[test]'")

from edge.engines.torch_engine import TorchEngine

RMSE_UV = 2.0
DATA = Path(os.environ.get("LEADLIFT_DATA", "../shared/data"))


def square_waves() -> Iterator[NDArray[np.float32]]:
    """(3, 2000) mV: to the end of a converter's range, slow and quick, and levels at random."""
    t = np.arange(2000)
    for half_period, mv in ((250, 32.0), (41, 32.0), (7, 10.0), (1000, 32.0)):
        wave = np.where((t // half_period) % 2, mv, -mv).astype(np.float32)
        yield np.stack([wave, -wave, np.roll(wave, half_period // 3)])
    rng = np.random.default_rng(3)
    for mv in (8.0, 32.0):
        yield np.repeat(rng.uniform(-mv, mv, (3, 200)), 10, axis=1).astype(np.float32)


def mobile_faults(n: int = 12) -> Iterator[NDArray[np.float32]]:
    """(3, 2000) mV of recordings with a mobile phone that are not usable, the first `n`."""
    file = DATA / "challenge2011_mobile.npz"
    if not file.exists():
        pytest.skip(f"real recordings are not here: {file} is missing")
    with file.with_suffix(".csv").open(newline="") as table:
        usable = {row["record_id"]: row["usable"] == "True" for row in csv.DictReader(table)}
    with np.load(file) as found:
        rows = [list(found["leads"]).index(lead) for lead in INPUT_LEADS]
        faulty = [i for i, name in enumerate(found["record_id"]) if not usable[name]][:n]
        ecg_uv = found["ecg_uv"][faulty][:, rows, :2000]
    yield from ecg_uv.astype(np.float32) / np.float32(1000)


def codes(engine: Engine) -> NDArray[np.int16]:
    """Of all states, channels first."""
    return np.concatenate(
        [
            (c.transpose(0, 3, 1, 2) if c.dtype == np.uint8 else c).ravel().astype(np.int16)
            for c in engine.state().values()
        ]
    )


@pytest.mark.parametrize("signals", [square_waves, mobile_faults])
def test_engines_agree_on_electrode_faults(shipped_bundle: Bundle, signals) -> None:  # type: ignore[no-untyped-def]
    uint8 = OnnxRuntimeEngine(shipped_bundle)
    # Its sums are exact: ONNX Runtime leaves convolutions of int8 in float32.
    int8, torch = TorchEngine(int8_bundle(shipped_bundle)), TorchEngine(shipped_bundle)
    squares = {"int8": 0.0, "torch": 0.0}
    largest, changed = dict(squares), dict(squares)
    n = n_codes = 0
    for ecg_mv in signals():
        given = given_from_leads(shipped_bundle.manifest, ecg_mv)
        for engine in (uint8, int8, torch):
            engine.reset()
        streamed, _ = run(uint8, given, 5)
        expected = codes(uint8)
        n, n_codes = n + streamed.size, n_codes + expected.size
        for name, engine in (("int8", int8), ("torch", torch)):
            apart = 1000 * (run(engine, given)[0].astype(np.float64) - streamed)
            squares[name] += float(np.square(apart).sum())
            largest[name] = max(largest[name], float(np.abs(apart).max()))
            code_apart = np.abs(codes(engine) - expected)
            assert code_apart.max() <= 4  # a tie in rounding and what follows, not saturation
            changed[name] += float((code_apart > 0).sum())
    print(
        {
            k: f"largest {largest[k]:.3g} uV, codes changed {changed[k]:g} of {n_codes}"
            for k in squares
        }
    )
    for name, total in squares.items():
        assert np.sqrt(total / n) < RMSE_UV, name
        assert changed[name] / n_codes < 5e-3, name
