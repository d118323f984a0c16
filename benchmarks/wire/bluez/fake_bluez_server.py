"""The fake BlueZ as a peripheral's side too: what a program registers and advertises comes into reach."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from dbus_fast import Message, MessageType, Variant

from benchmarks.wire.bluez.fake_bluez import (
    FakeBlueZ,
    FakeCharacteristic,
    FakeError,
    FakePeripheral,
)
from firmware_bridge.simulators.ble_wearable import (
    ADVERTISEMENT,
    ADVERTISING_MANAGER,
    CHARACTERISTIC,
    GATT_MANAGER,
    OBJECTS,
    PROPERTIES,
    SERVICE,
)

ADDRESS = "C0:FF:EE:00:00:0A"  # of what is registered
READ_BYTES = 1024


class FakeBlueZServer(FakeBlueZ):
    """`mtu` is what the link of a registered peripheral negotiates."""

    def __init__(self, *, adapter: bool = True, powered: bool = True, mtu: int = 247) -> None:
        super().__init__(adapter=adapter, powered=powered)
        self.registered: FakePeripheral | None = None
        self._mtu = mtu
        self._services: dict[str, list[FakeCharacteristic]] = {}
        if adapter:
            self.tree[self.adapter] |= {GATT_MANAGER: {}, ADVERTISING_MANAGER: {}}

    async def _call(self, message: Message) -> tuple[str, list[Any], list[int]]:
        if message.interface not in (GATT_MANAGER, ADVERTISING_MANAGER):
            return await super()._call(message)
        member = str(message.member)
        if self.errors.get(member):
            raise FakeError(*self.errors[member].pop(0))
        path, owner = message.body[0], str(message.sender)
        if member == "RegisterApplication":
            (tree,) = (await self._ask(owner, path, OBJECTS, "GetManagedObjects")).body
            self._services = self._read(owner, tree)
        elif member == "RegisterAdvertisement":
            reply = await self._ask(owner, path, PROPERTIES, "GetAll", "s", [ADVERTISEMENT])
            said = reply.body[0]
            self.registered = self.add(
                FakePeripheral(
                    ADDRESS,
                    said["LocalName"].value,
                    self._services,
                    mtu=self._mtu,
                    advertised=tuple(said["ServiceUUIDs"].value),
                )
            )
        return "", [], []

    async def _ask(
        self,
        owner: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: list[Any] | None = None,
    ) -> Message:
        reply = await self.bus.call(
            Message(
                destination=owner,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body or [],
            )
        )
        assert reply is not None
        if reply.message_type is MessageType.ERROR:
            raise FakeError(str(reply.error_name), str(reply.body))
        return reply

    def _read(self, owner: str, tree: dict[str, Any]) -> dict[str, list[FakeCharacteristic]]:
        services: dict[str, list[FakeCharacteristic]] = {}
        for path in sorted(tree):
            if SERVICE in tree[path]:
                uuid = tree[path][SERVICE]["UUID"].value
                services[uuid] = [
                    self._characteristic(owner, p, tree[p][CHARACTERISTIC])
                    for p in sorted(tree)
                    if p.startswith(path + "/")
                ]
        return services

    def _characteristic(
        self, owner: str, path: str, said: dict[str, Variant]
    ) -> FakeCharacteristic:
        local = FakeCharacteristic(said["UUID"].value, tuple(said["Flags"].value))
        options = {"mtu": Variant("q", self._mtu)}

        async def read() -> bytes:
            reply = await self._ask(owner, path, CHARACTERISTIC, "ReadValue", "a{sv}", [options])
            return bytes(reply.body[0])

        async def write(data: bytes) -> None:
            await self._ask(owner, path, CHARACTERISTIC, "WriteValue", "aya{sv}", [data, options])

        async def subscribe(on: bool) -> None:
            if "NotifyAcquired" not in said:
                return
            reply = await self._ask(
                owner, path, CHARACTERISTIC, "AcquireNotify", "a{sv}", [options]
            )
            ours = socket.socket(fileno=reply.unix_fds[reply.body[0]])
            ours.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._pump(ours, local))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        local.on_read, local.on_write, local.on_subscribe = read, write, subscribe
        return local

    async def _pump(self, ours: socket.socket, local: FakeCharacteristic) -> None:
        """Pass on what the program notifies, for as long as somebody is subscribed."""
        loop = asyncio.get_running_loop()
        with ours:
            while data := await loop.sock_recv(ours, READ_BYTES):
                if self.registered is None or not await self.notify(self.registered, local, data):
                    return
