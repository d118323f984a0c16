"""Records from the simulator: for the machinery alone, since a dipole's fidelity means nothing."""

from __future__ import annotations

import numpy as np

from edge.leads import INDEPENDENT_LEADS
from firmware_bridge.simulators.ecg import EcgSimulator
from quantize.data import Records


def simulated_records(n_records: int = 2, seconds: float = 10.0, name: str = "test") -> Records:
    """Records of one patient each, with muscle noise of their own."""
    rows = [EcgSimulator.leads.index(lead) for lead in INDEPENDENT_LEADS]
    signals = [
        EcgSimulator(250.0, 60 + 7 * i, muscle_mv=0.02, seed=i).read(round(seconds * 250))[rows]
        for i in range(n_records)
    ]
    ecg_uv = np.rint(np.stack(signals) * 1000).astype(np.int16)
    names = [str(i) for i in range(n_records)]
    return Records(name, ecg_uv, 250.0, names, [f"patient {i}" for i in names])
