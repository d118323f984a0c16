"""What the readers of all formats share: an open recording, and what the caller may say about a file."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError, MissingLeadsError
from edge.files.csv_times import is_count_label, is_time_label
from edge.marker import Marker
from firmware_bridge.closing import Closing
from firmware_bridge.lead_names import (
    MV_PER_UNIT,
    is_eeg,
    lead_of,
    leads_of,
    split_unit,
    unit_named,
)


@dataclass(frozen=True)
class ReadOptions:
    """What the caller says about a file, where the file does not say it or says it wrongly."""

    leads: Sequence[str] | Mapping[str, str] | None = None
    """Leads to read, in order; or lead -> label of the signal or column that it is; None for all found."""
    sampling_hz: float | None = None
    """Sampling rate, for a file that states none; it must not contradict the file."""
    unit: str | None = None
    """Unit of the values (`uV`), for a file that states none."""


class Record(Closing, ABC):
    """An open recording; a context manager. A format adds how its samples are read."""

    warnings: tuple[str, ...] = ()
    """What the user must know: what was assumed, left out or repaired, one line each."""
    started_at: datetime | None = None
    """Time of the first sample, where the file says it."""
    simulated: bool = False
    """The file says that its signal is simulated."""
    device: str = ""
    """The device that recorded it, where the file says it."""
    mv_per_value: float | None = 1.0
    """Millivolts in the unit that the values were read in; None where the leads have several units."""
    of_recording: bool = False
    """leadlift made it of another recording, and can make it again."""
    provenance: tuple[str, ...] = ()
    """Where each of `leads` comes from, in the words of `edge.Provenance`; empty where nobody says it."""
    calibration: str = ""
    """The patient calibration that was applied, where the file says one."""
    model: str = ""
    """Name and hash of the model that made its leads, where the file says it."""
    prefilter: str = ""
    """Filters that were applied, in EDF's words, in a file of ours."""

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

    def read_sigma(self, start: int, stop: int) -> NDArray[np.float32] | None:
        """Standard deviations of the same shape as `read`, mV; None where the file holds none."""
        return None

    def read_quality(self, start: int, stop: int) -> NDArray[np.uint8] | None:
        """`edge.Quality` bits of the same shape as `read`; None where the file holds none.

        A file that has them for all leads together gives each lead the same ones.
        """
        return None

    def read_markers(self) -> list[Marker]:
        """What was noted, in the order of time, at samples of this recording; some may lie outside it.

        Of a file that others made: its annotations. Reads the whole file where the format demands it.
        """
        return []

    @abstractmethod
    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        """As `read`, for a range that lies inside and is not empty."""

    def close(self) -> None:
        """Close the file; a second call does nothing."""


def printable(text: str) -> str:
    """`text` of a file as one line that a terminal can show."""
    return "".join(c if c.isprintable() else "?" for c in text)


def mv_per(unit: str, path: Path | str) -> float:
    """Millivolts per `unit`. Raises InputError for one that is no voltage."""
    name = unit_named(unit)
    if name is None:
        raise InputError(f"{path}: unit {unit!r} is no voltage: use mV or uV, or give --unit")
    return MV_PER_UNIT[name]


def one_unit(mv: Sequence[float]) -> float | None:
    """The unit, in mV, that all leads have; None for several."""
    return float(mv[0]) if len(set(mv)) == 1 else None


def reconstructed(names: Sequence[str], sources: Sequence[str]) -> list[str]:
    """What to say of a file of ours in which some of the leads read are estimates; nothing, else."""
    made = [name for name, source in zip(names, sources, strict=True) if "reconstructed" in source]
    if not made:
        return []
    return [f"{', '.join(made)} in it: reconstructed by leadlift, not measured"]


def unit_of(label: str) -> str | None:
    """The unit that a column's name ends in, as in `II (uV)` or `V1_mV`, or None."""
    return split_unit(label)[1]


def unit_mv(
    stated: str, label: str, options: ReadOptions, where: str, warnings: list[str]
) -> float:
    """Millivolts per unit of one signal: what the caller says counts, then the file, then the label.

    Raises InputError for a unit that is no voltage, or none at all.
    """
    in_file = stated.strip() or unit_of(label) or ""
    if options.unit is None:
        if not in_file:
            raise InputError(f"{where} ({label!r}) states no unit: give --unit, as in --unit mV")
        return mv_per(in_file, where)
    mv = mv_per(options.unit, "--unit")
    if in_file and unit_named(in_file) != unit_named(options.unit):
        text = f"the file says {in_file!r}, read in {options.unit} as you say"
        if text not in warnings:
            warnings.append(text)
    return mv


def rate_of(stated: float | None, options: ReadOptions, where: str | Path) -> float:
    """The sampling rate in Hz that a file states, or what the caller says where it states none.

    Raises InputError without either, and for a caller who contradicts the file.
    """
    given = options.sampling_hz
    if stated is None:
        if given is None:
            raise InputError(f"{where} does not state its sampling rate: give --rate")
        return given
    if given is not None and not abs(given - stated) <= 0.01 * stated:
        raise InputError(f"{where} is sampled at {stated:g} Hz, not {given:g}: leave out --rate")
    return stated


