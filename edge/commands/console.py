"""Lets stdout and stderr take any text: a file's name must not end a command that was about to name it."""

from __future__ import annotations

import codecs
import sys
from io import TextIOWrapper

_HANDLER = "leadlift-console"


def accept_any_text() -> None:
    """Have stdout and stderr write what their encoding lacks as `\\xeb`, and undecoded bytes as they were."""
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _replace(error: UnicodeError) -> tuple[bytes, int]:
    """Names in a C locale hold their bytes as surrogates: those go out as they came in."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    out = b""
    for c in error.object[error.start : error.end]:
        raw = "\udc80" <= c <= "\udcff"
        out += c.encode("ascii", "surrogateescape" if raw else "backslashreplace")
    return out, error.end
