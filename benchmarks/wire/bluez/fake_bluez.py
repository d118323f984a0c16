"""A fake of BlueZ: `org.bluez` on a bus, for bleak's real BlueZ backend to talk to.

It knows one adapter and the peripherals that a test adds, keeps their objects as bluetoothd does, and cuts
notifications at the MTU. `errors` and `hangs` make it answer a call with an error, or never.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

OBJECTS = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
SERVICE, CHARACTERISTIC = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
ADVERTISE_S = (
    0.05  # a peripheral repeats itself: a single advertisement may fall before the host listens
)
FD_S = 0.05  # until our copy of a descriptor sent over the bus is closed

Error = tuple[str, str]
FAILED = "org.bluez.Error.Failed"


class FakeError(Exception):
    """What a call is answered with: a D-Bus error's name and text."""


@dataclass
class FakeCharacteristic:
    """One characteristic and what the peripheral does about it."""

    uuid: str
    flags: tuple[str, ...]
    value: bytes = b""
    on_read: Callable[[], Awaitable[bytes]] | None = None
    on_write: Callable[[bytes], Awaitable[None]] | None = None
    on_subscribe: Callable[[bool], Awaitable[None]] | None = None
    path: str = ""
    subscribed: bool = False
    socket: socket.socket | None = None


@dataclass
class FakePeripheral:
    """One peripheral in reach of the adapter."""

    address: str
    name: str
    services: dict[str, list[FakeCharacteristic]]
    mtu: int = 247
    advertised: tuple[str, ...] | None = None
    """Service UUIDs that it advertises; all that it has if not given."""
    errors: dict[str, list[Error]] = field(default_factory=dict)
    """By D-Bus method: answered in turn, each once."""
    hangs: set[str] = field(default_factory=set)
    """D-Bus methods that are never answered."""
    delays_s: dict[str, float] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    """Notifications that were longer than the MTU has room for."""
    path: str = ""
    connected: bool = False
    on_connect: Callable[[], Awaitable[None]] | None = None
    """May fill in services and MTU."""
    on_disconnect: Callable[[], None] | None = None


