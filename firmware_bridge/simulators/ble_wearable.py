"""A virtual device as a BLE peripheral of this machine: its adapter, through BlueZ, with dbus-fast.

Linux alone: elsewhere no program may be a peripheral so simply. BlueZ is given the GATT service, an
advertisement, and for each subscription one end of a socket, which also says how large the MTU is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from typing import Any

from firmware_bridge.errors import AdapterError, TransportError
from firmware_bridge.simulators.twins import BleTwin
from firmware_bridge.simulators.wearable import DueFrame
from firmware_bridge.transports.ble_errors import explain, faults
from firmware_bridge.transports.bounded import bounded
from firmware_bridge.wire import gatt

BLUEZ = "org.bluez"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
SERVICE, CHARACTERISTIC = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
ADVERTISEMENT = "org.bluez.LEAdvertisement1"
GATT_MANAGER, ADVERTISING_MANAGER = "org.bluez.GattManager1", "org.bluez.LEAdvertisingManager1"
ROOT = "/leadlift"
ANSWER_S = 10.0  # registering makes BlueZ read every object back
BACKLOG_BYTES = 4096  # 1.5 s of three int24 leads at 250 Hz: a link that is this late has no room
FD_S = 0.05  # until our copy of the end that BlueZ was sent is closed


class BleWearable:
    """Advertises `wearable` as `name` from its making on, until `close`; `run` streams.

    It serves one subscriber, the latest. What is due while there is none is not sent (`frames_unheard`);
    what the link has no room for is dropped by whole frames (`frames_dropped`).

    Raises AdapterError, AccessError or TransportError where BlueZ does not let it.
    """

    def __init__(
        self,
        wearable: BleTwin,
        *,
        name: str = "leadlift",
        adapter: str | None = None,
    ) -> None:
        self.port = f"ble:{name}"
        self.frames_sent = 0
        self.frames_dropped = 0
        self.frames_unheard = 0
        self._wearable = wearable
        self._name = name
        self._adapter = adapter
        self._subscriber: socket.socket | None = None
        self._mtu = gatt.MIN_MTU
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._bus: Any = None
        try:
            self._loop.run_until_complete(self._register())
        except BaseException:
            self.close()
            raise

    def run(self, seconds: float | None = None) -> None:
        """Stream until `stop`, the end of the signal, or for `seconds`."""
        self._loop.run_until_complete(self._stream(seconds))

    def stop(self) -> None:
        """Make `run` return soon; safe from any thread and from a signal handler."""
        with contextlib.suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(self._stopped.set)

    def drain(self) -> bool:
        """What was sent is BlueZ's to deliver; nothing is held here."""
        return True

    def close(self) -> None:
        """Disappear from the air: BlueZ withdraws what its client had registered."""
        self._unsubscribe()
        if self._bus is not None:
            self._bus.disconnect()
            self._loop.run_until_complete(self._bus.wait_for_disconnect())
            self._bus = None
        if not self._loop.is_closed():
            self._loop.close()

    async def _stream(self, seconds: float | None) -> None:
        began_s = time.monotonic()
        while (due_s := self._wearable.next_due_s()) is not None:
            ends = seconds is not None and due_s > seconds
            until_s = began_s + (seconds if ends and seconds is not None else due_s)
            with contextlib.suppress(asyncio.TimeoutError):
                await bounded(self._stopped.wait(), max(0.0, until_s - time.monotonic()))
            if self._stopped.is_set() or ends:
                return
            frame = self._wearable.next_frame()
            if frame is not None and frame.data:
                self._count(frame)

    def _count(self, frame: DueFrame) -> None:
        if self._subscriber is None:
            self.frames_unheard += 1
        elif self._send(frame.data):
            self.frames_sent += 1
        else:
            self.frames_dropped += 1

    def _send(self, data: bytes) -> bool:
        """Notify, at once or when the link has room; False where the whole of `data` was dropped."""
        if self._subscriber is None or self._backlog_bytes + len(data) > BACKLOG_BYTES:
            return False
        self._backlog.extend(gatt.notifications(data, self._mtu, self._wearable.profile))
        self._backlog_bytes += len(data)
        self._flush()
        return True

    def _flush(self) -> None:
        subscriber = self._subscriber
        if subscriber is None:
            return
        self._loop.remove_writer(subscriber)
        while self._backlog:
            try:
                subscriber.send(self._backlog[0])
            except BlockingIOError:  # a socket holds ten or so, whatever their size
                self._loop.add_writer(subscriber, self._flush)
                return
            except OSError:  # the host unsubscribed or has gone
                self._unsubscribe()
                return
            self._backlog_bytes -= len(self._backlog.popleft())

    def _unsubscribe(self) -> None:
        if self._subscriber is not None:
            self._loop.remove_writer(self._subscriber)
            self._subscriber.close()
            self._subscriber = None
        self._backlog.clear()
        self._backlog_bytes = 0

    # BlueZ.

    async def _register(self) -> None:
        from dbus_fast import BusType, Variant
        from dbus_fast.aio import MessageBus

        try:
            bus = MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True)
            await bounded(bus.connect(), ANSWER_S)
            self._bus = bus  # one that never connected waits for ever to be disconnected
            self._bus.add_message_handler(self._receive)
            found = await self._call("/", OBJECTS, "GetManagedObjects")
            adapter = self._chosen(found[0])
            options: dict[str, Variant] = {}
            await self._call(adapter, GATT_MANAGER, "RegisterApplication", "oa{sv}", ROOT, options)
            path = f"{ROOT}/advertisement"
            await self._call(
                adapter, ADVERTISING_MANAGER, "RegisterAdvertisement", "oa{sv}", path, options
            )
        except faults() as error:
            raise explain(error, "BlueZ", "advertising") from error

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> list[Any]:
        from bleak.exc import BleakDBusError
        from dbus_fast import Message, MessageType

        message = Message(
            destination=BLUEZ,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        reply = await bounded(self._bus.call(message), ANSWER_S)
        if reply.message_type is MessageType.ERROR:
            raise BleakDBusError(reply.error_name, reply.body)
        return list(reply.body)

    def _chosen(self, tree: dict[str, dict[str, Any]]) -> str:
        """The path of the adapter to advertise on."""
        adapters = {
            path.rpartition("/")[2]: path for path in sorted(tree) if GATT_MANAGER in tree[path]
        }
        if self._adapter is not None and self._adapter not in adapters:
            here = ", ".join(adapters) or "none"
            raise AdapterError(
                f"no Bluetooth adapter {self._adapter} that can advertise: there is {here}"
            )
        for name, path in adapters.items():
            powered = tree[path].get("org.bluez.Adapter1", {}).get("Powered")
            if powered is not None and powered.value and self._adapter in (None, name):
                return path
        if adapters:
            raise AdapterError(
                "the Bluetooth adapter is off: turn Bluetooth on, such as with `bluetoothctl power on`"
            )
        raise AdapterError("no Bluetooth adapter that can advertise: plug one in")

    def _objects(self) -> dict[str, dict[str, dict[str, Any]]]:
        from dbus_fast import Variant

        tree: dict[str, dict[str, dict[str, Any]]] = {}
        profile = self._wearable.profile
        offered = gatt.characteristics(profile)
        services = list(dict.fromkeys(c.service for c in offered))
        for i, service in enumerate(services):
            tree[f"{ROOT}/service{i}"] = {
                SERVICE: {"UUID": Variant("s", service), "Primary": Variant("b", True)}
            }
        for i, c in enumerate(offered):
            service = f"{ROOT}/service{services.index(c.service)}"
            values = {
                "UUID": Variant("s", c.uuid),
                "Service": Variant("o", service),
                "Flags": Variant("as", list(c.properties)),
            }
            if c.uuid == profile.stream:  # BlueZ then asks for a socket, and tells the MTU
                values["NotifyAcquired"] = Variant("b", False)
            tree[f"{service}/char{i}"] = {CHARACTERISTIC: values}
        return tree

    def _advertisement(self) -> dict[str, Any]:
        from dbus_fast import Variant

        return {
            "Type": Variant("s", "peripheral"),
            "ServiceUUIDs": Variant("as", [self._wearable.profile.service]),
            "LocalName": Variant("s", self._name),
        }

    def _receive(self, message: Any) -> Any:
        """Answer BlueZ; None for what is not ours."""
        from dbus_fast import Message, MessageType

        path = message.path or ""
        if message.message_type is not MessageType.METHOD_CALL or not path.startswith(ROOT):
            return None
        tree = self._objects()
        if (message.interface, message.member) == (OBJECTS, "GetManagedObjects"):
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [tree])
        if (message.interface, message.member) == (PROPERTIES, "GetAll"):
            own = tree.get(path, {ADVERTISEMENT: self._advertisement()})
            return Message.new_method_return(message, "a{sv}", [own.get(message.body[0], {})])
        if message.interface == CHARACTERISTIC and path in tree:
            uuid = tree[path][CHARACTERISTIC]["UUID"].value
            return self._characteristic_call(uuid, message)
        return Message.new_method_return(message)  # Release of the advertisement

    def _characteristic_call(self, uuid: str, message: Any) -> Any:
        from dbus_fast import Message

        if message.member == "ReadValue":
            value = self._wearable.values().get(uuid, b"")
            offset = message.body[0].get("offset")
            return Message.new_method_return(
                message, "ay", [value[0 if offset is None else offset.value :]]
            )
        profile = self._wearable.profile
        if message.member == "WriteValue" and uuid == profile.control:
            self._send(self._wearable.receive(bytes(message.body[0])))
        elif message.member == "AcquireNotify" and uuid == profile.stream:
            mtu = message.body[0].get("mtu")
            self._mtu = gatt.MIN_MTU if mtu is None else mtu.value
            self._unsubscribe()
            self._subscriber, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._subscriber.setblocking(False)
            fd = theirs.detach()
            self._loop.call_later(FD_S, os.close, fd)
            self._send(self._wearable.subscribed())
            return Message.new_method_return(message, "hq", [0, self._mtu], unix_fds=[fd])
        return Message.new_method_return(message)


def open_ble_wearable(wearable: BleTwin, name: str, adapter: str | None) -> BleWearable:
    """A BleWearable, or TransportError where this system has no BlueZ to be one with."""
    try:
        import dbus_fast  # noqa: F401
    except ImportError as error:
        raise TransportError(
            "a BLE peripheral needs BlueZ, so Linux: use --port pty here, or another machine"
        ) from error
    return BleWearable(wearable, name=name, adapter=adapter)
