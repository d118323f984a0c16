"""A fake radio in a thread of its own, and the virtual wearable as a peripheral in its reach."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from benchmarks.wire.bluez.fake_bluez import FakeBlueZ, FakeCharacteristic, FakePeripheral
from benchmarks.wire.bluez.private_bus import PrivateBus
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info
from firmware_bridge.wire import gatt
from firmware_bridge.wire.packets import InfoPacket, encode_frame

INFO = stream_info(250.0, session=9)
CALL_S = 10.0
ADDRESS = "C0:FF:EE:00:00:01"
NAME = "ECG-TEST"

_T = TypeVar("_T")


class Radio:
    """A private bus with a fake BlueZ on it, in a thread; a context manager."""

    def __init__(
        self, bluez: FakeBlueZ | None = None, *, policy: str = "", **options: bool
    ) -> None:
        self.bluez = bluez or FakeBlueZ(**options)
        self._bus = PrivateBus(policy)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="radio")

    def run(self, call: Coroutine[Any, Any, _T]) -> _T:
        """Run `call` in the radio's thread."""
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(CALL_S)

    def do(self, call: Any, *arguments: Any) -> Any:
        """Call a function in the radio's thread."""

        async def run() -> Any:
            return call(*arguments)

        return self.run(run())

    def later(self, delay_s: float, call: Any, *arguments: Any) -> None:
        """Call a function in the radio's thread, after a while."""
        self.do(self._loop.call_later, delay_s, call, *arguments)

    def __enter__(self) -> Radio:
        self._bus.__enter__()
        self._thread.start()
        self.run(self.bluez.start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(self.bluez.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._bus.__exit__(None, None, None)


class Peripheral:
    """A virtual wearable that samples all the time and notifies whoever is subscribed.

    `notified` is when each sample frame was handed to the radio (`monotonic_ns`), by first sample; what is
    due while nobody is subscribed is lost, as on a device that keeps nothing.
    """

    def __init__(
        self,
        radio: Radio,
        wearable: VirtualWearable | None = None,
        *,
        address: str = ADDRESS,
        name: str = NAME,
        mtu: int = 247,
        cut: bool = True,
    ) -> None:
        self.radio = radio
        self.wearable = wearable or VirtualWearable(EcgSimulator(), INFO)
        self.silent = False
        self.notified: dict[int, int] = {}
        self.notified_end = 0
        """After the last sample that was handed to the radio."""
        self.written = bytearray()
        self._cut = cut
        self.stream = FakeCharacteristic(gatt.STREAM, ("notify",))
        self.control = FakeCharacteristic(
            gatt.CONTROL, ("write", "write-without-response"), on_write=self._on_write
        )
        info = encode_frame(InfoPacket.from_stream_info(self.wearable.info))
        self.info = FakeCharacteristic(gatt.INFO, ("read",), info)
        level = FakeCharacteristic(
            gatt.BATTERY_LEVEL, ("read", "notify"), on_read=self._on_read_battery
        )
        self.fake = FakePeripheral(
            address,
            name,
            {
                gatt.SERVICE: [self.stream, self.control, self.info],
                gatt.BATTERY_SERVICE: [level],
            },
            mtu=mtu,
            advertised=(gatt.SERVICE,),
        )
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Peripheral:
        self.radio.run(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.radio.run(self._stop())

    def drop(self, away_s: float = 0.0) -> None:
        """Lose the connection, and be out of reach for `away_s`."""

        async def go() -> None:
            self.radio.bluez.remove(self.fake)
            await asyncio.sleep(away_s)
            self.radio.bluez.add(self.fake)

        self.radio.run(go())

    async def _start(self) -> None:
        self.radio.bluez.add(self.fake)
        self._task = asyncio.get_running_loop().create_task(self._stream())

    async def _stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        self.radio.bluez.remove(self.fake)

    async def _stream(self) -> None:
        began_s = time.monotonic()
        while (due_s := self.wearable.next_due_s()) is not None:
            await asyncio.sleep(max(0.0, began_s + due_s - time.monotonic()))
            frame = self.wearable.next_frame()
            if frame is None:
                return
            handed_ns = time.monotonic_ns()
            if await self._send(frame.data) and frame.n_samples:
                self.notified[frame.first_sample] = handed_ns
                self.notified_end = frame.first_sample + frame.n_samples

    async def _send(self, data: bytes) -> bool:
        if self.silent:
            return False
        pieces = gatt.notifications(data, self.fake.mtu) if self._cut else [data]
        sent = [await self.radio.bluez.notify(self.fake, self.stream, p) for p in pieces]
        return all(sent)

    async def _on_read_battery(self) -> bytes:
        return bytes([self.wearable.battery])

    async def _on_write(self, data: bytes) -> None:
        self.written += data
        await self._send(self.wearable.receive(data))
