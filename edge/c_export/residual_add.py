"""The residual add in 32-bit integers, equal to ONNX Runtime's for every pair of codes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HIGHEST = 127
NEARBY = (
    0,
    -1,
    1,
    -2,
    2,
    -3,
    3,
)  # factors beside the rounded ones; their rounding constant is free
SHIFTS = range(24, 8, -1)
F = np.float32


class Add(NamedTuple):
    """Code of the sum: (skip * of_skip + branch * of_branch + rounding) >> shift, held to 0..127."""

    of_skip: int
    of_branch: int
    rounding: int
    shift: int


def integer_add(skip: np.float32, branch: np.float32, out: np.float32) -> Add | None:
    """Integers for codes 0..127 of scale `skip` plus -128..127 of scale `branch` in codes of `out`.

    Proved for all 32,768 pairs against `float_add`; None where no integers are found.
    """
    a, b = np.meshgrid(np.arange(HIGHEST + 1), np.arange(-128, 128), indexing="ij")
    expected = float_add(a, b, skip, branch, out)
    not_least, not_most = expected > 0, expected < HIGHEST
    for shift in SHIFTS:
        m, n = (round(float(F(scale / out)) * 2.0**shift) for scale in (skip, branch))
        if (m + 3) * HIGHEST + (n + 3) * 128 + (1 << shift) >= 1 << 31:
            continue
        low, high = expected << shift, (expected + 1) << shift
        for dm in NEARBY:
            for dn in NEARBY:
                sums = a * (m + dm) + b * (n + dn)
                least = (low - sums).max(initial=0, where=not_least)
                most = (high - sums - 1).min(initial=(1 << shift), where=not_most)
                if least <= most and m + dm >= 0 and n + dn >= 0:
                    half = 1 << (shift - 1)
                    return Add(m + dm, n + dn, int(min(max(half, least), most)), shift)
    return None


def float_add(
    skip_codes: NDArray[np.int64],
    branch_codes: NDArray[np.int64],
    skip: np.float32,
    branch: np.float32,
    out: np.float32,
) -> NDArray[np.int64]:
    """What ONNX Runtime's QLinearAdd and the Clip make of pairs of codes, on x86.

    It adds two products of float32, the second of them rounded, the first fused into the sum. Eight bits
    times 24 are exact in float64.
    """
    product = branch_codes.astype(F) * F(branch / out)
    total = (skip_codes * np.float64(F(skip / out)) + product).astype(F)
    return np.clip(np.rint(total), 0, HIGHEST).astype(np.int64)
