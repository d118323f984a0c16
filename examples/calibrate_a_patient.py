"""Fit the decoder to one person from 12 leads, and see what it is worth on the rest of the recording.

python examples/calibrate_a_patient.py TWELVE_LEADS.edf
"""

from __future__ import annotations

import sys

import numpy as np

import edge
from edge.calibrate.fit import calibrate
from edge.files.records import open_record

REFERENCE_S = 4.0


def main(source: str) -> None:
    with open_record(source) as record, edge.Reconstructor.open() as reconstructor:
        ecg_mv, sampling_hz = record.read(0, record.n_samples), record.sampling_hz
        leads, n = list(record.leads), round(REFERENCE_S * record.sampling_hz)
        patient = calibrate(reconstructor, ecg_mv[:, :n], sampling_hz, leads)
    three = ecg_mv[[leads.index(lead) for lead in edge.INPUT_LEADS]]
    for name, calibration in (("population", None), ("this patient", patient)):
        twelve = edge.reconstruct(three, sampling_hz, patient=calibration)
        row = edge.LEADS.index("V3")
        r = np.corrcoef(twelve[row, n:], ecg_mv[leads.index("V3"), n:])[0, 1]
        print(f"V3, {name}: r {r:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
