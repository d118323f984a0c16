"""Durations in words."""

from __future__ import annotations


def lasting(seconds: float) -> str:
    """In the unit that shows it: what lasts at all never reads as nothing."""
    if seconds < 1:
        return f"{max(1, round(1000 * seconds))} ms" if seconds else "0 s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.2f} h"
