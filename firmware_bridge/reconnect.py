"""The reconnect supervisor of every live source: a lost link is opened again, with back-off, within a bound.

*Strategy.* An outage begins when the link is lost or stalls and ends with the next valid frame, not with
the next successful open: a device that takes connections and says nothing does not reset the clock.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from firmware_bridge.errors import BridgeError, TransportError
from firmware_bridge.transports.bounded import bounded


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts: exponential, capped, and shortened at random by up to the jitter's share.

    The cap is what a device that has returned may be left waiting; the jitter keeps several hosts, or
    several devices of one host, from asking in step for ever.
    """

    first_s: float = 0.1
    factor: float = 2.0
    max_s: float = 1.0  # a USB port takes about a second to come back, a BLE scan begins at once
    jitter: float = 0.5

    def delays_s(self, source: random.Random) -> Iterator[float]:
        """Endless; each between (1 - jitter) of its step and the whole of it."""
        step_s = self.first_s
        while True:
            yield step_s * (1.0 - self.jitter * source.random())
            step_s = min(step_s * self.factor, self.max_s)


@dataclass(slots=True)
class Supervisor:
    """Brings one link back. `open_link` and `close_link` are the transport's, greeting included."""

    open_link: Callable[[], Awaitable[None]]
    close_link: Callable[[], Awaitable[None]]
    within_s: float
    """How long an outage may last; 0 does not try."""
    backoff: Backoff = field(default_factory=Backoff)
    random: random.Random = field(default_factory=random.Random)
    _began_s: float | None = None
    _attempts: int = 0
    _delays_s: Iterator[float] | None = None

    @property
    def in_outage(self) -> bool:
        """Whether the link is lost, or back without having made sense yet."""
        return self._began_s is not None

    def recovered(self) -> None:
        """A valid frame came: the outage is over."""
        self._began_s = None

    async def reopen(self, error: BridgeError) -> None:
        """Open the link that `error` ended, as often as it takes within the bound.

        Raises `error`, or one of its kind that also says what the last attempt met, once the bound is
        over; and at once what no further attempt would change (PeerError: it is another device now).
        """
        if self._began_s is None or self._delays_s is None:
            self._began_s = _now_s()
            self._attempts = 0
            self._delays_s = self.backoff.delays_s(self.random)
        elif self.within_s:  # it opened, and was lost again before it made sense
            await self._pause(next(self._delays_s))
        last: BridgeError = error
        while (left_s := self._left_s()) > 0:
            self._attempts += 1
            await self.close_link()
            try:
                await bounded(self.open_link(), left_s)
            except TransportError as failure:
                last = failure
            except asyncio.TimeoutError:
                break
            else:
                return
            await self._pause(next(self._delays_s))
        if not self._attempts:
            raise error
        why = "" if last is error else f", the last: {last}"
        tries = "1 attempt" if self._attempts == 1 else f"{self._attempts} attempts"
        raise type(error)(f"{error}; not back within {self.within_s:g} s ({tries}{why})") from last

    def _left_s(self) -> float:
        now_s = _now_s()
        began_s = now_s if self._began_s is None else self._began_s
        return began_s + self.within_s - now_s

    async def _pause(self, delay_s: float) -> None:
        await asyncio.sleep(max(0.0, min(delay_s, self._left_s())))


def _now_s() -> float:
    return asyncio.get_running_loop().time()  # the clock of the waits
