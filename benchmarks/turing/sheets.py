"""Sheets of real and of reconstructed leads that differ in the waveform alone: one ink, words, bandwidth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.judged import CONDITIONED, SHIPPED, Arms
from benchmarks.fidelity.scores import scored
from edge.bundle import Bundle
from edge.leads import LEADS
from edge.sheet.excerpt import Excerpt, Trace, middle
from firmware_bridge.extras import install_extra
from quantize.data import SCORE_HIGHPASS_HZ, Records

REAL, RECONSTRUCTED = "real", "reconstructed"
KINDS = {REAL: CONDITIONED, RECONSTRUCTED: SHIPPED}
"""What each kind shows: real leads pass the causal conditioning of the measured ones too."""
LOWPASS_HZ = 40.0
NOT_TOLD = "not told"  # where other sheets say measured or reconstructed
BANDWIDTH = f"{SCORE_HIGHPASS_HZ:g} to {LOWPASS_HZ:g} Hz"
TITLE = "12-lead ECG"


@dataclass(frozen=True)
class Sheet:
    """What the key says of one sheet."""

    name: str
    kind: str
    record_id: str


def drawn_lots(records: Records, n: int, seed: int) -> list[tuple[str, int]]:
    """Kind and row of `n` records, half of them of each kind, each patient at most once, shuffled.

    Raises BenchmarkError for fewer patients than sheets.
    """
    rng = np.random.default_rng(seed)
    first: dict[str, int] = {}
    for row in rng.permutation(len(records)).tolist():
        first.setdefault(records.patient_id[row], row)
    rows = list(first.values())[:n]
    if len(rows) < n:
        raise BenchmarkError(f"{len(rows)} patients do not fill {n} sheets: ask for fewer --sheets")
    kinds = [tuple(KINDS)[i % 2] for i in range(n)]
    return [(str(kind), row) for kind, row in zip(rng.permutation(kinds), rows, strict=True)]


def excerpts(bundle: Bundle, records: Records, lots: list[tuple[str, int]]) -> Iterator[Excerpt]:
    """Of each lot, the twelve leads as a sheet shows them: nothing says which are whose."""
    rows, hz = [row for _, row in lots], records.sampling_hz
    # Those that were drawn alone are streamed.
    some = replace(
        records,
        ecg_uv=records.ecg_uv[rows],
        record_id=[records.record_id[row] for row in rows],
        patient_id=[records.patient_id[row] for row in rows],
    )
    arms = Arms(bundle, "onnxruntime", some)
    for i, (kind, _) in enumerate(lots):
        ecg_mv = shown(arms.millivolts(KINDS[kind], slice(i, i + 1))[0], hz)
        state = np.zeros(ecg_mv.shape[1], np.uint8)
        traces = {
            lead: Trace(NOT_TOLD, one, None, state) for lead, one in zip(LEADS, ecg_mv, strict=True)
        }
        yield Excerpt(hz, 0.0, ecg_mv.shape[1], traces)


def shown(ecg_mv: NDArray[np.floating], sampling_hz: float) -> NDArray[np.float32]:
    """(12, n) mV as scored, below LOWPASS_HZ, each lead about its median."""
    from scipy.signal import butter, sosfiltfilt

    low = butter(4, LOWPASS_HZ, "lowpass", fs=sampling_hz, output="sos")
    kept = scored(sosfiltfilt(low, np.asarray(ecg_mv, np.float64)), sampling_hz).astype(np.float32)
    return np.asarray(kept - middle(kept)[:, None])


def draw(folder: Path, names: list[str], every: Iterator[Excerpt]) -> None:
    """A PNG of each, by name. Raises BenchmarkError without matplotlib, or where none can be written."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise BenchmarkError(
            f"sheets need matplotlib ({error}): {install_extra('plot')}"
        ) from error
    from edge.sheet.drawing import Heading, save

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, excerpt in zip(names, every, strict=True):
            heading = Heading(TITLE, [name], ["Research use only"], BANDWIDTH)
            with (folder / f"{name}.png").open("xb") as target:
                save(target, "png", heading, [(excerpt, None)], "II")
    except OSError as error:
        raise BenchmarkError(f"cannot write {error.filename}: {error.strerror}") from error
