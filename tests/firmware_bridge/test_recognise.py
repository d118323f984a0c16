"""What a peripheral is believed to be."""

from __future__ import annotations

import pytest

from firmware_bridge.recognise import believed_to_be
from firmware_bridge.wire import gatt


def test_ours_is_known_by_its_service_whatever_its_name() -> None:
    for name in ("", "anything", "Polar H10"):
        belief = believed_to_be(name, (gatt.short_uuid(0x180D), gatt.SERVICE))
        assert belief is not None
        assert (belief.title, belief.options) == ("leadlift wearable", "")


@pytest.mark.parametrize(
    ("name", "services", "title"),
    [
        ("Ganglion-1a2b", (), "Ganglion"),
        ("", (gatt.short_uuid(0xFE84),), "Ganglion"),
        ("Polar H10 12345678", (gatt.short_uuid(0x180D),), "Polar chest strap, one lead"),
        ("Movesense 1234", (), "Movesense"),
        ("Strap", (gatt.short_uuid(0x180D),), "heart rate monitor"),
    ],
)
def test_what_people_own_is_told_apart(name: str, services: tuple[str, ...], title: str) -> None:
    belief = believed_to_be(name, services)
    assert belief is not None
    assert title in belief.title


def test_a_ganglion_is_read_with_a_map_of_its_channels() -> None:
    for name, services in (("Ganglion-1a2b", ()), ("", (gatt.short_uuid(0xFE84),))):
        belief = believed_to_be(name, services)
        assert belief is not None
        assert belief.options == "?device=ganglion&leads=1:II,2:V1,3:V5"


def test_what_says_nothing_known_is_not_guessed_at() -> None:
    assert believed_to_be("", ()) is None
    assert believed_to_be("Kitchen Lamp", (gatt.short_uuid(0x1812),)) is None
