"""Real 12-lead records: where they lie, which fold they are in, and the zero-phase view that is scored."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, lead_indices
from quantize.errors import QuantizeError

SCORE_HIGHPASS_HZ = (
    0.5  # PROTOCOL.md: truth and prediction are compared above this, with zero phase
)
SCORED_S = (2.0, 9.92)  # PROTOCOL.md: what of a record counts, from and to

# Name on the command line -> file, and the column and value that pick its rows.
DATASETS = {
    "train": ("ptbxl", "split", "train"),
    "validation": ("ptbxl", "split", "val"),
    "test": ("ptbxl", "split", "test"),
    "cpsc_ptb": ("challenge2021_cpsc_ptb", "n_valid", "5000"),
    "mobile": ("challenge2011_mobile", "usable", "True"),
}


@dataclass(frozen=True)
class Records:
    """Records of one data set, all of one length."""

    name: str
    ecg_uv: NDArray[np.int16]
    """(n_records, 8, n_samples) int16 microvolts, rows INDEPENDENT_LEADS."""
    sampling_hz: float
    record_id: list[str]
    patient_id: list[str]

    def __len__(self) -> int:
        return len(self.ecg_uv)

    def millivolts(self, leads: Sequence[str] = INDEPENDENT_LEADS) -> NDArray[np.float32]:
        """(n_records, n_leads, n_samples) float32 mV."""
        rows = lead_indices(leads, INDEPENDENT_LEADS)
        return self.ecg_uv[:, rows].astype(np.float32) / np.float32(1000)

    def take(self, n: int) -> Records:
        """The first n records."""
        return self.at(slice(n))

    def at(self, rows: slice) -> Records:
        """These records."""
        ids = self.record_id[rows], self.patient_id[rows]
        return Records(self.name, self.ecg_uv[rows], self.sampling_hz, *ids)


def data_folder() -> Path:
    """Where the recordings lie: `$LEADLIFT_DATA`, or `../shared/data` beside the checkout.

    Raises QuantizeError naming both when neither is there.
    """
    named = os.environ.get("LEADLIFT_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        raise QuantizeError(
            f"no recordings at {folder}: set LEADLIFT_DATA to the folder that holds ptbxl.npz"
        )
    return folder


def load(name: str, folder: Path | None = None) -> Records:
    """One of DATASETS, by name.

    Raises QuantizeError for an unknown name, a missing file, or rows that do not match their table.
    """
    if name not in DATASETS:
        raise QuantizeError(f"unknown data set {name!r}: use one of {', '.join(DATASETS)}")
    stem, column, value = DATASETS[name]
    folder = folder or data_folder()
    try:
        with np.load(folder / f"{stem}.npz", allow_pickle=False) as arrays:
            ecg_uv, leads = arrays["ecg_uv"], [str(lead) for lead in arrays["leads"]]
            sampling_hz, record_id = float(arrays["sampling_hz"]), arrays["record_id"]
        with (folder / f"{stem}.csv").open(newline="") as table:
            rows = list(csv.DictReader(table))
    except FileNotFoundError as error:
        raise QuantizeError(
            f"{error.filename} is missing: see the data page of the README"
        ) from error
    if [row["record_id"] for row in rows] != [str(name) for name in record_id]:
        raise QuantizeError(
            f"{stem}.csv and {stem}.npz do not list the same records: fetch both again"
        )
    keep = np.array([row[column] == value for row in rows])
    order = lead_indices(INDEPENDENT_LEADS, leads)
    return Records(
        name,
        ecg_uv[keep][:, order],
        sampling_hz,
        [row["record_id"] for row, kept in zip(rows, keep, strict=True) if kept],
        [
            row.get("patient_id") or row["record_id"]
            for row, kept in zip(rows, keep, strict=True)
            if kept
        ],
    )


def zero_phase_highpass(
    ecg_mv: NDArray[np.floating], sampling_hz: float, corner_hz: float = SCORE_HIGHPASS_HZ
) -> NDArray[np.float64]:
    """2nd-order Butterworth high-pass, forward and backward over the last axis: what is scored."""
    from scipy.signal import butter, sosfiltfilt

    sos = butter(2, corner_hz, "highpass", fs=sampling_hz, output="sos")
    return np.asarray(sosfiltfilt(sos, np.asarray(ecg_mv, np.float64), axis=-1))


def second_moments(records: Records, batch: int = 256) -> NDArray[np.float64]:
    """E[x x^T] over all samples of the zero-phase high-passed leads, (8, 8) float64 mV^2."""
    total, count = np.zeros((8, 8)), 0
    for start in range(0, len(records), batch):
        part = records.ecg_uv[start : start + batch].astype(np.float64) / 1000.0
        x = zero_phase_highpass(part, records.sampling_hz).transpose(1, 0, 2).reshape(8, -1)
        total += x @ x.T
        count += x.shape[1]
    return total / count
