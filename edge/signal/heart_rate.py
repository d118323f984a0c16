"""Heart rate from one lead, live: QRS energy, an adaptive threshold, the median of recent intervals.

Causal and NumPy only, after Pan and Tompkins (1985): band-pass 5-15 Hz, slope, square, 120 ms mean.
A beat is a peak of that energy above a threshold between the levels of recent beats and of what lay
between them. For a number on a screen; it is no rhythm analysis.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError

BAND_HZ = (5.0, 15.0)
REFRACTORY_S = 0.25  # 240 bpm is the fastest that can be told
T_WAVE_S = 0.36  # a peak this soon after a beat must be half as strong as it, or it is the T wave
INTEGRATION_S = 0.12  # about one QRS
WARM_UP_S = 2.0  # signal from which the first threshold is taken
RATE_BEATS = (
    8  # intervals in the median: follows a change in a few seconds, ignores one ectopic beat
)
STALE_S = 4.0  # without a beat for this long (15 bpm) there is no rate to show
_SEARCH_BACK = 1.66  # of the median interval: no beat for so long lowers the threshold to half
_LEVEL_WEIGHT = 0.125  # weight of the newest peak in the running levels, as published
_LEAST_ENERGY = 0.1  # mV^2/s^2, that of a QRS of about 50 uV: a flat line has no beats
_TAPS_S = 0.16  # length of the band-pass: its delay is half of it


class HeartRate:
    """Feed it the samples of one lead in pieces of any size; read `bpm`. Memory is constant."""

    def __init__(self, sampling_hz: float) -> None:
        """Raises InputError for a rate below 60 Hz, at which a QRS complex cannot be seen."""
        if not sampling_hz >= 60.0:
            raise InputError(f"heart rate needs at least 60 Hz, got {sampling_hz:g} Hz")
        self.sampling_hz = sampling_hz
        slope = np.array([1.0, 0.0, -1.0]) * (sampling_hz / 2)
        self._kernel = np.convolve(_band_pass(sampling_hz), slope)
        self._integration = max(1, round(INTEGRATION_S * sampling_hz))
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a gap."""
        self._signal = np.zeros(len(self._kernel) - 1)
        self._square = np.zeros(self._integration - 1)
        self._energy = np.zeros(2)  # the last two, so that a peak at the seam is seen
        self._warm_up: list[NDArray[np.float64]] = []
        self._last_sample: float | None = None
        self._n = 0  # samples taken
        self._beat_level = 0.0  # 0: not learned yet
        self._noise_level = 0.0
        self._learned_at = 0
        self._intervals: deque[int] = deque(maxlen=RATE_BEATS)
        self._last_beat: int | None = None
        self._last_peak = 0.0
        self._candidate: tuple[int, float] | None = None  # highest peak of the last moments
        self._skipped: tuple[int, float] | None = None  # strongest peak since the last beat

    @property
    def delay_samples(self) -> int:
        """How much later than the QRS its energy peaks; a beat is reported REFRACTORY_S after that."""
        return (len(self._kernel) - 1) // 2 + self._integration // 2

    @property
    def bpm(self) -> float:
        """Beats per minute, median over the last eight intervals; NaN without a recent rhythm."""
        if len(self._intervals) < 2 or self._last_beat is None:
            return float("nan")
        if self._n - self._last_beat > STALE_S * self.sampling_hz:
            return float("nan")
        return float(60.0 * self.sampling_hz / np.median(np.fromiter(self._intervals, np.float64)))

    def push(self, lead_mv: NDArray[np.floating]) -> list[int]:
        """Take (n,) samples in mV and return the beats found, as sample indices since `reset`.

        NaN holds the last value, so that a lead that is off is silence and not an edge.
        """
        if lead_mv.size == 0:
            return []
        energy = self._energy_of(_held(np.asarray(lead_mv, np.float64), self._last_sample))
        self._n += len(lead_mv)
        if self._beat_level > 0.0:
            beats = self._beats(energy, self._n - len(energy))
            quiet_since = max(self._learned_at, self._last_beat or 0)
            if self._n - quiet_since > STALE_S * self.sampling_hz:
                self._beat_level = 0.0  # an artefact may have set the threshold: learn it anew
            return beats
        self._warm_up.append(energy)
        energy = np.concatenate(self._warm_up)
        n_warm = round(WARM_UP_S * self.sampling_hz)
        if len(energy) < n_warm:
            return []
        self._warm_up.clear()
        seen = energy[2 * self.delay_samples : n_warm]  # without the step of the start itself
        self._beat_level = max(0.7 * float(seen.max()), _LEAST_ENERGY)
        self._noise_level = min(0.5 * float(seen.mean()), 0.5 * self._beat_level)
        self._learned_at = self._n
        self._energy = energy[:2]
        return self._beats(energy[2:], self._n - len(energy) + 2)

    def _energy_of(self, lead_mv: NDArray[np.float64]) -> NDArray[np.float64]:
        """The QRS energy of the next samples, mV^2 / s^2."""
        if self._last_sample is None:
            self._signal[:] = lead_mv[0]  # as if it had been constant: no step at the start
        self._last_sample = float(lead_mv[-1])
        signal = np.concatenate((self._signal, lead_mv))
        self._signal = signal[-len(self._signal) :]
        square = np.convolve(signal, self._kernel, "valid") ** 2
        square = np.concatenate((self._square, square))
        self._square = square[len(square) - self._integration + 1 :]
        window = np.full(self._integration, 1.0 / self._integration)
        return np.convolve(square, window, "valid")

    def _beats(self, energy: NDArray[np.float64], start: int) -> list[int]:
        """Beats among the peaks of `energy`, whose first sample is number `start`.

        One QRS makes several small peaks: only the highest within the refractory time is judged.
        """
        level = np.concatenate((self._energy, energy))
        self._energy = level[-2:]
        middle = level[1:-1]
        refractory = REFRACTORY_S * self.sampling_hz
        beats: list[int] = []
        for i in np.flatnonzero((middle > level[:-2]) & (middle >= level[2:])).tolist():
            peak = (start + i - 1, float(middle[i]))
            if self._candidate is not None and peak[0] - self._candidate[0] >= refractory:
                beats += self._judge(*self._candidate)
                self._candidate = None
            if self._candidate is None or peak[1] > self._candidate[1]:
                self._candidate = peak
        if self._candidate is not None and start + len(energy) - self._candidate[0] > refractory:
            beats += self._judge(*self._candidate)
            self._candidate = None
        return beats

    def _judge(self, at: int, height: float) -> list[int]:
        """Decide whether a peak of the energy is a beat; may also find one that was passed over."""
        found = self._search_back(at)
        since = float("inf") if self._last_beat is None else at - self._last_beat
        t_wave = since < T_WAVE_S * self.sampling_hz and height < 0.5 * self._last_peak
        if height > self._threshold and not t_wave and since >= REFRACTORY_S * self.sampling_hz:
            return [*found, self._accept(at, height)]
        self._noise_level += _LEVEL_WEIGHT * (height - self._noise_level)
        if not t_wave and (self._skipped is None or height > self._skipped[1]):
            self._skipped = (at, height)
        return found

    @property
    def _threshold(self) -> float:
        return self._noise_level + 0.25 * (self._beat_level - self._noise_level)

    def _search_back(self, now: int) -> list[int]:
        """After too long a pause, the strongest peak in it, if it reaches half the threshold."""
        if self._last_beat is None or self._skipped is None:
            return []
        usual = np.median(self._intervals) if self._intervals else self.sampling_hz
        if now - self._last_beat < _SEARCH_BACK * float(usual):
            return []
        at, height = self._skipped
        self._skipped = None
        self._beat_level *= 0.75  # beats have become smaller: come down to them
        return [self._accept(at, height)] if height > 0.5 * self._threshold else []

    def _accept(self, at: int, height: float) -> int:
        if self._last_beat is not None and at - self._last_beat < STALE_S * self.sampling_hz:
            self._intervals.append(at - self._last_beat)
        else:
            self._intervals.clear()
        self._beat_level += _LEVEL_WEIGHT * (min(height, 4 * self._beat_level) - self._beat_level)
        self._last_beat, self._last_peak, self._skipped = at, height, None
        return max(0, at - self.delay_samples)


def _band_pass(sampling_hz: float) -> NDArray[np.float64]:
    """A windowed-sinc band-pass over BAND_HZ with linear phase, gain 1 in the middle of the band."""
    n = 2 * round(_TAPS_S * sampling_hz / 2) + 1
    t = (np.arange(n) - n // 2) / sampling_hz
    low, high = BAND_HZ
    taps = (2 * high * np.sinc(2 * high * t) - 2 * low * np.sinc(2 * low * t)) * np.hamming(n)
    taps -= taps.sum() / n  # no gain at 0 Hz, whatever the window did
    middle = np.exp(-2j * np.pi * (low + high) / 2 * t)
    return np.asarray(taps / abs(np.sum(taps * middle)), np.float64)


def _held(lead_mv: NDArray[np.float64], before: float | None) -> NDArray[np.float64]:
    """`lead_mv` with every NaN replaced by the last finite value before it."""
    finite = np.isfinite(lead_mv)
    if finite.all():
        return lead_mv
    last = np.maximum.accumulate(np.where(finite, np.arange(len(lead_mv)), -1))
    return np.where(last >= 0, lead_mv[np.maximum(last, 0)], 0.0 if before is None else before)
