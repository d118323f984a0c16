"""By how much an unflagged sample may be off after a disturbance: from filters and signal, nothing tuned."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from edge.lead_set import LeadSet
from edge.leads import lead_indices
from edge.reconstructor import Reconstructor
from edge.signal.conditioning import SETTLING_S, sections
from edge.signal.filters import slowest_mode

ROUNDING_MV = 1e-5  # the contract between streamed and at once


def tolerance(
    reference: Reconstructor,
    truth_mv: NDArray[np.float32],
    true_mv: NDArray[np.float32],
    filled: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """What each of twelve leads may be off by at each sample, (12, n) mV, before any sigma.

    Of a measured lead, the sum of what three parts of the path leave behind when their flags have ended:

    - A start. When SETTLING ends, the baseline is where the mean of these 2 s has it; the error is at most a
      mean of 2 s of the undisturbed lead, of which the high-pass has forgotten its share by then.
    - A filled gap, in the high-pass: what was held there instead of the truth, smeared by its time constant.
    - A filled gap, in the notch: it ends in an edge no higher than the lead, of which a notch rings with 1/Q.

    In the others, what the linear anchor makes of these at worst. `truth_mv` is what the device measured,
    `true_mv` (12, n) its reconstruction without faults, `filled` (n,) where samples were filled in.
    """
    rows, n = lead_indices(reference.leads), true_mv.shape[1]
    measured, spec = truth_mv[:, :n].astype(np.float64), reference.conditioning
    mode = slowest_mode(*sections(spec, reference.sampling_hz))
    settling = round(SETTLING_S * reference.sampling_hz)
    share = mode.amplitude(settling) * mode.decay**settling * settling
    sums = np.cumsum(np.pad(true_mv[rows], ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    means = np.abs(sums[:, settling:] - sums[:, :-settling]).max(axis=1, initial=0.0) / settling
    edge = np.ptp(measured, axis=1) / (spec.mains_q if spec.mains_hz is not None else math.inf)
    off = (
        (share * means + edge)[:, None] + smeared(held(measured, filled), mode.decay) + ROUNDING_MV
    )
    leads = LeadSet(reference.bundle.manifest, reference.leads)
    present = leads.all_present
    gain = present.twelve @ np.concatenate([present.anchor, np.eye(leads.n_measured)])
    return np.asarray(np.abs(gain) @ off)


def held(truth_mv: NDArray[np.float64], filled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far a held value is from the truth at each sample, (n_leads, n) mV; 0 where none is held."""
    last = np.maximum.accumulate(np.where(filled, 0, np.arange(len(filled))))
    return np.abs(truth_mv[:, last] - truth_mv)


def smeared(values: NDArray[np.float64], decay: float) -> NDArray[np.float64]:
    """What a high-pass of this decay takes for baseline of them: a mean that forgets."""
    rows = ((1 - decay) * values).tolist()
    return np.array([[*accumulate(row, lambda mean, value: decay * mean + value)] for row in rows])
