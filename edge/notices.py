"""What a command tells whoever waits: notices, warnings and errors, a line each, on stderr.

They go through `logging`, to the logger `leadlift`. Only a command has them shown, with `shown`: who uses
leadlift as a library hears of it as of any other, by `logging`.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from edge.errors import LeadliftError

LOG = logging.getLogger("leadlift")
QUIET, NORMAL, VERBOSE = logging.WARNING, logging.INFO, logging.DEBUG
_WARNING = "warning: "
AT_END: list[Callable[[], None]] = []
"""What is called when `shown` ends: a bar on the screen goes before an error is said."""


def add_notice_options(parser: argparse.ArgumentParser, *, default: object = NORMAL) -> None:
    """The options that say how much is told; the last one counts."""
    for names, level, text in (
        (("-q", "--quiet"), QUIET, "no notices and no progress: warnings and errors alone"),
        (("-v", "--verbose"), VERBOSE, "tell more: engine, model, files, and what libraries say"),
    ):
        parser.add_argument(
            *names, dest="verbosity", action="store_const", const=level, default=default, help=text
        )


def say(text: str) -> None:
    """Tell whoever waits; stdout is for results. What begins with `warning: ` is a warning."""
    if text.startswith(_WARNING):
        LOG.warning("%s", text.removeprefix(_WARNING))
    else:
        LOG.info("%s", text)


def is_told() -> bool:
    """Whether notices reach anybody: not with --quiet, and not outside a command."""
    return LOG.isEnabledFor(NORMAL) and any(isinstance(h, _Stderr) for h in LOG.root.handlers)


@contextmanager
def shown(level: int = NORMAL, program: str = "leadlift") -> Iterator[None]:
    """In here what is told from `level` on is on stderr; of libraries their warnings, with VERBOSE more."""
    handler, root = _Stderr(), LOG.root
    handler.setFormatter(_Lines(program))
    before = LOG.level, root.level
    LOG.setLevel(level)
    if level <= VERBOSE:
        root.setLevel(min(before[1], logging.INFO))
    root.addHandler(handler)
    try:
        yield
    finally:
        for end in tuple(AT_END):
            end()
        root.removeHandler(handler)
        LOG.setLevel(before[0])
        root.setLevel(before[1])


def reported(program: str, work: Callable[[], int], level: int = NORMAL) -> int:
    """The exit code of `work`, with what is told shown; 1, and a line, where it fails or is interrupted."""
    try:
        with shown(level, program):
            code = work()
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        leave_stdout()
    except LeadliftError as error:
        print(f"{program}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
    return 1


def leave_stdout() -> None:
    """Nobody reads stdout any more: what is still buffered goes nowhere, or the interpreter would fail over
    it as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Stderr(logging.Handler):
    """Writes to whatever `sys.stderr` is now: a bar on the screen takes its place, and lines go above it."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):  # nobody reads: no reason to end the work
            print(self.format(record), file=sys.stderr, flush=True)


class _Lines(logging.Formatter):
    """`leadlift: text`, `leadlift: warning: text`; what a library says has its name before it."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        name = "" if record.name == LOG.name else f"{record.name}: "
        return f"{self._program}: {level}{name}{super().format(record)}"
