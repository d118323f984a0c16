"""How far a long piece of work is: a bar with the time left on a terminal, else a line every ten seconds.

On stderr, while a command shows notices (`edge.notices.shown`), and only of work that takes over two
seconds. Of pieces of work within one another the outermost is shown.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from edge.notices import AT_END, is_told, say

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

T = TypeVar("T")
PATIENCE_S = 2.0  # a bar that comes and goes is noise
DRAW_EVERY_S = 0.5
_one_is_shown = threading.Lock()
LINE_EVERY_S = 10.0


class Progress:
    """One piece of work; whoever does it adds to `done` and may change `what` and `total` at any time."""

    def __init__(
        self,
        what: str,
        total: float | None = None,
        *,
        skipped: float = 0.0,
        by_clock: bool = False,
    ) -> None:
        """`total` is in any unit, None where it is not known; `skipped` was done before the start.

        `by_clock` says that it is in seconds, and that time alone is waited for.
        """
        self.what, self.total, self.done = what, total, skipped
        self._by_clock = by_clock
        self._skipped = skipped
        self._begun = time.monotonic()

    def advance(self, n: float = 1.0) -> None:
        """So much more is done."""
        self.done += n

    def share(self) -> float | None:
        """How much of it is done, from 0 to 1; None where the total is not known."""
        return min(1.0, self.done / self.total) if self.total else None

    def says(self, now: float) -> str:
        """Share and time left at `now`, as `time.monotonic` gives it; the time so far where none is known."""
        passed = now - self._begun
        if self._by_clock:
            self.done = passed
        share = self.share()
        if share is None or self.total is None:
            return f"{clock(passed)} so far"
        here = self.done - self._skipped
        if here <= 0:
            return f"{share:.0%}, {clock(passed)} so far"
        left = passed * max(0.0, self.total - self.done) / here
        return f"{share:.0%}, {clock(left)} left"


def clock(seconds: float) -> str:
    """`0:00:07`, as the time left is shown."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@contextmanager
def progress(
    what: str,
    total: float | None = None,
    *,
    skipped: float = 0.0,
    by_clock: bool = False,
    calm: bool = False,
) -> Iterator[Progress]:
    """Show in here how far the work is; the bar is gone afterwards, however it ends.

    `calm` is for work that is being timed: lines alone, on a terminal too, since drawing a bar takes
    milliseconds. The rest is as of `Progress`.
    """
    work = Progress(what, total, skipped=skipped, by_clock=by_clock)
    if not is_told() or not _one_is_shown.acquire(blocking=False):
        yield work
        return
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(work, over, calm), name="progress", daemon=True)
    thread.start()

    def end() -> None:
        over.set()
        thread.join()

    AT_END.append(end)  # an error may keep a generator, and so this one, alive
    try:
        yield work
    finally:
        end()
        AT_END.remove(end)
        _one_is_shown.release()


def followed(
    items: Iterable[T],
    what: str,
    total: float | None = None,
    *,
    skipped: float = 0.0,
    calm: bool = False,
) -> Iterator[T]:
    """The items, one by one, while a bar shows how many of `total`, or of their number, were taken."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress(what, total, skipped=skipped, calm=calm) as work:
        for item in items:
            yield item
            work.advance()


def _follow(work: Progress, over: threading.Event, calm: bool) -> None:
    if over.wait(PATIENCE_S):
        return
    from edge.sinks.drawing import can_draw  # sinks import the readers of files, and those this

    if not calm and can_draw(sys.stderr):
        with suppress(OSError, ValueError):  # the terminal has gone: no reason to end the work
            _draw(work, over)
        return
    while not over.wait(LINE_EVERY_S):
        say(f"{work.what}: {work.says(time.monotonic())}")


def _draw(work: Progress, over: threading.Event) -> None:
    with _bars() as bars:
        bars.console.show_cursor(True)  # so that it is there whatever ends this process
        task = bars.add_task("", total=None, says="")
        while not over.is_set():
            bars.update(
                task,
                description=work.what,
                completed=work.done,
                total=work.total,
                says=work.says(time.monotonic()),
                refresh=True,
            )
            over.wait(DRAW_EVERY_S)


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[says]}", markup=False),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else results would leave the file that they go to
    )
