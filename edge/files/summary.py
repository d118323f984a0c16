"""What a recording holds, read once from end to end: gaps, quality, sigma and range of each lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.files.record import Record
from edge.progress import followed
from edge.quality import Quality

PIECE_S = 30.0


@dataclass(frozen=True, slots=True)
class LeadSummary:
    """One lead of a recording."""

    lead: str
    provenance: str
    """In the words of `edge.Provenance`; empty where the file does not say it."""
    missing: float
    """Share of the samples that are missing, gaps included."""
    least_mv: float | None
    """None, as `most_mv`, for a lead that has no sample."""
    most_mv: float | None
    sigma_mv: float | None
    """Mean standard deviation; None where the file holds none, or none of this lead."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole of a recording."""

    leads: tuple[LeadSummary, ...]
    gaps: int
    """Runs of samples of which no lead has a value, or that the file flags as lost."""
    gap_samples: int
    longest_gap: int
    quality: dict[str, float] | None
    """Share of the samples that have each quality bit in any lead; None where the file holds no quality."""


class Summarizer:
    """Follows a recording piece by piece."""

    def __init__(self, leads: Sequence[str], provenance: Sequence[str] = ()) -> None:
        n = len(leads)
        self.leads = tuple(leads)
        self.provenance = tuple(provenance) or ("",) * n
        self.n = 0
        self.gaps = self.gap_samples = self.longest_gap = 0
        self._run = 0  # length of the gap that the last piece ended in
        self._bits: dict[Quality, int] | None = None
        self._there, self._sigma_n = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._least, self._most, self._sigma = np.full(n, np.inf), np.full(n, -np.inf), np.zeros(n)

    def follow(
        self,
        ecg_mv: NDArray[np.float32],
        sigma_mv: NDArray[np.float32] | None,
        quality: NDArray[np.uint8] | None,
    ) -> None:
        """Take the next piece, each (n_leads, n)."""
        there = np.isfinite(ecg_mv)
        self.n += ecg_mv.shape[1]
        self._there += there.sum(1)
        self._least = np.minimum(self._least, np.where(there, ecg_mv, np.inf).min(1))
        self._most = np.maximum(self._most, np.where(there, ecg_mv, -np.inf).max(1))
        if sigma_mv is not None:
            known = np.isfinite(sigma_mv)
            self._sigma += np.where(known, sigma_mv, 0.0).sum(1)
            self._sigma_n += known.sum(1)
        gap: NDArray[np.bool_] = np.logical_not(there.any(0))
        if quality is not None:
            any_lead = np.bitwise_or.reduce(quality, axis=0)
            gap = np.asarray(any_lead & Quality.GAP, bool)
            counts = self._bits or {flag: 0 for flag in Quality if flag}
            self._bits = {
                flag: n + int(np.count_nonzero(any_lead & flag)) for flag, n in counts.items()
            }
        self._follow_gaps(gap)

    def _follow_gaps(self, gap: NDArray[np.bool_]) -> None:
        edges = np.flatnonzero(np.diff(gap, prepend=False, append=False)).reshape(-1, 2)
        for start, stop in edges.tolist():
            goes_on = start == 0 and self._run > 0
            self.gaps += not goes_on
            self._run = (self._run if goes_on else 0) + stop - start
            self.longest_gap = max(self.longest_gap, self._run)
        self.gap_samples += int(gap.sum())
        if len(gap) and not gap[-1]:
            self._run = 0

    def summary(self) -> Summary:
        """Of what was followed."""
        found = [
            LeadSummary(
                lead=lead,
                provenance=source,
                missing=1 - int(self._there[i]) / self.n,
                least_mv=float(self._least[i]) if self._there[i] else None,
                most_mv=float(self._most[i]) if self._there[i] else None,
                sigma_mv=float(self._sigma[i] / self._sigma_n[i]) if self._sigma_n[i] else None,
            )
            for i, (lead, source) in enumerate(zip(self.leads, self.provenance, strict=True))
        ]
        shares = None
        if self._bits is not None:
            shares = {str(flag.name).lower(): n / self.n for flag, n in self._bits.items()}
        return Summary(tuple(found), self.gaps, self.gap_samples, self.longest_gap, shares)


def summarize(record: Record) -> Summary:
    """Read the whole of `record`, in bounded memory. Raises InputError where it turns out to be damaged."""
    following = Summarizer(record.leads, record.provenance)
    step = max(1, round(PIECE_S * record.sampling_hz))
    for start in followed(range(0, record.n_samples, step), f"reading {record.path.name}"):
        span = start, min(start + step, record.n_samples)
        following.follow(record.read(*span), record.read_sigma(*span), record.read_quality(*span))
    return following.summary()


def as_dict(summary: Summary, sampling_hz: float) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "gaps": summary.gaps,
        "gap_seconds": summary.gap_samples / sampling_hz,
        "longest_gap_seconds": summary.longest_gap / sampling_hz,
        "quality": summary.quality,
        "leads": [asdict(one) for one in summary.leads],
    }
