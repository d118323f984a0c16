"""What else an electrode picks up: baseline wander, mains hum, muscle; seeded, block by block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WANDER_HZ = (0.05, 0.31)  # from slow drift to breathing
_MUSCLE_HZ = (20.0, 150.0)  # surface EMG as an ECG amplifier passes it
_MUSCLE_TAPS = 65


class NoiseGenerator:
    """Noise for `n_leads` leads at `sampling_hz`; levels are RMS in mV per lead."""

    def __init__(
        self,
        n_leads: int,
        sampling_hz: float,
        *,
        baseline_mv: float,
        mains_mv: float,
        mains_hz: float,
        muscle_mv: float,
        seed: np.random.SeedSequence,
    ) -> None:
        rng = np.random.default_rng(seed)
        self._sampling_hz = sampling_hz
        self._n_leads = n_leads
        self._muscle_mv = muscle_mv
        # Wander: six sines per lead, so that it never repeats within a recording.
        self._wander_hz = rng.uniform(*_WANDER_HZ, (n_leads, 6, 1))
        self._wander_phase = rng.uniform(0, 2 * np.pi, (n_leads, 6, 1))
        self._wander_mv = baseline_mv * np.sqrt(2 / 6)
        # Hum: one phase for the whole body, and each loop of wire its own small shift.
        self._mains_hz = mains_hz
        self._mains_phase = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.3, (n_leads, 1))
        self._mains_mv = mains_mv * np.sqrt(2.0)
        self._taps = _band_pass(sampling_hz)
        self._rng = rng
        self._white = rng.normal(size=(n_leads, len(self._taps) - 1))

    def block(self, sample: NDArray[np.int_]) -> NDArray[np.float64]:
        """(n_leads, n) mV at consecutive `sample` indices; blocks must be asked for in order."""
        t_s = sample / self._sampling_hz
        noise = np.zeros((self._n_leads, len(sample)))
        if self._wander_mv:
            phase = 2 * np.pi * self._wander_hz * t_s + self._wander_phase
            noise += self._wander_mv * np.sin(phase).sum(axis=1)
        if self._mains_mv:
            noise += self._mains_mv * np.sin(2 * np.pi * self._mains_hz * t_s + self._mains_phase)
        if self._muscle_mv:
            fresh = self._rng.normal(size=(self._n_leads, len(sample)))
            white = np.concatenate([self._white, fresh], axis=1)
            self._white = white[:, len(sample) :]
            noise += self._muscle_mv * np.stack(
                [np.convolve(row, self._taps, mode="valid") for row in white]
            )
        return noise


def _band_pass(sampling_hz: float) -> NDArray[np.float64]:
    """Windowed-sinc taps of the muscle band, of unit gain for the power of white noise."""
    low, high = _MUSCLE_HZ[0], min(_MUSCLE_HZ[1], 0.45 * sampling_hz)
    n = np.arange(_MUSCLE_TAPS) - (_MUSCLE_TAPS - 1) / 2
    ideal = [2 * f / sampling_hz * np.sinc(2 * f / sampling_hz * n) for f in (high, low)]
    taps: NDArray[np.float64] = (ideal[0] - ideal[1]) * np.hamming(_MUSCLE_TAPS)
    taps /= np.sqrt(np.sum(taps**2))
    return taps
