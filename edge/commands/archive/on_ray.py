"""Work on Ray, of this machine or of a cluster; what a worker that dies was doing is done once more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from edge.commands.archive.pool import WorkersDieError
from edge.fleet.ray_shards import ray_cluster

T = TypeVar("T")
R = TypeVar("R")
_TRIES = 2
_DEATHS = 8  # in a row, for each worker: then no worker lives long enough for anything


def on_ray(
    work: Callable[[T], R], tasks: Sequence[T], jobs: int, address: str | None
) -> Generator[tuple[T, R | None], None, None]:
    """(task, result) of each task once, as they end; None for one that killed its worker twice.

    As `in_processes`, with Ray joined at `address`; with None it is started here for `jobs` workers, and
    ended. These are Ray's tasks and not Ray Data: a record is a file, so there are no blocks to move, and one
    that kills its worker is known by name. Raises EngineMissingError without Ray, ShardLostError where it
    does not answer, WorkersDieError.
    """
    with ray_cluster(address, jobs):
        import ray

        def done(task: T) -> R:
            return work(task)

        start: Any = ray.remote(num_cpus=1, max_retries=0)(done)
        waiting = deque((task, 1) for task in tasks)
        running: dict[Any, tuple[T, int]] = {}
        deaths = 0
        while waiting or running:
            while waiting and len(running) < jobs:
                task, tries = waiting.popleft()
                running[start.remote(task)] = task, tries
            for ended in ray.wait([*running])[0]:
                task, tries = running.pop(ended)
                try:
                    result: R | None = ray.get(ended)
                except ray.exceptions.RayTaskError:  # what `work` raised
                    raise
                except ray.exceptions.RayError:
                    deaths += 1
                    if deaths > _DEATHS * jobs:
                        raise WorkersDieError(
                            "Ray's workers end before they do anything: has each machine leadlift, and memory"
                            " for them? try --jobs 1"
                        ) from None
                    if tries < _TRIES:
                        waiting.append((task, tries + 1))
                        continue
                    result = None
                else:
                    deaths = 0
                yield task, result
