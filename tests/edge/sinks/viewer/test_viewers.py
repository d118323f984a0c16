"""A browser that is too slow loses the oldest messages, counted; nobody waits for it."""

from __future__ import annotations

import asyncio

from edge.sinks.viewer.viewers import MOST, QUEUE, Viewers


async def taken(viewers: Viewers, n_published: int, pause_every: int = 0) -> tuple[list[int], int]:
    """What one browser gets that reads only after all was published, and what it missed."""
    with viewers.joined() as viewer:
        assert viewer is not None
        for i in range(n_published):
            viewers.publish(str(i))
            if pause_every and i % pause_every == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        got = []
        async for message in viewer.messages():
            got.append(int(message))
            if got[-1] == n_published - 1:
                break
    return got, viewers.dropped


def test_in_order_and_whole_while_there_is_room() -> None:
    assert asyncio.run(taken(Viewers(), QUEUE)) == (list(range(QUEUE)), 0)


def test_the_oldest_make_room_and_are_counted() -> None:
    for pause_every in (0, 1, 7):
        got, dropped = asyncio.run(taken(Viewers(), 3 * QUEUE, pause_every))
        assert got == list(range(2 * QUEUE, 3 * QUEUE))
        assert dropped == 2 * QUEUE


def test_what_nobody_sees_is_not_kept() -> None:
    viewers = Viewers()
    viewers.publish("before the loop")

    async def late() -> list[str]:
        viewers.publish("before anybody")
        with viewers.joined() as viewer:
            assert viewer is not None
            viewers.publish("now")
            return [str(message) async for message in until("now", viewer.messages())]

    async def until(last, messages):  # type: ignore[no-untyped-def]
        async for message in messages:
            yield message
            if message == last:
                return

    assert asyncio.run(late()) == ["now"]
    viewers.publish("after the loop")


def test_a_crowd_is_turned_away_and_room_is_given_again() -> None:
    viewers = Viewers()

    async def crowd() -> None:
        inside = [viewers.joined() for _ in range(MOST)]
        assert all(one.__enter__() is not None for one in inside)
        with viewers.joined() as late:
            assert late is None
        inside.pop().__exit__(None, None, None)
        with viewers.joined() as next_one:
            assert next_one is not None
        for one in inside:
            one.__exit__(None, None, None)
        assert len(viewers) == 0

    asyncio.run(crowd())
