"""Segments of the beat: where the simulator puts its complexes, and only there."""

from __future__ import annotations

import itertools

import numpy as np

from benchmarks.fidelity.segments import NO_BEAT, QRS_S, SEGMENTS, segments
from firmware_bridge.simulators.ecg import EcgSimulator

HZ = 250.0
QRS, ST_T, BASELINE = range(3)


def test_the_largest_slopes_lie_in_the_qrs() -> None:
    lead = EcgSimulator(HZ, 72.0, seed=1).read(2500)[1]
    labels = segments(lead, HZ)
    slope = np.abs(np.gradient(lead))
    known = labels != NO_BEAT
    steepest = known & (slope > 0.5 * slope.max())
    assert steepest.any()
    assert (labels[steepest] == QRS).all()
    assert {*labels[known]} == {QRS, ST_T, BASELINE}
    assert SEGMENTS == ("QRS", "ST-T", "baseline")


def test_segments_follow_each_other_in_every_beat() -> None:
    labels = segments(EcgSimulator(HZ, 60.0, seed=2).read(2500)[1], HZ)
    runs = labels[np.flatnonzero(np.diff(labels, prepend=-2))]
    runs = runs[runs != NO_BEAT]
    following = set(itertools.pairwise(runs.tolist()))
    assert following == {(QRS, ST_T), (ST_T, BASELINE), (BASELINE, QRS)}
    share = (labels == QRS).sum() / (labels != NO_BEAT).sum()
    assert abs(share - 2 * QRS_S) < 0.03  # at 60 beats a minute


def test_without_beats_nothing_is_known() -> None:
    assert (segments(np.zeros(2500), HZ) == NO_BEAT).all()
