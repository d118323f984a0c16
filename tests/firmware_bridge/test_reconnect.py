"""The reconnect supervisor: how long it waits, when it stops, what it says."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import (
    NotFoundError,
    PeerError,
    StallError,
    TransportError,
    TransportLost,
)
from firmware_bridge.reconnect import Backoff, Supervisor
from tests.firmware_bridge.virtual_time import run

BOUND_S = 10.0
QUICK = Backoff(first_s=0.001, max_s=0.004)


class Door:
    """A link that refuses to open `closed` times, with the errors given in turn."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls: list[str] = []

    async def open(self) -> None:
        self.calls.append("open")
        if self.errors:
            raise self.errors.pop(0)

    async def close(self) -> None:
        self.calls.append("close")

    def supervisor(self, within_s: float) -> Supervisor:
        return Supervisor(self.open, self.close, within_s, QUICK, random.Random(1))


@given(
    st.floats(0.01, 1), st.floats(1, 4), st.floats(1, 10), st.floats(0, 1), st.integers(0, 2**32)
)
def test_waits_grow_to_the_cap_and_are_never_longer(
    first_s: float, factor: float, max_s: float, jitter: float, seed: int
) -> None:
    backoff = Backoff(first_s, factor, max_s, jitter)
    delays_s = list(itertools.islice(backoff.delays_s(random.Random(seed)), 50))
    for n, delay_s in enumerate(delays_s):
        step_s = min(first_s * factor**n, max_s) if n < 30 else None
        if step_s is not None:
            assert step_s * (1 - jitter) * (1 - 1e-9) <= delay_s <= step_s * (1 + 1e-9)
        assert 0 <= delay_s <= max_s


def test_two_hosts_do_not_ask_in_step() -> None:
    first, second = (
        list(itertools.islice(Backoff().delays_s(random.Random(seed)), 8)) for seed in (1, 2)
    )
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_a_link_is_closed_before_each_attempt_and_opened_once() -> None:
    door = Door(NotFoundError("not there"), TransportError("busy"))
    supervisor = door.supervisor(BOUND_S)
    run(supervisor.reopen(TransportLost("gone")))
    assert door.calls == ["close", "open"] * 3
    assert supervisor.in_outage  # until a valid frame says otherwise
    supervisor.recovered()
    assert not supervisor.in_outage


def test_without_a_bound_the_loss_is_the_error() -> None:
    door = Door()
    lost = TransportLost("gone")
    with pytest.raises(TransportLost) as caught:
        run(door.supervisor(0.0).reopen(lost))
    assert caught.value is lost
    assert door.calls == []


@pytest.mark.parametrize("kind", [TransportLost, StallError])
def test_the_error_at_the_end_says_what_the_last_attempt_met(kind: type[Exception]) -> None:
    door = Door(*[NotFoundError("not heard")] * 10_000)
    with pytest.raises(
        kind, match=r"^it went; not back within 0\.02 s \(\d+ attempts?, the last: not"
    ):
        run(door.supervisor(0.02).reopen(kind("it went")))


def test_an_attempt_that_takes_too_long_ends_with_the_bound() -> None:
    class Stuck(Door):
        async def open(self) -> None:
            await asyncio.Event().wait()

    call = Stuck().supervisor(0.02).reopen(TransportLost("it went"))
    with pytest.raises(TransportLost, match=r"not back within 0\.02 s \(1 attempt\)"):
        run(call)


def test_another_device_in_its_place_ends_it_at_once() -> None:
    door = Door(PeerError("another device"))
    with pytest.raises(PeerError, match="another"):
        run(door.supervisor(BOUND_S).reopen(TransportLost("it went")))
    assert door.calls == ["close", "open"]


def test_an_outage_lasts_until_a_valid_frame_not_until_the_next_open() -> None:
    door = Door()
    supervisor = door.supervisor(0.05)

    async def flap() -> int:
        for n in range(10_000):
            try:
                await supervisor.reopen(TransportLost("it went"))
            except TransportLost:
                return n
        return -1

    assert run(flap()) > 1

    async def recover() -> None:
        await supervisor.reopen(TransportLost("it went"))

    supervisor.recovered()
    run(recover())
