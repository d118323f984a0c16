"""Whom the decoder learned from: records by age, sex, diagnosis and device, as their tables say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fidelity.groups import UNKNOWN, groups
from quantize.data import data_folder
from quantize.hundred_hz import FILES, WITHDRAWN, held_out_patients, table_of

OTHER = "other"
_NATIVE, _LARGER = "250 Hz", "100 Hz"


def training_data(folder: Path | None = None) -> dict[str, Any]:
    """By sampling rate: records, patients as far as they are named, and records by kind and group.

    Raises QuantizeError where a table is missing.
    """
    folder = folder or data_folder()
    native = [
        row
        for row in table_of(folder, "ptbxl")
        if row["split"] == "train" and row["record_id"] not in WITHDRAWN
    ]
    away = held_out_patients(folder)
    larger = [row for row in table_of(folder, FILES["train_100"]) if row["patient_id"] not in away]
    return {_NATIVE: counted(native), _LARGER: counted(larger)}


def counted(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Of one table: how many in each group; UNKNOWN is what no group holds where each record is in one."""
    of = groups(rows, np.full(len(rows), np.nan))
    patients = Counter(row["patient_id"] for row in rows if row["patient_id"])
    found = {
        kind: {name: int(who.sum()) for name, who in some.items()} for kind, some in of.items()
    }
    for kind, some in of.items():
        rest = len(rows) - int(np.any(list(some.values()), axis=0).sum())
        if rest:
            found[kind][UNKNOWN if kind != "device" else OTHER] = rest
    return {
        "n_records": len(rows),
        "n_patients_named": len(patients),
        "n_records_of_unnamed": len(rows) - patients.total(),
        "groups": found,
    }
