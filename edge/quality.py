"""Quality bits: what a reader of a block must know about each sample of each lead."""

from __future__ import annotations

from enum import IntFlag

GAP_FILL_S = 0.1  # a gap up to this long is filled and flagged; a longer one resets the state


class Quality(IntFlag):
    """Bit flags of `TwelveLeadBlock.quality`; 0 is a clean sample."""

    OK = 0
    INTERPOLATED = 1
    """Filled in over a gap of at most 100 ms."""
    LEAD_OFF = 2
    """An input lead is off: this lead is missing (NaN), or reconstructed without it."""
    SETTLING = 4
    """The filters are still settling after a start, a step, saturation or a lost lead."""
    CLIPPED = 8
    """The converter is at its rail."""
    NOISY = 16
    """More high-frequency power than an ECG has."""
    GAP = 32
    """Samples were lost here."""
    MISPLACED = 64
    """Electrodes seem to be exchanged, or a lead inverted: no lead is what it is called."""


def describe(bits: int) -> str:
    """The names of the bits that are set, joined by `+`; `ok` for none."""
    names = [flag.name for flag in Quality if flag and bits & flag]
    return "+".join(str(name) for name in names) or "ok"
