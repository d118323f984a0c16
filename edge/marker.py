"""A marker: what somebody, or another device, noted at a moment of a recording."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from edge.errors import InputError

MAX_BYTES = 240
"""Of a text in UTF-8: fits a data record of EDF+, an annotation of WFDB and a line of a screen."""
PREFIX = "marker: "
"""Before the text in an annotation or a comment: nobody's text is taken for one of ours."""
BEGAN_ANEW = "decoder began anew"
"""Marker of the block from which on another decoder, or the same one restarted, makes the leads."""

# Controls, lone surrogates, line and paragraph separators: no line of a file or a screen can hold them.
_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They turn the direction of what follows, also of what is not theirs.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Marker:
    """A text at a sample. It comes to sinks in `TwelveLeadBlock.markers`."""

    text: str
    """One line, 1 to MAX_BYTES of UTF-8."""
    sample: int
    """The sample that was taken at that moment, counted as `first_sample` of the block that brings it. It may
    lie before that block, and after it where no samples come."""


def checked(text: str) -> str:
    """`text` without blanks around it. Raises InputError for what no marker can hold."""
    found = text.strip(" \t\r\n")
    if not found:
        raise InputError("a marker needs a text")
    bad = next((c for c in found if _is_refused(c)), None)
    if bad is not None:
        raise InputError(f"a marker is one line of text, without U+{ord(bad):04X}: leave it out")
    n_bytes = len(found.encode())
    if n_bytes > MAX_BYTES:
        raise InputError(
            f"a marker's text has at most {MAX_BYTES} bytes, not {n_bytes}: shorten it"
        )
    return found


def mended(text: str) -> str:
    """What another device sent, as a marker can hold it: never refused."""
    line = "".join(" " if _is_refused(c) else c for c in text).strip()
    return line.encode()[:MAX_BYTES].decode("utf-8", "ignore").strip() or "marker"


def _is_refused(c: str) -> bool:
    return unicodedata.category(c) in _REFUSED or c in _TURNING
