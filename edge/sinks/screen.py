"""The picture of `terminal:` as lines of styled text: panes, labels, provenance, state. Pure layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, isnan

from edge.leads import LEADS, Provenance
from edge.quality import Quality, describe
from edge.sinks.base import LiveStatus
from edge.sinks.traces import TraceRing, braille, scale_mv, sweep

Span = tuple[str, str]
"""(text, rich style)"""
Line = list[Span]

DISCLAIMER = "research use only, not a medical device"
OUTAGE = "LINK LOST, waiting for the device"
SWEEP_S = 3.0  # 25 mm/s on a screen as wide as a page
LEAST_SIZE = (60, 20)  # columns, rows below which traces say nothing
_TWO_COLUMNS_FROM_ROWS = 36  # six panes of five rows each, beside four rows of text

# Letter and colour of a lead: nobody may take a reconstructed lead for a measured one.
MARKS: dict[Provenance, Span] = {
    Provenance.MEASURED: ("m", "green"),
    Provenance.DERIVED: ("d", "cyan"),
    Provenance.DERIVED_FROM_RECONSTRUCTED: ("d*", "magenta"),
    Provenance.RECONSTRUCTED: ("r", "yellow"),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """All that one frame shows."""

    ring: TraceRing
    provenance: tuple[Provenance, ...] | None
    """None before the first block."""
    quality: tuple[int, ...] = (0,) * len(LEADS)
    """Quality bits of each lead since the last frame."""
    bpm: float = float("nan")
    status: LiveStatus = field(default_factory=LiveStatus)
    simulated: bool = False


def frame(picture: Picture, width: int, height: int) -> list[Line]:
    """At most `height` lines of at most `width` characters."""
    wide, high = LEAST_SIZE
    if width < wide or height < high:
        text = f"terminal {width}x{height}: needs {wide}x{high} for traces"
        plain = [text, status_line(picture), DISCLAIMER]
        return [[(line[:width], "")] for line in plain[:height]]
    columns = 2 if height >= _TWO_COLUMNS_FROM_ROWS else 3
    panes_high = len(LEADS) // columns
    rows = (height - 3) // panes_high - 1
    pane_width = (width - columns + 1) // columns
    swept = sweep(picture.ring, pane_width, SWEEP_S)
    tall_mv = scale_mv(swept)
    lines = [_head(picture, width), _banner(picture, width)]
    for row in range(panes_high):
        leads = [column * panes_high + row for column in range(columns)]
        lines.append(_beside([_label(picture, lead, pane_width) for lead in leads]))
        traces = [braille(swept[0, lead], swept[1, lead], rows, tall_mv) for lead in leads]
        styles = [_mark(picture, lead)[1] for lead in leads]
        lines += [
            _beside([[span] for span in zip(parts, styles, strict=True)])
            for parts in zip(*traces, strict=True)
        ]
    lines.append(_legend(picture, tall_mv, width))
    return lines


def status_line(picture: Picture) -> str:
    """The state of the live path in one line."""
    status = picture.status
    parts = [f"{picture.ring.end / picture.ring.sampling_hz:.0f} s", _rate(picture.bpm)]
    if status.in_outage:
        parts.insert(0, OUTAGE)
    if isfinite(status.latency_p50_ms):
        parts.append(f"latency {status.latency_p50_ms:.1f}/{status.latency_p99_ms:.1f} ms p50/p99")
    parts += [f"lost {status.samples_lost}", f"gaps {status.gaps}"]
    if status.reconnects:
        parts.append(f"reconnects {status.reconnects}")
    if status.deadline_misses:
        parts.append(f"late {status.deadline_misses}")
    if picture.simulated:
        parts.append("SIMULATED SIGNAL")
    if status.warnings:
        parts.append(f"WARNING {status.warnings[-1]}")
    if picture.provenance is None:
        parts.append("waiting for samples")
    if status.engine:
        parts.append(status.engine)
    return "  ".join(parts)


def _rate(bpm: float) -> str:
    return "HR -- bpm" if isnan(bpm) else f"HR {bpm:.0f} bpm"


def _head(picture: Picture, width: int) -> Line:
    return [(f" leadlift  {status_line(picture)}"[:width].ljust(width), "bold reverse")]


def _banner(picture: Picture, width: int) -> Line:
    if not picture.simulated:
        return [(f" {DISCLAIMER}"[:width], "dim")]
    simulated = " SIMULATED SIGNAL "
    return [
        (simulated, "bold black on yellow"),
        (f" {DISCLAIMER}"[: width - len(simulated)], "dim"),
    ]


def _mark(picture: Picture, lead: int) -> Span:
    return ("", "dim") if picture.provenance is None else MARKS[picture.provenance[lead]]


def _label(picture: Picture, lead: int, width: int) -> Line:
    letter, style = _mark(picture, lead)
    name = f"{LEADS[lead]} {letter}"[:width]
    trouble = Quality(picture.quality[lead]) & ~Quality.OK
    room = max(0, width - len(name) - 1)
    words = describe(trouble).lower().replace("_", " ") if trouble else ""
    return [(name, f"bold {style}"), (f" {words[:room]:<{room}}"[: width - len(name)], "red")]


def _beside(parts: list[Line]) -> Line:
    """Panes side by side, one space between them."""
    line: Line = []
    for i, part in enumerate(parts):
        line += [(" ", ""), *part] if i else part
    return line


def _legend(picture: Picture, tall_mv: float, width: int) -> Line:
    line: Line = []
    left = width
    present = set(picture.provenance or ())
    texts = [(f"{MARKS[p][0]} {p}  ", MARKS[p][1]) for p in MARKS if p in present]
    for text, style in [*texts, (f"{tall_mv:g} mV, {SWEEP_S:g} s", "dim")]:
        line.append((text[:left], style))
        left -= len(text[:left])
    return line
