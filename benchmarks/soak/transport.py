"""The port of a virtual device in the time of the signal: as fast as inference follows, and no faster."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from threading import Event

import numpy as np
from numpy.typing import NDArray

from benchmarks.soak.device import DEVICE_HZ, FaultyDevice, Piece
from benchmarks.soak.schedule import Fault, Kind
from edge.live.stream_reconstructor import StreamReconstructor
from edge.samples import TwelveLeadBlock
from firmware_bridge.errors import TransportLost
from firmware_bridge.transports.base import Received

AHEAD = round(1.0 * DEVICE_HZ)  # samples that may wait for inference where nothing is slow
LOOK_S = 0.001
HELD_BY = {Kind.STARVED_INFERENCE: "inference", Kind.SLOW_SINK: "sink"}
ABANDONED_S = 30.0  # a gate that nobody opens would hold the run up for ever


class Gates:
    """What holds a thread up for as long as a fault lasts."""

    def __init__(self) -> None:
        self.waited = Counter[str]()
        """How often somebody waited, by name."""
        self._open = {name: Event() for name in HELD_BY.values()}
        for event in self._open.values():
            event.set()

    def hold(self, name: str) -> None:
        """Whoever passes from now on waits."""
        self._open[name].clear()

    def release(self) -> None:
        """Everybody goes on."""
        for event in self._open.values():
            event.set()

    def pass_through(self, name: str) -> None:
        """Wait while it is held."""
        self.waited[name] += not self._open[name].is_set()
        self._open[name].wait(ABANDONED_S)


class HeldReconstructor:
    """The real reconstructor on a thread that may be starved; counts what it was given."""

    def __init__(self, real: StreamReconstructor, gates: Gates) -> None:
        self.pushed = 0
        self._real, self._gates = real, gates

    @property
    def sampling_hz(self) -> float:
        """As the real one."""
        return self._real.sampling_hz

    @property
    def leads(self) -> tuple[str, ...]:
        """As the real one."""
        return self._real.leads

    @property
    def moments(self) -> NDArray[np.float64]:
        """As the real one."""
        return self._real.moments

    @property
    def hop(self) -> int:
        """As the real one."""
        return self._real.hop

    def skip(self, n_samples: int) -> None:
        """As the real one."""
        self._real.skip(n_samples)

    def flush(self) -> TwelveLeadBlock:
        """As the real one."""
        return self._real.flush()

    def push(
        self,
        ecg_mv: NDArray[np.float32],
        valid: NDArray[np.bool_] | None = None,
        quality: NDArray[np.uint8] | None = None,
    ) -> TwelveLeadBlock:
        """As the real one, when the gate is open."""
        self._gates.pass_through("inference")
        block = self._real.push(ecg_mv, valid, quality)
        self.pushed += ecg_mv.shape[1]
        return block


class VirtualPort:
    """A transport whose times are those of the signal."""

    def __init__(
        self,
        device: FaultyDevice,
        faults: Sequence[Fault],
        gates: Gates,
        waiting: Callable[[], int],
        watch: Callable[[Fault, bool], None],
    ) -> None:
        """`waiting` says how many samples inference has yet to take; `watch` is told of each fault that
        begins (True) and ends."""
        self._pieces: Iterator[Piece] = iter(device)
        self._gates, self._waiting, self._watch = gates, waiting, watch
        self._due = sorted(
            [(f.begin_s, True, f) for f in faults] + [(f.end_s, False, f) for f in faults],
            key=lambda one: one[0],
        )
        self._held = False

    async def open(self) -> None:
        """It is always there."""

    async def read(self) -> Received:
        """The next piece, as soon as inference has followed. Raises TransportLost where the link is lost."""
        piece = next(self._pieces, None)
        if piece is None:
            self._release()
            return Received(b"", 0)
        while self._due and self._due[0][0] <= piece.at_s:
            await self._turn(*self._due.pop(0)[1:])
        while not self._held and self._waiting() > AHEAD:
            await asyncio.sleep(LOOK_S)
        if not piece.data:
            raise TransportLost("the link of the virtual device is lost")
        return Received(piece.data, piece.arrival_ns)

    async def write(self, data: bytes) -> None:
        """The device does not listen."""

    async def close(self) -> None:
        """Nothing to close; whoever is held up goes on."""
        self._release()

    async def _turn(self, begins: bool, fault: Fault) -> None:
        gate = HELD_BY.get(fault.kind)
        if gate is not None:
            self._release()
            while self._waiting() > AHEAD:  # what one fault leaves is no part of the next
                await asyncio.sleep(LOOK_S)
            if begins:
                self._gates.hold(gate)
                self._held = True
        self._watch(fault, begins)

    def _release(self) -> None:
        self._held = False
        self._gates.release()
