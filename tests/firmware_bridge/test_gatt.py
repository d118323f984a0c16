"""The GATT service: its documentation is current, its UUIDs differ, and pieces fit the MTU."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.devices import ganglion
from firmware_bridge.wire import gatt

EXAMPLES = Path(gatt.__file__).parents[1] / "firmware" / "examples"
README = Path(gatt.__file__).with_name("README.md").read_text(encoding="utf-8")


def test_the_readme_has_the_table_of_the_service() -> None:
    assert gatt.gatt_table() in README


def test_every_uuid_is_one_and_its_own() -> None:
    uuids = [gatt.SERVICE, gatt.BATTERY_SERVICE, *(c.uuid for c in gatt.CHARACTERISTICS)]
    assert len({UUID(uuid) for uuid in uuids}) == len(uuids)
    assert [str(UUID(uuid)) for uuid in uuids] == uuids  # spelt as bleak spells them
    assert gatt.BATTERY_LEVEL == "00002a19-0000-1000-8000-00805f9b34fb"


def test_the_profile_names_what_the_table_offers() -> None:
    offered = {c.uuid: c.properties for c in gatt.CHARACTERISTICS if c.service == gatt.SERVICE}
    profile = gatt.WIRE_PROFILE
    assert profile.service == gatt.SERVICE
    assert "notify" in offered[profile.stream]
    assert "write" in offered[str(profile.control)]
    assert offered[str(profile.info)] == ("read",)


def test_another_makers_device_offers_what_its_profile_names() -> None:
    offered = {c.uuid: c for c in gatt.characteristics(ganglion.PROFILE)}
    assert set(offered) == {ganglion.PROFILE.stream, ganglion.PROFILE.control}
    assert {c.service for c in offered.values()} == {ganglion.PROFILE.service}
    assert "notify" in offered[ganglion.PROFILE.stream].properties
    assert gatt.characteristics(gatt.WIRE_PROFILE) == gatt.CHARACTERISTICS


@given(st.integers(0, 600))
def test_a_format_that_counts_on_its_notifications_has_them_at_any_mtu(mtu: int) -> None:
    pieces = gatt.notifications(bytes(100), mtu, ganglion.PROFILE)
    assert [len(piece) for piece in pieces] == [20] * 5


@given(st.binary(max_size=1200), st.integers(0, 600))
def test_notifications_carry_the_stream_whole_and_in_pieces_that_fit(data: bytes, mtu: int) -> None:
    pieces = gatt.notifications(data, mtu)
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= min(max(mtu, 23) - 3, 512) for piece in pieces)


def test_the_zephyr_example_has_these_uuids() -> None:
    """UUID(0x....) in the example fills in the first field; the rest stands once, as a macro."""
    source = (EXAMPLES / "zephyr_ble" / "src" / "main.c").read_text(encoding="utf-8")
    found = re.search(r"BT_UUID_128_ENCODE\(n, 0x(\w+), 0x(\w+), 0x(\w+), 0x(\w+)\)", source)
    assert found is not None
    rest = "-".join(found.groups())
    used = {f"{number.lower()}-{rest}" for number in re.findall(r"UUID\(0x(\w{8})\)", source)}
    assert used == {gatt.SERVICE, gatt.STREAM, gatt.CONTROL, gatt.INFO}
