"""Devices and listeners over an MQTT broker (version 5), each message bounded and with its device's token.

    leadlift/devices/NAME/frames     in: frames of the wire format; the user property `token` is the device's
    leadlift/patients/NAME/blocks    out: bytes, see `edge.fleet.feed`
    leadlift/patients/NAME/state     out, retained: what stands beside them, as JSON
    leadlift/patients/NAME/markers   out: JSON

Who may listen is the broker's to say: its ACL has to keep `leadlift/patients/` to those who may.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from edge.errors import EngineMissingError, InputError, LeadliftError
from edge.fleet.admission import Admission
from edge.fleet.fleet import Fleet
from edge.fleet.ray_shards import MISSING_EXTRA
from edge.fleet.websocket_gateway import MAX_MESSAGE_BYTES
from edge.sinks.viewer.viewers import Message

if TYPE_CHECKING:
    import aiomqtt

PREFIX = "leadlift"
MOST_IN = 4096
"""Messages of devices that wait here. More are dropped, which the next frame tells by its count."""
MOST_OUT = 4096
"""Messages that wait for the broker: the oldest make room and are counted."""
_AGAIN_S = 1.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """Where it is, and as whom to go there."""

    host: str
    port: int
    secure: bool
    user: str | None

    @classmethod
    def parse(cls, text: str) -> Broker:
        """Of `mqtt[s]://[USER@]HOST[:PORT]`. Raises InputError."""
        parts = urlsplit(text if "://" in text else f"mqtt://{text}")
        try:
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError) as error:
            raise InputError(
                f"{text!r} is no broker: give mqtt://HOST:PORT, or mqtts: for TLS"
            ) from error
        if not parts.hostname or parts.password is not None or parts.path.strip("/"):
            raise InputError(
                f"{parts.scheme}://{parts.hostname or ''}: give mqtt://[USER@]HOST[:PORT]; the password "
                "comes in the variable LEADLIFT_MQTT_PASSWORD"
            )
        user = None if parts.username is None else unquote(parts.username)
        return cls(parts.hostname, port, parts.scheme == "mqtts", user)


class MqttGateway:
    """Serves one fleet; a broker that is away is waited for."""

    def __init__(
        self,
        fleet: Fleet,
        admission: Admission,
        broker: Broker,
        *,
        password: str | None = None,
        publishes: bool = False,
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        """Raises EngineMissingError where the client is not installed."""
        if not find_spec("aiomqtt"):
            raise EngineMissingError(MISSING_EXTRA)
        self.counts: Counter[str] = Counter()
        """Messages `accepted`, `refused` (no token), `not_taken`, `published`, `dropped`."""
        self.connected = asyncio.Event()
        self._fleet, self._admission, self._broker = fleet, admission, broker
        self._password, self._say = password, say
        self._loop = asyncio.get_running_loop()
        self._publishes = publishes
        self._outbox: deque[tuple[str, Message]] = deque()
        self._ready = asyncio.Event()
        self._refused: set[str] = set()

    def publish(self, patient: str, message: Message) -> None:
        """See `edge.fleet.feed.Publish`."""
        if self._publishes:
            self._loop.call_soon_threadsafe(self._put, patient, message)

    def _put(self, patient: str, message: Message) -> None:
        if len(self._outbox) == MOST_OUT:
            self._outbox.popleft()
            self.counts["dropped"] += 1
        self._outbox.append((patient, message))
        self._ready.set()

    async def run(self) -> None:
        """For ever, until cancelled."""
        import aiomqtt

        silent = logging.getLogger("leadlift.fleet.mqtt")
        silent.propagate = False
        silent.setLevel(logging.CRITICAL + 1)
        away = False
        while True:
            try:
                async with self._client(silent) as client:
                    if away:
                        self._say(f"the broker at {self._broker.host} is back")
                    away = False
                    await client.subscribe(f"{PREFIX}/devices/+/frames", qos=1)
                    self.connected.set()
                    sending = asyncio.ensure_future(self._send(client))
                    try:
                        await self._receive(client)
                    finally:
                        sending.cancel()
                        await asyncio.gather(sending, return_exceptions=True)
            except aiomqtt.MqttError as error:
                if not away:
                    self._say(
                        f"warning: no broker at {self._broker.host}:{self._broker.port}: {error}; it is "
                        "waited for"
                    )
                away = True
            self.connected.clear()
            await asyncio.sleep(_AGAIN_S)

    def _client(self, logger: logging.Logger) -> aiomqtt.Client:
        import aiomqtt
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        typed: Any = Properties  # it says no types
        broker, limits = self._broker, typed(PacketTypes.CONNECT)
        limits.MaximumPacketSize = 2 * MAX_MESSAGE_BYTES  # the broker keeps back what is longer
        return aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.user,
            password=self._password,
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=ssl.create_default_context() if broker.secure else None,
            max_queued_incoming_messages=MOST_IN,
            max_queued_outgoing_messages=MOST_OUT,
            properties=limits,
            logger=logger,
        )

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self._take(str(message.topic), message.payload, message.properties)

    def _take(self, topic: str, payload: Any, properties: Any) -> None:
        """One message of a device, or of anyone who says so."""
        self._admission.look()
        device = topic.removeprefix(f"{PREFIX}/devices/").removesuffix("/frames")
        said = dict(getattr(properties, "UserProperty", ()) or ())
        patient = self._admission.patient_of(device, str(said.get("token", "")))
        if patient is None or not isinstance(payload, bytes) or len(payload) > MAX_MESSAGE_BYTES:
            self.counts["refused"] += 1
            return
        self.counts["accepted"] += 1
        try:
            self._fleet.receive(patient, device, payload)
            self._refused.discard(device)
        except LeadliftError as error:
            self.counts["not_taken"] += 1
            if device not in self._refused:  # MQTT has no way to tell the device
                self._say(f"warning: {device}: {error}")
            self._refused.add(device)

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            await self._ready.wait()
            while self._outbox:
                patient, message = self._outbox[0]
                topic, retain = f"{PREFIX}/patients/{patient}/blocks", False
                if isinstance(message, str):
                    retain = message.startswith('{"patient"')
                    topic = f"{PREFIX}/patients/{patient}/{'state' if retain else 'markers'}"
                await client.publish(topic, message, qos=0, retain=retain)
                self._outbox.popleft()
                self.counts["published"] += 1
            self._ready.clear()
