"""Headers of CSV lines: what they name is what is read, or it is said; damage near them unsays nothing."""

from __future__ import annotations

import pytest

from firmware_bridge.devices.csv_lines import NANOVOLTS_PER_LSB, CsvDecoder
from firmware_bridge.events import Corrupt, Event, Notice, StreamInfo
from tests.firmware_bridge.board_streams import placed, summary
from tests.firmware_bridge.wire_streams import of


def _decoded(text: str, **options: object) -> list[Event]:
    """The events of a stream, which are the same when it comes byte by byte."""
    events = CsvDecoder(**options).receive_data(text.encode())  # type: ignore[arg-type]
    decoder = CsvDecoder(**options)  # type: ignore[arg-type]
    pieces = [decoder.receive_data(bytes([byte])) for byte in text.encode()]
    assert summary([event for piece in pieces for event in piece]) == summary(events)
    return events


def _read(events: list[Event]) -> tuple[list[tuple[str, ...]], list[list[float]]]:
    """The leads that were said, in turn, and the millivolts of all samples."""
    rows = [[count * NANOVOLTS_PER_LSB / 1e6 for count in row] for row in placed(events).values()]
    return [info.leads for info in of(StreamInfo, events)], rows


def _notices(events: list[Event]) -> list[str]:
    return [notice.text for notice in of(Notice, events)]


@pytest.mark.parametrize(
    ("header", "leads", "values", "skipped"),
    [
        ("I,II,I", ("I", "II"), [1, 2], "I"),
        ("V1,V2,V2", ("V1", "V2"), [1, 2], "V2"),
        ("V2\tV1\tV2", ("V2", "V1"), [1, 2], "V2"),
        ("V1 V1 V2", ("V1", "V2"), [1, 3], "V1"),
        ("i,ii,I", ("I", "II"), [1, 2], "I"),
        ("t,I,I", ("I",), [2], "I"),
        ("I,I,I", ("I",), [1], "I, I"),
        ("I (mV),II (mV),I (mV)", ("I", "II"), [1, 2], "I (mV)"),
    ],
)
def test_of_a_lead_that_is_named_twice_the_first_is_taken(
    header: str, leads: tuple[str, ...], values: list[int], skipped: str
) -> None:
    mark = next((mark for mark in (",", "\t") if mark in header), " ")
    events = _decoded(f"{header}\n{mark.join('123')}\n{header}\n")
    assert _read(events) == ([leads], [values])
    (said,) = _notices(events)
    assert f"says a lead twice: skipped is {skipped}; the first is taken" in said
    assert of(Corrupt, events) == []


def test_two_columns_of_one_lead_are_that_lead_and_no_miscount() -> None:
    events = _decoded("I,I\n1,2\n3,4\n")
    assert _read(events) == ([("I",)], [[1], [3]])
    assert of(Corrupt, events) == []


def test_labels_that_are_there_twice_are_one_lead() -> None:
    events = _decoded("x\n" + "I:0.1 I:0.2\n" * 3)
    assert _read(events) == ([("I",)], [[0.1]] * 3)
    assert len(_notices(events)) == 1


@pytest.mark.parametrize("line", ["I,I,V1\n", "I:7,I:8,V1:9\n"])
def test_damage_that_makes_a_name_of_its_neighbour_unsays_no_header(line: str) -> None:
    events = _decoded(f"I,II,V1\n1,2,3\n{line}4,5,6\n")
    assert _read(events) == ([("I", "II", "V1")], [[1, 2, 3], [4, 5, 6]])
    assert len(of(Corrupt, events)) == 1


@pytest.mark.parametrize("header", ["II,temp,V1", "CH1,CH2,CH3", "t,II,V1\nms,uV,uV"])
def test_a_header_that_comes_every_second_is_said_once(header: str) -> None:
    once, often = (_decoded("x\n" + f"{header}\n1,2,3\n2,3,4\n" * n) for n in (1, 9))
    assert _notices(once) == _notices(often)
    assert len(of(StreamInfo, often)) == 1
    assert of(Corrupt, once) == of(Corrupt, often)
