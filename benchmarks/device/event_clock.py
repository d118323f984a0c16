"""Steps timed by the GPU's own clock: a Cuda that records an event on either side of each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Step
from edge.engines.trt.cuda import Cuda


class EventClock:
    """Stands between a runner and its Cuda, and passes everything on.

    The first command of a step (a copy in, or the launch of a graph) comes after one event, `synchronize`
    after the other: between them lie the copies, the work, and the gaps in which the GPU waits for the host.
    Recording costs the host a microsecond or two, so durations by the host's clock are taken without this.
    """

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._begun_already = self._capturing = False
        with cuda.current():
            self._begun, self._ended = cuda.event(), cuda.event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cuda, name)

    @property
    def cuda(self) -> Cuda:
        """This object, as what it stands for."""
        return cast(Cuda, self)

    def copy_in(self, *arguments: Any) -> None:
        """As Cuda.copy_in."""
        self.begin()
        self._cuda.copy_in(*arguments)

    def capture(self, enqueue: Callable[[], None]) -> TimedGraph:
        """As Cuda.capture; an event inside the graph would be another graph than the one that ships."""
        self._capturing = True
        try:
            return TimedGraph(self, self._cuda.capture(enqueue))
        finally:
            self._capturing = False

    def synchronize(self) -> None:
        """As Cuda.synchronize: the end of a step."""
        if self._begun_already:
            self._ended.record()
        self._cuda.synchronize()
        self._begun_already = False

    def begin(self) -> None:
        """Record the first event, unless this step has one."""
        if not self._capturing and not self._begun_already:
            self._begun.record()
            self._begun_already = True

    def last_us(self) -> float:
        """Of the step that ended last."""
        with self._cuda.current():
            return 1e3 * self._ended.milliseconds_since(self._begun)


class TimedGraph:
    """A captured graph whose launch is the first command of a step."""

    def __init__(self, clock: EventClock, graph: Any) -> None:
        self._clock, self._graph = clock, graph

    def launch(self) -> None:
        """As Graph.launch."""
        self._clock.begin()
        self._graph.launch()

    def close(self) -> None:
        """As Graph.close."""
        self._graph.close()


def event_durations(
    step: Step, clock: EventClock, n: int, run: Callable[[Step], object]
) -> NDArray[np.float64]:
    """Durations in us of the last `n` of the steps that `run` makes."""
    durations: list[float] = []

    def timed() -> None:
        step()
        durations.append(clock.last_us())

    run(timed)
    return np.array(durations[-n:])
