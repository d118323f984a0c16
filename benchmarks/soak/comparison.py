"""What came out beside the truth: where each run of samples belongs, and how far any unflagged one is off."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.soak.collector import Collector
from benchmarks.soak.tolerance import tolerance
from edge.leads import LEADS, lead_indices
from edge.quality import Quality
from edge.reconstructor import Reconstructor

SAME_MV = 1e-5  # the contract: streamed and at once differ by float32 rounding alone
# A filled gap in its memory may move a decoder by as much as it is unsure: a normal error is beyond this once
# in 16,000.
SIGMAS = 4.0
PIECE = 1000  # samples that say where a run belongs
SURE = 0.98  # correlation of slopes
NEAR = 3  # samples by which a short absence moves what follows
DISTURBING = Quality.GAP | Quality.INTERPOLATED | Quality.LEAD_OFF
LEAST = 250  # samples by which a run can be placed


@dataclass
class Compared:
    """What one episode's output is worth."""

    placed: NDArray[np.bool_]
    """(n,) of the truth: came out."""
    filled: NDArray[np.bool_]
    """(n,) of the truth: flagged as filled in, or as missing."""
    clean: NDArray[np.bool_]
    """(n,) of the truth: came out with no flag on any lead."""
    broken: list[str] = field(default_factory=list)
    unplaced: int = 0
    """Samples of runs that are too short to tell where they belong."""
    same_mv: float = 0.0
    """Largest error in runs up to their first disturbance, flagged or not."""
    measured_mv: float = 0.0
    """Largest error of an unflagged sample of a measured lead after it."""
    of_tolerance: float = 0.0
    """Largest error of any unflagged sample after it, of its Tolerance and SIGMAS sigma: at most 1."""
    compared: int = 0
    """Unflagged values that were compared, over all leads."""


def compare(
    out: Collector, truth_mv: NDArray[np.float32], begins: int, reference: Reconstructor
) -> Compared:
    """Each run beside a fault-free reconstruction of the truth from where the run begins.

    A long gap resets the decoder, so that a run is the reconstruction of the truth from its first sample on,
    to rounding, until a filled gap or a lead that is off; after that until the filters forget it, nearly.
    `begins` is the sample of the truth that is sample 0 of the stream. A restart moves what follows, by
    what the host's clock cannot tell: so much is found from the samples themselves.
    """
    n_truth = truth_mv.shape[1]
    placed, filled, clean = np.zeros((3, n_truth), bool)
    found = Compared(placed, filled, clean)
    measured = lead_indices(reference.leads)
    long = dict[int, int]()
    base = begins
    for k, (first, column, n) in enumerate(out.runs):
        at = slice(column, column + n)
        there = _place(out.ecg_mv[measured, at], out.quality[measured, at], truth_mv, first, base)
        if there is not None:
            base = long[k] = there
    for k, (first, column, n) in enumerate(out.runs):
        at = slice(column, column + n)
        if k in long:
            base = long[k]
        else:  # too short to be found anywhere: by the side of one that was
            before, after = [j for j in long if j < k][-1:], [j for j in long if j > k][:1]
            near = [long[j] for j in before + after]
            found_at = _beside(out.ecg_mv[measured, at], truth_mv, first, near or [begins])
            if found_at is None:
                found.unplaced += n
                continue
            base = found_at
        start = first + base
        if start < 0 or start + n > n_truth:
            found.broken.append(f"the samples from {first} on lie outside of what was taken")
            continue
        _compare_run(found, out, at, truth_mv[:, start : start + n], start, reference)
    return found


