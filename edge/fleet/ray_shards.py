"""Shards as Ray actors: Ray starts, places and restarts them. It has no passwords: keep its ports private."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from edge.errors import EngineMissingError, ShardLostError
from edge.fleet.batch import Batch, Made

MISSING_EXTRA = "a fleet needs other libraries: pip install 'leadlift[fleet]'"
DEADLINE_S = 1.5
"""For a step, joins and all: with a tick and the joins elsewhere, patients go on within 3 s."""
STARTS_S = 120.0
"""The longest that a shard may take to open its engine at the start."""
ASKS_S = 20.0
"""How long one attempt to revive a shard may take."""
_AGAIN_S = 0.1
_STORE_BYTES = 128 << 20  # of Ray's shared memory on this machine: a tick of 256 patients is 1 MB


@contextmanager
def ray_cluster(address: str | None, n_shards: int) -> Iterator[None]:
    """Ray, joined at `address`, or started for this machine alone and ended afterwards.

    Raises EngineMissingError where it is not installed, ShardLostError where it cannot be reached.
    """
    if not find_spec("ray"):
        raise EngineMissingError(MISSING_EXTRA)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report home
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
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


class RayShard:
    """One actor. Ray restarts it, here or on another node, for as long as the fleet runs."""

    def __init__(
        self, name: str, slots: int, options: dict[str, Any], deadline_s: float = DEADLINE_S
    ) -> None:
        """`options` are those of `MultiReconstructor.open`; `ray_cluster` is open."""
        import ray

        from edge.fleet.shard import Shard

        self.name, self.slots, self._deadline_s = name, slots, deadline_s
        self._hangs = False
        # A step is never tried again: it would be late, and what kills one shard must not kill the next.
        made = ray.remote(Shard).options(
            max_restarts=-1, max_task_retries=0, num_cpus=1, scheduling_strategy="SPREAD"
        )
        self._actor = made.remote(slots, options)

    async def ready(self) -> str:
        """Wait for the engine; its name. Raises ShardLostError."""
        return str(await self.ask("engine", within_s=STARTS_S))

    async def step(self, batch: Batch) -> Made:
        """See ShardLink."""
        made: Made = await self.ask("step", batch, within_s=self._deadline_s)
        return made

    async def revive(self) -> None:
        """See ShardLink. One that hangs is killed; what it was still asked is done before it forgets all."""
        import ray

        while True:
            if self._hangs:
                ray.kill(self._actor, no_restart=False)
            try:
                await self.ask("forget", within_s=ASKS_S)
                return
            except ShardLostError:
                await asyncio.sleep(_AGAIN_S)

    async def ask(self, method: str, *given: Any, within_s: float) -> Any:
        """Call a method of `Shard`. Raises ShardLostError."""
        import ray

        self._hangs = False
        try:
            future = asyncio.wrap_future(getattr(self._actor, method).remote(*given).future())
            future.add_done_callback(_seen)  # also where nobody waits any more
            done, _ = await asyncio.wait([future], timeout=within_s)
            if done:
                return future.result()
        except ray.exceptions.RayError as error:
            raise ShardLostError(_first_line(error)) from error
        self._hangs = True
        raise ShardLostError(f"no answer within {within_s:g} s")


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
