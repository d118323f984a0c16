"""What one page of a sheet shows: a part of a recording, and the state of each of its samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge.files.record import Record
from edge.leads import LEADS
from edge.marker import Marker
from edge.quality import Quality


class State(IntEnum):
    """What a reader of the paper must know about a sample, the gravest last."""

    CLEAN = 0
    MISPLACED = 1
    """Electrodes seem to be exchanged, or a lead inverted: true of all that follows, so others are graver."""
    WITHOUT_A_LEAD = 2
    """Reconstructed while a measured lead was off."""
    SETTLING = 3
    CLIPPED = 4
    NOISY = 5
    NO_SIGNAL = 6
    GAP = 7

    def __str__(self) -> str:
        return {
            State.WITHOUT_A_LEAD: "made without a lead that is off",
            State.MISPLACED: "leads exchanged?",
            State.NO_SIGNAL: "no signal, lead off",
        }.get(self, self.name.lower())


_FLAGS = {
    Quality.SETTLING: State.SETTLING,
    Quality.CLIPPED: State.CLIPPED,
    Quality.NOISY: State.NOISY,
}


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One lead of an excerpt, all arrays (n,)."""

    provenance: str
    """In the words of `edge.Provenance`; empty where the file does not say it."""
    ecg_mv: NDArray[np.float32]
    sigma_mv: NDArray[np.float32] | None
    """One standard deviation; None where the file holds none."""
    state: NDArray[np.uint8]
    """`State` of each sample."""

    @property
    def is_estimate(self) -> bool:
        """Whether leadlift made it."""
        return "reconstructed" in self.provenance


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """A part of a recording."""

    sampling_hz: float
    first_s: float
    """Since the recording began."""
    n_samples: int
    traces: Mapping[str, Trace]
    """By lead; those of LEADS that the recording has."""
    markers: tuple[tuple[float, str], ...] = ()
    """(seconds since `first_s`, text) of what was noted meanwhile."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.n_samples / self.sampling_hz


def excerpt(
    record: Record, first_s: float, seconds: float, markers: Iterable[Marker] = ()
) -> Excerpt:
    """Up to `seconds` of a recording from `first_s` on, with those of its `markers` that lie in it.

    Recordings of others have electrode offsets: each of their leads is moved so that its median is 0 mV.
    Raises InputError where the file is damaged.
    """
    hz = record.sampling_hz
    start = min(record.n_samples, round(first_s * hz))
    stop = min(record.n_samples, start + round(seconds * hz))
    ecg_mv = record.read(start, stop)
    if not record.provenance:
        ecg_mv = ecg_mv - middle(ecg_mv)[:, None]
    sigma_mv, quality = record.read_sigma(start, stop), record.read_quality(start, stop)
    traces = {}
    for row, lead in enumerate(record.leads):
        provenance = record.provenance[row] if record.provenance else ""
        bits = np.zeros(stop - start, np.uint8) if quality is None else quality[row]
        sigma = None if sigma_mv is None else sigma_mv[row]
        state = states(ecg_mv[row], bits, of_estimate="reconstructed" in provenance)
        traces[lead] = Trace(provenance, ecg_mv[row], sigma, state)
    in_order = {lead: traces[lead] for lead in LEADS if lead in traces}
    noted = ((one.sample - start, one.text) for one in markers)
    here = tuple((at / hz, text) for at, text in noted if 0 <= at < stop - start)
    return Excerpt(hz, start / hz, stop - start, in_order, here)


def states(
    ecg_mv: NDArray[np.float32], quality: NDArray[np.uint8], *, of_estimate: bool
) -> NDArray[np.uint8]:
    """The gravest `State` of each sample of a lead, (n,).

    A file may hold quality of all leads together: that a lead is off counts for those that lack their signal,
    and for estimates.
    """
    state = np.zeros(len(ecg_mv), np.uint8)
    state[quality & Quality.MISPLACED != 0] = State.MISPLACED
    if of_estimate:
        state[quality & Quality.LEAD_OFF != 0] = State.WITHOUT_A_LEAD
    for flag, meaning in _FLAGS.items():
        state[quality & flag != 0] = meaning
    missing = ~np.isfinite(ecg_mv)
    state[missing] = State.NO_SIGNAL
    state[missing & (quality & Quality.GAP != 0)] = State.GAP
    return state


def spans(state: NDArray[np.uint8]) -> list[tuple[int, int, State]]:
    """(first, past the last, state) of each run of samples that are not clean."""
    edges = [0, *(np.flatnonzero(np.diff(state)) + 1).tolist(), len(state)]
    return [(a, b, State(int(state[a]))) for a, b in pairwise(edges) if a < b and state[a]]


def middle(ecg_mv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of each lead over what is there, (n_leads,); 0 where nothing is."""
    return np.array(
        [np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else 0.0 for row in ecg_mv],
        np.float32,
    )
