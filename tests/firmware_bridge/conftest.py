"""A fake radio and a wearable in its reach, where a private bus can be had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from benchmarks.wire.bluez import private_bus

if TYPE_CHECKING:
    from benchmarks.wire.bluez.fake_radio import Peripheral, Radio


@pytest.fixture(scope="session")
def bluetooth() -> None:
    """Skip by name where the private bus or what speaks on it is missing."""
    if why := private_bus.missing():
        pytest.skip(why)


@pytest.fixture
def radio(bluetooth: None) -> Iterator[Radio]:
    """An adapter that is on, and nothing in reach."""
    from benchmarks.wire.bluez.fake_radio import Radio

    with Radio() as radio:
        yield radio


@pytest.fixture
def device(radio: Radio) -> Iterator[Peripheral]:
    """A virtual wearable in reach."""
    from benchmarks.wire.bluez.fake_radio import Peripheral

    with Peripheral(radio) as device:
        yield device


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for what never comes, kept short; what does come has all its time."""
    from firmware_bridge.transports import ble_scan, bounded

    monkeypatch.setattr(ble_scan, "OTHERS_S", 0.15)
    for module in (bounded, ble_scan):
        monkeypatch.setattr(module, "GRACE_S", 0.1)
