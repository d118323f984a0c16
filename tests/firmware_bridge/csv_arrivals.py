"""Lines of a sketch with the times at which a port delivers them."""

from __future__ import annotations

import random
from collections.abc import Callable

from firmware_bridge.events import ArrivalDecoder, Event

MILLISECOND = 1_000_000
Piece = tuple[int, bytes]
"""When it arrives in ns, and what."""


def values(i: int) -> str:
    return f"{i % 7 * 0.1:.1f},0.2,0.3\n"


def arriving(
    hz: float,
    seconds: float,
    line: Callable[[int], str] = values,
    jitter_ms: float = 3.0,
    per: int = 4,
) -> list[Piece]:
    """Lines at a rate, some in one piece, as a port delivers them."""
    rng = random.Random(1)
    pieces: list[Piece] = [(0, b"ready\n")]
    for i in range(0, round(hz * seconds), per):
        at_ns = (i + per) / hz * 1e9 + rng.uniform(0, jitter_ms) * MILLISECOND
        pieces.append((round(at_ns), "".join(line(j) for j in range(i, i + per)).encode()))
    return pieces


def decoded(decoder: ArrivalDecoder, pieces: list[Piece], end: bool = True) -> list[Event]:
    events = []
    for at_ns, data in pieces:
        decoder.arrived(at_ns)
        events += decoder.receive_data(data)
    return events + (decoder.ended() if end else [])
