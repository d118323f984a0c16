"""Listening for BLE peripherals: what is heard, and which of it is the device that was named."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from firmware_bridge.errors import NotFoundError, TransportError
from firmware_bridge.transports.ble_errors import explain, faults
from firmware_bridge.transports.bounded import GRACE_S, bounded
from firmware_bridge.wire.gatt import GattProfile

if TYPE_CHECKING:
    from bleak import BleakScanner
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

DBUS_S = 5.0  # a Bluetooth service that takes longer to start or stop listening has hung
OTHERS_S = (
    1.0  # once one device fits, how long a second one is waited for: not the wrong person's ECG
)
RSSI_NONE = -127  # what bleak says where no strength is known
MAX_HEARD = 1000  # peripherals kept of one scan; a hall full of phones stays below
_ADDRESS = re.compile(  # as Linux and Windows say it, and as macOS does
    r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}|[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Heard:
    """A peripheral that advertises."""

    address: str
    """In capitals; on macOS a UUID that the system made up."""
    name: str
    """Empty if it says none."""
    services: tuple[str, ...]
    """UUIDs that it advertises, which need not be all that it has."""
    rssi_dbm: int
    device: BLEDevice
    """For bleak, to connect to."""


def is_address(text: str) -> bool:
    """Whether `text` is a Bluetooth address, or what macOS gives in its place."""
    return _ADDRESS.fullmatch(text) is not None


class Scan:
    """Listens while entered. Entering raises AdapterError, AccessError or TransportError."""

    def __init__(self, adapter: str | None = None) -> None:
        self.heard: dict[str, Heard] = {}
        """By address."""
        self._adapter = adapter
        self._scanner: BleakScanner | None = None
        self._news = asyncio.Event()

    async def until(self, found: Callable[[Mapping[str, Heard]], object], seconds: float) -> None:
        """Return as soon as `found(heard)` is true, and after `seconds` at the latest."""
        deadline_s = time.monotonic() + seconds
        while not found(self.heard) and (left_s := deadline_s - time.monotonic()) > 0:
            self._news.clear()
            with suppress(asyncio.TimeoutError):
                await bounded(self._news.wait(), left_s)

    async def add_connected(self, service: str) -> None:
        """Count what this machine is connected to already: it advertises no more.

        A program that was killed leaves its connection to the Bluetooth service, which keeps it.
        """
        from bleak import BleakAdapter

        with suppress(NotImplementedError, *faults()):  # an extra: what advertises is heard anyway
            adapter = await bounded(
                BleakAdapter.get(bluez={} if self._adapter is None else {"adapter": self._adapter}),
                DBUS_S,
            )
            for device in await bounded(adapter.get_connected_devices([service]), DBUS_S):
                address = device.address.upper()
                self.heard[address] = Heard(
                    address, device.name or "", (service,), RSSI_NONE, device
                )

    async def __aenter__(self) -> Scan:
        from bleak import BleakScanner

        self._scanner = BleakScanner(
            self._hear, bluez={} if self._adapter is None else {"adapter": self._adapter}
        )
        starting = asyncio.ensure_future(self._scanner.start())
        try:
            await bounded(asyncio.shield(starting), DBUS_S)
        except BaseException as error:
            await self._abandon(starting)
            if not isinstance(error, faults()):
                raise
            what = self._adapter or "the Bluetooth adapter"
            raise explain(error, what, "starting to scan") from error
        return self

    async def _abandon(self, starting: asyncio.Future[None]) -> None:
        """A scan whose start was cancelled in the middle may have started: then stop it."""
        await asyncio.wait({starting}, timeout=GRACE_S)
        if not starting.done():
            starting.cancel()
        elif not starting.cancelled() and starting.exception() is None:
            await self.__aexit__(None, None, None)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._scanner is not None:
            with suppress(*faults()):  # a scan that cannot be stopped ends with its adapter
                await bounded(self._scanner.stop(), DBUS_S)

    def _hear(self, device: BLEDevice, said: AdvertisementData) -> None:
        address = device.address.upper()
        before = self.heard.get(address)
        if before is None and len(self.heard) >= MAX_HEARD:
            return
        # Name and services may come apart, in the advertisement and in the answer to a scan request.
        services = tuple(uuid.lower() for uuid in said.service_uuids)
        self.heard[address] = Heard(
            address,
            said.local_name or device.name or (before.name if before else ""),
            services or (before.services if before else ()),
            said.rssi,
            device,
        )
        self._news.set()


async def listen(seconds: float, adapter: str | None = None) -> list[Heard]:
    """All peripherals heard within `seconds`, the strongest first.

    Raises AdapterError, AccessError or TransportError.
    """
    async with Scan(adapter) as scan:
        await asyncio.sleep(seconds)
    return sorted(scan.heard.values(), key=lambda heard: -heard.rssi_dbm)


async def find(
    target: str, profile: GattProfile, seconds: float, adapter: str | None = None
) -> Heard:
    """The peripheral of that address or name, or for no name the one that offers the service.

    A name must be unambiguous, so the scan goes on for a second after the first that fits; an address
    is found at once. Raises NotFoundError, TransportError if several fit, AdapterError, AccessError.
    """
    wanted = target.upper() if is_address(target) else None

    def fits(heard: Heard) -> bool:
        if wanted is not None:
            return heard.address == wanted
        return heard.name == target if target else profile.service in heard.services

    async with Scan(adapter) as scan:
        await scan.add_connected(profile.service)
        await scan.until(lambda heard: any(map(fits, heard.values())), seconds)
        if wanted is None and scan.heard:
            await asyncio.sleep(min(OTHERS_S, seconds))
    found = [heard for heard in scan.heard.values() if fits(heard)]
    what = f"BLE device {target!r}" if target else f"{profile.title} on BLE"
    if not found:
        others = sum(profile.service in heard.services for heard in scan.heard.values())
        near = (
            f"; {others} {profile.title} in reach under another name" if target and others else ""
        )
        raise NotFoundError(
            f"no {what} heard in {seconds:g} s{near}: check that it is on, near, and connected to "
            "nothing else; `leadlift devices` lists what is heard"
        )
    if len(found) > 1:
        names = ", ".join(sorted(f"ble:{heard.address}" for heard in found))
        raise TransportError(f"more than one {what} in reach: name one of {names}")
    return found[0]
