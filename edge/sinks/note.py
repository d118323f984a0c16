"""A marker that somebody types: the moment of the first key, then a text, key by key. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.errors import InputError
from edge.marker import checked

KEY = "m"
QUICK_KEYS = frozenset("123456789")
"""Each is a marker of its own."""
HINT = "m marker"
_ENTER, _ERASE, _CANCEL = frozenset("\r\n"), frozenset("\x7f\x08"), frozenset("\x1b\x03\x04")


@dataclass(frozen=True, slots=True)
class Note:
    """What is typed so far."""

    at_ns: int
    """`time.monotonic_ns()` of the key that began it."""
    text: str = ""
    is_whole: bool = False
    """The text is to be recorded."""

    @classmethod
    def begun(cls, key: str, at_ns: int) -> Note | None:
        """By a key; None for one that begins no marker."""
        if key in QUICK_KEYS:
            return cls(at_ns, key, True)
        return cls(at_ns) if key == KEY else None

    def press(self, key: str) -> Note | None:
        """The note after one more key; None once it is given up. An empty one is called `marker`."""
        if key in _CANCEL:
            return None
        if key in _ENTER:
            return replace(self, text=self.text.strip() or "marker", is_whole=True)
        if key in _ERASE:
            return replace(self, text=self.text[:-1])
        try:
            checked(f"x{self.text}{key}x")
        except InputError:  # it is full, or this is no letter
            return self
        return replace(self, text=self.text + key)

    @property
    def prompt(self) -> str:
        """The line that shows it."""
        return f"marker: {self.text}_   (Enter records it, Esc does not)"
