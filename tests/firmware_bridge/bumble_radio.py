"""A BlueZ whose radio is bumble's: the fake's D-Bus side on real HCI, L2CAP, ATT and GATT of both ends."""

from __future__ import annotations

import asyncio
import time

from bumble import gatt as bumble_gatt
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration, Peer
from bumble.hci import Address
from bumble.link import LocalLink

from benchmarks.wire.bluez.fake_bluez import FakeBlueZ, FakeCharacteristic, FakePeripheral
from firmware_bridge.simulators.wearable import VirtualWearable
from firmware_bridge.wire import gatt
from firmware_bridge.wire.packets import InfoPacket, encode_frame

ADDRESS = "C0:FF:EE:00:00:09"
INTERVAL_MS = 50
FLAGS = {0x02: "read", 0x04: "write-without-response", 0x08: "write", 0x10: "notify"}


def _device(name: str, link: LocalLink, address: str) -> Device:
    controller = Controller(name, link=link)
    settings = DeviceConfiguration(
        name=name,
        address=Address(address),
        advertising_interval_min=INTERVAL_MS,
        advertising_interval_max=INTERVAL_MS,
    )
    return Device.from_config_with_hci(settings, controller, controller)


class BumbleWearable:
    """The virtual wearable behind bumble's GATT server; `cut` says whether it minds the MTU."""

    def __init__(self, link: LocalLink, wearable: VirtualWearable, *, cut: bool = True) -> None:
        self.wearable = wearable
        self.cut = cut
        self.mtu = 0
        """As negotiated by the last host."""
        properties = bumble_gatt.Characteristic.Properties
        readable = bumble_gatt.Characteristic.READABLE
        writeable = bumble_gatt.Characteristic.WRITEABLE
        self.device = _device("ECG-BUMBLE", link, ADDRESS)
        self._stream = bumble_gatt.Characteristic(gatt.STREAM, properties.NOTIFY, readable, b"")
        control = bumble_gatt.Characteristic(
            gatt.CONTROL,
            properties.WRITE | properties.WRITE_WITHOUT_RESPONSE,
            writeable,
            bumble_gatt.CharacteristicValue(write=self._on_write),
        )
        info = encode_frame(InfoPacket.from_stream_info(wearable.info))
        info_value = bumble_gatt.Characteristic(gatt.INFO, properties.READ, readable, info)
        self.device.add_services(
            [bumble_gatt.Service(gatt.SERVICE, [self._stream, control, info_value])]
        )
        self.device.advertising_data = bytes(
            AdvertisingData(
                [
                    (
                        AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
                        bytes(UUID(gatt.SERVICE)),
                    )
                ]
            )
        )

    async def run(self) -> None:
        """Advertise, sample and notify until cancelled."""
        await self.device.power_on()
        await self.device.start_advertising(auto_restart=True)
        began_s = time.monotonic()
        while (due_s := self.wearable.next_due_s()) is not None:
            await asyncio.sleep(max(0.0, began_s + due_s - time.monotonic()))
            frame = self.wearable.next_frame()
            if frame is not None:
                await self._notify(frame.data)

    async def hang_up(self) -> None:
        """End every connection from the peripheral's side."""
        for connection in list(self.device.connections.values()):
            await connection.disconnect()

    async def _notify(self, data: bytes) -> None:
        for connection in list(self.device.connections.values()):
            self.mtu = connection.att_mtu
            pieces = gatt.notifications(data, connection.att_mtu) if self.cut else [data]
            for piece in pieces:
                await self.device.notify_subscriber(connection, self._stream, piece)

    async def _on_write(self, connection: Connection, data: bytes) -> None:
        answer = self.wearable.receive(bytes(data))
        if answer:
            await self._notify(answer)


class BumbleBlueZ(FakeBlueZ):
    """Its one peripheral is what bumble's central connects to over the link, at `mtu`."""

    def __init__(self, link: LocalLink, mtu: int) -> None:
        super().__init__()
        self._central = _device("central", link, "F0:F0:F0:F0:F0:F0")
        self._mtu = mtu
        self._connection: Connection | None = None
        self.peripheral = self.add(
            FakePeripheral(
                ADDRESS,
                "ECG-BUMBLE",
                {},
                advertised=(gatt.SERVICE,),
                on_connect=self._open,
                on_disconnect=self._close,
            )
        )

    async def start(self) -> BumbleBlueZ:
        """Switch both radios on."""
        await self._central.power_on()
        await super().start()
        return self

    async def _open(self) -> None:
        connection = self._connection = await self._central.connect(Address(ADDRESS))
        connection.on("disconnection", lambda reason: self.drop(self.peripheral))
        peer = Peer(connection)
        self.peripheral.mtu = await peer.request_mtu(self._mtu)
        await peer.discover_services()
        self.peripheral.services = {}
        for service in peer.services:
            found = await service.discover_characteristics()
            ours = [self._characteristic(remote) for remote in found]
            self.peripheral.services[service.uuid.to_hex_str("-").lower()] = ours

    def _close(self) -> None:
        connection, self._connection = self._connection, None

        async def hang_up() -> None:
            if connection in self._central.connections.values():  # else it hung up first
                await connection.disconnect()

        task = asyncio.get_running_loop().create_task(hang_up())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _characteristic(self, remote: bumble_gatt.CharacteristicProxy) -> FakeCharacteristic:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        uuid = remote.uuid.to_hex_str("-").lower()
        flags = tuple(name for bit, name in FLAGS.items() if remote.properties & bit)
        local = FakeCharacteristic(uuid, flags)

        async def read() -> bytes:
            return bytes(await remote.read_value())

        async def write(data: bytes) -> None:
            await remote.write_value(data, with_response=True)

        async def pump() -> None:
            while True:
                await self.notify(self.peripheral, local, await queue.get())

        async def subscribe(on: bool) -> None:
            await remote.subscribe(queue.put_nowait)
            self._tasks.add(asyncio.get_running_loop().create_task(pump()))  # until we stop

        local.on_read, local.on_write, local.on_subscribe = read, write, subscribe
        return local
