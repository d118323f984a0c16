"""What a live view shows: the last seconds of every lead and the state of the path. No drawing, no clock.

`push` costs a copy. `snapshot` may be called from any thread, by any number of screens: it takes nothing
away that another screen still needs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.expected import Card, Expected
from edge.files.recording import Metadata, MetadataSource, Timeline
from edge.leads import LEADS, Provenance
from edge.marker import BEGAN_ANEW
from edge.quality import Quality
from edge.samples import SampleBlock, TwelveLeadBlock
from edge.signal.heart_rate import HeartRate
from edge.sinks.base import LiveStatus

SECONDS = 20.0  # kept for drawing: what the slowest sweep of a terminal shows
MOST_MARKERS = 1000
RECENT_S = 1.0  # quality and sigma stand beside a lead for so long that they can be read
_LEAST_HEART_HZ = 60.0  # below it `HeartRate` cannot see a QRS complex


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """All that a screen shows at one moment."""

    leads: tuple[str, ...]
    sampling_hz: float
    ecg_mv: NDArray[np.float32]
    """(n_leads, n) float32 mV, oldest first; NaN where nothing was measured."""
    sigma_mv: NDArray[np.float32]
    """(n_leads, n) float32 mV, one standard deviation; 0 where measured."""
    quality: NDArray[np.uint8]
    """(n_leads, n) uint8, `edge.Quality` bits."""
    end: int
    """Position just after the newest sample, in samples since the first one; the first shown is end - n."""
    provenance: tuple[Provenance, ...] | None = None
    """Where each lead comes from; None before the first block."""
    bpm: float = float("nan")
    """Heart rate; NaN where there is no rhythm."""
    status: LiveStatus = field(default_factory=LiveStatus)
    device: str = ""
    calibration: str = ""
    """The patient calibration that is applied; empty for none."""
    simulated: bool = False
    card: Card | None = None
    """What the decoder is expected to give of each set of leads; None where that is not known."""
    markers: tuple[tuple[int, str], ...] = ()
    """(position as `end` counts, text) of what was noted, in the order of time; those before the first sample
    shown are left out."""
    notes: tuple[str, ...] = ()
    """What else the source of the picture wants shown, the most important first."""

    @property
    def seconds(self) -> float:
        """Since the first sample."""
        return self.end / self.sampling_hz

    @property
    def expected(self) -> Expected | None:
        """What the measured leads that are on are expected to give; None where that is not known."""
        if self.card is None or self.provenance is None:
            return None
        rows = enumerate(zip(self.leads, self.provenance, strict=True))
        return self.card.of(
            [
                lead
                for row, (lead, source) in rows
                if source is Provenance.MEASURED and not self.trouble(row) & Quality.LEAD_OFF
            ]
        )

    def trouble(self, lead: int) -> Quality:
        """Quality bits of a lead over the last RECENT_S."""
        recent = self.quality[lead, -max(1, round(RECENT_S * self.sampling_hz)) :]
        return Quality(int(np.bitwise_or.reduce(recent, initial=0)))

    def recent_sigma_mv(self, lead: int) -> float:
        """Mean standard deviation of a lead over the last RECENT_S; NaN where it is missing."""
        recent = self.sigma_mv[lead, -max(1, round(RECENT_S * self.sampling_hz)) :]
        seen = recent[np.isfinite(recent)]
        return float(seen.mean()) if len(seen) else float("nan")


class LivePicture:
    """Follows blocks and says at any moment what a screen should show. Memory is constant."""

    def __init__(
        self,
        sampling_hz: float,
        metadata: MetadataSource | None = None,
        status: Callable[[], LiveStatus] | None = None,
        *,
        leads: Sequence[str] = LEADS,
        seconds: float = SECONDS,
    ) -> None:
        """Keep the last `seconds` of `leads`, the rows of the blocks to come.

        `status` is asked for the state of the live path at each snapshot; `metadata`, if it is to be asked,
        when the first block comes.
        """
        self.leads = tuple(leads)
        self.sampling_hz = sampling_hz
        self._status = status or LiveStatus
        self._ask = metadata if callable(metadata) else None
        self._metadata = metadata if isinstance(metadata, Metadata) else Metadata()
        n = max(1, round(seconds * sampling_hz))
        # Sample i lies in column i modulo n.
        self._ecg_mv = np.full((len(self.leads), n), np.nan, np.float32)
        self._sigma_mv = self._ecg_mv.copy()
        self._quality = np.full((len(self.leads), n), Quality.GAP, np.uint8)
        self._end = 0
        self._anew: int | None = None  # the position from which on stream or decoder began anew
        self._provenance: tuple[Provenance, ...] | None = None
        self._timeline = Timeline(sampling_hz)
        self._markers: deque[tuple[int, str]] = deque(maxlen=MOST_MARKERS)
        self._lock = threading.Lock()
        self._rate_lock = threading.Lock()  # `push` never waits for a heart rate
        self._rate_end = 0  # samples that the heart rate has seen
        self._rate_row = self.leads.index("II") if "II" in self.leads else 0
        sees_beats = bool(self.leads) and sampling_hz >= _LEAST_HEART_HZ
        self._heart_rate = HeartRate(sampling_hz) if sees_beats else None

    def push(self, block: TwelveLeadBlock | SampleBlock) -> None:
        """Take the next block, one row for each of `leads`. A jump of `first_sample` is a gap.

        Raises InputError for a block with another number of rows.
        """
        if len(block.ecg_mv) != len(self.leads):
            raise InputError(
                f"a block of {len(block.ecg_mv)} leads for a picture of {len(self.leads)}"
            )
        quality = block.quality
        if isinstance(block, TwelveLeadBlock):
            sigma_mv: NDArray[np.float32] | float = block.sigma_mv
            provenance = block.provenance
        else:  # as measured: a missing value that is no gap is a lead that is off
            off = np.isnan(block.ecg_mv) & (quality & Quality.GAP == 0)
            quality = quality | off * np.uint8(Quality.LEAD_OFF)
            sigma_mv = 0.0
            provenance = (Provenance.MEASURED,) * len(self.leads)
        if self._ask is not None:
            self._metadata, self._ask = self._ask(), None
        with self._lock:
            missing, anew = self._timeline.place(block)
            self._store(np.nan, np.nan, Quality.GAP, missing)
            self._store(block.ecg_mv, sigma_mv, quality, block.n_samples)
            self._provenance = provenance
            if isinstance(block, TwelveLeadBlock):
                for one in block.markers:
                    self._markers.append((self._timeline.position_of(one.sample), one.text))
                anew = anew or any(one.text == BEGAN_ANEW for one in block.markers)
            if anew:
                self._anew = self._end - block.n_samples

    def _store(
        self,
        ecg_mv: NDArray[np.float32] | float,
        sigma_mv: NDArray[np.float32] | float,
        quality: NDArray[np.uint8] | int,
        n: int,
    ) -> None:
        self._end += n
        n = min(n, self._ecg_mv.shape[1])
        at = np.arange(self._end - n, self._end) % self._ecg_mv.shape[1]
        for ring, values in (
            (self._ecg_mv, ecg_mv),
            (self._sigma_mv, sigma_mv),
            (self._quality, quality),
        ):
            newest = values[:, values.shape[1] - n :] if isinstance(values, np.ndarray) else values
            ring[:, at] = newest

    def snapshot(self, seconds: float = SECONDS, notes: Sequence[str] = ()) -> Picture:
        """What a screen shows now, with at most the last `seconds` of signal that are kept."""
        with self._lock:
            n = min(round(seconds * self.sampling_hz), self._ecg_mv.shape[1], self._end)
            at = np.arange(self._end - n, self._end) % self._ecg_mv.shape[1]
            ecg_mv, sigma_mv = self._ecg_mv[:, at], self._sigma_mv[:, at]
            quality, end, provenance = self._quality[:, at], self._end, self._provenance
            markers = sorted(one for one in self._markers if one[0] >= end - n)
        status = self._status()
        return Picture(
            leads=self.leads,
            sampling_hz=self.sampling_hz,
            ecg_mv=ecg_mv,
            sigma_mv=sigma_mv,
            quality=quality,
            end=end,
            provenance=provenance,
            bpm=self._bpm(),
            status=status,
            device=status.device or self._metadata.device,
            calibration=self._metadata.calibration,
            simulated=self._metadata.simulated or status.simulated,
            card=self._metadata.card,
            markers=tuple(markers),
            notes=tuple(notes),
        )

    @property
    def end(self) -> int:
        """Position just after the newest sample."""
        return self._end

    def since(
        self, position: int, rows: Sequence[int]
    ) -> tuple[int, NDArray[np.float32], NDArray[np.uint8]]:
        """(position of the first, mV, quality bits) of some rows, from `position` on or what is kept."""
        with self._lock:
            first = min(max(position, self._end - self._ecg_mv.shape[1], 0), self._end)
            at = np.arange(first, self._end) % self._ecg_mv.shape[1]
            picked = np.asarray(rows, np.intp)[:, None], at
            return first, self._ecg_mv[picked], self._quality[picked]

    def markers(self, seconds: float) -> list[tuple[int, str]]:
        """(position, text) of what was noted in the last `seconds` of signal, in the order of time."""
        with self._lock:
            first = self._end - seconds * self.sampling_hz
            return sorted(one for one in self._markers if one[0] >= first)

    def began_anew(self, seconds: float) -> bool:
        """Whether the stream, or the decoder, began anew in the last `seconds` of signal."""
        with self._lock:
            return self._anew is not None and self._end - self._anew <= seconds * self.sampling_hz

    def _bpm(self) -> float:
        """The heart rate up to now, from what came since the last snapshot."""
        if self._heart_rate is None:
            return float("nan")
        with self._rate_lock:
            with self._lock:
                n = self._end - self._rate_end
                kept = min(n, self._ecg_mv.shape[1])
                at = np.arange(self._end - kept, self._end) % self._ecg_mv.shape[1]
                lead_mv = self._ecg_mv[self._rate_row, at]
                self._rate_end = self._end
            if kept < n:  # nobody looked for longer than is kept
                self._heart_rate.reset()
            self._heart_rate.push(lead_mv)
            return self._heart_rate.bpm
