"""A wait that ends in time even where the library waited on does not end its own clean-up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

GRACE_S = 1.0  # for a cancelled call to clean up; a D-Bus service that hangs would never answer it

_T = TypeVar("_T")
_abandoned: set[asyncio.Future[Any]] = set()  # asyncio itself holds tasks weakly


async def bounded(call: Awaitable[_T], seconds: float) -> _T:
    """The result of `call`, or asyncio.TimeoutError after `seconds` and at most the grace.

    `asyncio.wait_for` waits for a cancelled call for as long as that takes; this does not. A call that
    outlives its grace goes on in the background, and what it raises there is nobody's concern. Up to
    Python 3.11 `wait_for` also forgets that it was cancelled if the call ends in the same moment; a program
    told to stop would go on.
    """
    task = asyncio.ensure_future(call)
    task.add_done_callback(_forget)  # also if the caller is cancelled, and never asks
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=GRACE_S)
        if not task.done():
            _abandoned.add(task)
    if not task.done() or task.cancelled():
        raise asyncio.TimeoutError
    return task.result()


def _forget(task: asyncio.Future[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # asked for, so that asyncio does not report it
