"""Two steps that were timed in turn: their ratio with an interval; how the durations of one are spread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import percentiles, samples_needed

RESAMPLINGS = 1000
SEED = 0  # of the resampled rounds
Durations = NDArray[np.int64]
"""(rounds, burst) ns, as `benchmarks.timing.time_in_turn` gives them."""
_BODY = (*range(0, 90, 5), 90.0, 92.5, 95.0, 97.0, 98.0, 99.0, 99.5, 99.7, 99.9, 99.95, 99.99)


def ratio(ours: NDArray[Any], other: NDArray[Any]) -> dict[str, Any]:
    """How often `other` goes into `ours`, each (rounds, ...) of a duration, taken in the same rounds.

    `ratio` is the median over rounds of the ratio of the two medians within a round: what disturbs the
    machine falls on both. `interval` is its 95 % interval from resampled rounds. `ratio_of_medians` is of
    all rounds together.
    """
    by_round = medians(ours) / medians(other)
    return {
        "ratio": float(np.median(by_round)),
        "interval": interval(by_round),
        "ratio_of_medians": float(np.median(ours) / np.median(other)),
        "rounds": len(by_round),
    }


def medians(durations: NDArray[Any]) -> NDArray[np.float64]:
    """(rounds, ...) -> (rounds,)."""
    return np.asarray(np.median(durations.reshape(len(durations), -1), axis=1), np.float64)


def interval(ratios: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the median of (rounds,) ratios, from resampled rounds."""
    rng = np.random.default_rng(SEED)
    found = np.median(rng.choice(ratios, (RESAMPLINGS, len(ratios))), axis=1)
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def spread(values_us: NDArray[Any]) -> dict[str, Any]:
    """`percentiles`, and under `ecdf` the points of the distribution that the count allows, for a plot."""
    flat = np.asarray(values_us, np.float64).ravel()
    percent = [p for p in _BODY if flat.size >= (1 if p == 0 else samples_needed(p))]
    us = np.percentile(flat, percent) if percent else []
    return {
        **percentiles(flat),
        "ecdf": {"percent": percent, "us": [float(f"{value:.5g}") for value in us]},
    }


def in_words(found: dict[str, Any]) -> str:
    """The interval as a table shows it: `0.211 to 0.219`."""
    low, high = found["interval"]
    return f"{low:.3g} to {high:.3g}"
