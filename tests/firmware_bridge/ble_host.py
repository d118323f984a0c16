"""The host's side of the BLE tests: open, read a little, close, and what error that meets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmarks.wire.bluez.fake_radio import ADDRESS, NAME
from firmware_bridge.errors import BridgeError, TransportError
from firmware_bridge.simulators.ble_wearable import BleWearable
from firmware_bridge.transports.ble import BleTransport

__all__ = ["ADDRESS", "NAME", "first_bytes", "opening", "run", "running"]
BOUND_S = 20.0


def run(call: Any) -> Any:
    return asyncio.run(asyncio.wait_for(call, BOUND_S))


def opening(target: str = ADDRESS, **options: Any) -> BridgeError:
    """The error that opening meets; afterwards nothing is open."""
    options.setdefault("scan_s", 0.4)

    async def host() -> None:
        transport = BleTransport(target, **options)
        try:
            await transport.open()
        finally:
            with pytest.raises(TransportError, match="not open"):
                await transport.read()
            await transport.close()

    with pytest.raises(BridgeError) as caught:
        run(host())
    assert "\n" not in str(caught.value)
    return caught.value


@contextmanager
def running(device: BleWearable) -> Iterator[BleWearable]:
    thread = threading.Thread(target=device.run, name="BLE wearable")
    thread.start()
    try:
        yield device
    finally:
        device.stop()
        thread.join()
        device.close()
        device.close()


async def first_bytes(target: str, **options: Any) -> bytes:
    transport = BleTransport(target, **options)
    await transport.open()
    data = (await transport.read()).data
    await transport.close()
    return data
