"""The fleet: patients on shards, a loop for each shard with a deadline, so that a dead one stalls nobody.

It knows neither Ray nor a network: shards are `ShardLink`s, devices call `receive`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any, Protocol

from edge.errors import InputError, LeadliftError, ShardLostError
from edge.fleet.batch import Batch, Made, batch_of
from edge.fleet.counts import Counts
from edge.fleet.decoder import Decoder
from edge.fleet.patient import OpenSinks, Patient
from edge.fleet.placement import preferred
from edge.fleet.waiting import Run
from edge.live.telemetry import Histogram
from edge.samples import TwelveLeadBlock

TICK_S = 0.12
"""Of a shard's loop: the frames of wearables come every 100 to 240 ms."""
WAITING_S = 6.0
"""Signal that may wait for a shard: twice what it takes to go on elsewhere."""
JOINS_AT_ONCE = 16
"""Newcomers in one step: each costs as much as many hops, and the others wait meanwhile."""
IDLE_S = 60.0
"""Without a byte for so long a stream has ended: its files are finished, its slot is free."""
FINISH_S = 10.0
"""The longest that shards may take to finish what waits at the end."""


class ShardLink(Protocol):
    """A shard, wherever it runs."""

    name: str
    slots: int

    async def step(self, batch: Batch) -> Made:
        """Raises ShardLostError where no answer comes before the deadline; then `revive` is due."""
        ...

    async def revive(self) -> None:
        """Returns once the shard answers, and knows nobody. Tries for ever."""
        ...


@dataclass(eq=False)
class Lane:
    """A shard and who is on it."""

    link: ShardLink
    up: bool = True
    patients: dict[str, Patient] = field(default_factory=dict)
    """By the key of their streams."""
    leaving: list[str] = field(default_factory=list)
    steps: int = 0
    failures: int = 0


