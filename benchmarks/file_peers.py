"""Our reader of recordings beside wfdb's, our conditioning of a whole one beside neurokit2's cleaning."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.timing import Step
from edge.bundle import load_bundle
from edge.files.records import open_record
from edge.leads import LEADS
from edge.signal.conditioning import Conditioner
from firmware_bridge.extras import install_extra
from firmware_bridge.simulators.ecg import EcgSimulator

UNITS_PER_MV = 1000  # as PTB-XL's records
SAME_MV = 1e-6  # float32 rounding of a reading: readers that differ by more do not read the same
LENGTHS = {"10 s at 500 Hz": (10.0, 500.0), "30 min at 250 Hz": (1800.0, 250.0)}
"""Twelve leads each: a resting ECG, and a piece of a Holter's."""
OURS, WFDB, NEUROKIT = "leadlift", "wfdb", "neurokit2 ecg_clean"
NO_READER = (
    "it reads BIOPAC, OpenSignals and XDF alone, and leadlift none of these: its cleaning is timed"
)
MISSING = install_extra("peers")


@contextmanager
def reading(seconds: float, hz: float, skipped: dict[str, str]) -> Iterator[dict[str, Step]]:
    """Whole WFDB records, header and samples, into mV. Raises BenchmarkError where the readers differ."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record"
        ecg = EcgSimulator(hz, seed=1).read(round(seconds * hz))
        write_record(path, np.rint(ecg * UNITS_PER_MV).astype(np.int16), hz)
        steps: dict[str, Callable[[], NDArray[Any]]] = {OURS: lambda: _read(path)}
        try:
            import wfdb
        except ImportError as error:
            skipped[WFDB] = f"{error}: {MISSING}"
        else:
            steps[WFDB] = lambda: np.asarray(wfdb.rdrecord(str(path)).p_signal).T
        skipped["neurokit2, reading"] = NO_READER
        check_same({name: step() for name, step in steps.items()})
        yield dict(steps)


def check_same(read: Mapping[str, NDArray[Any]]) -> None:
    """Raise BenchmarkError where a reader gives other values than the first."""
    first = next(iter(read.values()))
    for name, ecg in read.items():
        if ecg.shape != first.shape or not np.allclose(ecg, first, rtol=SAME_MV, atol=SAME_MV):
            raise BenchmarkError(
                f"{name} reads other values than {next(iter(read))}: no comparison"
            )


def cleaning(model: Path | None, seconds: float, skipped: dict[str, str]) -> dict[str, Step]:
    """Three leads at once: our filters for display and decoder, neurokit2's 0.5 Hz high-pass and notch."""
    m = load_bundle(model).manifest
    ecg = EcgSimulator(m.sampling_hz, seed=1).read(round(seconds * m.sampling_hz))[:3]
    ecg = ecg[:, : ecg.shape[1] // m.hop * m.hop].astype(np.float32)

    def ours() -> object:
        return Conditioner(m.conditioning, m.sampling_hz, len(ecg), m.hop).push(ecg)

    steps: dict[str, Step] = {OURS: ours}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import neurokit2
    except ImportError as error:
        skipped[NEUROKIT] = f"{error}: {MISSING}"
    else:
        hz = round(m.sampling_hz)
        steps[NEUROKIT] = lambda: [neurokit2.ecg_clean(lead, sampling_rate=hz) for lead in ecg]
    return steps


def write_record(
    path: Path, codes: NDArray[np.int16], hz: float, leads: Sequence[str] = LEADS
) -> None:
    """A WFDB record in format 16, (n_leads, n) codes, as PhysioNet has them."""
    lines = [f"{path.name} {len(codes)} {hz:g} {codes.shape[1]}"]
    for lead, row in zip(leads, codes, strict=True):
        checksum = np.sum(row, dtype=np.int64).astype(np.int16)
        lines.append(f"{path.name}.dat 16 {UNITS_PER_MV}/mV 16 0 {row[0]} {checksum} 0 {lead}")
    path.with_suffix(".hea").write_text("\n".join([*lines, ""]), encoding="ascii")
    path.with_suffix(".dat").write_bytes(codes.T.astype("<i2").tobytes())


def _read(path: Path) -> NDArray[np.float32]:
    with open_record(path.with_suffix(".hea")) as record:
        return record.read(0, record.n_samples)
