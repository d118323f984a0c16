"""Work in processes of this machine; what a worker that dies was doing is done again by another one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from edge.errors import LeadliftError

T = TypeVar("T")
R = TypeVar("R")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_MAX_RESTARTS = 3  # with nothing done between them: then no worker lives long enough for anything


class WorkersDieError(LeadliftError):
    """Processes end before they do anything."""


def in_processes(
    work: Callable[[T], R], tasks: Sequence[T], jobs: int
) -> Generator[tuple[T, R | None], None, None]:
    """(task, result) of each task once, as they end; None for one that killed its worker twice.

    When a worker dies the executor ends the others too, and nobody knows which task it was: those that ran
    are done again, each alone, so that one that kills its worker then is known. `work` and what it takes and
    returns can be pickled. Whatever ends this ends the workers at once.
    """
    waiting, suspects = deque(tasks), deque[T]()
    running: dict[Future[R], T] = {}
    restarts = 0
    others = set(multiprocessing.active_children())
    pool = _new_pool(jobs)
    try:
        while waiting or suspects or running:
            alone = bool(suspects)
            queue = suspects if alone else waiting
            broken = False
            while queue and len(running) < (1 if alone else jobs) and not broken:
                try:
                    with _for_workers():
                        running[pool.submit(work, queue[0])] = queue[0]
                    queue.popleft()
                except BrokenProcessPool:  # one died while it had nothing to do
                    broken = True
            wait(running, return_when=FIRST_COMPLETED)
            ended = [future for future in running if future.done()]
            broken = broken or any(map(_is_broken, ended))
            again: list[T] = []
            for future in list(running) if broken else ended:
                task = running.pop(future)
                if _is_broken(future):
                    again.append(task)
                else:
                    restarts = 0
                    yield task, future.result()
            if not broken:
                continue
            pool.shutdown()
            pool, restarts = _new_pool(jobs), restarts + 1
            if alone and again:
                restarts = 0
                yield again[0], None
            else:
                suspects.extend(again)
            if restarts > _MAX_RESTARTS:
                raise WorkersDieError(
                    "worker processes end before they do anything: is there memory for "
                    f"{jobs} of them? try --jobs 1"
                )
    finally:
        if running:  # Ctrl-C, or nobody wants the rest
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
        pool.shutdown(cancel_futures=True)


def _is_broken(future: Future[R]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _new_pool(jobs: int) -> ProcessPoolExecutor:
    # A fork would copy locks that threads of this process hold.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, context, initializer=_leave_with_parent)


@contextmanager
def _for_workers() -> Iterator[None]:
    """Processes that start in here have one thread each for arithmetic, and leave Ctrl-C to this one."""
    main = threading.current_thread() is threading.main_thread()
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if main:
            signal.signal(signal.SIGINT, handler)


def _leave_with_parent() -> None:
    """In a worker: end when the process that started it has gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, name="parent", daemon=True).start()
