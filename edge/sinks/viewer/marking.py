"""Markers to and from browsers, as short JSON messages. Pure."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

MOST, WITHIN_S = 20, 10.0
"""So many of one browser in so many seconds: nobody presses keys faster, and a fault must not fill a file."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A marker that a browser wants recorded."""

    number: int
    """Its own count: the answer names it."""
    text: str
    position: int
    """The sample that was shown, as positions of blocks count."""
    run: str
    """The run that the browser shows."""


def wish(message: object) -> Wish | None:
    """What a browser says; None for anything that our page does not say."""
    try:
        said = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.keys() != {"mark", "at", "run", "number"}:
        return None
    found = Wish(said["number"], said["mark"], said["at"], said["run"])
    numbers = type(found.number) is int and type(found.position) is int
    if not numbers or not (type(found.text) is type(found.run) is str):
        return None
    return found if abs(found.position) < 1 << 53 and 0 <= found.number < 1 << 53 else None


def answer(number: int, refusal: str = "") -> str:
    """What the browser is told: why its marker is not recorded, or nothing against it."""
    return json.dumps({"answer": number, "refusal": refusal})


def marks(markers: Sequence[tuple[int, str]]) -> str:
    """(position, text) of markers, to be shown."""
    return json.dumps({"markers": markers})


class Pace:
    """Whether one browser may set a marker now."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=MOST)

    def allows(self, now_s: float) -> bool:
        """Counts the marker if it does."""
        if len(self._last) == MOST and now_s - self._last[0] < WITHIN_S:
            return False
        self._last.append(now_s)
        return True
