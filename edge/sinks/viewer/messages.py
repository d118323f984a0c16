"""What goes to a browser: blocks as bytes, the state of the path as JSON. Pure.

A block, little-endian: u8 version, u8 leads, u16 samples n, u32 zero, f64 position of the first sample;
then (leads, n) int16 uV, (leads, n) uint16 uV of one sigma, (leads, n) uint8 quality bits. What is missing
is the least int16 and the greatest uint16.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.expected import KNOWN
from edge.leads import Provenance
from edge.quality import Quality
from edge.sinks.picture import Picture

VERSION = 1
HEADER = struct.Struct("<BBHId")
MISSING_ECG, MISSING_SIGMA = -(1 << 15), (1 << 16) - 1
_UV_PER_MV = 1000.0
_MOST_UV = (1 << 15) - 1
_MOST_SIGMA_UV = MISSING_SIGMA - 1
MAX_SAMPLES = 4096
"""Samples in one message; at 12 leads a quarter of a megabyte."""


def pack(
    position: int,
    ecg_mv: NDArray[np.float32],
    sigma_mv: NDArray[np.float32],
    quality: NDArray[np.uint8],
) -> Iterator[bytes]:
    """Messages of (n_leads, n) samples, each of at most MAX_SAMPLES; `position` is of the first."""
    n_leads, n = ecg_mv.shape
    ecg = in_uv(ecg_mv, -_MOST_UV, _MOST_UV, MISSING_ECG).astype("<i2")
    sigma = in_uv(sigma_mv, 0, _MOST_SIGMA_UV, MISSING_SIGMA).astype("<u2")
    for at in range(0, n, MAX_SAMPLES):
        part = slice(at, at + MAX_SAMPLES)
        head = HEADER.pack(VERSION, n_leads, min(MAX_SAMPLES, n - at), 0, position + at)
        yield head + b"".join(rows[:, part].tobytes() for rows in (ecg, sigma, quality))


def in_uv(values_mv: NDArray[np.float32], least: int, most: int, missing: int) -> NDArray[Any]:
    """Whole microvolts, `missing` where there is none."""
    uv = np.rint(np.clip(values_mv * _UV_PER_MV, least, most))
    return np.where(np.isnan(values_mv), missing, uv)


def state(
    picture: Picture,
    run: str,
    dropped: int = 0,
    markers: Sequence[tuple[int, str]] = (),
    *,
    marks: bool = False,
    patient: str = "",
) -> str:
    """What stands beside the traces, as JSON. `run` tells one start of the server from another; `markers` are
    those of late, in case a message with one was dropped; `marks`: a browser may set some; `patient` is
    a name, where there are several."""
    status, found = picture.status, picture.expected
    rows = picture.provenance or ()
    return json.dumps(
        {
            "run": run,
            "patient": patient,
            "sampling_hz": picture.sampling_hz,
            "leads": picture.leads,
            "provenance": [str(source) for source in rows],
            "seconds": picture.seconds,
            "bpm": _number(picture.bpm),
            "latency_p50_ms": _number(status.latency_p50_ms),
            "latency_p99_ms": _number(status.latency_p99_ms),
            "samples_lost": status.samples_lost,
            "gaps": status.gaps,
            "deadline_misses": status.deadline_misses,
            "reconnects": status.reconnects,
            "off": _off(picture),
            "in_outage": status.in_outage,
            "battery_percent": status.battery_percent,
            "device": picture.device,
            "device_hz": status.device_hz,
            "engine": status.engine,
            "calibration": picture.calibration,
            "simulated": picture.simulated,
            "warnings": status.warnings,
            "recording": [PurePath(name).name for name in status.recording],
            "expected": None if found is None else found.in_words(),
            "word": "" if found is None else found.word,
            "by_lead": {}
            if found is None
            else {
                lead: f"{found.of_lead(lead)}: {found.word_of(lead)}"
                for lead in picture.leads
                if found.word_of(lead) != KNOWN
            },
            "dropped": dropped,
            "markers": markers,
            "marks": marks,
        }
    )


def _off(picture: Picture) -> list[str]:
    """Measured leads whose electrodes are off."""
    rows = picture.provenance
    if rows is None:
        return []
    return [
        lead
        for row, (lead, source) in enumerate(zip(picture.leads, rows, strict=True))
        if source is Provenance.MEASURED and picture.trouble(row) & Quality.LEAD_OFF
    ]


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return round(value, 3) if isfinite(value) else None
