"""Turns the quality of blocks into annotations: what was wrong, from when, for how long."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.leads import LEADS, Provenance
from edge.quality import Quality
from edge.samples import TwelveLeadBlock

END_OF_RECORDING = "end of recording"
"""Behind it, a file whose records are full has padding only."""
STARTED_AT = "started at "
SOURCE = "source: "
"""Before the time of the first sample, ISO 8601: an EDF header has whole seconds and no time zone."""
MERGE_S = 0.5
"""The same condition back within half a second is one annotation: a loose electrode or noise
flickers, and a file holds only so many. The quality signal has every sample."""
MAX_EPISODE_S = 60.0
"""A condition that lasts is written at least once a minute, so that a crash loses little of it."""

_SHARED = {
    "settling": Quality.SETTLING,
    "clipped": Quality.CLIPPED,
    "noisy": Quality.NOISY,
    "interpolated": Quality.INTERPOLATED,
    "gap": Quality.GAP,
    "misplaced": Quality.MISPLACED,
}


@dataclass(frozen=True, slots=True)
class Annotation:
    """A text that holds from `onset` for `n_samples`, both in samples since the first one."""

    onset: int
    n_samples: int
    text: str


@dataclass(slots=True)
class _Episode:
    onset: int
    end: int
    leads: int  # bit i: LEADS[i]


@dataclass(slots=True)
class QualityAnnotator:
    """Follows blocks and says which conditions have ended; bounded: one open episode a condition.

    A measured lead that is off has its own episodes, `lead off V1`; the other conditions list the
    leads that they touched, or none where they touched all twelve.
    """

    sampling_hz: float
    provenance: tuple[Provenance, ...]
    _open: dict[str, _Episode] = field(default_factory=dict)

    def follow(self, block: TwelveLeadBlock, onset: int) -> list[Annotation]:
        """Annotations that `block`, whose first sample lies at `onset`, brings to an end."""
        missing = np.isnan(block.ecg_mv)
        if not missing.any() and not block.quality.any():
            return self._expire(onset + block.n_samples)
        done: list[Annotation] = []
        off = (block.quality & Quality.LEAD_OFF) != 0
        gap = (block.quality & Quality.GAP) != 0
        no_signal = np.zeros_like(missing)
        for row, (lead, source) in enumerate(zip(LEADS, self.provenance, strict=True)):
            if source is Provenance.MEASURED:
                done += self._track(
                    f"lead off {lead}", (off | missing)[row : row + 1] & ~gap[row], onset, row
                )
            else:
                no_signal[row] = missing[row] & ~gap[row]
        done += self._track("no signal", no_signal, onset)
        for name, flag in _SHARED.items():
            done += self._track(name, (block.quality & flag) != 0, onset)
        return done + self._expire(onset + block.n_samples)

    def finish(self) -> list[Annotation]:
        """Annotations of every condition that still holds."""
        names = list(self._open)
        return [self._close(name) for name in names]

    def _track(
        self, name: str, mask: NDArray[np.bool_], onset: int, first_row: int = 0
    ) -> list[Annotation]:
        """Extend, begin or end the episodes of one condition by its (rows, n) mask."""
        done: list[Annotation] = []
        held = mask.any(axis=0)
        if not held.any():
            return done
        edges = np.flatnonzero(np.diff(held, prepend=False, append=False))
        merge = MERGE_S * self.sampling_hz
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            rows = np.flatnonzero(mask[:, start:stop].any(axis=1)).tolist()
            leads = sum(1 << (first_row + row) for row in rows)
            episode = self._open.get(name)
            if episode is not None and onset + start - episode.end > merge:
                done.append(self._close(name))
                episode = None
            if episode is None:
                self._open[name] = _Episode(onset + start, onset + stop, leads)
            else:
                episode.end = onset + stop
                episode.leads |= leads
        return done

    def _expire(self, now: int) -> list[Annotation]:
        """End what has not been seen for a while, and write the part so far of what lasts."""
        merge, longest = MERGE_S * self.sampling_hz, MAX_EPISODE_S * self.sampling_hz
        return [
            self._close(name)
            for name, episode in list(self._open.items())
            if now - episode.end > merge or episode.end - episode.onset >= longest
        ]

    def _close(self, name: str) -> Annotation:
        episode = self._open.pop(name)
        text = name
        if not name.startswith("lead off") and episode.leads != (1 << len(LEADS)) - 1:
            text = " ".join([name, *(x for i, x in enumerate(LEADS) if episode.leads >> i & 1)])
        return Annotation(episode.onset, episode.end - episode.onset, text)
