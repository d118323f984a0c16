"""A BLE peripheral through bleak: notifications in, control writes out, each wait bounded.

A notification is a piece of the byte stream and nothing else: where the MTU cuts it means nothing to the
decoder. `open` scans first, always: an address that was known before is often no longer known to BlueZ.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firmware_bridge.errors import (
    BridgeError,
    NotFoundError,
    PeerError,
    TransportError,
    TransportLost,
)
from firmware_bridge.transports.base import Received
from firmware_bridge.transports.ble_errors import explain, faults
from firmware_bridge.transports.ble_scan import DBUS_S, Heard, find
from firmware_bridge.transports.bounded import bounded
from firmware_bridge.wire.gatt import WIRE_PROFILE, GattProfile

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.characteristic import BleakGATTCharacteristic

SCAN_S = 10.0  # a device that advertises once a second is heard ten times
CONNECT_S = 15.0  # connecting and listing the services, at the longest connection interval
ANSWER_S = 5.0  # one read, write or subscription: several of the longest connection intervals
TRIES = 3  # a connection attempt that interference ends mostly succeeds the second time
RETRIED = (TransportError, TransportLost, NotFoundError)
# 25 s of three int24 leads at 250 Hz: a reader this late has stopped, and the sequence tells the loss.
CAPACITY_BYTES = 65536


@dataclass(slots=True)
class _Connection:
    """One connection, from its opening to its loss; its callbacks never touch the next one."""

    heard: deque[Received] = field(default_factory=deque)
    n_bytes: int = 0
    dropped: int = 0
    lost: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
        """Take a notification; when the reader has stopped, the oldest give way."""
        if not data:
            return
        self.heard.append(Received(bytes(data), time.monotonic_ns()))
        self.n_bytes += len(data)
        while self.n_bytes > CAPACITY_BYTES:
            self.n_bytes -= len(self.heard.popleft().data)
            self.dropped += 1
        self.news.set()

    def lose(self, client: BleakClient) -> None:
        """The link is gone."""
        self.lost = True
        self.news.set()


class BleTransport:
    """A `Transport` to one BLE peripheral, named by address, by name, or by its service alone (`""`).

    `adapter` is the local radio (`hci1`), by default the first that is on. `use_start_notify` chooses how
    BlueZ passes notifications on: over D-Bus, or (False) over a socket, which is faster and which some
    devices do not bear. `pair` pairs before connecting. A reopening goes to the same address.
    """

    def __init__(
        self,
        target: str = "",
        profile: GattProfile = WIRE_PROFILE,
        *,
        adapter: str | None = None,
        use_start_notify: bool = True,
        pair: bool = False,
        scan_s: float = SCAN_S,
    ) -> None:
        self.target = target
        self.profile = profile
        self.address: str | None = None
        """Of the device that was opened last."""
        self.info: object | None = None
        """What the device said of itself when it was opened, where the profile has a place for it."""
        self._adapter = adapter
        self._use_start_notify = use_start_notify
        self._pair = pair
        self._scan_s = scan_s
        self._client: BleakClient | None = None
        self._connection = _Connection()
        self._dropped = 0

    @property
    def notifications_dropped(self) -> int:
        """Notifications that nobody read in time."""
        return self._dropped + self._connection.dropped

    async def open(self) -> None:
        """Scan, connect, check that it is such a device, subscribe.

        Raises AdapterError, AccessError, NotFoundError (not heard, or gone since), RefusedError (pairing,
        notifications), PeerError (another kind of device, or firmware of another version) and
        TransportError (a connection that fails three times, a device that does not answer).
        """
        failure: BridgeError | None = None
        for attempt in range(1, TRIES + 1):
            await self.close()
            target = self.address or self.target
            try:
                heard = await find(target, self.profile, self._scan_s, self._adapter)
            except NotFoundError:
                if failure is None:
                    raise
                raise failure from None  # heard before: why that connection failed says more
            try:
                await self._connect(heard)
            except BaseException as error:
                await self.close()
                # Interference has no type of its own, and BlueZ forgets devices that are still there.
                if not isinstance(error, BridgeError) or type(error) not in RETRIED:
                    raise
                if attempt == TRIES or isinstance(error.__cause__, asyncio.TimeoutError):
                    raise
                failure = error
            else:
                return

    async def read(self) -> Received:
        """The next notification. Raises TransportLost when the connection is lost, after what came."""
        connection = self._connection
        while not connection.heard:
            if self._client is None:
                raise TransportError(f"{self._name} is not open: open it first")
            if connection.lost:
                raise self._lost()
            connection.news.clear()
            await connection.news.wait()
        received = connection.heard.popleft()
        connection.n_bytes -= len(received.data)
        return received

    async def write(self, data: bytes) -> None:
        """Write to the control characteristic, acknowledged where the device offers that.

        Raises RefusedError, TransportLost, or TransportError after 5 s without an answer. A profile
        without a control characteristic ignores it.
        """
        client = self._client
        if client is None:
            raise TransportError(f"{self._name} is not open: open it first")
        if self.profile.control is None:
            return
        try:
            control = self._characteristic(client, self.profile.control)
            response = "write" in control.properties
            size = max(1, control.max_write_without_response_size)
            for start in range(0, len(data), size):
                piece = data[start : start + size]
                await bounded(client.write_gatt_char(control, piece, response=response), ANSWER_S)
        except faults() as error:
            if self._connection.lost:
                raise self._lost() from error
            raise explain(error, self._name, "a control write") from error

    async def close(self) -> None:
        """Disconnect; a peripheral serves one host at a time."""
        client, self._client = self._client, None
        self._dropped += self._connection.dropped
        self._connection.news.set()
        self._connection = _Connection()
        if client is not None:
            # One that cannot be told goodbye is disconnected by its supervision timeout.
            with contextlib.suppress(*faults()):
                await bounded(client.disconnect(), DBUS_S)

    @property
    def _name(self) -> str:
        return f"ble:{self.target or self.address or ''}"

    async def _connect(self, heard: Heard) -> None:
        from bleak import BleakClient

        connection = self._connection = _Connection()
        client = self._client = BleakClient(
            heard.device,
            connection.lose,
            timeout=CONNECT_S,
            pair=self._pair,
            bluez={} if self._adapter is None else {"adapter": self._adapter},
        )
        name = self._name if self.target else f"ble:{heard.address}"
        doing = "pairing and connecting" if self._pair else "connecting"
        try:
            await bounded(client.connect(), CONNECT_S)
            doing = "the reading of its info"
            await self._check(client, name)
            doing = "notifications"
            await bounded(
                client.start_notify(
                    self._characteristic(client, self.profile.stream),
                    connection.hear,
                    bluez={"use_start_notify": self._use_start_notify},
                ),
                ANSWER_S,
            )
        except faults() as error:
            raise explain(error, name, doing) from error
        if connection.lost:
            raise self._lost()
        self.address = heard.address

    async def _check(self, client: BleakClient, name: str) -> None:
        """Raise PeerError unless it is a device of this profile that speaks this version."""
        profile = self.profile
        if client.services.get_service(profile.service) is None:
            has = ", ".join(sorted({s.description for s in client.services})) or "none"
            raise PeerError(
                f"{name} is no {profile.title}: it lacks the service {profile.service} "
                f"(it has: {has}); name another, or its device="
            )
        for uuid in filter(None, (profile.stream, profile.control)):
            self._characteristic(client, uuid)
        info = client.services.get_characteristic(profile.info) if profile.info else None
        if info is None or profile.read_info is None:
            return
        value = bytes(await bounded(client.read_gatt_char(info), ANSWER_S))
        try:
            self.info = profile.read_info(value)
        except ValueError as error:
            raise PeerError(
                f"{name} says of itself what this host does not understand ({error}): "
                "update its firmware, or leadlift"
            ) from error

    def _characteristic(self, client: BleakClient, uuid: str) -> BleakGATTCharacteristic:
        found = client.services.get_characteristic(uuid)
        if found is None:
            raise PeerError(
                f"{self._name} is no {self.profile.title}: it lacks the characteristic {uuid}; "
                "check device= and its firmware"
            )
        return found

    def _lost(self) -> BridgeError:
        return TransportLost(f"{self._name} has gone: the device is out of reach, off, or hung up")
