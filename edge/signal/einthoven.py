"""Limb leads that contradict each other: more than two are measured, and Einthoven's law does not hold.

Einthoven: I + III = II. Goldberger: aVR, aVL and aVF are means of them. What noise does, and filters that
differ from lead to lead, stays below SHARE of the leads' size; what a wrong electrode or name does is above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, LEADS, twelve_from

WINDOW_S = 1.0
LEAST_WINDOWS = 4
SHARE, LEAST_MV = 0.15, 0.03
"""A contradiction is more than this share of the limb leads' root mean square, and more than so many mV."""
EXPLAINED = 0.35  # of the contradiction may be left by a mistake that explains it
_LIMB = LEADS[:6]
_EINTHOVEN = twelve_from(INDEPENDENT_LEADS)[:6, :2].astype(np.float64)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Limb leads that cannot all be what they are called."""

    leads: tuple[str, ...]
    rms_mv: float
    """Root mean square of what no two of them explain, the middle one of the seconds."""
    mistakes: tuple[str, ...]
    """What would explain it, if one mistake does."""

    def __str__(self) -> str:
        """One line: by how much, and what may be wrong."""
        why = f" {' or '.join(self.mistakes)}, it seems:" if self.mistakes else ""
        return (
            f"limb leads {', '.join(self.leads)} contradict Einthoven's law by {1e3 * self.rms_mv:.0f} uV;"
            f"{why} check the electrodes and the names of the leads"
        )


def contradiction(
    ecg_mv: NDArray[np.floating], leads: Sequence[str], sampling_hz: float
) -> Contradiction | None:
    """Whether limb leads contradict each other by more than noise.

    Parameters
    ----------
    ecg_mv
        (n_leads, n) in mV, offsets and all; NaN where nothing was measured.
    leads
        Names of the rows.
    sampling_hz
        Its rate.

    Returns
    -------
    None where they agree, where there are two or fewer, and in less than 4 s without a gap in them. Most
    seconds decide, so a single artefact does not.
    """
    rows = [row for row, lead in enumerate(leads) if lead in _LIMB]
    if len(rows) < 3:
        return None
    names = tuple(leads[row] for row in rows)
    width = max(2, round(WINDOW_S * sampling_hz))
    n_windows = ecg_mv.shape[1] // width
    limb = np.asarray(ecg_mv, np.float64)[rows, : n_windows * width]
    windows = limb.reshape(len(rows), n_windows, width).swapaxes(0, 1)
    windows = windows[np.isfinite(windows).all((1, 2))]
    if len(windows) < LEAST_WINDOWS:
        return None
    windows = windows - windows.mean(2, keepdims=True)
    einthoven = _EINTHOVEN[[_LIMB.index(name) for name in names]]
    unexplained = np.eye(len(rows)) - einthoven @ np.linalg.pinv(einthoven)

    def left(turned: Array) -> float:
        return float(np.median(_rms(unexplained @ turned @ windows)))

    found = left(np.eye(len(rows)))
    if found <= max(LEAST_MV, SHARE * float(np.median(_rms(windows)))):
        return None
    mistakes = tuple(what for what, t in _mistakes(names) if left(t) < EXPLAINED * found)
    return Contradiction(names, found, mistakes)


def _rms(windows: Array) -> Array:
    return np.asarray(np.sqrt(np.square(windows).mean((1, 2))))


def _mistakes(names: Sequence[str]) -> Iterator[tuple[str, Array]]:
    """What goes wrong with cables and names, and the map that undoes it."""
    for row, name in enumerate(names):
        turned = np.eye(len(names))
        turned[row, row] = -1
        yield f"{name} inverted", turned
    for one, other in combinations(range(len(names)), 2):
        turned = np.eye(len(names))
        turned[[one, other]] = turned[[other, one]]
        yield f"{names[one]} and {names[other]} exchanged", turned


class EinthovenCheck:
    """Says once of a stream, in blocks of any size, what `contradiction` says of its first seconds."""

    def __init__(self, leads: Sequence[str], sampling_hz: float) -> None:
        self._leads, self._hz = tuple(leads), sampling_hz
        n_samples = round((LEAST_WINDOWS + 1) * WINDOW_S * sampling_hz)
        self._ecg = np.empty((len(leads), n_samples), np.float32)
        self._filled = 0
        self.decided = sum(lead in _LIMB for lead in leads) < 3
        """Nothing more will be said."""

    def push(self, ecg_mv: NDArray[np.float32]) -> Contradiction | None:
        """Take the next (n_leads, n) mV; the verdict, once, if they contradict each other."""
        done = 0
        while not self.decided and done < ecg_mv.shape[1]:
            part = ecg_mv[:, done : done + self._ecg.shape[1] - self._filled]
            self._ecg[:, self._filled : self._filled + part.shape[1]] = part
            self._filled += part.shape[1]
            done += part.shape[1]
            if self._filled == self._ecg.shape[1]:
                self._filled = 0
                found = contradiction(self._ecg, self._leads, self._hz)
                self.decided = found is not None or bool(np.isfinite(self._ecg).all())
                if found is not None:
                    return found
        return None
