"""Which records belong together: by age, sex, diagnosis, pacemaker, device, heart rate and noted faults."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity.methods import truth_mv
from edge.leads import LEADS
from edge.signal.heart_rate import HeartRate
from quantize.data import DATASETS, Records, data_folder
from quantize.hundred_hz import FILES, table_of

AGES = ((0, 40), (40, 60), (60, 80), (80, math.inf))
RATES_BPM = ((0, 60), (60, 100), (100, math.inf))
SEXES = {"0": "male", "1": "female", "male": "male", "female": "female"}  # PTB-XL writes numbers
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
FAULTS = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems")
FEWEST = 10  # records of a group that is reported
MOST_DEVICES = 6
UNKNOWN = "unknown"

Groups = dict[str, dict[str, NDArray[np.bool_]]]


def rows_of_table(records: Records, folder: Path | None = None) -> list[dict[str, str]]:
    """What its table says of each record. Raises QuantizeError where the table is missing."""
    stem = FILES.get(records.name) or DATASETS[records.name][0]
    named = {row["record_id"]: row for row in table_of(folder or data_folder(), stem)}
    return [named[one] for one in records.record_id]


def heart_rates(records: Records) -> NDArray[np.float64]:
    """(n_records,) bpm of the true lead II, the median over beats; NaN where no two were found."""
    hz, lead_ii = records.sampling_hz, LEADS.index("II")
    found = []
    for i in range(len(records)):
        ecg = truth_mv(records.at(slice(i, i + 1)), records.ecg_uv.shape[-1])[0, lead_ii]
        beats = sorted(HeartRate(hz).push(ecg.astype(np.float64)))
        found.append(60 * hz / float(np.median(np.diff(beats))) if len(beats) > 1 else math.nan)
    return np.array(found)


def groups(rows: Sequence[Mapping[str, str]], rates_bpm: NDArray[np.float64]) -> Groups:
    """By what they are told apart -> group -> (n_records,) who is in it; those of FEWEST records and more.

    A record with several superclasses is in each; what a table does not say is UNKNOWN, or no group.
    """
    made: Groups = {"age": {}, "sex": {}, "diagnosis": {}, "pacemaker": {}, "device": {}}

    def column(name: str) -> list[str]:
        return [(row.get(name) or "").strip() for row in rows]

    ages = np.array([_number(text) for text in column("age")])
    for low, high in AGES:
        name = f"{low} and over" if high == math.inf else f"{low} to {high - 1}"
        made["age"][name] = (ages >= low) & (ages < high)
    sexes = [SEXES.get(text.lower(), "") for text in column("sex")]
    for sex in dict.fromkeys(SEXES.values()):
        made["sex"][sex] = np.array([one == sex for one in sexes])
    classes = [set(text.replace("+", "|").split("|")) for text in column("superclass")]
    for name in SUPERCLASSES:
        made["diagnosis"][name] = np.array([name in one for one in classes])
    if rows and "pacemaker" in rows[0]:
        paced = np.array([bool(text) for text in column("pacemaker")])
        made["pacemaker"] = {"yes": paced, "none noted": ~paced}
    devices = [" ".join(text.split()) for text in column("device")]
    for device, _ in Counter(filter(None, devices)).most_common(MOST_DEVICES):
        made["device"][device] = np.array([one == device for one in devices])
    made["heart rate"] = {}
    for low, high in RATES_BPM:
        name = f"over {low} bpm" if high == math.inf else f"{low} to {high} bpm"
        made["heart rate"][name.replace("0 to 60", "under 60")] = (rates_bpm > low) & (
            rates_bpm <= high
        )
    if rows and FAULTS[0] in rows[0]:
        noted = np.array([any(row.get(name, "").strip() for name in FAULTS) for row in rows])
        made["noise or drift"] = {"noted": noted, "none noted": ~noted}
    return {
        kind: kept
        for kind, of in made.items()
        if (kept := {name: who for name, who in of.items() if who.sum() >= FEWEST})
    }


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
