"""Electrodes exchanged, or a lead inverted: whether leads fit a heart better in another way than as wired.

A scale-free likelihood ratio in closed form, without training. A patient's second moments scatter about
the population's as an inverse Wishart matrix does; integrated over it, and with equal weight of both, what
is seen is the likelier the smaller the determinant of population and patient together. Each single mistake
exchanges or inverts rows of the population; that with the smallest determinant is the likeliest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.lead_subsets import TWELVE
from edge.leads import lead_indices
from edge.signal.einthoven import single_mistakes

WINDOW_S = 1.0  # holds a QRS at 60 beats a minute and above
LEAST_WINDOWS = 4
MOST_WINDOWS = 10  # a rare heart does not change: who looks for ever finds one
LEAST_DISTANCE = (
    0.67  # per lead: mistakes that change the moments by less are not told from rare hearts
)
EVIDENCE = 1 / 36  # times the number of leads squared: the more leads, the more mistakes compete
ALIKE = 0.7  # of the best evidence: what reaches it explains the leads about as well
_LEAST_MV2 = 1e-5  # trace of a window that holds an ECG: 3 uV RMS

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Misplacement:
    """What seems to be wired otherwise than it is named."""

    mistakes: tuple[str, ...]
    """Single mistakes that explain the leads about equally well, the likeliest first."""
    evidence: float
    """Twice the log of the likelihood ratio of the first against no mistake, per degree of freedom."""

    def __str__(self) -> str:
        """One line: what it looks like, and what to do."""
        return (
            f"it seems that {' or '.join(self.mistakes)}: check the electrodes; some hearts (an infarct, a "
            "turned axis) look the same"
        )


class Mistakes:
    """The single mistakes that can be told from a rare heart, for one set of leads."""

    def __init__(self, leads: Sequence[str], moments: NDArray[np.floating]) -> None:
        """`leads` are any of LEADS; `moments` (8, 8) mV^2 are the population's, of INDEPENDENT_LEADS.

        Raises InputError for a lead that is none.
        """
        rows = _independent(lead_indices(tuple(leads)))
        self.rows = np.array(rows, np.intp)
        """Those of `leads` that do not follow from the ones before; the others Einthoven's law checks."""
        names = [leads[row] for row in rows]
        of = TWELVE[lead_indices(names)].astype(np.float64)
        self._usual = of @ np.asarray(moments, np.float64) @ of.T
        self._bar = EVIDENCE * len(names) ** 2
        told: list[tuple[str, Array]] = []
        untold: list[tuple[str, Array]] = []
        for name, change in single_mistakes(names):
            wrong = change @ self._usual @ change.T
            apart = _log_det(self._usual + wrong) - _log_det(2 * self._usual)
            (told if apart >= LEAST_DISTANCE else untold).append((name, wrong))
        self.names = tuple(name for name, _ in told)
        """Such as `V1 and V5 are exchanged`, `II is inverted`."""
        self.not_told = tuple(name for name, _ in untold)
        """Mistakes that look too much like a healthy heart, so they are not looked for."""
        self._wrong = np.array([wrong for _, wrong in told]).reshape(-1, len(names), len(names))

    def found(self, seen: NDArray[np.floating]) -> Misplacement | None:
        """The likeliest mistake, if one is far likelier than none.

        `seen` is (n, n) second moments of the leads at `rows`, of any scale.
        """
        if not self.names:
            return None
        like = np.asarray(seen, np.float64) * (np.trace(self._usual) / np.trace(seen))
        n = len(like)
        evidence = n * (_log_det(self._usual + like) - _log_det(self._wrong + like))
        best = float(evidence.max())
        if best <= self._bar:
            return None
        order = np.argsort(-evidence)[:3]
        likely = tuple(self.names[k] for k in order if evidence[k] >= ALIKE * best)
        return Misplacement(likely, best)


class MisplacementCheck:
    """Says once of a stream, in blocks of any size, what `Mistakes` says of its first good seconds."""

    def __init__(
        self, leads: Sequence[str], moments: NDArray[np.floating], sampling_hz: float
    ) -> None:
        self.mistakes = Mistakes(leads, moments)
        self._size = max(2, round(WINDOW_S * sampling_hz))
        self._window = np.empty((len(self.mistakes.rows), self._size))
        self._filled = 0
        self._sum = np.zeros((len(self.mistakes.rows),) * 2)
        self._windows = 0
        self.used = 0
        """Samples of the last block that it has looked at; when it has decided, maybe not all."""
        self.decided = not self.mistakes.names
        """Nothing more will be said."""

    def push(self, ecg_mv: NDArray[np.floating]) -> Misplacement | None:
        """Take the next (n_leads, n) mV, conditioned, NaN where no good; the mistake, once, if any."""
        n, self.used = ecg_mv.shape[1], 0
        while not self.decided and self.used < n:
            count = min(n - self.used, self._size - self._filled)
            part = ecg_mv[self.mistakes.rows, self.used : self.used + count]
            self._window[:, self._filled : self._filled + count] = part
            self._filled += count
            self.used += count
            if self._filled == self._size:
                self._filled = 0
                found = self._after_window()
                if found is not None:
                    return found
        return None

    def _after_window(self) -> Misplacement | None:
        moments = _window_moments(self._window)
        if moments is None:
            return None
        self._sum += moments
        self._windows += 1
        found = self.mistakes.found(self._sum) if self._windows >= LEAST_WINDOWS else None
        self.decided = found is not None or self._windows >= MOST_WINDOWS
        return found


def _window_moments(window: Array) -> Array | None:
    """(n, n) second moments of trace 1 of (n, width) without its mean and slope; None without an ECG."""
    if not np.isfinite(window).all():
        return None
    slope = np.arange(window.shape[1]) - (window.shape[1] - 1) / 2
    slope /= np.linalg.norm(slope)
    level = window - window.mean(axis=1, keepdims=True)
    level -= np.outer(level @ slope, slope)
    moments: Array = level @ level.T / window.shape[1]
    trace = float(np.trace(moments))
    return moments / trace if trace > _LEAST_MV2 else None


def _independent(which: Sequence[int]) -> list[int]:
    """Places of those that no earlier ones give."""
    kept: list[int] = []
    for place in range(len(which)):
        chosen = TWELVE[[which[i] for i in [*kept, place]]]
        if np.linalg.matrix_rank(chosen) == len(kept) + 1:
            kept.append(place)
    return kept


def _log_det(of: Array) -> Array:
    """Log of the determinant of (..., n, n) positive matrices."""
    return np.asarray(np.linalg.slogdet(of)[1])
