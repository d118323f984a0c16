"""The entry of `leadlift`: light enough that Ctrl-C while the rest loads ends in one line.

Exit codes: 0 done (Ctrl-C and SIGTERM end a live run cleanly), 1 failed, 2 wrong usage. An error is one
line on stderr; `--debug` shows where it came from.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import FrameType


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        before = _leave_at_once()
        try:
            from edge.commands.program import run_command
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)
        return run_command(argv)
    except KeyboardInterrupt:  # outside a live run, which stops cleanly: the work is not done
        print("leadlift: interrupted", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    from edge.commands import program

    return program.parser()


def _leave_at_once() -> signal.Handlers | None:
    """While modules load Ctrl-C ends the process: KeyboardInterrupt inside an import is often caught,
    renamed or printed by the module that it interrupts. What to put back, if anything was changed."""
    if threading.current_thread() is not threading.main_thread():
        return None
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, or somebody else's
        return None
    signal.signal(signal.SIGINT, _leave)
    return before  # type: ignore[return-value]


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"leadlift: interrupted\n")
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
