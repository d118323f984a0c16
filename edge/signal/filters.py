"""Sections of the filter cascade: their design, and the mode in which a wrong start dies away."""

from __future__ import annotations

import math
from dataclasses import dataclass

Section = tuple[float, float, float, float, float]  # b0, b1, b2, a1, a2 with a0 = 1


def highpass1(corner_hz: float, sampling_hz: float) -> Section:
    """First-order high-pass by the bilinear transform."""
    k = math.tan(math.pi * corner_hz / sampling_hz)
    return (1 / (1 + k), -1 / (1 + k), 0.0, (k - 1) / (1 + k), 0.0)


def biquad(kind: str, corner_hz: float, sampling_hz: float, q: float = math.sqrt(0.5)) -> Section:
    """Second-order `highpass`, `lowpass` or `notch` section (Bristow-Johnson, Audio EQ Cookbook)."""
    w = 2 * math.pi * corner_hz / sampling_hz
    alpha, c = math.sin(w) / (2 * q), math.cos(w)
    b0, b1, b2 = {
        "highpass": ((1 + c) / 2, -(1 + c), (1 + c) / 2),
        "lowpass": ((1 - c) / 2, 1 - c, (1 - c) / 2),
        "notch": (1.0, -2 * c, 1.0),
    }[kind]
    a0 = 1 + alpha
    return (b0 / a0, b1 / a0, b2 / a0, -2 * c / a0, (1 - alpha) / a0)


@dataclass(frozen=True, slots=True)
class SlowestMode:
    """What dies away as slowly as the first section, a high-pass, forgets: the remains of a wrong start.

    Nothing else decays in it: to take it out moves the baseline and sets no other filter ringing.
    """

    states: tuple[tuple[float, float], ...]
    """Of each section, where the conditioned lead shows 1 next."""
    decay: float
    """From one sample to the next."""
    residual: float
    """What the residual branch shows, where the conditioned lead shows 1."""

    def amplitude(self, n_samples: int) -> float:
        """Its amplitude in the first of `n_samples`, for a sum of 1 over them."""
        return (1 - self.decay) / (1 - self.decay**n_samples)


def slowest_mode(main: list[Section], residual: list[Section]) -> SlowestMode:
    """Of the cascade; `main` begins with the high-pass."""
    p = -main[0][3]
    states, x, shown = [(1.0, 0.0)], 1.0, 1.0
    for i, (b0, b1, b2, a1, a2) in enumerate((main + residual)[1:], 1):
        if i == len(main):
            shown = x
        y = x * (b0 + (b1 + b2 / p) / p) / (1 + (a1 + a2 / p) / p)
        states.append((y - b0 * x, (b2 * x - a2 * y) / p))
        x = y
    return SlowestMode(tuple((one / shown, other / shown) for one, other in states), p, x / shown)
