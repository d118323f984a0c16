"""Records as the classifier takes them: above 0.5 Hz, at 100 Hz, with the superclasses that a table names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.lead_subsets import TWELVE
from edge.leads import LEADS, lead_indices
from quantize.data import DATASETS, Records, data_folder, zero_phase_highpass
from quantize.errors import QuantizeError
from quantize.hundred_hz import FILES, table_of

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")  # of PTB-XL, each yes or no for itself
CLASSIFIER_HZ = 100.0
BATCH = 256


@dataclass(frozen=True)
class Diagnosed:
    """Records with labels."""

    ecg_mv: NDArray[np.float16]
    """(n_records, n_leads, n) mV at CLASSIFIER_HZ, zero-phase high-passed."""
    labels: NDArray[np.float32]
    """(n_records, len(SUPERCLASSES)) 1 for yes."""

    def __len__(self) -> int:
        return len(self.labels)


def superclasses(records: Records, folder: Path | None = None) -> NDArray[np.float32]:
    """(n_records, len(SUPERCLASSES)) 1 for yes; a row without any has no diagnosis that belongs to one.

    Raises QuantizeError for records of another data set than PTB-XL's, or that its table does not name.
    """
    stem = FILES.get(records.name) or DATASETS.get(records.name, ("",))[0]
    if not stem.startswith("ptbxl"):
        raise QuantizeError(f"{records.name} has no superclasses: use records of PTB-XL")
    named = {row["record_id"]: row["superclass"] for row in table_of(folder or data_folder(), stem)}
    try:
        words = [re.split(r"[|+]", named[one]) for one in records.record_id]
    except KeyError as error:
        raise QuantizeError(f"{stem}.csv does not name {error}: fetch it again") from error
    return np.array([[name in one for name in SUPERCLASSES] for one in words], np.float32)


def at_classifier_rate(ecg_mv: NDArray[np.floating], sampling_hz: float) -> NDArray[np.float32]:
    """(..., n) at 100 or 250 Hz -> at CLASSIFIER_HZ, linear phase."""
    if sampling_hz == CLASSIFIER_HZ:
        return np.asarray(ecg_mv, np.float32)
    from scipy.signal import resample_poly

    ratio = (CLASSIFIER_HZ / sampling_hz).as_integer_ratio()
    up, down = (2, 5) if sampling_hz == 250 else ratio
    return np.asarray(resample_poly(ecg_mv, up, down, axis=-1, padtype="edge"), np.float32)


def diagnosed(
    records: Records, leads: tuple[str, ...] = LEADS, folder: Path | None = None
) -> Diagnosed:
    """Real records, whole; those without a superclass are left out, as PTB-XL's benchmark does."""
    labels = superclasses(records, folder)
    kept = np.flatnonzero(labels.any(1))
    seen = TWELVE[lead_indices(leads)]
    parts = []
    for start in range(0, len(kept), BATCH):
        eight = records.ecg_uv[kept[start : start + BATCH]].astype(np.float64) / 1000
        above = zero_phase_highpass(seen @ eight, records.sampling_hz)
        parts.append(at_classifier_rate(above, records.sampling_hz).astype(np.float16))
    return Diagnosed(np.concatenate(parts), labels[kept])


def joined(*parts: Diagnosed) -> Diagnosed:
    """All of them, as long as the shortest."""
    n = min(part.ecg_mv.shape[-1] for part in parts)
    return Diagnosed(
        np.concatenate([part.ecg_mv[..., :n] for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
