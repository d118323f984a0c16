"""Where in the beat a sample lies: QRS, ST-T or baseline, by fiducials of the true lead II."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.signal.heart_rate import HeartRate

SEGMENTS = ("QRS", "ST-T", "baseline")
NO_BEAT = -1  # before the first beat and after the last: its phase is not known
QRS_S = 0.06  # either side of the middle of the QRS: 120 ms, the upper limit of a normal one
ST_T_S = (
    0.42  # from the middle of the QRS to the end of T at 60 bpm; it shortens with the root of RR
)
LEAD_OUT_S = 0.25  # flat signal after the record, so that its last beat is reported


def segments(lead_ii_mv: NDArray[np.floating], sampling_hz: float) -> NDArray[np.int8]:
    """For each sample of (n,) mV the number of its segment in SEGMENTS, or NO_BEAT.

    ST-T runs to 0.42 s times the root of the RR interval in seconds (Bazett), baseline from there to the
    next QRS: it holds the P wave. A record without two beats is NO_BEAT throughout.
    """
    n = len(lead_ii_mv)
    after = np.full(round(2 * LEAD_OUT_S * sampling_hz), lead_ii_mv[-1], np.float64)
    found = HeartRate(sampling_hz).push(np.concatenate([lead_ii_mv, after]))
    beats = np.array(sorted(beat for beat in found if beat < n))
    out = np.full(n, NO_BEAT, np.int8)
    if len(beats) < 2:
        return out
    intervals = np.diff(beats)
    ends = ST_T_S * np.sqrt(np.append(intervals, intervals[-1]) / sampling_hz) * sampling_hz
    out[beats[0] : beats[-1]] = SEGMENTS.index("baseline")
    for beat, end in zip(beats.tolist(), ends.tolist(), strict=True):
        out[beat : beat + round(end)] = SEGMENTS.index("ST-T")
    half = round(QRS_S * sampling_hz)
    for beat in beats.tolist():
        out[max(0, beat - half) : beat + half + 1] = SEGMENTS.index("QRS")
    return out
