"""Headers of CSV lines: what they name is what is read, or it is said; damage near them unsays nothing."""

from __future__ import annotations

import pytest

from firmware_bridge.devices.csv_headers import MISFITS
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


@pytest.mark.parametrize("header", ["II,temp,V1", "CH1,CH2,CH3", "t,II,V1\nms,uV,uV"])
def test_a_header_that_comes_every_second_is_said_once(header: str) -> None:
    once, often = (_decoded("x\n" + f"{header}\n1,2,3\n2,3,4\n" * n) for n in (1, 9))
    assert _notices(once) == _notices(often)
    assert len(of(StreamInfo, often)) == 1
    assert of(Corrupt, once) == of(Corrupt, often)


@pytest.mark.parametrize("before", ["", "0,0,0\n", "ready\n"])
@pytest.mark.parametrize(
    "damaged",
    [
        *("1,x,2", "1,2", "7", "1,2,3,4", "1,2\n1,2,3,4", "1,2,3,4,5,6", "1;2;3;4", "\x00,2", ","),
        *("ok,ok", "heap:1234", "a:1,b:2,c:3", "rst:0x1 (POWERON),boot:0x13"),
        *("V5 ready", "x" * 300),
    ],
)
def test_a_damaged_line_does_not_unsay_the_header_before_it(before: str, damaged: str) -> None:
    events = _decoded(f"{before}V5,V1,II\n{damaged}\n1,2,3\n4,5,6\n")
    assert _read(events) == ([("V5", "V1", "II")], [[1, 2, 3], [4, 5, 6]])
    assert _notices(events) == []


@pytest.mark.parametrize("before", ["", "0,0\n"])
def test_a_damaged_line_of_as_many_columns_as_expected_does_not_unsay_it_either(
    before: str,
) -> None:
    events = _decoded(f"{before}V5,V1\n1,23,4\n5,6\n")
    assert _read(events) == ([("V5", "V1")], [[5, 6]])


@pytest.mark.parametrize("before", ["", "0,0,0\n"])
@pytest.mark.parametrize("header", ["V5,V1", "t,V5,V1,II"])
def test_a_header_that_is_given_up_is_told(before: str, header: str) -> None:
    events = _decoded(f"{before}{header}\n" + "1,2,3\n" * (MISFITS + 1))
    assert _read(events) == ([("II", "V1", "V5")], [[1, 2, 3]] * 2)
    (said,) = _notices(events)
    assert f"{header!r} names {header.count(',') + 1} columns and the lines have 3" in said
    assert len(of(Corrupt, events)) == MISFITS - 1 + bool(before)


def test_a_header_that_no_line_fits_and_no_order_either_is_told_once() -> None:
    events = _decoded("V5,V1,II\n" + "1,2\n" * 20)
    assert _read(events) == ([], [])
    assert "names 3 columns and the lines have 2: it is not used" in _notices(events)[0]
    assert len(_notices(events)) == 1 and len(of(Corrupt, events)) == 20


def test_another_header_holds_from_the_line_that_only_it_fits() -> None:
    events = _decoded("I,II,V1\n1,2,3\nII,temperature,V1,V1\n4,5,6,7\n")
    assert _read(events) == ([("I", "II", "V1"), ("II", "V1")], [[1, 2, 3], [4, 6]])
    assert of(Corrupt, events) == []


def test_a_header_like_a_damaged_one_is_told_and_holds_once_it_comes_again() -> None:
    lines = "4,5,6\n" * MISFITS
    once = f"I,II,V1\n1,2,3\nI,temp,V1\n{lines}"
    assert _read(_decoded(once))[0] == [("I", "II", "V1")]
    assert "'I,temp,V1' may be damaged: it is not used" in _notices(_decoded(once))[0]
    assert _read(_decoded(f"{once}I,te#p,V1\n{lines}"))[0] == [("I", "II", "V1")]
    events = _decoded(f"{once}I,temp,V1\n{lines}")
    assert _read(events)[0] == [("I", "II", "V1"), ("I", "V1")]
    assert _read(events)[1][-MISFITS:] == [[4, 6]] * MISFITS


def test_a_header_without_leads_for_other_columns_asks_for_their_leads() -> None:
    (said,) = _notices(_decoded("CH1,CH2\n1,2\n3,4\n"))
    assert "'CH1,CH2' names no lead: say which is which: leads=" in said


def test_half_a_line_at_the_start_says_nothing_of_the_columns() -> None:
    events = _decoded("0.2,0.3,0.4\n" + "0.1,0.2,0.3,0.4\n" * 2, leads=("1:II", "3:V1"))
    assert _read(events) == ([("II", "V1")], [[0.1, 0.3]] * 2)


def test_units_without_a_header_are_those_of_the_expected_leads() -> None:
    events = _decoded("x\n1,2,3\nuV,uV,uV\n1000,2000,3000\n")
    assert _read(events) == ([("II", "V1", "V5")], [[1, 2, 3]] * 2)
    assert _notices(events) == []


