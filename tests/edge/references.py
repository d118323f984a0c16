"""References for calibration, from the simulator: for the machinery alone."""

from __future__ import annotations

import numpy as np

from edge.bundle import Bundle
from edge.calibrate.fit import calibrate
from edge.leads import INDEPENDENT_LEADS, LEADS, lead_indices
from edge.patient.patient import Patient
from edge.reconstructor import Reconstructor
from firmware_bridge.simulators.ecg import EcgSimulator

INDEPENDENT = lead_indices(INDEPENDENT_LEADS)


def twelve_leads(seconds: float = 2.0, sampling_hz: float = 250.0, seed: int = 3) -> np.ndarray:
    """(12, n) float32 mV with a little noise of its own in each lead: a dipole alone has rank 3."""
    ecg = EcgSimulator(sampling_hz, 75.0, seed=seed).read(round(seconds * sampling_hz))
    rng = np.random.default_rng(seed)
    eight = ecg[INDEPENDENT] + rng.normal(0, 0.005, (8, ecg.shape[1]))
    return np.concatenate(
        [
            eight[:2],
            eight[1:2] - eight[:1],
            -(eight[:1] + eight[1:2]) / 2,
            eight[:1] - eight[1:2] / 2,
            eight[1:2] - eight[:1] / 2,
            eight[2:],
        ]
    ).astype(np.float32)


def some_patient(bundle: Bundle) -> Patient:
    """A calibration of the simulator's patient for `bundle`."""
    with Reconstructor.open(bundle, "onnxruntime") as r:
        return calibrate(r, twelve_leads(), 250.0, LEADS)
