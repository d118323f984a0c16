"""Feed the reconstructor from a driver of your own: packets of any size, some samples missing, one gap.

python examples/own_driver.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import edge


def packets() -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(index of the first sample, (3, n) mV) as a driver may deliver them; put yours here."""
    rng = np.random.default_rng(0)
    at = 0
    for number in range(50):
        ecg_mv = rng.normal(0, 0.1, (3, 11)).astype(np.float32)
        if number == 20:
            ecg_mv[1, 3:5] = np.nan  # two samples of V1 did not convert
        if number == 30:
            at += 100  # 0.4 s never arrived
        yield at, ecg_mv
        at += ecg_mv.shape[1]


def main() -> None:
    with edge.Reconstructor.open() as reconstructor:
        next_sample = 0
        for first_sample, ecg_mv in packets():
            if first_sample > next_sample:
                reconstructor.skip(first_sample - next_sample)
            block = reconstructor.push(ecg_mv)
            next_sample = first_sample + ecg_mv.shape[1]
            flagged = np.count_nonzero(block.quality)
            print(f"{block!r}: {flagged} flagged samples")


if __name__ == "__main__":
    main()
