"""Where the data records of an EDF+D file lie in time: gaps in place, by the time that each record states."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.files.edf_header import header_number
from edge.files.recording import MAX_GAP_FILL_S

TOO_LONG_S = 1.0
"""What is left of a gap that is not kept in full: enough that the decoder starts anew."""
_JITTER_S = 0.005
"""Stated times are rounded; records that are less apart than this, or two samples, follow on each other."""


@dataclass(slots=True)
class Run:
    """Data records that follow on each other."""

    first_sample: int
    first_record: int
    n_records: int = 1


@dataclass(slots=True)
class EdfTimeline:
    """Runs of records on one axis of samples that begins with the first record."""

    runs: list[Run]
    n_samples: int
    warnings: list[str] = field(default_factory=list)


def annotation_texts(data: bytes) -> list[tuple[float, str]]:
    """(onset in seconds, text) of every text in the annotation signal of one data record."""
    found: list[tuple[float, str]] = []
    for timed in data.split(b"\0"):
        onset, *texts = timed.split(b"\x14")
        seconds = header_number(onset.partition(b"\x15")[0])
        if seconds is not None and onset[:1] in (b"+", b"-") and texts:
            found += [(seconds, text.decode("utf-8", "replace")) for text in texts[:-1] or texts]
    return found


def record_onset(data: bytes) -> float | None:
    """Seconds since the file's start at which this data record begins, or None if it does not say so."""
    found = annotation_texts(data)
    return found[0][0] if found and found[0][1] == "" else None


def place_records(onsets: Iterable[float | None], samples: int, sampling_hz: float) -> EdfTimeline:
    """Place records of `samples` each by the onsets that they state.

    Gaps are kept until a day of them has been; what is beyond is cut to TOO_LONG_S each, and said. A
    record that states no time, or one before the end of the record before, follows on that.
    """
    timeline = EdfTimeline([], 0)
    tolerance = max(2.0, _JITTER_S * sampling_hz)
    budget = MAX_GAP_FILL_S * sampling_hz
    shift = 0.0  # from stated times to the axis, in samples: changes where a gap is cut or time goes back
    cut_s = 0.0
    first: float | None = None
    last = -math.inf
    n_back = 0
    for number, onset in enumerate(onsets):
        if onset is None:
            gap = 0.0
        else:
            if first is None:
                first = onset
                shift = timeline.n_samples
            gap = (onset - first) * sampling_hz + shift - timeline.n_samples
        missing = 0
        if gap > tolerance:
            missing = round(gap)
            if missing > budget:
                missing = min(missing, math.ceil(TOO_LONG_S * sampling_hz))
                cut_s += (gap - missing) / sampling_hz
                shift -= gap - missing
            else:
                budget -= missing
        elif gap < -tolerance:
            n_back += 1
            if onset is not None and onset < last:  # the clock was set back; else it was rounded
                shift -= gap
        if missing or not timeline.runs:
            timeline.runs.append(Run(timeline.n_samples + missing, number))
        else:
            timeline.runs[-1].n_records += 1
        timeline.n_samples += missing + samples
        last = last if onset is None else onset
    n_gaps = len(timeline.runs) - 1
    if n_gaps:
        kept = MAX_GAP_FILL_S - budget / sampling_hz
        timeline.warnings.append(f"it has {n_gaps} gaps (EDF+D): {kept:.1f} s are missing samples")
    if cut_s:
        timeline.warnings.append(
            f"gaps of {cut_s / 3600:.1f} h in all are cut to {TOO_LONG_S:g} s each: time stands there"
        )
    if n_back:
        timeline.warnings.append(
            f"{n_back} data records state a time before the record that they follow: taken to follow on it"
        )
    return timeline
