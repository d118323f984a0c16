"""Makes stdin, stdout and stderr usable: open, and able to take any text."""

from __future__ import annotations

import codecs
import os
import sys
from io import TextIOWrapper
from pathlib import Path

_HANDLER = "leadlift-console"


def open_closed_streams() -> None:
    """Open on the null device what was closed at the start (`>&-`): no file of ours gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            if os.open(os.devnull, os.O_RDWR) != number:
                raise
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)


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
