"""A whole fleet: Ray, shards, gateways, outputs and metrics, from start to end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import InputError
from edge.fleet.admission import Admission
from edge.fleet.decoder import Decoder
from edge.fleet.feed import Listeners
from edge.fleet.fleet import Fleet
from edge.fleet.mqtt_gateway import Broker, MqttGateway
from edge.fleet.outputs import PatientSinks
from edge.fleet.ray_shards import DEADLINE_S, RayShard, ray_cluster
from edge.fleet.websocket_gateway import WebSocketGateway
from edge.live.description import model_in_words, prefilter
from edge.live.telemetry import Histogram
from edge.multi_reconstructor import MultiReconstructor
from edge.sinks.viewer.access import is_loopback
from edge.sinks.viewer.viewers import Message

if TYPE_CHECKING:
    from edge.sinks.viewer.ward import Ward

SHARDS, SLOTS = 1, 256


@dataclass(frozen=True)
class Plan:
    """What to run."""

    admission: Admission
    shards: int = SHARDS
    slots: int = SLOTS
    """Patients on each shard."""
    address: str | None = None
    """Of a Ray cluster to join; None starts one on this machine."""
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    broker: Broker | None = None
    password: str | None = None
    publishes: bool = False
    """Whether blocks go to the broker, too."""
    files: Sequence[str] = ()
    ward: Ward | None = None
    calibrations: Path | None = None
    """Folder of a PATIENT.json for each patient who has one."""
    deadline_s: float = DEADLINE_S
    """Of a shard's answer."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `MultiReconstructor.open`."""


def check_host(host: str, *, secure: bool) -> None:
    """Raises InputError where an ECG would go over a network unencrypted."""
    if not (secure or is_loopback(host)):
        raise InputError(
            f"others can reach {host}: give --certificate and --key, so that nobody reads along on the way"
        )


class Service:
    """Runs once."""

    def __init__(self, plan: Plan, say: Callable[[str], object] = lambda line: None) -> None:
        self._plan, self._say = plan, say
        self.fleet: Fleet | None = None
        self.websocket: WebSocketGateway | None = None
        self.mqtt: MqttGateway | None = None
        self.engine = ""
        self._listeners: Listeners | None = None
        self._shards: list[RayShard] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    def stop(self) -> None:
        """End it, from any thread or signal handler."""
        self._stopped = True
        if self._loop is not None and self.fleet is not None:
            self._loop.call_soon_threadsafe(self.fleet.stop)

    async def run(self, on_open: Callable[[], object] = lambda: None) -> None:
        """Serve until `stop`; `on_open` is called once devices may come.

        Raises InputError, BundleError, EngineError or SinkError where it cannot begin.
        """
        plan = self._plan
        check_host(plan.host, secure=plan.tls is not None)
        self._loop = asyncio.get_running_loop()
        with MultiReconstructor.open(slots=1, **plan.options) as one:  # what is wrong is said here
            decoder = Decoder(one.bundle, plan.calibrations)
            words = {"prefilter": prefilter(one.conditioning), "model": model_in_words(one.bundle)}

        with ray_cluster(plan.address, plan.shards):
            self._shards = [
                RayShard(f"shard-{i}", plan.slots, dict(plan.options), plan.deadline_s)
                for i in range(plan.shards)
            ]
            self.engine = (await asyncio.gather(*(shard.ready() for shard in self._shards)))[0]
            self._listeners = Listeners()
            sinks = PatientSinks(plan.files, plan.ward, self._publish, words, self._say)
            self.fleet = Fleet(
                self._shards,
                decoder=decoder,
                open_sinks=sinks,
                say=self._say,
            )
            async with AsyncExitStack() as stack:
                self.websocket = WebSocketGateway(self.fleet, plan.admission, self._listeners)
                await stack.enter_async_context(
                    self.websocket.listening(plan.host, plan.port, plan.tls)
                )
                bridging = self._bridge() if plan.broker is not None else None
                if self._stopped:
                    self.fleet.stop()
                on_open()
                try:
                    await self.fleet.run()
                finally:
                    if bridging is not None:
                        bridging.cancel()
                        await asyncio.gather(bridging, return_exceptions=True)

    def _bridge(self) -> asyncio.Task[None]:
        plan = self._plan
        assert self.fleet is not None and plan.broker is not None
        self.mqtt = MqttGateway(
            self.fleet,
            plan.admission,
            plan.broker,
            password=plan.password,
            publishes=plan.publishes,
            say=self._say,
        )
        return asyncio.create_task(self.mqtt.run())

    def _publish(self, patient: str, message: Message) -> None:
        if self._listeners is not None:
            self._listeners.publish(patient, message)
        if self.mqtt is not None:
            self.mqtt.publish(patient, message)

    async def pids(self) -> dict[str, int]:
        """The process of each shard."""
        return {shard.name: await shard.ask("pid", within_s=10.0) for shard in self._shards}

    def latency(self) -> Histogram:
        """From the arrival of a block's oldest byte to all outputs written; empty before the start."""
        return Histogram() if self.fleet is None else self.fleet.latency

    def report(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = {} if self.fleet is None else self.fleet.report()
        return {
            **found,
            "engine": self.engine,
            "websocket": {} if self.websocket is None else dict(self.websocket.counts),
            "mqtt": {} if self.mqtt is None else dict(self.mqtt.counts),
            "messages_dropped": 0 if self._listeners is None else self._listeners.dropped,
        }
