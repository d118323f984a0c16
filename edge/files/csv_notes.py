"""What the lines above a CSV table say of the recording, and the name of a column of sigma."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from edge.errors import InputError
from edge.files.recording import SIGMA
from edge.marker import PREFIX

_RATE_KEYS = (
    "sampling hz",
    "sampling rate",
    "sample rate",
    "samplerate",
    "sampling frequency",
    "sample frequency",
    "frequency",
    "rate",
    "fs",
    "abtastrate",
    "messrate",
)
_MARKER = f"# {PREFIX}".encode()
_START_KEYS = ("started at", "start time", "recorded date", "recording date", "start date", "start")


def sigma_column(lead: str) -> str:
    """The column with the standard deviations of `lead`, in a table of ours."""
    return f"{SIGMA.strip()}_{lead}"


def stated_rate(notes: Mapping[str, str], path: Path) -> float | None:
    """The sampling rate in Hz that the lines above the table state."""
    for key in _RATE_KEYS:
        text = notes.get(key)
        if not text:
            continue
        found = re.match(r"(\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?)\s*(k?)", text)
        rate = float(found[1].replace(",", ".")) * (1e3 if found[2] else 1.0) if found else 0.0
        if not 0 < rate < float("inf"):
            raise InputError(f"{path}: {key.replace(' ', '_')} {text[:40]!r} is no number")
        return rate
    return None


def marker_of(line: bytes) -> tuple[float, str] | None:
    """(seconds, text) of a line that is a marker of ours."""
    if not line.startswith(_MARKER):
        return None
    at_s, between, text = line[len(_MARKER) :].decode("utf-8", "replace").partition(" s: ")
    with suppress(ValueError):
        if between and math.isfinite(seconds := float(at_s)):
            return seconds, text.rstrip("\r\n")
    return None


def started_at(notes: Mapping[str, str]) -> datetime | None:
    """Time of the first sample, with its zone if the file states one; None where it says no time."""
    for key in _START_KEYS:
        text = re.sub(r"\s+([+-]\d\d:?\d\d)$", r"\1", notes.get(key, ""))
        text = re.sub(r"(:\d\d.*[+-]\d\d)(\d\d)$", r"\1:\2", text.replace("Z", "+00:00"))
        with suppress(ValueError):
            return datetime.fromisoformat(text)
    return None
