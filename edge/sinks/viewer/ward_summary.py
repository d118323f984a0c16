"""What the ward page is told of many patients: traces at the resolution of a small picture, and words. Pure.

Traces, little-endian: u8 version, u8 leads, u16 patients, u32 zero; then for each patient u32 number,
u16 columns n, u16 zero, f64 the first column; (leads, n) int16 uV least, (leads, n) int16 uV greatest,
(leads, n) uint8 quality bits. A column is a 32nd of a second, counted from the first sample; what is missing
is the least int16.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.leads import LEADS, Provenance
from edge.quality import Quality
from edge.sinks.picture import RECENT_S, Picture
from edge.sinks.viewer.messages import MISSING_ECG, in_uv
from firmware_bridge.lead_names import lead_of

LEADS_SHOWN = ("II", "V1")
"""Unless a page asks for others."""
MOST_LEADS = 2
"""In one small picture."""
COLUMNS_HZ = 32.0
"""6 s across 190 pixels: more cannot be seen in a small picture."""
STALE_S = 3.0
"""Without a sample for so long a patient needs attention; a device sends every 0.24 s at the slowest."""
ANEW_S = 10.0
"""Whoever began anew needs attention for so long: the filters settle, and what came before may be missing."""
MOST_NAME, MOST_WORDS = 64, 120
VERSION = 1
HEAD, ONE = struct.Struct("<BBHI"), struct.Struct("<IHHd")
_MOST_UV = -MISSING_ECG - 1


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The least and the greatest value of each column, and the quality bits in it."""

    first: int
    low_uv: NDArray[np.int16]
    """(leads, n) int16 uV."""
    high_uv: NDArray[np.int16]
    quality: NDArray[np.uint8]

    @property
    def end(self) -> int:
        """The column after the last."""
        return self.first + int(self.low_uv.shape[1])

    def of(self, rows: Sequence[int]) -> Columns:
        """Those of some leads."""
        at = list(rows)
        return Columns(self.first, self.low_uv[at], self.high_uv[at], self.quality[at])


def leads_asked(text: str) -> tuple[str, ...]:
    """The leads that an address asks for, as in `V5,II`, each once; LEADS_SHOWN where it names none."""
    found = dict.fromkeys(lead_of(name) for name in text[:MOST_WORDS].split(","))
    return tuple(name for name in found if name in LEADS)[:MOST_LEADS] or LEADS_SHOWN


def start_of(column: int, sampling_hz: float) -> int:
    """The first sample of a column."""
    return ceil(column * sampling_hz / COLUMNS_HZ)


def columns(
    first: int, ecg_mv: NDArray[np.float32], quality: NDArray[np.uint8], sampling_hz: float
) -> Columns:
    """The columns that lie wholly in (leads, n) samples, of which the first is at position `first`.

    They do not depend on how the stream is cut.
    """
    leads, n = ecg_mv.shape
    begin = floor(first * COLUMNS_HZ / sampling_hz)
    begin += start_of(begin, sampling_hz) < first
    end = floor((first + n) * COLUMNS_HZ / sampling_hz)
    starts = [start_of(column, sampling_hz) - first for column in range(begin, end + 1)]
    if len(starts) < 2:
        none = np.zeros((leads, 0), np.int16)
        return Columns(begin, none, none, none.astype(np.uint8))
    whole, at = slice(0, starts[-1]), starts[:-1]
    low = np.fmin.reduceat(ecg_mv[:, whole], at, axis=1)
    high = np.fmax.reduceat(ecg_mv[:, whole], at, axis=1)
    bits = np.bitwise_or.reduceat(quality[:, whole], at, axis=1)
    return Columns(begin, _int16(low), _int16(high), bits)


def _int16(values_mv: NDArray[np.float32]) -> NDArray[np.int16]:
    return in_uv(values_mv, -_MOST_UV, _MOST_UV, MISSING_ECG).astype("<i2")


def pack_columns(found: Sequence[tuple[int, Columns]]) -> bytes:
    """One message of (number of the patient, columns), all of the same leads."""
    n_leads = len(found[0][1].low_uv) if found else 0
    parts = [HEAD.pack(VERSION, n_leads, len(found), 0)]
    for number, one in found:
        parts.append(ONE.pack(number, one.low_uv.shape[1], 0, one.first))
        parts += [one.low_uv.tobytes(), one.high_uv.tobytes(), one.quality.tobytes()]
    return b"".join(parts)


def patient_state(
    number: int, name: str, picture: Picture, silent_s: float, *, anew: bool = False
) -> dict[str, Any]:
    """What stands beside the traces of one patient, for JSON; `silent_s` since the last sample, `anew`: the
    stream or the decoder began anew. `sources` are those of all leads."""
    status = picture.status
    recent = np.bitwise_or.reduce(
        picture.quality[:, -max(1, round(RECENT_S * picture.sampling_hz)) :], axis=1, initial=0
    )
    live = silent_s < STALE_S and not status.in_outage and picture.provenance is not None
    return {
        "number": number,
        "name": name,
        "bpm": round(picture.bpm) if live and isfinite(picture.bpm) else None,
        "attention": attention(picture, recent, silent_s, anew=anew),
        "words": words(picture, recent) if live else [],
        "link": _link(picture),
        "device": bounded(picture.device, MOST_WORDS),
        "calibration": bounded(picture.calibration, MOST_WORDS),
        "simulated": picture.simulated,
        "sources": [str(source) for source in picture.provenance or ()],
    }


def attention(
    picture: Picture, recent: NDArray[np.uint8], silent_s: float, *, anew: bool = False
) -> list[str]:
    """Why somebody should look at this patient, the most important first; `recent` bits of each lead."""
    found = []
    if picture.status.in_outage:
        found.append("LINK LOST")
    if picture.provenance is None:
        return found if found or silent_s < STALE_S else ["NO SAMPLES"]
    if silent_s >= STALE_S:
        return found or ["STALE"]  # what was wrong before says nothing of now
    measured = _measured(picture)
    off = [picture.leads[row] for row in measured if recent[row] & Quality.LEAD_OFF]
    if off:
        found.append(f"LEAD OFF {', '.join(off)}")
    if any(recent[row] & Quality.GAP for row in measured):
        found.append("GAP")
    if np.any(recent & Quality.MISPLACED):
        found.append("MISPLACED")
    if anew:
        found.append("BEGAN ANEW")
    return found


def words(picture: Picture, recent: NDArray[np.uint8]) -> list[str]:
    """What else is known of the measured leads over the last second."""
    measured = _measured(picture)
    said = (
        (Quality.CLIPPED, "clipped"),
        (Quality.NOISY, "noisy"),
        (Quality.SETTLING, "settling"),
        (Quality.INTERPOLATED, "filled in"),
    )
    found = [word for bit, word in said if any(recent[row] & bit for row in measured)]
    return found or ([] if attention(picture, recent, 0.0) else ["clean"])


def bounded(text: str, most: int) -> str:
    """A text from elsewhere in one line of at most `most` characters, without those that cannot be seen."""
    seen = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return seen if len(seen) <= most else f"{seen[: most - 1]}\u2026"


def _measured(picture: Picture) -> list[int]:
    rows = enumerate(picture.provenance or ())
    return [row for row, source in rows if source is Provenance.MEASURED]


def _link(picture: Picture) -> str:
    status = picture.status
    if status.in_outage:
        return "link lost"
    return f"link up, lost {status.samples_lost}, gaps {status.gaps}"
