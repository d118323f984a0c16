"""Shards as Ray actors: Ray starts, places and restarts them. It has no passwords: keep its ports private."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from edge.errors import EngineMissingError, ShardLostError
from edge.fleet.batch import Batch, Made
from firmware_bridge.extras import install_extra

MISSING_EXTRA = f"a fleet needs other libraries: {install_extra('fleet')}"
DEADLINE_S = 2.5
"""For a step, joins and all. Ray tells of a death at once; of one that hangs, or of a node, nobody tells."""
STARTS_S = 120.0
"""The longest that a shard may take to open its engine."""
_AGAIN_S = 1.0
_REACHES_S = 5.0
_GRACE_S = 0.05  # where this process was stalled itself, the answer is there and was not looked at
_STORE_BYTES = 128 << 20  # of Ray's shared memory on this machine: a tick of 256 patients is 1 MB


@contextmanager
def ray_cluster(address: str | None, n_shards: int) -> Iterator[None]:
    """Ray, joined at `address`, or started for this machine alone and ended afterwards.

    Raises EngineMissingError where it is not installed, ShardLostError where it cannot be reached.
    """
    if not find_spec("ray"):
        raise EngineMissingError(MISSING_EXTRA)
    if address is not None:
        _reachable(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report home
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is not None:
            ray.init(address=address, **quiet)
        else:
            ray.init(
                num_cpus=n_shards,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
    except Exception as error:  # its errors have no common root
        raise ShardLostError(
            f"Ray does not answer at {address or 'this machine'}: {' '.join(str(error).split())}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _reachable(address: str) -> None:
    """Raises ShardLostError for a HOST:PORT where nobody answers: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):  # such as `auto`
        return
    try:
        socket.create_connection((host.rpartition("/")[2], int(port)), _REACHES_S).close()
    except (OSError, OverflowError) as error:
        raise ShardLostError(f"Ray does not answer at {address}: {error}") from error


class RayShard:
    """One actor after another: Ray starts each where there is room, on any node, and tells of its death.

    It is not Ray that restarts it: calls would then wait for the new one, and nobody would hear of the death.
    """

    def __init__(
        self, name: str, slots: int, options: dict[str, Any], deadline_s: float = DEADLINE_S
    ) -> None:
        """`options` are those of `MultiReconstructor.open`; `ray_cluster` is open."""
        self.name, self.slots, self._deadline_s = name, slots, deadline_s
        self._options = options
        self._actor = self._start()

    def _start(self) -> Any:
        import ray

        from edge.fleet.shard import Shard

        # A step is never tried again: it would be late, and what kills one shard must not kill the next.
        made = ray.remote(Shard).options(
            max_restarts=0, max_task_retries=0, num_cpus=1, scheduling_strategy="SPREAD"
        )
        return made.remote(self.slots, self._options)

    async def ready(self) -> str:
        """Wait for the engine; its name. Raises ShardLostError."""
        return str(await self.ask("engine", within_s=STARTS_S))

    async def step(self, batch: Batch) -> Made:
        """See ShardLink."""
        made: Made = await self.ask("step", batch, within_s=self._deadline_s)
        return made

    async def revive(self) -> None:
        """See ShardLink. One that hangs is killed first."""
        import ray

        while True:
            ray.kill(self._actor)
            self._actor = self._start()
            try:
                await self.ready()
                return
            except ShardLostError:
                await asyncio.sleep(_AGAIN_S)

    async def ask(self, method: str, *given: Any, within_s: float) -> Any:
        """Call a method of `Shard`. Raises ShardLostError."""
        import ray

        try:
            future = asyncio.wrap_future(getattr(self._actor, method).remote(*given).future())
            future.add_done_callback(_seen)  # also where nobody waits any more
            for timeout in (within_s, _GRACE_S):
                done, _ = await asyncio.wait([future], timeout=timeout)
                if done:
                    return future.result()
        except ray.exceptions.RayError as error:
            raise ShardLostError(_first_line(error)) from error
        raise ShardLostError(f"no answer within {within_s:g} s")


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
