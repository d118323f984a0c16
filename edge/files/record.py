"""What the readers of all formats share: an open recording, and what the caller may say about a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from firmware_bridge.lead_names import MV_PER_UNIT, lead_of, split_unit, unit_named


@dataclass(frozen=True)
class ReadOptions:
    """What the caller says about a file, where the file does not say it or says it wrongly."""

    leads: Sequence[str] | Mapping[str, str] | None = None
    """Leads to read, in order; or lead -> label of the signal or column that it is; None for all found."""
    sampling_hz: float | None = None
    """Sampling rate, for a file that states none; it must not contradict the file."""
    unit: str | None = None
    """Unit of the values (`uV`), for a file that states none."""


class Record(ABC):
    """An open recording; a context manager. A format adds how its samples are read."""

    warnings: tuple[str, ...] = ()
    """What the user must know: what was assumed, left out or repaired, one line each."""
    started_at: datetime | None = None
    """Time of the first sample, where the file says it."""
    simulated: bool = False
    """The file says that its signal is simulated."""
    device: str = ""
    """The device that recorded it, where the file says it."""

    def __init__(
        self, path: Path, leads: Sequence[str], sampling_hz: float, n_samples: int
    ) -> None:
        if not (np.isfinite(sampling_hz) and sampling_hz > 0):
            raise InputError(f"{path}: sampling rate {sampling_hz} Hz cannot be: correct the file")
        if n_samples <= 0:
            raise InputError(f"{path} holds no samples: nothing to reconstruct")
        self.path = path
        self.leads = tuple(leads)
        """Names of the rows that `read` returns, as in `edge.LEADS`."""
        self.sampling_hz = float(sampling_hz)
        self.n_samples = int(n_samples)
        """Samples per lead."""

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) of every lead, (n_leads, stop - start) float32 mV.

        Raises InputError where the file turns out to be damaged, or the range lies outside it.
        """
        if not 0 <= start <= stop <= self.n_samples:
            raise InputError(
                f"samples {start}..{stop} of {self.path}: it has {self.n_samples} samples a lead"
            )
        if start == stop:
            return np.empty((len(self.leads), 0), np.float32)
        return self._read(start, stop)

    @abstractmethod
    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        """As `read`, for a range that lies inside and is not empty."""

    def close(self) -> None:  # noqa: B027 - a format without an open file has nothing to close
        """Close the file; a second call does nothing."""

    def __enter__(self) -> Record:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def mv_per(unit: str, path: Path) -> float:
    """Millivolts per `unit`. Raises InputError for one that is no voltage."""
    name = unit_named(unit)
    if name is None:
        raise InputError(f"{path}: unit {unit!r} is no voltage: use mV or uV, or give --unit")
    return MV_PER_UNIT[name]


def unit_of(label: str) -> str | None:
    """The unit that a column's name ends in, as in `II (uV)` or `V1_mV`, or None."""
    return split_unit(label)[1]


def pick_leads(
    labels: Sequence[str],
    wanted: Sequence[str] | Mapping[str, str] | None,
    path: Path,
) -> tuple[tuple[str, ...], list[int]]:
    """(names, positions in `labels`) of the `wanted` leads, or of all; the first of a name counts.

    Raises InputError naming what the file has and what is missing.
    """
    found: dict[str, int] = {}
    for position, label in enumerate(labels):
        lead = lead_of(label)
        if lead is not None:
            found.setdefault(lead, position)
    names = tuple(found) if wanted is None else tuple(wanted)
    missing = [name for name in names if name not in found]
    if missing or not names:
        needed = ", ".join(missing) if missing else "any ECG lead"
        has = ", ".join(str(label).strip() for label in labels[:24]) or "nothing"
        raise InputError(f"{path} lacks {needed}: it has {has}; name its leads with --leads")
    return names, [found[name] for name in names]