def _compare_run(
    found: Compared,
    out: Collector,
    at: slice,
    truth_mv: NDArray[np.float32],
    start: int,
    reference: Reconstructor,
) -> None:
    ecg, sigma, quality = out.ecg_mv[:, at], out.sigma_mv[:, at], out.quality[:, at]
    n = ecg.shape[1]
    there = slice(start, start + n)
    found.placed[there] = True
    found.filled[there] = (quality & np.uint8(Quality.GAP | Quality.INTERPOLATED)).all(axis=0)
    found.clean[there] = (quality == 0).all(axis=0)
    true = reference.whole(truth_mv).ecg_mv[:, :n]
    error = np.abs(ecg - true)
    disturbed = (quality & np.uint8(DISTURBING)).any(axis=0)
    until = int(np.argmax(disturbed)) // reference.hop * reference.hop if disturbed.any() else n
    same = float(error[:, :until].max(initial=0.0))
    found.same_mv = max(found.same_mv, same)
    if not same <= SAME_MV:
        found.broken.append(
            f"undisturbed samples from {start} of the truth on are {same:.6f} mV off"
        )
    unflagged = quality == 0
    found.compared += int(unflagged.sum())
    unflagged[:, :until] = False
    if not unflagged.any():
        return
    bound = tolerance(reference, truth_mv, true, found.filled[there]) + SIGMAS * sigma
    late = np.where(unflagged, error, 0.0)
    measured = late[lead_indices(reference.leads)]
    found.measured_mv = max(found.measured_mv, float(measured.max()))
    of_bound = late / np.where(unflagged, bound, 1.0)
    row, column = np.unravel_index(int(np.argmax(of_bound)), of_bound.shape)
    worst = float(of_bound[row, column])
    found.of_tolerance = max(found.of_tolerance, worst)
    if not worst <= 1.0:
        found.broken.append(
            f"{LEADS[row]} is {late[row, column]:.3f} mV off at {start + column} of the truth, unflagged, "
            f"where {bound[row, column]:.3f} mV may be"
        )


def _place(
    measured_mv: NDArray[np.float32],
    quality: NDArray[np.uint8],
    truth_mv: NDArray[np.float32],
    first: int,
    base: int,
) -> int | None:
    """What to add to a stream index for the sample of the truth; None where nobody can tell.

    By the slopes of a lead that is on, since the filters leave those as they are.
    """
    usable = (quality & np.uint8(DISTURBING)) == 0
    for row, on in enumerate(usable):
        at = _first_run(on, LEAST)
        if at is None:
            continue
        slopes = np.diff(measured_mv[row, at : at + PIECE][on[at : at + PIECE].cumprod() > 0])
        true = np.diff(truth_mv[row])
        near = {
            by: _likeness(true, slopes, first + base + by + at) for by in range(-NEAR, NEAR + 1)
        }
        best = max(near, key=lambda by: near[by])
        if near[best] > SURE:
            return base + best
        place, likeness = _most_alike(true, slopes)
        return place - at - first if likeness > SURE else None
    return None


def _beside(
    measured_mv: NDArray[np.float32], truth_mv: NDArray[np.float32], first: int, near: list[int]
) -> int | None:
    """The base among those near by at which the slopes are the truth's; None where no slope is."""
    off = dict[int, float]()
    slopes, n = np.diff(measured_mv), measured_mv.shape[1]
    for base in {base + by for base in near for by in range(-NEAR, NEAR + 1)}:
        start = first + base
        there = truth_mv[:, max(start, 0) : max(start + n, 0)]
        if there.shape[1] == n and np.isfinite(slopes).any():
            off[base] = float(np.nanmedian(np.abs(slopes - np.diff(there))))
    return min(off, key=lambda base: off[base]) if off else None


def _likeness(signal: NDArray[np.float32], piece: NDArray[np.float32], at: int) -> float:
    there = signal[max(at, 0) : max(at + len(piece), 0)]
    return float(np.corrcoef(there, piece)[0, 1]) if len(there) == len(piece) else 0.0


def _first_run(on: NDArray[np.bool_], least: int) -> int | None:
    """Where the first `least` columns in a row begin that are all True."""
    ends = np.flatnonzero(np.convolve(on, np.ones(least, int))[least - 1 : len(on)] == least)
    return int(ends[0]) if len(ends) else None


def _most_alike(signal: NDArray[np.float32], piece: NDArray[np.float32]) -> tuple[int, float]:
    """Where `piece` lies in `signal`, and its normalised correlation there."""
    size = 1 << (len(signal) + len(piece)).bit_length()
    spectrum = np.fft.rfft(signal, size) * np.conj(np.fft.rfft(piece, size))
    n = len(signal) - len(piece) + 1
    products = np.fft.irfft(spectrum, size)[:n]
    energy = np.cumsum(np.concatenate([[0.0], signal.astype(np.float64) ** 2]))
    power = energy[len(piece) :][:n] - energy[:n]
    likeness = products / np.sqrt(np.maximum(power, 1e-12) * float((piece**2).sum()))
    best = int(np.argmax(likeness))
    return best, float(likeness[best])