def pick_leads(
    labels: Sequence[str],
    wanted: Sequence[str] | Mapping[str, str] | None,
    path: Path,
    warnings: list[str] | None = None,
) -> tuple[tuple[str, ...], list[int]]:
    """(names, positions in `labels`) of the `wanted` leads, or of all; the first of a name counts.

    A mapping gives each lead the label of its signal, or its place: `#3` is the third. Where a name or a
    label is there twice, `warnings` gets which one was taken. Raises InputError naming what the file has
    and what is missing.
    """
    said = [] if warnings is None else warnings
    named = leads_of(labels)
    if isinstance(wanted, Mapping):
        picks = {lead: _labelled(labels, named, label) for lead, label in wanted.items()}
        missing = [
            lead if wanted[lead] == lead else f"{wanted[lead]!r} for {lead}"
            for lead, places in picks.items()
            if not places
        ]
    else:
        names = dict.fromkeys(name for name in named if name) if wanted is None else wanted
        picks = {name: [i for i, lead in enumerate(named) if lead == name] for name in names}
        missing = [name for name, places in picks.items() if not places]
    if missing or not picks:
        raise _missing(labels, named, missing, tuple(picks), path)
    for lead, places in picks.items():
        if len(places) > 1:
            others = [f"{x}=#{p[x == lead] + 1}" for x, p in picks.items()]
            both = " and ".join(f"#{i + 1} ({labels[i].strip()!r})" for i in places[:4])
            said.append(
                f"{lead} is there {len(places)} times, {both}: the first is taken; "
                f"--leads {','.join(others)} takes the other"
            )
    positions = [places[0] for places in picks.values()]
    if len(set(positions)) < len(positions):
        raise InputError(f"{path}: --leads gives one signal to two leads: {', '.join(picks)}")
    return tuple(picks), positions


def _labelled(labels: Sequence[str], named: Sequence[str | None], label: str) -> list[int]:
    """Places of the signals that a caller's `label` means: by place, by label, or by the lead it names."""
    if label.startswith("#") and label[1:].isdecimal():
        return [int(label[1:]) - 1] if 1 <= int(label[1:]) <= len(labels) else []
    for same in (str, str.strip, lambda text: " ".join(text.split()).casefold()):
        found = [i for i, one in enumerate(labels) if same(one) == same(label)]
        if found:
            return found
    lead = lead_of(label)
    return [i for i, name in enumerate(named) if name is not None and name == lead]


def _missing(
    labels: Sequence[str],
    named: Sequence[str | None],
    missing: Sequence[str],
    wanted: Sequence[str],
    path: Path,
) -> MissingLeadsError:
    """What a file lacks, with a --leads that can be tried as it stands."""
    has = printable(", ".join(label.strip() or "''" for label in labels[:24])) or "nothing"
    more = f" and {len(labels) - 24} more" if len(labels) > 24 else ""
    eeg = [
        label.strip()
        for label, name in zip(labels, named, strict=True)
        if name is None and lead_of(label)
    ]
    beside = f" ({', '.join(eeg)} beside EEG signals are no chest leads)" if eeg else ""
    free = [
        i
        for i, (x, name) in enumerate(zip(labels, named, strict=True))
        if not (name or is_eeg(x) or is_time_label(x) or is_count_label(x))
    ]
    ecg = [i for i in free if re.search("e[ck]g", labels[i], re.I)]
    there = [lead for lead in wanted if lead in named]
    lacks = ", ".join(missing) if missing else "any ECG lead"
    what = f"{path} lacks {lacks}: it has {has}{more}{beside}"
    if missing and there and not free:
        without = f"--leads {','.join(there)} does without"
        return MissingLeadsError(what, without, has_others=True)
    blank = [
        i for i, x in enumerate(labels) if not x.strip()
    ]  # the last: it may be a table's index
    signals_left = (_signal(labels, i) for i in dict.fromkeys([*ecg, *free, *blank]))
    entries = []
    for lead in wanted or ("II",):
        if lead in there:
            entries.append(lead)
        elif (signal := next(signals_left, None if entries else "'CH1'")) is not None:
            entries.append(f"{lead}={signal}")
    name_them = f'name its leads with --leads, as in --leads "{",".join(entries)}"'
    return MissingLeadsError(what, name_them, has_others=False)


def _signal(labels: Sequence[str], place: int) -> str:
    """How `--leads` names a signal: by its label, or by its place where that does not tell it from others."""
    label = labels[place].strip()
    others = (one.strip() for i, one in enumerate(labels) if i != place)
    if not label or label.startswith("#") or label != printable(label) or label in others:
        return f"#{place + 1}"
    quoted = label.replace("'", "''")
    return f"'{quoted}'"
