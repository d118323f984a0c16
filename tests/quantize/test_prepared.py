"""What training draws from: the filters of the feed, and paces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")

from edge.leads import INDEPENDENT_LEADS
from edge.signal.conditioning import Conditioner, Conditioning
from quantize.data import Records, zero_phase_highpass
from quantize.errors import QuantizeError
from quantize.prepared import (
    RESIDUAL,
    SEEN,
    TRUTH,
    prepare,
    time_stretch,
)

N_LEADS = len(INDEPENDENT_LEADS)


def records(n: int = 3) -> Records:
    rng = np.random.default_rng(7)
    ecg = rng.integers(-40, 41, (n, N_LEADS, 1000)).cumsum(-1).astype(np.int16)
    ids = [str(i) for i in range(n)]
    return Records("any", ecg, 250.0, ids, ids)


def test_at_rest_the_signals_are_those_of_the_conditioner_and_the_score() -> None:
    of = records()
    kept = prepare(of, Conditioning(), 4, (1.0,))
    ecg = of.ecg_uv[1].astype(np.float32) / 1000
    seen, residual, _ = Conditioner(Conditioning(), 250.0, N_LEADS, 4).push(ecg)
    scale = np.abs(ecg).max()
    for row, expected in (
        (RESIDUAL, residual),
        (SEEN, zero_phase_highpass(seen, 250.0)),
        (TRUTH, zero_phase_highpass(ecg, 250.0)),
    ):
        np.testing.assert_allclose(kept.signals[0][1, row], expected, atol=1e-3 * scale)
    x = zero_phase_highpass(ecg, 250.0)
    np.testing.assert_allclose(kept.moments[1], x @ x.T / 1000, rtol=0.01, atol=1e-3)


def test_what_was_kept_is_taken_again(tmp_path: Path) -> None:
    of = records()
    first = prepare(of, Conditioning(), 4, (0.9, 1.0), tmp_path)
    stamps = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(stamps) == 2
    again = prepare(of, Conditioning(), 4, (0.9, 1.0), tmp_path)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == stamps
    for a, b in zip(first.signals, again.signals, strict=True):
        np.testing.assert_array_equal(a, b)
    prepare(of, Conditioning(mains_hz=60.0), 4, (1.0,), tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(QuantizeError, match="cannot write"):
        prepare(records(), Conditioning(), 4, (1.0,), tmp_path / "file" / "folder")


def test_taking_some_keeps_all_of_them_together() -> None:
    kept = prepare(records(4), Conditioning(), 4, (0.9, 1.0))
    kept = replace(kept, taught=tuple(s[:, TRUTH, :5] for s in kept.signals))
    some = kept.take(np.array([2, 0]))
    assert len(some) == 2
    np.testing.assert_array_equal(some.signals[1], kept.signals[1][[2, 0]])
    np.testing.assert_array_equal(some.moments, kept.moments[[2, 0]])
    np.testing.assert_array_equal(some.taught[1], kept.taught[1][[2, 0]])


def test_stretching_keeps_the_waveform() -> None:
    t = np.arange(2500) / 250
    sine = np.sin(2 * np.pi * 5 * t).astype(np.float32)
    slower = time_stretch(sine, 1.1, 4)
    assert len(slower) % 4 == 0
    expected = np.sin(2 * np.pi * 5 * (np.arange(len(slower)) / 1.1 + 1) / 250)
    np.testing.assert_allclose(slower, expected, atol=2e-3)
    np.testing.assert_array_equal(time_stretch(sine, 1.0, 4), sine)
