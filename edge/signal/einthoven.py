"""Limb leads that contradict Einthoven's and Goldberger's laws by more than noise, and the likely mistake."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.leads import LEADS, twelve_from

WINDOW_S = 1.0  # holds a QRS at 60 beats a minute and above
WINDOWS = 8
SHARE = 0.75  # of the windows: what is seldom is an artefact
BASELINE_S = (
    0.2  # of the moving mean that is taken off: offsets, wander, most of what filters differ in
)
LEAST_MV = 0.03  # RMS of a residual that is said
LEAST_SHARE = 0.35  # of the limb leads' RMS: filters that differ from lead to lead leave less
EXPLAINS = 0.3  # of the residual, at most, is left once the mistake is undone
TIE = 0.1  # of the residual: mistakes that differ by less explain it equally well
_MEDIAN_TO_RMS = 1.4826  # of Gaussian noise; a QRS has a far larger RMS than its median tells
_LIMB = twelve_from(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))[:6, :2].astype(np.float64)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """By how much the limb leads contradict each other, and what would explain it."""

    leads: tuple[str, ...]
    rms_uv: float
    """RMS of the largest residual, in uV, baseline and noise off."""
    mistakes: tuple[str, ...]
    """Single mistakes that explain it equally well; empty where none does."""

    def __str__(self) -> str:
        """One line: what is wrong, how much, what it may be, and what to do."""
        leads = ", ".join(self.leads)
        what = f"the limb leads {leads} contradict Einthoven's law by {self.rms_uv:.0f} uV RMS"
        why = f"it seems that {' or '.join(self.mistakes)}; " if self.mistakes else ""
        return f"{what}: {why}check their electrodes and names, or leave one out"


def contradiction(
    ecg_mv: NDArray[np.floating], sampling_hz: float, leads: Sequence[str]
) -> Contradiction | None:
    """Whether measured limb leads contradict each other beyond noise and differing filters.

    `ecg_mv` is (n_leads, n) mV, offsets and all, rows `leads`; NaN where nothing was measured. None where
    they agree, and where it cannot be known: fewer than three limb leads, or less than 6 whole seconds.
    """
    # An electrode that is off hides no mistake of the others.
    there = np.isfinite(ecg_mv).sum(axis=1) > SHARE * ecg_mv.shape[1]
    limb = [i for i, lead in enumerate(leads) if lead in LEADS[:6] and there[i]]
    if len(limb) < 3:
        return None
    names = tuple(leads[i] for i in limb)
    windows = _windows(np.asarray(ecg_mv, np.float64)[limb], sampling_hz)
    if len(windows) < SHARE * WINDOWS:
        return None
    design = _LIMB[[LEADS.index(lead) for lead in names]]
    laws = _laws(design)
    size = np.sqrt(np.square(windows).mean(axis=(1, 2)))
    off = _power_beyond_noise(laws @ windows)
    least = np.square(np.maximum(LEAST_MV, LEAST_SHARE * size))[:, None]
    if not ((off > least).mean(axis=0) > SHARE).any():
        return None

    def typical(of: Array) -> float:
        return float(np.sqrt(max(0.0, np.median(of, axis=0).max())))

    before = typical(off)
    left = [
        (typical(_power_beyond_noise(laws @ t @ windows)), what)
        for what, t in single_mistakes(names)
    ]
    best = min(left)[0]
    likely = tuple(what for rest, what in left if rest <= best + TIE * before)
    explained = best <= EXPLAINS * before
    return Contradiction(names, before * 1e3, likely[:3] if explained else ())


class IdentityCheck:
    """Says once of a stream, in blocks of any size, what `contradiction` says of the last whole seconds."""

    def __init__(self, leads: Sequence[str], sampling_hz: float) -> None:
        self._leads, self._hz = tuple(leads), sampling_hz
        self._parts: list[NDArray[np.float32]] = []
        self._filled = 0
        self._size = round(WINDOWS * WINDOW_S * sampling_hz)
        self.decided = sum(lead in LEADS[:6] for lead in leads) < 3
        """Nothing more will be said."""

    def push(self, ecg_mv: NDArray[np.float32]) -> Contradiction | None:
        """Take the next (n_leads, n) mV; the contradiction, once, if there is one."""
        done = 0
        while not self.decided and done < ecg_mv.shape[1]:
            part = ecg_mv[:, done : done + self._size - self._filled]
            self._parts.append(part)
            self._filled += part.shape[1]
            done += part.shape[1]
            if self._filled == self._size:
                found = contradiction(np.hstack(self._parts), self._hz, self._leads)
                self._parts, self._filled = [], 0
                self.decided = found is not None
                if found is not None:
                    return found
        return None


def _windows(x: Array, sampling_hz: float) -> Array:
    """(n_windows, n_leads, width): whole seconds without their baseline."""
    width = max(2, round(WINDOW_S * sampling_hz))
    n = x.shape[1] // width
    windows = x[:, : n * width].reshape(len(x), n, width).transpose(1, 0, 2)
    windows = windows[np.isfinite(windows).all(axis=(1, 2))]
    k = max(1, round(BASELINE_S * sampling_hz))
    total = np.cumsum(np.pad(windows, ((0, 0), (0, 0), (1, 0))), axis=2)
    mean = (total[..., k:] - total[..., :-k]) / k
    middle: Array = windows[..., k // 2 : k // 2 + mean.shape[2]] - mean
    return middle


def _laws(design: Array) -> Array:
    """(n_laws, n_leads): combinations of the leads that are zero; each two of them and a third make one."""
    rows = []
    for three in itertools.combinations(range(len(design)), 3):
        null = np.linalg.svd(design[list(three)].T)[2][-1]
        law = np.zeros(len(design))
        law[list(three)] = null / np.abs(null).max()
        rows.append(law)
    return np.array(rows)


def _power_beyond_noise(residual: Array) -> Array:
    """(n_windows, n_laws) power of what (n_windows, n_laws, n) is in a QRS and not between them.

    Noise and mains are everywhere.
    """
    floor = _MEDIAN_TO_RMS * np.median(np.abs(residual), axis=2)
    beyond: Array = np.square(residual).mean(axis=2) - floor**2
    return beyond


def single_mistakes(names: Sequence[str]) -> Iterator[tuple[str, Array]]:
    """Each lead inverted, each two exchanged: in words, and as an (n, n) matrix over the leads."""
    for i, lead in enumerate(names):
        t = np.eye(len(names))
        t[i, i] = -1
        yield f"{lead} is inverted", t
    for i, j in itertools.combinations(range(len(names)), 2):
        t = np.eye(len(names))
        t[[i, j]] = t[[j, i]]
        yield f"{names[i]} and {names[j]} are exchanged", t
