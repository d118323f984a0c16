"""The state of the live path in words, the most important first: what a narrow screen drops is at the end."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan
from pathlib import PurePath
from typing import NamedTuple

from edge.expected import EXPECTS, POOR, ROUGH
from edge.leads import Provenance
from edge.quality import Quality
from edge.sinks.picture import Picture

Span = tuple[str, str]
"""(text, rich style)"""
Line = list[Span]

DISCLAIMER = "research use only, not a medical device"
OUTAGE = "LINK LOST, waiting for the device"
SIMULATED = "SIMULATED SIGNAL"
_ALARM = "bold white on red"
_NAME_WIDTH = 28  # of a recording's name; the end of it tells recordings apart
_WARNING = "WARNING "
_LONG = (_WARNING, EXPECTS)
_STYLE_OF_WORD = {ROUGH: "yellow", POOR: "bold red"}
_MARKER_WIDTH = 20
_WARNING_WIDTH = 40  # of the text of a warning on a narrow screen
_GAP = 2  # blanks between two items


class Item(NamedTuple):
    """A fact for the screen."""

    text: str
    style: str = ""
    short: str = ""
    """What a narrow screen shows instead; empty for `text`."""


def items(picture: Picture, *, frozen: bool = False) -> list[Item]:
    """What a person must know beside the traces, the most important first."""
    status = picture.status
    facts: list[Item] = []
    if status.in_outage:
        facts.append(Item(OUTAGE, _ALARM, "LINK LOST"))
    if status.recording:
        facts.append(_recording(status.recording))
    if frozen:
        facts.append(Item("FROZEN", "bold black on cyan"))
    if picture.simulated:
        facts.append(Item(SIMULATED, "bold black on yellow", "SIMULATED"))
    facts.append(Item(DISCLAIMER, "", "research use only"))
    facts += _trouble(picture)
    facts += [_warning(text) for text in reversed(status.warnings)]
    if (found := picture.expected) is not None:
        short = f"{found.word}: {found.figures()}" if found.unknown else ""
        facts.append(Item(found.in_words(), _STYLE_OF_WORD.get(found.word, ""), short))
    if picture.markers:
        facts.append(_last_marker(picture))
    if picture.provenance is None:
        facts.append(Item("waiting for samples", "yellow"))
    facts.append(Item("HR -- bpm" if isnan(picture.bpm) else f"HR {picture.bpm:.0f} bpm", "bold"))
    lost = "bold red" if status.samples_lost or status.gaps else ""
    facts.append(Item(f"lost {status.samples_lost}  gaps {status.gaps}", lost))
    if isfinite(status.latency_p50_ms):
        p50, p99 = status.latency_p50_ms, status.latency_p99_ms
        facts.append(Item(f"latency {p50:.1f}/{p99:.1f} ms p50/p99", "", f"{p50:.1f}/{p99:.1f} ms"))
    if status.battery_percent is not None:
        facts.append(Item(f"battery {status.battery_percent} %"))
    facts.append(Item(f"{picture.seconds:.0f} s"))
    if status.reconnects:
        facts.append(Item(f"reconnects {status.reconnects}"))
    if status.deadline_misses:
        facts.append(Item(f"late {status.deadline_misses}"))
    if picture.calibration:
        facts.append(Item(f"fitted to the patient: {picture.calibration}", "", "fitted"))
    facts += [Item(note) for note in picture.notes]
    engine = status.engine and f"engine {status.engine}"
    facts += [Item(text) for text in (picture.device, engine) if text]
    return facts


def status_line(picture: Picture, width: int | None = None) -> str:
    """The state of the live path in one line of plain text, without the disclaimer.

    Where it must not be wider than `width`, the least important is left out. Long warnings, and what is
    expected, are shortened: stderr has them in full.
    """
    facts = [item for item in items(picture) if item.text != DISCLAIMER]
    if width is None:
        shown = (item.short if item.text.startswith(_LONG) else item.text for item in facts)
        return (" " * _GAP).join(shown)
    return "".join(text for line in flow(facts, width, 1) for text, _ in line)


def _warning(text: str) -> Item:
    short = text if len(text) <= _WARNING_WIDTH else text[: _WARNING_WIDTH - 3] + "..."
    return Item(f"{_WARNING}{text}", "bold yellow", f"{_WARNING}{short}")


def _last_marker(picture: Picture) -> Item:
    at, text = picture.markers[-1]
    ago = f"marker {(picture.end - at) / picture.sampling_hz:.0f} s ago"
    short = text if len(text) <= _MARKER_WIDTH else text[: _MARKER_WIDTH - 3] + "..."
    return Item(f"{ago}: {text}", "bold blue", f"{ago}: {short}")


def _recording(names: Sequence[str]) -> Item:
    first = PurePath(names[0]).name
    if len(first) > _NAME_WIDTH:
        first = "..." + first[3 - _NAME_WIDTH :]
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return Item(f"REC {first}{more}", _ALARM, "REC")


def _trouble(picture: Picture) -> list[Item]:
    """Electrodes that are off and gaps, in the leads that are measured."""
    found: list[Item] = []
    measured = [
        row for row, source in enumerate(picture.provenance or ()) if source is Provenance.MEASURED
    ]
    trouble = {row: picture.trouble(row) for row in measured}
    off = [picture.leads[row] for row in measured if trouble[row] & Quality.LEAD_OFF]
    if off:
        found.append(Item(f"LEAD OFF {','.join(off)}", "bold red"))
    if any(trouble[row] & Quality.GAP for row in measured):
        found.append(Item("GAP", "bold red"))
    return found


def flow(facts: Sequence[Item], width: int, n_lines: int) -> list[Line]:
    """The items in at most `n_lines` lines of `width` characters; those that do not fit are left out.

    What stands first is left out last, and is the first to have its full text where there is room.
    """
    spans = [(item.short or item.text, item.style) for item in facts]
    lines, kept = _placed(spans, width, n_lines)
    spans = [spans[i] for i in kept]
    for i, item in enumerate(facts[i] for i in kept):
        longer = [*spans[:i], (item.text, item.style), *spans[i + 1 :]]
        tried, fitting = _placed(longer, width, n_lines)
        if len(fitting) == len(spans) and len(item.text) <= width:
            spans, lines = longer, tried
    return lines


def _placed(spans: Sequence[Span], width: int, n_lines: int) -> tuple[list[Line], list[int]]:
    """Each span in the first line with room; the lines, and which spans are in them."""
    lines: list[Line] = []
    used: list[int] = []
    kept: list[int] = []
    for i, (text, style) in enumerate(spans):
        room = (at for at, taken in enumerate(used) if taken + _GAP + len(text) <= width)
        at = next(room, None)
        if at is not None:
            lines[at] += [(" " * _GAP, ""), (text, style)]
            used[at] += _GAP + len(text)
        elif len(lines) < n_lines and (len(text) <= width or not lines):
            lines.append([(text[:width], style)])
            used.append(len(text[:width]))
        else:
            continue
        kept.append(i)
    return lines, kept
