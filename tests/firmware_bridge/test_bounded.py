"""Waits that end: in time, when they are cancelled, and with what was waited for."""

from __future__ import annotations

import asyncio
import time

import pytest

from firmware_bridge.transports import bounded as module
from firmware_bridge.transports.bounded import bounded


def test_a_result_and_an_error_come_through() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> int:
        raise OSError("gone")

    assert asyncio.run(bounded(answer(), 5)) == 7
    with pytest.raises(OSError, match="gone"):
        asyncio.run(bounded(fail(), 5))


def test_what_takes_too_long_is_cancelled() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cleaned up")

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(bounded(wait(), 0.01))
    assert ended == ["cleaned up"]


def test_a_clean_up_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.01)

    async def scenario() -> None:
        held = asyncio.Event()

        async def hang() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await held.wait()

        with pytest.raises(asyncio.TimeoutError):
            await bounded(hang(), 0.01)
        held.set()

    began = time.monotonic()
    asyncio.run(scenario())
    assert time.monotonic() - began < 30


def test_a_cancellation_that_comes_with_the_result_is_not_lost() -> None:
    """`asyncio.wait_for` of Python 3.11 returns the result here, and the caller runs on for ever."""

    async def scenario() -> None:
        result: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(bounded(result, 5))
        await asyncio.sleep(0)
        result.set_result(1)
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
