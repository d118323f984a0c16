"""PTB-XL's records of 100 Hz as 250 Hz, on the time grid of `ptbxl.npz`, cut to what of them is right.

Six times the patients of the 250 Hz subset, flat to 40 Hz and nothing above 47 Hz. Three traps (data page of
the README): their last 100 ms are wrong, they are early by 1.25 ms, and patients of folds 9 and 10 must not
train, nor records that PTB-XL has withdrawn since.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, lead_indices
from edge.progress import followed
from quantize.data import Records, data_folder
from quantize.errors import QuantizeError
from quantize.prepared import kept

FILES = {
    "train_100": "ptbxl100_train",
    "validation_100": "ptbxl100_val",
    "test_100": "ptbxl100_test",
}
TABLES = ("ptbxl", *FILES.values())
HELD_OUT = ("9", "10")  # folds for choosing and for reporting
# Duplicates that PTB-XL 1.0.3 withdrew.
WITHDRAWN = frozenset(
    f"ptbxl_{n:05d}" for n in (137, 139, 140, 141, 142, 143, 145, 456, 458, 459, 461, 462)
)

HZ, TARGET_HZ = 100, 250
UP, DOWN = 5, 2
EARLY_S = 1.25e-3
VALID_OF = 500.0  # Hz, in which `n_valid` counts
HALF_WIDTH = 16  # samples at 100 Hz on either side of one that is made
CUTOFF = 0.97  # of the Nyquist frequency at 100 Hz
KAISER_BETA = 8.0
BATCH = 256


def load_hundred_hz(
    name: str,
    folder: Path | None = None,
    cache: Path | None = None,
    *,
    as_stored: bool = False,
) -> Records:
    """One of FILES as 250 Hz records, memory-mapped where a `cache` folder is given.

    `as_stored` leaves them at 100 Hz, and early by EARLY_S. Training records come without the patients of
    HELD_OUT folds. Raises QuantizeError for an unknown name, a missing file, another rate, or rows that do
    not match their table.
    """
    if name not in FILES:
        raise QuantizeError(f"unknown data set {name!r}: use one of {', '.join(FILES)}")
    folder, stem = folder or data_folder(), FILES[name]
    rows = table_of(folder, stem)
    try:
        with np.load(folder / f"{stem}.npz", allow_pickle=False) as arrays:
            hz, ids = int(arrays["sampling_hz"]), [str(one) for one in arrays["record_id"]]
            order = lead_indices(INDEPENDENT_LEADS, [str(lead) for lead in arrays["leads"]])
            if hz != HZ:
                raise QuantizeError(f"{stem}.npz is sampled at {hz} Hz, not {HZ}: fetch it again")
            if ids != [row["record_id"] for row in rows]:
                raise QuantizeError(
                    f"{stem}.csv and {stem}.npz do not list the same records: fetch both again"
                )
            n_valid = min(int(row["n_valid"]) for row in rows)
            stamp = (folder / f"{stem}.npz").stat()
            file = cache and cache / f"{stem}-{stamp.st_size}-{n_valid}-250hz.npy"
            if as_stored:
                ecg = arrays["ecg_uv"][:, order][..., : _cut(n_valid, HZ)]
            else:
                ecg = kept(
                    file,
                    lambda: at_250_hz(arrays["ecg_uv"][:, order])[..., : _cut(n_valid, TARGET_HZ)],
                )
    except FileNotFoundError as error:
        raise QuantizeError(
            f"{error.filename} is missing: see the data page of the README"
        ) from error
    patients = [row["patient_id"] or row["record_id"] for row in rows]
    hz = HZ if as_stored else TARGET_HZ
    records = Records(name, ecg, float(hz), ids, patients)
    return without(records, held_out_patients(folder)) if name == "train_100" else records


def is_there(name: str, folder: Path | None = None) -> bool:
    """Whether the data folder has this one of FILES."""
    return ((folder or data_folder()) / f"{FILES[name]}.npz").exists()


def at_250_hz(ecg_uv: NDArray[np.int16]) -> NDArray[np.int16]:
    """(n_records, n_leads, n) int16 uV at 100 Hz -> (n_records, n_leads, 2.5 n) at 250 Hz, linear phase."""
    from scipy.signal import resample_poly

    taps = _taps()
    out = np.empty((*ecg_uv.shape[:-1], ecg_uv.shape[-1] * UP // DOWN), np.int16)
    for start in followed(range(0, len(ecg_uv), BATCH), "resampling to 250 Hz"):
        some = ecg_uv[start : start + BATCH].astype(np.float64)
        made = resample_poly(some, UP, DOWN, axis=-1, window=taps, padtype="edge")  # type: ignore[call-overload]
        out[start : start + BATCH] = np.clip(np.rint(made), -32768, 32767)
    return out


def _taps() -> NDArray[np.float64]:
    """Windowed sinc at 500 Hz whose middle lies EARLY_S after the middle tap."""
    half = HALF_WIDTH * UP
    t = np.arange(-half, half + 1) / UP - EARLY_S * HZ  # in samples at 100 Hz
    inside = np.sqrt(np.clip(1 - np.square(t / HALF_WIDTH), 0, None))
    taps = np.sinc(CUTOFF * t) * np.i0(KAISER_BETA * inside)
    return np.asarray(taps / taps.sum())


def _cut(n_valid: int, hz: int) -> int:
    return int(n_valid / VALID_OF * hz)


def held_out_patients(folder: Path | None = None) -> set[str]:
    """Patients of whom any table has a record in a HELD_OUT fold, as far as patients are named."""
    folder = folder or data_folder()
    return {
        row["patient_id"]
        for stem in TABLES
        for row in table_of(folder, stem)
        if row["strat_fold"] in HELD_OUT and row["patient_id"]
    }


def without(records: Records, patients: set[str]) -> Records:
    """The records less those of some patients; the very array when there is none, so that it stays mapped."""
    keep = [i for i, patient in enumerate(records.patient_id) if patient not in patients]
    return rows_of(records, keep)


def without_withdrawn(records: Records) -> Records:
    """The records less those that PTB-XL has withdrawn."""
    return rows_of(records, [i for i, one in enumerate(records.record_id) if one not in WITHDRAWN])


def rows_of(records: Records, rows: list[int]) -> Records:
    """These records alone; the very array when they are all."""
    if len(rows) == len(records):
        return records
    return replace(
        records,
        ecg_uv=records.ecg_uv[rows],
        record_id=[records.record_id[i] for i in rows],
        patient_id=[records.patient_id[i] for i in rows],
    )


def table_of(folder: Path, stem: str) -> list[dict[str, str]]:
    """Rows of a data set's CSV. Raises QuantizeError if it is missing."""
    try:
        with (folder / f"{stem}.csv").open(newline="") as table:
            return list(csv.DictReader(table))
    except FileNotFoundError as error:
        raise QuantizeError(
            f"{error.filename} is missing: see the data page of the README"
        ) from error
