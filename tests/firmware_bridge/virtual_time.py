"""An event loop whose clock moves only when all tasks wait: deadlines are exact, however busy the machine."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _Selector(selectors.SelectSelector):
    """Passes the time that it is told to wait."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "all tasks wait, and nothing will wake them"
            self.now_s += max(0.0, timeout)
        return ready


def run(call: Coroutine[Any, Any, _T]) -> _T:
    """As `asyncio.run`, in virtual time; for coroutines that no thread and no device wakes."""
    selector = _Selector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now_s  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(call)
    finally:
        loop.close()


def sleep_of_the_host(seconds: float) -> None:
    """The clock goes on while this program does not, as when the machine sleeps or the program is stopped."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    assert isinstance(selector, _Selector)
    selector.now_s += seconds
