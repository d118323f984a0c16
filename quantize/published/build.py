"""What training and evaluation read, made of the published files: NAME.npz and NAME.csv at 250 Hz."""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.records import open_record
from edge.files.wfdb_header import read_header
from edge.leads import INDEPENDENT_LEADS
from edge.notices import say
from edge.progress import followed
from quantize.errors import QuantizeError
from quantize.published.sets import CHALLENGE_2011, CHALLENGE_2021, NSTDB, PTB_XL, DataSet

HZ = 250
N_SAMPLES = 2500
SPLITS = {"9": "val", "10": "test"}  # folds; the others train
SUBSETS = {"cpsc_2018": "cpsc2018", "cpsc_2018_extra": "cpsc2018_extra", "ptb": "ptb"}
TOLERANCE_UV = 20.0
"""By how much III may miss II - I before a record is left out: its limb leads are not what they say."""
FIRST_SEGMENTS = 3  # of a long record
USABLE_MV = 14.6  # a mobile record that goes higher is clipped or no ECG
NAMED_MISSING = 5  # records left out that are named one by one


@dataclass
class Table:
    """Rows of one data set as they come, and why some did not."""

    ecg_uv: list[NDArray[np.int16]] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, ecg_uv: NDArray[np.int16], row: dict[str, object]) -> None:
        """One record, (8, N_SAMPLES)."""
        self.ecg_uv.append(ecg_uv)
        self.rows.append(row)

    def write(self, folder: Path, stem: str) -> None:
        """Both files, the table last. Raises QuantizeError for no record at all."""
        for reason in self.left_out[:NAMED_MISSING]:
            say(f"left out: {reason}")
        if len(self.left_out) > NAMED_MISSING:
            say(f"left out: {len(self.left_out) - NAMED_MISSING} more")
        if not self.rows:
            raise QuantizeError(f"{stem}: none of its records can be read: fetch them again")
        _save(
            folder / f"{stem}.npz",
            ecg_uv=np.stack(self.ecg_uv),
            leads=np.array(INDEPENDENT_LEADS),
            sampling_hz=np.array(HZ),
            record_id=np.array([str(row["record_id"]) for row in self.rows]),
        )
        with (folder / f"{stem}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, list(self.rows[0]))
            table.writeheader()
            table.writerows(self.rows)


def build(data_set: DataSet, root: Path, folder: Path) -> None:
    """Make the files of one data set in `folder` of what was fetched into `root`.

    Records that cannot be read are left out, and named. Raises QuantizeError if none can, if a table is
    missing, or if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if data_set is NSTDB:
            _noise(root, folder / f"{NSTDB.makes}.npz")
        else:
            _TABLES[data_set.name](root).write(folder, data_set.makes)
    except FileNotFoundError as error:
        raise QuantizeError(f"{error.filename} is missing: fetch {data_set.name} again") from error
    except OSError as error:
        raise QuantizeError(
            f"cannot write {error.filename or folder}: {error.strerror or error}"
        ) from error


def _ptb_xl(root: Path) -> Table:
    with (root / "scp_statements.csv").open(newline="") as file:
        classes = {
            row[""]: row["diagnostic_class"]
            for row in csv.DictReader(file)
            if float(row["diagnostic"] or 0) == 1
        }
    with (root / "ptbxl_database.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = Table()
    for row in followed(rows, "reading PTB-XL"):
        codes = ast.literal_eval(row["scp_codes"])
        superclass = sorted({classes[code] for code in codes if code in classes})
        about = {
            "record_id": f"ptbxl_{int(row['ecg_id']):05d}",
            "patient_id": str(int(float(row["patient_id"]))),
            "age": row["age"],
            "sex": row["sex"],
            "superclass": "|".join(superclass),
            "scp_codes": row["scp_codes"],
            "strat_fold": row["strat_fold"],
            "split": SPLITS.get(row["strat_fold"], "train"),
            **{name: row[name] for name in _PTB_XL_COLUMNS},
        }
        for part, _ in _segments(root / f"{row['filename_hr']}.hea", table, 1):
            table.add(part, about)
    return table


_PTB_XL_COLUMNS = (
    "device",
    "validated_by_human",
    "baseline_drift",
    "static_noise",
    "burst_noise",
    "electrodes_problems",
    "pacemaker",
)


def _challenge_2021(root: Path) -> Table:
    table = Table()
    headers = sorted((root / "training").rglob("*.hea"))
    for header in followed(headers, "reading Challenge 2021"):
        notes = {key.lower(): value for key, value in read_header(header).notes().items()}
        subset = SUBSETS[header.relative_to(root / "training").parts[0]]
        for part, i in _segments(header, table, FIRST_SEGMENTS):
            table.add(
                part,
                {
                    "record_id": f"{header.stem}_{i}",
                    "record": header.stem,
                    "subset": subset,
                    "patient_id": header.stem,
                    "n_valid": N_SAMPLES * 2,  # counted at 500 Hz
                    "age": notes.get("age", ""),
                    "sex": notes.get("sex", ""),
                    "dx": notes.get("dx", ""),
                },
            )
    return table


def _challenge_2011(root: Path) -> Table:
    quality: dict[str, str] = {}
    for label in ("acceptable", "unacceptable"):
        names = (root / f"set-a/RECORDS-{label}").read_text().split()
        quality |= dict.fromkeys((Path(name).name for name in names), label)
    table = Table()
    headers = sorted((root / "set-a").glob("*.hea"))
    for header in followed(headers, "reading Challenge 2011"):
        label = quality.get(header.stem, "unlabelled")
        for part, _ in _segments(header, table, 1, any_limbs=True):
            flat = int((part == part[:, :1]).all(1).sum())
            most = int(np.abs(part.astype(np.int32)).max())
            clipped = int((np.abs(part.astype(np.int32)) >= np.iinfo(np.int16).max).any(1).sum())
            usable = label == "acceptable" and not flat and most < USABLE_MV * 1000
            table.add(
                part,
                {
                    "record_id": f"cinc11_{header.stem}",
                    "quality": label,
                    "usable": usable,
                    "leads_clipped_at_int16": clipped,
                    "const_leads": flat,
                    "max_abs_uV": most,
                },
            )
    return table


_TABLES: Mapping[str, Callable[[Path], Table]] = {
    PTB_XL.name: _ptb_xl,
    CHALLENGE_2021.name: _challenge_2021,
    CHALLENGE_2011.name: _challenge_2011,
}


def _noise(root: Path, file: Path) -> None:
    """The three kinds of noise, two channels each."""
    kinds = {}
    for kind in ("bw", "em", "ma"):
        with open_record(root / f"{kind}.hea", {"I": "#1", "II": "#2"}) as record:
            mv = record.read(0, record.n_samples)
            kinds[kind] = microvolts(mv, record.sampling_hz)
    _save(file, sampling_hz=np.array(HZ), **kinds)


def _segments(
    header: Path, table: Table, most: int, any_limbs: bool = False
) -> Iterator[tuple[NDArray[np.int16], int]]:
    """The first whole pieces of 10 s of a record, (8, N_SAMPLES) uV each.

    Why there is none goes into the table.
    """
    try:
        with open_record(header) as record:
            missing = [lead for lead in INDEPENDENT_LEADS if lead not in record.leads]
            if missing:
                raise InputError(f"{header} has no {', '.join(missing)}")
            seconds = int(record.n_samples / record.sampling_hz / (N_SAMPLES / HZ)) * (
                N_SAMPLES // HZ
            )
            if not seconds:
                raise InputError(f"{header} is shorter than {N_SAMPLES // HZ} s")
            seconds = min(seconds, most * N_SAMPLES // HZ)
            mv = record.read(0, round(seconds * record.sampling_hz))
            rows = dict(zip(record.leads, mv, strict=True))
            hz = record.sampling_hz
        if np.isnan(mv).any():
            raise InputError(f"{header} has missing samples")
        if not any_limbs and "III" in rows:
            off = np.abs(rows["II"] - rows["I"] - rows["III"])
            if np.quantile(off, 0.99) * 1000 > TOLERANCE_UV:
                raise InputError(f"{header}: III is not II - I")
        ecg = microvolts(np.stack([rows[lead] for lead in INDEPENDENT_LEADS]), hz)
    except InputError as error:
        table.left_out.append(str(error))
        return
    for i in range(seconds * HZ // N_SAMPLES):
        yield ecg[:, i * N_SAMPLES : (i + 1) * N_SAMPLES], i


def microvolts(mv: NDArray[np.float32], hz: float) -> NDArray[np.int16]:
    """(n_leads, n) mV at any whole rate -> int16 uV at 250 Hz, linear phase, the first samples at one time.

    Raises InputError for a rate that is no whole number.
    """
    from scipy.signal import resample_poly

    if hz != round(hz):
        raise InputError(f"{hz:g} Hz is no whole rate")
    common = gcd(HZ, round(hz))
    up, down = HZ // common, round(hz) // common
    uv = mv.astype(np.float64) * 1000
    if up != down:
        uv = resample_poly(uv, up, down, axis=-1, padtype="line")
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(uv), limits.min, limits.max).astype(np.int16)


def _save(file: Path, **arrays: NDArray[np.generic]) -> None:
    """One archive, there whole or not at all."""
    part = file.with_name(f"{file.name}.part")
    with part.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    part.replace(file)


def wanted_sets(names: Iterable[str]) -> list[DataSet]:
    """The data sets of these names, all of them for none. Raises QuantizeError for an unknown name."""
    known = {one.name: one for one in (PTB_XL, CHALLENGE_2021, CHALLENGE_2011, NSTDB)}
    for name in names:
        if name not in known:
            raise QuantizeError(f"unknown data set {name!r}: use one of {', '.join(known)}")
    return [known[name] for name in names] or list(known.values())
