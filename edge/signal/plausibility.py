"""Values that cannot be millivolts: a QRS of hundreds, or of a thousandth. Judged after electrode offsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 1.0  # holds a QRS at 60 beats a minute and above; below that every other window does
LEAST_S = 4.0
SHORT_S = 2.0  # is enough for what has the shape of an ECG in every lead and every second
LARGEST_MV = 20.0  # four times the tallest QRS; artefacts go beyond it, but not in every second
SMALLEST_MV = 0.02  # far below the smallest QRS that can be seen on paper
_MOST_QRS_MV = 20.0  # a QRS, once the unit is right,
_LEAST_QRS_MV = 0.1  # lies between these
_PEAKED = 7.0  # range over interquartile range: an ECG has 10 to 40, noise 4, mains 1.4
_SHARE = 0.75  # of the windows; what is seldom is an artefact


@dataclass(frozen=True, slots=True)
class ImplausibleUnit:
    """What values that are not millivolts may be instead."""

    size: float
    """The middle deflection of a second, in the unit of the values."""
    unit: str
    """The likely unit: "uV" or "V"; empty where neither fits (raw counts, say)."""

    @property
    def unit_mv(self) -> float | None:
        """Millivolts in one unit; None where the unit is not known."""
        return {"uV": 1e-3, "V": 1e3}.get(self.unit)

    def __str__(self) -> str:
        """One line: what is wrong and what it may be; the remedy is the caller's to add."""
        likely = {"uV": "; they are likely microvolts", "V": "; they are likely volts"}
        return (
            f"the values are no millivolts: deflections of {self.size:.3g}, where a QRS has 0.1 to 5 mV"
            + likely.get(self.unit, "; they may be raw counts")
        )


def implausible_unit(ecg_mv: NDArray[np.floating], sampling_hz: float) -> ImplausibleUnit | None:
    """Whether values said to be millivolts can be an ECG in millivolts.

    Parameters
    ----------
    ecg_mv
        (n_leads, n) in mV, offsets and all; NaN where nothing was measured.
    sampling_hz
        Its rate.

    Returns
    -------
    None where they can, and where it cannot be known: less than 2 s, flat leads, electrodes off. Electrode
    offsets, steps, rails and single artefacts say nothing: most seconds of all leads that move must agree,
    and of less than 4 s all seconds, with a QRS in each.
    """
    ecg = np.atleast_2d(np.asarray(ecg_mv, np.float64))
    width = max(2, round(WINDOW_S * sampling_hz))
    n_windows = ecg.shape[1] // width
    if n_windows * WINDOW_S < SHORT_S:
        return None
    is_short = n_windows * WINDOW_S < LEAST_S
    least_s, share = (SHORT_S, 1.0) if is_short else (LEAST_S, _SHARE)
    windows = ecg[:, : n_windows * width].reshape(ecg.shape[0], n_windows, width)
    whole = np.asarray(np.isfinite(windows).all(axis=2))
    sizes: list[float] = []
    peaked = True
    for lead, known in zip(windows, whole, strict=True):
        lead = lead[known]
        spans = np.ptp(lead, axis=1) if len(lead) else np.empty(0)
        moving = spans > 0
        if moving.sum() * WINDOW_S < least_s:
            continue
        lead, spans = lead[moving], spans[moving]
        # Large: the least of the larger three quarters; small: the greatest of the smaller three quarters.
        sizes.append(float(np.median(spans)))
        if np.quantile(spans, 1 - share) <= LARGEST_MV and np.quantile(spans, share) >= SMALLEST_MV:
            return None  # this lead can be millivolts, and all have one unit
        quartiles = np.quantile(lead, [0.25, 0.75], axis=1)
        between = np.maximum(quartiles[1] - quartiles[0], 1e-3 * spans)
        peaked = peaked and float(np.median(spans / between)) >= _PEAKED
    if not sizes or (is_short and not peaked):
        return None
    size = float(np.median(sizes))
    if max(sizes) < SMALLEST_MV:
        is_ecg = peaked and not is_short and _LEAST_QRS_MV <= size * 1e3 <= _MOST_QRS_MV
        return ImplausibleUnit(size, "V") if is_ecg else None  # else: the noise of a shorted input
    if min(sizes) <= LARGEST_MV:
        return None
    return ImplausibleUnit(size, "uV" if _LEAST_QRS_MV <= size * 1e-3 <= _MOST_QRS_MV else "")


class UnitCheck:
    """Says once of a stream, in blocks of any size, what `implausible_unit` says of its first seconds.

    Seconds without a signal decide nothing, and the next are looked at.
    """

    def __init__(self, n_leads: int, sampling_hz: float) -> None:
        self._hz = sampling_hz
        self._ecg = np.empty((n_leads, round((LEAST_S + WINDOW_S) * sampling_hz)), np.float32)
        self._filled = 0
        self.decided = False
        """Nothing more will be said."""

    def ended(self) -> ImplausibleUnit | None:
        """Nothing more comes: what a stream shows that was too short to be judged."""
        return None if self.decided else implausible_unit(self._ecg[:, : self._filled], self._hz)

    def push(self, ecg_mv: NDArray[np.float32]) -> ImplausibleUnit | None:
        """Take the next (n_leads, n) mV; the verdict, once, if they cannot be millivolts."""
        done = 0
        while not self.decided and done < ecg_mv.shape[1]:
            part = ecg_mv[:, done : done + self._ecg.shape[1] - self._filled]
            self._ecg[:, self._filled : self._filled + part.shape[1]] = part
            self._filled += part.shape[1]
            done += part.shape[1]
            if self._filled < self._ecg.shape[1]:
                break
            self._filled = 0
            verdict = implausible_unit(self._ecg, self._hz)
            spans = np.nanmax(self._ecg, 1, initial=-np.inf) - np.nanmin(
                self._ecg, 1, initial=np.inf
            )
            self.decided = verdict is not None or bool((spans > SMALLEST_MV).any())
            if verdict is not None:
                return verdict
        return None
