"""Whether memory grows: what the process holds after each recording, and the slope of that with its noise.

What a resident size tells of a leak drowns in what the allocator keeps for later. So before each look garbage
is collected, and the C library gives back what is free. What reconstructors keep for every length of a push
(`KEPT_HOPS`), and what NumPy keeps of every size, is there before the first look.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from edge.live.memory import read_memory
from edge.reconstructor import Reconstructor
from edge.stream_state import KEPT_HOPS

COUNTED = 0.5  # of the recordings, the last: what is allocated before is start, not growth
WINDOWS = 12  # of these, each a mean: neighbours are no independent looks, hours are nearly
# NumPy keeps the memory of freed arrays below this size for the next ones, so many of each size in bytes.
# Sizes that are met late, by chance, would count as growth, and each such piece holds a page.
NUMPY_KEEPS_BELOW, NUMPY_KEEPS = 1024, 7
STUDENT = 2.228  # 95 % of Student's t with WINDOWS - 2 degrees of freedom lie within


def settled_mb() -> float:
    """Resident MB without what is free."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # a C library that has no such thing
        ctypes.CDLL(None).malloc_trim(0)
    return read_memory().now_mb


def fill(reconstructor: Reconstructor) -> None:
    """Make it keep what it keeps of pushes, of every length, with and without a lead."""
    rng = np.random.default_rng(0)
    for n_hops in range(1, KEPT_HOPS + 1):
        hops = rng.normal(0, 0.2, (len(reconstructor.leads), n_hops * reconstructor.hop))
        reconstructor.push(hops.astype(np.float32))
        reconstructor.push(np.where(np.arange(len(hops))[:, None] == 0, np.nan, hops))
    reconstructor.reset()


def fill_numpy() -> None:
    """Make NumPy keep what it ever keeps of freed arrays, 3.7 MB."""
    sizes = np.repeat(np.arange(NUMPY_KEEPS_BELOW), NUMPY_KEEPS).tolist()
    kept = [np.empty(size, np.uint8) for size in sizes]
    del kept


def slope(memory: Sequence[tuple[float, float]]) -> dict[str, float | None]:
    """MB an hour of simulated time, with its 95 % interval, in the second half: least squares of its windows.

    `memory`: (hours, MB) after each recording. `noise_mb` is what a window is off the line by, as a standard
    deviation. None where there are too few.
    """
    counted = np.array(memory[-max(1, round(COUNTED * len(memory))) :])
    first, last = (float(mb) for mb in counted[[0, -1], 1])
    found: dict[str, float | None] = {"first_mb": first, "last_mb": last}
    growth = low = high = noise = None
    if len(counted) >= WINDOWS:
        hours, mb = np.array([part.mean(0) for part in np.array_split(counted, WINDOWS)]).T
        fitted, level = (float(value) for value in np.polyfit(hours, mb, 1))
        errors = mb - (fitted * hours + level)
        noise = float(np.sqrt(np.sum(errors**2) / (WINDOWS - 2)))
        half = STUDENT * noise / float(np.sqrt(np.sum((hours - hours.mean()) ** 2)))
        growth, low, high = fitted, fitted - half, fitted + half
    found |= {"mb_per_hour": growth, "low_mb_per_hour": low, "high_mb_per_hour": high}
    return {**found, "noise_mb": noise}
