"""Hops of simulated ECG for a reconstructor, one after another for ever."""

from __future__ import annotations

from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Step
from edge.reconstructor import Reconstructor
from firmware_bridge.simulators.ecg import EcgSimulator

SIGNAL_S = 20.0  # played over and over


def settled_hops(r: Reconstructor) -> list[NDArray[np.float32]]:
    """The leads that `r` measures, (n_leads, hop) mV each; `r` has taken all once and has settled."""
    signal = EcgSimulator(r.sampling_hz, baseline_mv=0.03, muscle_mv=0.005)
    rows = [signal.leads.index(lead) for lead in r.leads]
    n = round(SIGNAL_S * r.sampling_hz) // r.hop
    ecg_mv = signal.read(n * r.hop)[rows].astype(np.float32)
    hops = [np.ascontiguousarray(hop) for hop in np.split(ecg_mv, n, axis=1)]
    for hop in hops:
        r.push(hop)
    return hops


def push_of_a_hop(r: Reconstructor) -> Step:
    """A push of the next hop."""
    hops = cycle(settled_hops(r))
    return lambda: r.push(next(hops))