class Fleet:
    """Use `receive` and `run` in one event loop; outputs are written on threads of it."""

    def __init__(
        self,
        links: Sequence[ShardLink],
        *,
        decoder: Decoder,
        open_sinks: OpenSinks,
        tick_s: float = TICK_S,
        idle_s: float = IDLE_S,
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        """`decoder` is what all `links` run."""
        self.lanes = {link.name: Lane(link) for link in links}
        self.patients: dict[str, Patient] = {}
        """Whose streams go on, by name."""
        self.latency = Histogram()
        """From the arrival of a block's oldest byte to all outputs written."""
        self.deadline_misses = 0
        """Blocks that took more than two ticks."""
        self.counts = Counts()
        """Of all streams of this run."""
        self._decoder = decoder
        self._hz, self._hop = decoder.sampling_hz, decoder.hop
        self._tick_s, self._idle_s, self._say = tick_s, idle_s, say
        self._most_at_once = max(self._hop, round(tick_s * self._hz))
        """Samples of a patient in one step, a frame more or less: what a failure may cost."""
        self._open_sinks = open_sinks
        self._unplaced: dict[str, Patient] = {}
        self._streams = 0
        self._stopping = asyncio.Event()

    @property
    def slots(self) -> int:
        """Patients that there is room for while all shards are up."""
        return sum(lane.link.slots for lane in self.lanes.values())

    @property
    def unplaced(self) -> int:
        """Patients who wait for a shard with room."""
        return len(self._unplaced)

    def admit(self, name: str, device: str) -> None:
        """The device of a patient opens its link; the stream that it had goes on, if there is one.

        Raises InputError where there is no room, and where another device is this patient's now.
        """
        patient = self.patients.get(name)
        if patient is None:
            if len(self.patients) >= self.slots:
                raise InputError(f"all {self.slots} places of the fleet are taken: add a shard")
            self._streams += 1
            most = round(WAITING_S * self._hz)
            patient = Patient(name, device, f"{name}#{self._streams}", self._hz, most)
            self.patients[name] = patient
            self.counts.begin(patient)
        elif patient.device != device:
            raise InputError(
                f"{patient.device} is the device of {name} now: another may send {self._idle_s:.0f} s "
                "after it is silent"
            )
        patient.stream.reopened()

    def receive(self, name: str, device: str, data: bytes) -> None:
        """Bytes of a patient's device. Raises LeadliftError where the stream cannot go on: it ends."""
        if name not in self.patients:
            self.admit(name, device)
        patient = self.patients[name]
        if patient.device != device:
            self.admit(name, device)
        unknown = not patient.leads
        try:
            patient.receive(data, monotonic_ns())
        except LeadliftError:
            self._end(patient)
            raise
        if unknown and patient.leads:
            self._unplaced[patient.key] = patient
            self._place_waiting()

    def stop(self) -> None:
        """Finish what waits, then end `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`; all outputs are finished then."""
        lanes = [asyncio.create_task(self._serve(lane)) for lane in self.lanes.values()]
        idle = asyncio.create_task(self._watch_idle())
        try:
            stopped = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([stopped, *lanes, idle], return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            self._stopping.set()
            await asyncio.wait(lanes, timeout=FINISH_S)
            for task in lanes:
                if task.done():
                    task.result()  # raises what it raised
        finally:
            for task in (*lanes, idle):
                task.cancel()
            await asyncio.gather(*lanes, idle, return_exceptions=True)
            for patient in [*self.patients.values()]:
                self._end(patient)
                await self._finish(patient)

    async def _serve(self, lane: Lane) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            stopping = self._stopping.is_set()
            self._place_waiting()
            await self._let_go(lane)
            runs = self._collect(lane)
            if runs or lane.leaving:
                await self._step(lane, runs)
            elif stopping:
                return
            due = max(due + self._tick_s, clock())  # after a stall no burst
            if not (stopping or self._has_backlog(lane)):
                await self._pause(due - clock())

    async def _pause(self, seconds: float) -> None:
        """A while, or until the end comes."""
        waiting = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([waiting], timeout=max(0.0, seconds))
        waiting.cancel()

    def _has_backlog(self, lane: Lane) -> bool:
        """Whether more waits than one step takes, or somebody who is to join."""
        most = self._most_at_once + self._hop
        return any(
            len(patient.waiting) >= (most if patient.joined else self._hop)
            for patient in lane.patients.values()
        )

    def _collect(self, lane: Lane) -> dict[str, Run]:
        runs: dict[str, Run] = {}
        joins = 0
        for key, patient in lane.patients.items():
            if not patient.joined and joins == JOINS_AT_ONCE:
                continue
            run = patient.waiting.take(self._most_at_once, self._hop)
            if run is not None:
                joins += not patient.joined
                runs[key] = run
        return runs

    async def _step(self, lane: Lane, runs: dict[str, Run]) -> None:
        patients = {key: lane.patients[key] for key in runs}
        leads = {key: patient.leads for key, patient in patients.items()}
        coming = {key: patient for key, patient in patients.items() if not patient.joined}
        if coming:
            await asyncio.to_thread(self._prepare, [*coming.values()])
        calibrations = {key: p.calibration for key, p in coming.items() if p.calibration}
        batch = batch_of(runs, leads, lane.leaving, calibrations)
        try:
            made = await lane.link.step(batch)
        except ShardLostError as error:
            await self._lost(lane, runs, patients, error)
            return
        lane.leaving = []
        lane.steps += 1
        for key, patient in patients.items():
            patient.joined = key not in made.refused
            patient.refused = made.refused.get(key, "")
        for took_ns in await asyncio.to_thread(self._write, runs, patients, made):
            self.latency.record(took_ns)
            self.deadline_misses += took_ns > round(2e9 * self._tick_s)

    def _prepare(self, coming: list[Patient]) -> None:
        """On a thread: it reads files."""
        for patient in coming:
            self._decoder.prepare(patient, self._say)

    def _write(self, runs: dict[str, Run], patients: dict[str, Patient], made: Made) -> list[int]:
        """On a thread: what was made, to the outputs of each; the ns from first byte to there."""
        anew, took_ns = set(made.anew), []
        for key, first, ecg_mv, sigma_mv, quality in made:
            patient, run = patients[key], runs[key]
            provenance = self._decoder.provenance(patient.leads)
            ledger, _ = patient.open(provenance, self._open_sinks, self._say)
            block = TwelveLeadBlock(
                *(ecg_mv, sigma_mv, quality, first, self._hz, provenance),
                arrival_ns=run.arrival_ns,
                acquired_ns=run.acquired_ns,
            )
            assert patient.watch is not None
            block = patient.watch.follow(block)
            self._tell(patient, patient.write(ledger.follow(block, anew=key in anew)))
            took_ns.append(monotonic_ns() - run.arrival_ns)
        return took_ns

    async def _lost(
        self, lane: Lane, runs: dict[str, Run], patients: dict[str, Patient], error: Exception
    ) -> None:
        """What was on the shard is lost; its patients go elsewhere, and it comes back for others."""
        lane.up = False
        lane.failures += 1
        moved, lane.patients, lane.leaving = lane.patients, {}, []
        self._say(f"shard {lane.link.name} is lost, {len(moved)} patients move: {error}")
        await asyncio.to_thread(self._give_up, runs, patients)
        for patient in moved.values():
            patient.joined = False
        self._unplaced |= moved
        self._place_waiting()
        reviving = asyncio.ensure_future(lane.link.revive())
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([reviving, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not reviving.done():
            reviving.cancel()
            with suppress(asyncio.CancelledError):
                await reviving
            return
        reviving.result()
        lane.up = True
        self._say(f"shard {lane.link.name} is back")

    def _give_up(self, runs: dict[str, Run], patients: dict[str, Patient]) -> None:
        for key, patient in patients.items():
            self._tell(patient, patient.lose(runs[key]))

    def _place_waiting(self) -> None:
        """Each on the shard that it prefers of those that are up and have room."""
        for key, patient in [*self._unplaced.items()]:
            free = [
                name
                for name, lane in self.lanes.items()
                if lane.up and len(lane.patients) < lane.link.slots
            ]
            if not free:
                return
            lane = self.lanes[preferred(patient.name, free)[0]]
            lane.patients[key] = self._unplaced.pop(key)

    async def _let_go(self, lane: Lane) -> None:
        """Patients whose streams have ended or whom the shard refuses."""
        for key, patient in [*lane.patients.items()]:
            if patient.refused:
                self._say(f"{patient.name} is refused: {patient.refused}")
                self._end(patient)
            if patient.ending:
                del lane.patients[key]
                lane.leaving += [key] * patient.joined
                await self._finish(patient)

    async def _watch_idle(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._idle_s))
            silent_ns = monotonic_ns() - round(self._idle_s * 1e9)
            for patient in [*self.patients.values()]:
                if patient.heard_ns < silent_ns:
                    self._end(patient)
            for key, patient in [*self._unplaced.items()]:
                if patient.ending:
                    del self._unplaced[key]
                    await self._finish(patient)

    def _end(self, patient: Patient) -> None:
        """The stream has ended; who sends again begins another."""
        patient.ending = True
        if self.patients.get(patient.name) is patient:
            del self.patients[patient.name]
            if not patient.leads:  # it is on no shard
                self.counts.end(patient)

    async def _finish(self, patient: Patient) -> None:
        self.counts.end(patient)
        self._tell(patient, await asyncio.to_thread(patient.close))

    def _tell(self, patient: Patient, failure: str) -> None:
        if failure:
            self._say(f"warning: {patient.name}: {failure}")

    def report(self) -> dict[str, Any]:
        """Plain values for JSON, from any thread: the shards, and the counts of all streams of this run."""
        patients = [*self.patients.values()]
        return {
            **self.counts.totals(),
            "patients": len(patients),
            "patients_unplaced": self.unplaced,
            "patients_calibrated": sum(bool(p.calibration) for p in patients),
            "patients_misplaced": sum(p.watch is not None and p.watch.found for p in patients),
            "slots": self.slots,
            "deadline_misses": self.deadline_misses,
            "latency_us": self.latency.summary_us(),
            "shards": {
                name: {
                    "up": lane.up,
                    "patients": len(lane.patients),
                    "steps": lane.steps,
                    "failures": lane.failures,
                }
                for name, lane in self.lanes.items()
            },
        }