class FakeBlueZ:
    """Serves `org.bluez` on the bus that the environment names, in the running loop."""

    def __init__(self, *, adapter: bool = True, powered: bool = True) -> None:
        self.adapter = "/org/bluez/hci0"
        self.tree: dict[str, dict[str, dict[str, Variant]]] = {}
        self.peripherals: dict[str, FakePeripheral] = {}
        self.errors: dict[str, list[Error]] = {}
        self.hangs: set[str] = set()
        self.discoveries = 0
        self.on_discovery_stopped: Callable[[], None] = lambda: None
        self._characteristics: dict[str, tuple[FakePeripheral, FakeCharacteristic]] = {}
        self._advertising: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        if adapter:
            self.tree[self.adapter] = {
                ADAPTER: {
                    "Address": Variant("s", "00:00:00:00:00:01"),
                    "Name": Variant("s", "fake"),
                    "Powered": Variant("b", powered),
                    "Discovering": Variant("b", False),
                    "Roles": Variant("as", ["central", "peripheral"]),
                }
            }

    @property
    def discovering(self) -> bool:
        """Whether a host scans."""
        return bool(self.tree[self.adapter][ADAPTER]["Discovering"].value)

    async def start(self) -> FakeBlueZ:
        """Take the name on the bus."""
        self.bus = await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect()
        self.bus.add_message_handler(self._receive)
        await self.bus.request_name("org.bluez")
        return self

    async def stop(self) -> None:
        """Lose every connection and leave the bus."""
        if self._advertising is not None:
            self._advertising.cancel()
        for peripheral in list(self.peripherals.values()):
            self.drop(peripheral)
        for task in list(self._tasks):
            task.cancel()
        self.bus.disconnect()
        await self.bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    # What the test does to the world.

    def add(self, peripheral: FakePeripheral) -> FakePeripheral:
        """It comes into reach."""
        peripheral.path = f"{self.adapter}/dev_{peripheral.address.replace(':', '_')}"
        self.peripherals[peripheral.path] = peripheral
        return peripheral

    def remove(self, peripheral: FakePeripheral) -> None:
        """It goes out of reach, and BlueZ forgets it."""
        self.drop(peripheral)
        self.peripherals.pop(peripheral.path, None)
        if peripheral.path in self.tree:
            self._removed(peripheral.path)

    def drop(self, peripheral: FakePeripheral) -> None:
        """Its connection is lost."""
        if not peripheral.connected:
            return
        peripheral.connected = False
        for path in sorted(self.tree, reverse=True):
            if not path.startswith(peripheral.path + "/"):
                continue
            _, characteristic = self._characteristics.pop(path, (None, None))
            if characteristic is not None:
                self._unsubscribe(characteristic)
            self._removed(path)
        self._change(
            peripheral.path,
            DEVICE,
            Connected=Variant("b", False),
            ServicesResolved=Variant("b", False),
        )
        if peripheral.on_disconnect is not None:
            peripheral.on_disconnect()

    def power(self, on: bool) -> None:
        """The adapter is switched."""
        if not on:
            for peripheral in self.peripherals.values():
                self.drop(peripheral)
        self._change(self.adapter, ADAPTER, Powered=Variant("b", on))

    async def notify(
        self, peripheral: FakePeripheral, characteristic: FakeCharacteristic, data: bytes
    ) -> bool:
        """Notify, cut at the MTU; False if nobody is subscribed."""
        if not (peripheral.connected and characteristic.subscribed):
            return False
        value = data[: peripheral.mtu - 3]
        peripheral.truncated += value != data
        if characteristic.socket is not None:
            try:
                characteristic.socket.send(value)
            except OSError:  # the host closed its end
                self._unsubscribe(characteristic)
                return False
            return True
        # dbus-fast closes its connection when the socket is full: wait until it is not.
        assert self.bus._fd is not None
        while not select.select([], [self.bus._fd], [], 0)[1]:
            await asyncio.sleep(0.001)
        self._change(characteristic.path, CHARACTERISTIC, Value=Variant("ay", value))
        return True

    # Objects and signals.

    def _signal(self, path: str, interface: str, member: str, signature: str, body: Any) -> None:
        self.bus.send(
            Message(
                message_type=MessageType.SIGNAL,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )

    def _added(self, path: str) -> None:
        self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, self.tree[path]])

    def _removed(self, path: str) -> None:
        interfaces = list(self.tree.pop(path))
        self._signal("/", OBJECTS, "InterfacesRemoved", "oas", [path, interfaces])

    def _change(self, path: str, interface: str, **values: Variant) -> None:
        self.tree[path][interface].update(values)
        body = [interface, values, []]
        self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    def _advertise(self, peripheral: FakePeripheral) -> None:
        if peripheral.path in self.tree:
            self._change(peripheral.path, DEVICE, RSSI=Variant("n", -50))
            return
        advertised = peripheral.advertised
        uuids = list(peripheral.services) if advertised is None else list(advertised)
        name = peripheral.name
        device = {
            "Address": Variant("s", peripheral.address),
            "AddressType": Variant("s", "random"),
            "Alias": Variant("s", name or peripheral.address.replace(":", "-")),
            "Adapter": Variant("o", self.adapter),
            "Paired": Variant("b", False),
            "Connected": Variant("b", False),
            "ServicesResolved": Variant("b", False),
            "RSSI": Variant("n", -50),
            "UUIDs": Variant("as", uuids),
        }
        if name:
            device["Name"] = Variant("s", name)
        self.tree[peripheral.path] = {DEVICE: device}
        self._added(peripheral.path)

    async def _advertise_all(self) -> None:
        while True:
            await asyncio.sleep(ADVERTISE_S)
            for peripheral in list(self.peripherals.values()):
                if not peripheral.connected:
                    self._advertise(peripheral)

    # Calls.

    def _receive(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL or not message.path:
            return None
        if message.interface == "org.freedesktop.DBus.Peer":
            return None
        task = asyncio.get_running_loop().create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _answer(self, message: Message) -> None:
        try:
            signature, body, fds = await self._call(message)
            reply = Message.new_method_return(message, signature, body, unix_fds=fds)
        except FakeError as error:
            reply = Message.new_error(message, *error.args)
        except KeyError:
            reply = Message.new_error(
                message, "org.freedesktop.DBus.Error.UnknownObject", str(message.path)
            )
        self.bus.send(reply)

    async def _call(self, message: Message) -> tuple[str, list[Any], list[int]]:
        path, member, body = str(message.path), str(message.member), message.body
        peripheral = self._peripheral(path)
        if peripheral is not None:
            peripheral.calls[member] += 1
            await asyncio.sleep(peripheral.delays_s.get(member, 0.0))
        where = self if peripheral is None else peripheral
        if member in where.hangs:
            await asyncio.Event().wait()
        if where.errors.get(member):
            raise FakeError(*where.errors[member].pop(0))
        if member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [self.tree], []
        if member == "Set":
            self._change(path, body[0], **{body[1]: body[2]})
            return "", [], []
        if message.interface == ADAPTER:
            self._adapter_call(member)
            return "", [], []
        if message.interface == DEVICE:
            if peripheral is None or path not in self.tree:
                raise KeyError(path)
            if member == "Connect":
                await self._connect(peripheral)
            elif member == "Pair":
                self._change(path, DEVICE, Paired=Variant("b", True))
                await self._connect(peripheral)
            elif member == "Disconnect":
                self.drop(peripheral)
            return "", [], []
        if message.interface == CHARACTERISTIC:
            return await self._characteristic_call(path, member, body)
        raise FakeError("org.freedesktop.DBus.Error.UnknownMethod", f"no method {member}")

    def _peripheral(self, path: str) -> FakePeripheral | None:
        found = [p for own, p in self.peripherals.items() if (path + "/").startswith(own + "/")]
        return found[0] if found else None

    def _adapter_call(self, member: str) -> None:
        if not self.tree[self.adapter][ADAPTER]["Powered"].value:
            raise FakeError("org.bluez.Error.NotReady", "Resource Not Ready")
        if member == "StartDiscovery":
            self.discoveries += 1
            self._change(self.adapter, ADAPTER, Discovering=Variant("b", True))
            self._advertising = asyncio.get_running_loop().create_task(self._advertise_all())
        elif member == "StopDiscovery" and self._advertising is not None:
            self._advertising.cancel()
            self._change(self.adapter, ADAPTER, Discovering=Variant("b", False))
            self.on_discovery_stopped()

    async def _connect(self, peripheral: FakePeripheral) -> None:
        if peripheral.connected:
            return
        if peripheral.on_connect is not None:
            await peripheral.on_connect()
        peripheral.connected = True
        self._change(peripheral.path, DEVICE, Connected=Variant("b", True))
        handle = 0x0A
        for uuid, characteristics in peripheral.services.items():
            service = f"{peripheral.path}/service{handle:04x}"
            handle += 1
            self.tree[service] = {
                SERVICE: {
                    "UUID": Variant("s", uuid),
                    "Primary": Variant("b", True),
                    "Device": Variant("o", peripheral.path),
                }
            }
            self._added(service)
            for c in characteristics:
                c.path = f"{service}/char{handle:04x}"
                handle += 3
                values = {
                    "UUID": Variant("s", c.uuid),
                    "Service": Variant("o", service),
                    "Value": Variant("ay", c.value),
                    "Flags": Variant("as", list(c.flags)),
                    "MTU": Variant("q", peripheral.mtu),
                }
                if "notify" in c.flags:
                    values |= {
                        "Notifying": Variant("b", False),
                        "NotifyAcquired": Variant("b", False),
                    }
                self.tree[c.path] = {CHARACTERISTIC: values}
                self._characteristics[c.path] = (peripheral, c)
                self._added(c.path)
        self._change(peripheral.path, DEVICE, ServicesResolved=Variant("b", True))

    async def _characteristic_call(
        self, path: str, member: str, body: list[Any]
    ) -> tuple[str, list[Any], list[int]]:
        peripheral, c = self._characteristics[path]
        if member == "ReadValue":
            if "read" not in c.flags:
                raise FakeError("org.bluez.Error.NotPermitted", "Read not permitted")
            return "ay", [c.value if c.on_read is None else await c.on_read()], []
        if member == "WriteValue":
            if not {"write", "write-without-response"} & set(c.flags):
                raise FakeError("org.bluez.Error.NotPermitted", "Write not permitted")
            if c.on_write is not None:
                await c.on_write(bytes(body[0]))
            return "", [], []
        if "notify" not in c.flags:
            raise FakeError("org.bluez.Error.NotSupported", "Operation is not supported")
        if member == "StopNotify":
            self._unsubscribe(c)
            return "", [], []
        fds: list[int] = []
        if member == "AcquireNotify":
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setblocking(False)
            theirs.setblocking(False)
            c.socket = ours
            fds = [theirs.detach()]
            asyncio.get_running_loop().call_later(FD_S, os.close, fds[0])
        else:
            self._change(path, CHARACTERISTIC, Notifying=Variant("b", True))
        c.subscribed = True
        if c.on_subscribe is not None:
            await c.on_subscribe(True)
        return ("hq", [0, peripheral.mtu], fds) if fds else ("", [], [])

    def _unsubscribe(self, c: FakeCharacteristic) -> None:
        if c.socket is not None:
            c.socket.close()
            c.socket = None
        c.subscribed = False
