"""What a port is believed to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firmware_bridge.recognise_ports import port_belief
from firmware_bridge.transports.ports import PortInfo
from tests.firmware_bridge.usb_ports import DONGLE

PLAIN = PortInfo("/dev/ttyACM0")


@pytest.mark.parametrize(
    ("vid", "pid", "title"),
    [
        (0x0403, 0x6015, "OpenBCI's dongle"),
        (0x0403, 0x6001, "FT232R"),
        (0x0403, 0xFFFF, "FTDI"),
        (0x10C4, 0xEA60, "CP210x"),
        (0x1A86, 0x7523, "CH340"),
        (0x2341, 0x0043, "Arduino"),
        (0x1915, 0x520F, "nRF"),
        (0x303A, 0x1001, "ESP32"),
        (0x2E8A, 0x000A, "Pico"),
    ],
)
def test_chips_and_boards_are_known_by_their_numbers(vid: int, pid: int, title: str) -> None:
    belief = port_belief(replace(PLAIN, vid=vid, pid=pid))
    assert belief is not None and belief.readable
    assert title in belief.title


def test_what_a_board_says_of_itself_counts_more_than_its_chip() -> None:
    belief = port_belief(replace(DONGLE, product="leadlift demo"))
    assert belief is not None
    assert (belief.title, belief.options) == ("leadlift wearable", "")
    single = port_belief(replace(PLAIN, vid=0x2E8A, pid=0x000A, product="HealthyPi 5"))
    assert single is not None and not single.readable


def test_the_dongle_says_how_it_is_read() -> None:
    belief = port_belief(DONGLE)
    assert belief is not None
    assert belief.options.startswith("?device=cyton&leads=")


def test_nothing_is_guessed_of_what_says_nothing() -> None:
    assert port_belief(PLAIN) is None
    assert port_belief(replace(PLAIN, vid=0xFFFF, pid=1)) is None
