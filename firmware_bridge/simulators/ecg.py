"""A 12-lead ECG from a moving heart dipole: endless, seeded, the same however it is read.

Method: each component of the heart vector (Frank's x to the left, y down, z to the back) is a sum of
Gaussian bumps per beat, as in McSharry et al. 2003 (doi 10.1109/TBME.2003.808805), in its dipole form
by Sameni et al. 2007 (doi 10.1155/2007/43407). The eight independent leads are projections of the
vector on Dower's lead vectors (Dower et al. 1980, doi 10.1002/clc.1980.3.2.87); III and the augmented
leads follow by the Einthoven and Goldberger identities. The bump tables below are our own.

A dipole has rank 3, so any linear map reconstructs it almost exactly: never a measure of fidelity.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import SourceSpecError
from firmware_bridge.simulators.noise import NoiseGenerator
from firmware_bridge.wire.spec import LEADS

INDEPENDENT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")

# Dower's lead vectors: rows INDEPENDENT_LEADS, columns x, y, z.
LEAD_VECTORS = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)

# Lead whose J+60 ms level is the shift asked for, by the territory of the ischaemia.
ST_TERRITORIES = {"septal": "V2", "anterior": "V3", "lateral": "V5", "inferior": "aVF"}

_BLOCK_SAMPLES = 64  # made at once: small enough not to delay a live stream by a visible burst


@dataclass(frozen=True)
class _Beat:
    """One kind of beat: Gaussian bumps around its R peak, at a cycle of one second."""

    bumps: NDArray[np.float64]
    """(n, 5): centre s, standard deviation s, x mV, y mV, z mV."""
    stretches: NDArray[np.bool_]
    """(n,): whether centre and width follow the square root of the cycle (Bazett), as T does."""
    j_point_s: float


def _beat(
    j_point_s: float,
    fixed: list[tuple[float, float, float, float, float]],
    stretched: list[tuple[float, float, float, float, float]],
) -> _Beat:
    stretches = np.array([False] * len(fixed) + [True] * len(stretched))
    return _Beat(np.array(fixed + stretched), stretches, j_point_s)


_SINUS = _beat(
    0.050,
    fixed=[  # P: right atrium (forward), then left (back); septum, apex, free wall, base
        (-0.168, 0.017, 0.060, 0.070, -0.040),
        (-0.140, 0.018, 0.080, 0.035, 0.035),
        (-0.026, 0.0085, -0.150, -0.060, -0.270),
        (-0.004, 0.0110, 1.150, 0.620, 0.050),
        (0.016, 0.0110, 0.180, 0.080, 0.640),
        (0.036, 0.0085, -0.120, -0.080, 0.160),
    ],
    stretched=[  # T: the slow rise, then the steeper fall
        (0.225, 0.048, 0.160, 0.080, -0.110),
        (0.275, 0.028, 0.200, 0.090, -0.120),
    ],
)
# No P, a slow wide QRS to the left and up, T against it.
_VENTRICULAR = _beat(
    0.110,
    fixed=[
        (-0.030, 0.022, 0.350, -0.350, -0.500),
        (0.010, 0.028, 1.300, -0.900, 0.500),
        (0.060, 0.024, 0.300, -0.300, 0.350),
    ],
    stretched=[(0.300, 0.060, -0.420, 0.300, -0.180)],
)
_SUPPORT = 5.0  # bumps are cut at five standard deviations: below 4e-6 of their height
_REACH_BEFORE_S, _REACH_AFTER_S = 0.3, 1.5  # of a beat around its R peak, at any heart rate
_ST_EDGE_S = 0.006  # rise time constant of the ST shift at the J point
_ST_END_S = 0.300  # where the shift has faded to half, inside the T wave, at a cycle of one second
_ST_FADE_S = 0.020
_LF_HZ, _HF_HZ = 0.1, 0.25  # Mayer and respiratory rhythms of the heart rate
_COUPLING = (
    0.6  # a premature beat comes after this share of the cycle, and its pause makes up for it
)


class EcgSimulator:
    """Twelve leads of a beating heart at `sampling_hz`, from sample 0 on.

    `variability` is the standard deviation of the cycle as a share of it; `pvc_share` the share of
    premature ventricular beats; `st_shift_mv` the ST level in the leading lead of `st_territory`
    (ST_TERRITORIES), the other leads following the dipole. `baseline_mv`, `mains_mv` and `muscle_mv`
    are RMS per independent lead. The same arguments give the same signal.

    Raises SourceSpecError for a value out of range.
    """

    leads = LEADS

    def __init__(
        self,
        sampling_hz: float = 250.0,
        heart_rate_bpm: float = 60.0,
        *,
        variability: float = 0.03,
        pvc_share: float = 0.0,
        st_shift_mv: float = 0.0,
        st_territory: str = "anterior",
        baseline_mv: float = 0.0,
        mains_mv: float = 0.0,
        mains_hz: float = 50.0,
        muscle_mv: float = 0.0,
        seed: int = 0,
    ) -> None:
        _within("sampling rate, `rate`,", sampling_hz, 50, 10_000, " Hz")
        _within("heart rate, `hr`,", heart_rate_bpm, 20, 250, " a minute")
        _within("`variability` of the cycle", variability, 0, 0.2)
        _within("share of premature beats, `pvc`,", pvc_share, 0, 0.5)
        _within("ST level, `st`,", st_shift_mv, -2, 2, " mV")
        if st_territory not in ST_TERRITORIES:
            raise SourceSpecError(
                f"unknown territory {st_territory!r}: use one of {', '.join(ST_TERRITORIES)}"
            )
        for name, value in (("baseline", baseline_mv), ("mains", mains_mv), ("muscle", muscle_mv)):
            _within(f"`{name}`", value, 0, 10, " mV")
        _within("mains frequency", mains_hz, 10, 1000, " Hz")
        self.sampling_hz = float(sampling_hz)
        self._cycle_s = 60.0 / heart_rate_bpm
        self._variability = variability
        self._pvc_share = pvc_share
        self._st_mv = st_shift_mv * _st_direction(st_territory)
        rhythm, noise = np.random.SeedSequence(seed).spawn(2)
        self._rhythm = np.random.default_rng(rhythm)
        self._rhythm_phases = self._rhythm.uniform(0, 2 * np.pi, 2)
        self._noise = NoiseGenerator(
            len(INDEPENDENT_LEADS),
            self.sampling_hz,
            baseline_mv=baseline_mv,
            mains_mv=mains_mv,
            mains_hz=mains_hz,
            muscle_mv=muscle_mv,
            seed=noise,
        )
        self._beats: deque[tuple[float, float, _Beat]] = deque()
        self._next_s = 0.35 * self._cycle_s  # R peak of the next sinus beat
        self._next_sample = 0
        self._left = np.empty((len(LEADS), 0), np.float32)

    def read(self, n_samples: int) -> NDArray[np.float32]:
        """The next samples, (12, n_samples) float32 mV in the order of `leads`.

        Any sequence of reads gives the same signal, to the bit.
        """
        blocks = [self._left]
        missing = n_samples - self._left.shape[1]
        while missing > 0:
            blocks.append(self._next_block())
            missing -= _BLOCK_SAMPLES
        ready = np.concatenate(blocks, axis=1)
        self._left = ready[:, n_samples:]
        return ready[:, :n_samples]

    def _next_block(self) -> NDArray[np.float32]:
        sample = np.arange(self._next_sample, self._next_sample + _BLOCK_SAMPLES)
        self._next_sample += _BLOCK_SAMPLES
        t_s = sample / self.sampling_hz
        while self._next_s < t_s[-1] + _REACH_BEFORE_S:
            self._schedule()
        while self._beats and self._beats[0][0] < t_s[0] - _REACH_AFTER_S:
            self._beats.popleft()
        vector_mv = np.zeros((3, _BLOCK_SAMPLES))
        for r_peak_s, cycle_s, beat in self._beats:
            vector_mv += _beat_vector(t_s - r_peak_s, cycle_s, beat, self._st_mv)
        independent = LEAD_VECTORS @ vector_mv + self._noise.block(sample)
        return _twelve_leads(independent)

    def _schedule(self) -> None:
        """Place the next sinus beat, and perhaps a premature one between it and the one after."""
        now_s = self._next_s
        cycle_s = self._cycle(now_s)
        self._beats.append((now_s, cycle_s, _SINUS))
        self._next_s = now_s + cycle_s
        # A premature beat replaces the sinus beat after this one, so at most every second is one.
        premature = self._rhythm.random() < self._pvc_share / (1.0 - self._pvc_share)
        if premature:
            self._beats.append((now_s + _COUPLING * cycle_s, cycle_s, _VENTRICULAR))
            self._next_s += cycle_s

    def _cycle(self, t_s: float) -> float:
        # McSharry's two rhythms, low-frequency power half of the high-frequency power, SD 1.
        low, high = np.sin(2 * np.pi * np.array([_LF_HZ, _HF_HZ]) * t_s + self._rhythm_phases)
        swing = math.sqrt(2 / 3) * low + math.sqrt(4 / 3) * high
        return self._cycle_s * (1.0 + self._variability * float(swing))


def _beat_vector(
    t_s: NDArray[np.float64], cycle_s: float, beat: _Beat, st_mv: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Heart vector of one beat, (3, n) mV, at times `t_s` from its R peak."""
    stretch = math.sqrt(cycle_s)
    factor = np.where(beat.stretches, stretch, 1.0)
    # P keeps its distance unless the cycle is too short for it.
    centre = beat.bumps[:, 0] * np.where(beat.bumps[:, 0] < -0.1, min(1.0, stretch), factor)
    z = (t_s - centre[:, None]) / (beat.bumps[:, 1] * factor)[:, None]
    bumps = np.where(np.abs(z) < _SUPPORT, np.exp(-0.5 * z * z), 0.0)
    vector = beat.bumps[:, 2:].T @ bumps
    if np.any(st_mv):
        rise = 1.0 / (1.0 + np.exp(-np.clip((t_s - beat.j_point_s) / _ST_EDGE_S, -50, 50)))
        fade = (t_s - _ST_END_S * stretch) / (_ST_FADE_S * stretch)
        vector = vector + st_mv[:, None] * (rise / (1.0 + np.exp(np.clip(fade, -50, 50))))
    return vector


def _st_direction(territory: str) -> NDArray[np.float64]:
    """The shortest heart vector, in mV, that reads 1 mV in the territory's leading lead."""
    lead = ST_TERRITORIES[territory]
    twelve = _twelve_leads(LEAD_VECTORS).astype(np.float64)
    direction: NDArray[np.float64] = twelve[LEADS.index(lead)]
    direction /= float(direction @ direction)
    return direction


def _twelve_leads(independent_mv: NDArray[np.float64]) -> NDArray[np.float32]:
    """All LEADS from INDEPENDENT_LEADS; identities computed on the float32 values that are read."""
    out = np.empty((len(LEADS), independent_mv.shape[1]), np.float32)
    lead_i, lead_ii = independent_mv[:2].astype(np.float32)
    out[0], out[1] = lead_i, lead_ii
    out[2] = lead_ii - lead_i
    out[3] = -(lead_i + lead_ii) / 2
    out[4] = lead_i - lead_ii / 2
    out[5] = lead_ii - lead_i / 2
    out[6:] = independent_mv[2:]
    return out


def _within(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    if not low <= value <= high:
        raise SourceSpecError(
            f"the simulator's {name} is {value:g}{unit}: use {low:g} to {high:g}{unit}"
        )
