"""The picture of `leadlift monitor` in a terminal: a trace per lead as it was measured. No reconstruction."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

from edge.sinks.screen import DISCLAIMER, LEAST_SIZE, OUTAGE, SWEEP_S, Line
from edge.sinks.terminal import draw
from edge.sinks.traces import TraceRing, braille, scale_mv, sweep

JOIN_S = 2.0  # a terminal that takes nothing must not keep the program from ending


@dataclass(frozen=True, slots=True)
class Shown:
    """All that one frame shows."""

    title: str
    """What the device says it is."""
    line: str
    """Rate, losses, drift, battery and ranges, as last counted."""
    leads: tuple[str, ...]
    leads_off: tuple[str, ...]
    ring: TraceRing | None
    """Its first rows are `leads`; None before the device has said what it measures."""
    in_outage: bool = False
    """The link to the device is lost, and is waited for."""


def frame(shown: Shown, width: int, height: int) -> list[Line]:
    """At most `height` lines of at most `width` characters."""
    title = f"{OUTAGE}  {shown.title}" if shown.in_outage else shown.title
    head: list[Line] = [
        [(f" {title}"[:width].ljust(width), "bold reverse")],
        [(f" as measured, not filtered; {DISCLAIMER}"[:width], "dim")],
    ]
    foot: list[Line] = [
        [(shown.line[at : at + width], "")] for at in range(0, len(shown.line), max(1, width))
    ]
    room = height - len(head) - len(foot) - 1
    n_leads = len(shown.leads)
    if shown.ring is None or n_leads == 0 or width < LEAST_SIZE[0] or room < 2 * n_leads:
        return [*head, *foot][:height]
    rows = room // n_leads - 1
    swept = sweep(shown.ring, width, SWEEP_S)
    tall_mv = scale_mv(swept)
    lines = head
    for row, lead in enumerate(shown.leads):
        off = lead in shown.leads_off
        lines.append([(lead, "bold"), (" electrode off" if off else "", "red")])
        lines += [
            [(part, "green")] for part in braille(swept[0, row], swept[1, row], rows, tall_mv)
        ]
    return [*lines, [(f"{tall_mv:g} mV, {SWEEP_S:g} s"[:width], "dim")], *foot][:height]


class MonitorScreen:
    """Draws what `shown` returns from a thread of its own, so that a stopped terminal delays no byte."""

    def __init__(self, shown: Callable[[], Shown], stream: TextIO | None = None) -> None:
        self._shown = shown
        self._stream = sys.stdout if stream is None else stream
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="monitor screen", daemon=True)

    def __enter__(self) -> MonitorScreen:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(JOIN_S)

    def _draw(self) -> None:
        with suppress(OSError):  # the terminal has gone: what is captured is not
            draw(
                self._stream, self._stop, lambda width, height: frame(self._shown(), width, height)
            )