@pytest.mark.parametrize(
    "header",
    [
        *("V1 (furlong),II (furlong)", "V1 [counts],II [LSB]", "V1,II (adu)", "V1 (chest),II"),
        *("V1,II\nfurlong,furlong", "V1,II\ncounts,mV", "V1;II\nmmHg;mmHg", "V1\tII (left)"),
    ],
)
def test_a_unit_that_is_not_known_is_told_and_what_it_is_taken_for(header: str) -> None:
    mark = next((mark for mark in (";", "\t") if mark in header), ",")
    text = f"x\n{header}\n" + f"1{mark}2\n" * 3
    events = _decoded(text)
    assert _read(events) == ([("V1", "II")], [[1, 2]] * 3)
    (said,) = _notices(events)
    assert "no unit that is known" in said and "the values are taken for mV" in said
    assert any(unit in said for unit in ("furlong", "counts", "adu", "chest", "mmHg", "left"))
    assert _notices(_decoded(text, millivolts_per_unit=0.5)) == []
    assert _notices(_decoded(text + text)) == [said]


@pytest.mark.parametrize(
    ("header", "leads"),
    [("II (uV)", ("II",)), ("V1 [uV] II [uV]", ("V1", "II")), ("Lead_I (uV)", ("I",))],
)
def test_the_blank_before_a_unit_separates_no_columns(header: str, leads: tuple[str, ...]) -> None:
    line = " ".join(["1500"] * len(leads))
    events = _decoded(f"x\n{header}\n{line}\n{line}\n")
    assert _read(events) == ([leads], [[1.5] * len(leads)] * 2)
    assert _notices(events) == []


def test_a_lead_alone_with_a_unit_that_is_not_known_is_told() -> None:
    events = _decoded("I (furlong)\n1\n2\n")
    assert _read(events) == ([("I",)], [[1], [2]])
    assert "no unit that is known: furlong" in _notices(events)[0]


def test_labels_say_units_that_are_not_known_once() -> None:
    (said,) = _notices(_decoded("x\n" + "V1(furlong):1 II(furlong):2\n" * 5))
    assert "the labels 'V1(furlong),II(furlong)' says no unit that is known: furlong;" in said


@pytest.mark.parametrize("header", ["V1 (mV),II (uV)", "V1_mV,II", "V1 (chest) (mV),II [uV]"])
def test_units_that_are_known_need_no_word(header: str) -> None:
    assert _notices(_decoded(f"{header}\n1,2\n")) == []


def _arriving(pieces: list[tuple[float, str]], hz: float | None) -> list[Event]:
    """The events of text that arrives at these seconds, which are the same when it comes byte by byte."""
    said = []
    for size in (1, 10**6):
        decoder = CsvDecoder(sampling_hz=hz)
        events: list[Event] = []
        for at_s, text in pieces:
            decoder.arrived(round(at_s * 1e9))
            for i in range(0, len(text), size):
                events += decoder.receive_data(text[i : i + size].encode())
        said.append(events + decoder.ended())
    assert summary(said[0]) == summary(said[1])
    return said[1]


@pytest.mark.parametrize("hz", [None, 100.0])
@pytest.mark.parametrize(
    ("header", "line"), [("V1,V2,V3", "4,5,6"), ("V1,V2", "4,5"), ("V1,x,V2,V3", "4,0,5,6")]
)
def test_lines_that_are_held_back_keep_the_header_before_them(
    header: str, line: str, hz: float | None
) -> None:
    before = [(i * 0.01, "1,2,3\n") for i in range(1, 100)]
    after = [(1 + i * 0.01, f"{line}\n") for i in range(1, 300)]
    pieces = [(0.0, "x\nI,II,V1\n"), *before, (1.0, f"{header}\n"), *after]
    events = _arriving(pieces, hz)
    leads, rows = _read(events)
    assert leads == [("I", "II", "V1"), tuple(name for name in header.split(",") if name != "x")]
    assert rows == [[1, 2, 3]] * 99 + [[float(v) for v in line.split(",") if v != "0"]] * 299
    assert len(of(Corrupt, events)) == 1


def test_lines_after_a_pause_keep_the_header_before_them() -> None:
    lines = [(i * 0.01, "1,2,3\n") for i in range(1, 300)]
    late = [(6 + i * 0.01, "1,2,3\n") for i in range(10)]
    others = [(6.1 + i * 0.01, "4,5\n") for i in range(100)]
    events = _arriving([(0.0, "x\nI,II,V1\n"), *lines, *late, (6.1, "V1,V2\n"), *others], 100.0)
    leads, rows = _read(events)
    assert leads == [("I", "II", "V1"), ("V1", "V2")]
    assert rows == [[1, 2, 3]] * 309 + [[4, 5]] * 100
    assert len(of(Corrupt, events)) == 1
