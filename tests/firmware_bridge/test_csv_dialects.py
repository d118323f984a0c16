"""How sketches print: separators, labels, headers, units, and what is said of what is not understood."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.devices.csv_headers import MISFITS
from firmware_bridge.devices.csv_lines import NANOVOLTS_PER_LSB, CsvDecoder
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Corrupt, Duplicate, Event, Notice, Samples, StreamInfo
from tests.firmware_bridge.board_streams import summary
from tests.firmware_bridge.wire_streams import of

ROWS = [(0.1, -0.2, 0.3), (1.5, 2.25, -3.0), (0.0, 0.5, 1.0)]
DIALECTS = {
    "plain": "{},{},{}\n",
    "CR LF": "{},{},{}\r\n",
    "CR": "{},{},{}\r",
    "LF CR": "{},{},{}\n\r",
    "a blank after the comma": "{}, {}, {}\r\n",
    "blanks around": "  {} , {} ,{}  \n",
    "a comma at the end": "{},{},{},\r\n",
    "a comma and a blank at the end": "{}, {}, {}, \n",
    "tabs": "{}\t{}\t{}\r\n",
    "a tab at the end": "{}\t{}\t{}\t\n",
    "tabs and commas": "{},\t{},\t{}\n",
    "blanks": "{} {} {}\n",
    "many blanks": "  {}   {}  {}\n",
    "semicolons": "{};{};{}\n",
    "a semicolon at the end": "{};{};{};\n",
    "commas and a semicolon": "{},{},{};\n",
    "bars": "{} | {} | {}\n",
    "round brackets": "({}, {}, {})\r\n",
    "square brackets": "[{} {} {}]\n",
    "a serial studio frame": "/*{},{},{}*/\n",
    "a dollar": "${},{},{};\n",
    "labels": "II:{},V1:{},V5:{}\r\n",
    "labels and blanks": "II: {} V1: {} V5: {}\n",
    "labels and tabs": "II:{}\tV1:{}\tV5:{}\n",
    "labels and semicolons": "II:{};V1:{};V5:{}\n",
    "equals": "II={} V1={} V5={}\n",
    "equals and commas": "II = {}, V1 = {}, V5 = {}\n",
    "long labels": "Lead II:{},Lead V1:{},Lead V5:{}\n",
    "labels with units": "II_mV:{},V1_mV:{},V5_mV:{}\n",
    "labels in quotes": '{{"II":{},"V1":{},"V5":{}}}\n',
    "values with units": "II:{}mV,V1:{}mV,V5:{} mV\n",
    "a label more": "t:7,II:{},V1:{},V5:{}\n",
    "a tag in front": "DATA,{},{},{}\n",
    "a label in front": "ECG: {},{},{}\n",
    "a sentence with a checksum": "$ECG,{},{},{}*5A\n",
    "a serial monitor's time": "12:00:01.123 -> {},{},{}\n",
}
DECIMAL_COMMA = {
    "semicolons": "{};{};{}\n",
    "tabs": "{}\t{}\t{}\n",
    "blanks": "{} {} {}\n",
    "labels": "II:{};V1:{};V5:{}\n",
}


def _millivolts(events: list[Event]) -> np.ndarray:
    counts = [event.counts for event in of(Samples, events)]
    return np.concatenate(counts, axis=1).T * (NANOVOLTS_PER_LSB / 1e6) if counts else np.empty(0)


def _decoded(text: str, first: str = "0,0\n", **options: object) -> list[Event]:
    decoder = CsvDecoder(**options)  # type: ignore[arg-type]
    decoder.receive_data(first.encode())
    return decoder.receive_data(text.encode())


def _notices(events: list[Event]) -> list[str]:
    return [notice.text for notice in of(Notice, events)]


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_read(name: str) -> None:
    events = _decoded("".join(DIALECTS[name].format(*row) for row in ROWS))
    np.testing.assert_allclose(_millivolts(events), ROWS, atol=1e-4)
    assert of(Corrupt, events) == of(Notice, events) == []


@pytest.mark.parametrize("name", DECIMAL_COMMA)
def test_a_decimal_comma_is_one(name: str) -> None:
    lines = [DECIMAL_COMMA[name].format(*(str(v).replace(".", ",") for v in row)) for row in ROWS]
    np.testing.assert_allclose(_millivolts(_decoded("".join(lines))), ROWS, atol=1e-4)


@pytest.mark.parametrize(
    "text", ["1,,3,\n", "1;;3\n", "1\t\t3\n", "II:1,V1:,V5:3\n", "1,--,3\n", "1,!,3\n"]
)
def test_a_missing_value_is_a_lead_that_is_off_in_every_dialect(text: str) -> None:
    (samples,) = of(Samples, _decoded(text))
    assert samples.lead_off == 0b010
    assert samples.counts[:, 0].tolist() == [10_000, 0, 30_000]


@pytest.mark.parametrize(
    "word", ["inf", "-inf", "+inf", "INF", "Infinity", "ovf", "-ovf", "nan", "NaN", "1e999"]
)
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("dialect", ["plain", "blanks", "tabs", "labels", "a tag in front"])
def test_a_value_that_is_none_costs_no_other_lead_its_sample(
    word: str, place: int, dialect: str
) -> None:
    fields = ["1", "2", "3"]
    fields[place] = word
    events = _decoded(DIALECTS[dialect].format(*fields) * 2)
    (samples,) = of(Samples, events)
    assert samples.lead_off == 1 << place
    expected = [[0 if i == place else (i + 1) * 10_000] * 2 for i in range(3)]
    assert samples.counts.tolist() == expected
    assert of(Corrupt, events) == []


def test_values_that_are_none_do_not_unsay_the_header() -> None:
    events = _decoded("V5,V1,II\ninf,0.1,0.2\novf,-ovf,-inf\n1,2,3\n", first="")
    assert [info.leads for info in of(StreamInfo, events)] == [("V5", "V1", "II")]
    assert _millivolts(events).tolist() == [[0, 0.1, 0.2], [0, 0, 0], [1, 2, 3]]
    assert [samples.lead_off for samples in of(Samples, events)] == [1, 7, 0]


HEADERS = {
    "Lead V1,Lead V5,Lead II": ("V1", "V5", "II"),
    "ECG_V1,ECG_V5,ECG_II": ("V1", "V5", "II"),
    "V1 (mV),V5 (mV),II (mV)": ("V1", "V5", "II"),
    "V5;V1;II": ("V5", "V1", "II"),
    "v5\tv1\tii": ("V5", "V1", "II"),
    "V5 V1 II": ("V5", "V1", "II"),
    "# II, V1, V5": ("II", "V1", "V5"),
    "[DII,C1,C5]": ("II", "V1", "V5"),
    "MDC_ECG_LEAD_II,MDC_ECG_LEAD_V1,MDC_ECG_LEAD_V5": ("II", "V1", "V5"),
    '"II","V1","V5",': ("II", "V1", "V5"),
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_in_any_spelling_names_the_leads(header: str) -> None:
    separator = next((mark for mark in (";", "\t", ",") if mark in header), " ")
    events = _decoded(f"{header}\n" + separator.join(("1", "2", "3")) + "\n")
    assert of(StreamInfo, events)[0].leads == HEADERS[header]
    assert of(Notice, events) == of(Corrupt, events) == []


@pytest.mark.parametrize(
    "column", ["timestamp_ms", "t", "time (us)", "Millis", "sample", "Timestamp", "ms", "t[s]"]
)
def test_a_column_of_time_is_skipped(column: str) -> None:
    events = _decoded(f"{column},II,V1,V5\n10,1,2,3\n20,1,2,3\n")
    assert _millivolts(events).tolist() == [[1, 2, 3]] * 2
    events = _decoded(f"V1,{column},II,V5\n1,10,2,3\n")
    assert of(StreamInfo, events)[0].leads == ("V1", "II", "V5")
    assert _millivolts(events).tolist() == [[1, 2, 3]]


def test_times_need_not_be_numbers() -> None:
    events = _decoded("time,II,V1,V5\n2026-11-29T10:00:00.004,1,2,3\n12:00:01,1,2,3\n")
    assert _millivolts(events).tolist() == [[1, 2, 3]] * 2


@pytest.mark.parametrize(
    ("header", "factor"),
    [
        ("II,V1,V5\nuV,uV,uV", 1e-3),
        ("II;V1;V5\nmV;mV;mV", 1.0),
        ("II (uV),V1 (uV),V5 (uV)", 1e-3),
        ("II_uV,V1_uV,V5_uV", 1e-3),
        ("II [\u00b5V];V1 [\u00b5V];V5 [\u00b5V]", 1e-3),
        ("II/V,V1/V,V5/V", 1e3),
        ("II (mV),V1 (mV),V5 (mV)", 1.0),
        ("II,V1,V5", 1.0),
    ],
)
def test_the_header_says_the_unit(header: str, factor: float) -> None:
    mark = ";" if ";" in header else ","
    values = [0.1 / factor, 0.2 / factor, 0.3 / factor]
    events = _decoded(f"{header}\n" + mark.join(f"{value:.7f}" for value in values) + "\n")
    np.testing.assert_allclose(_millivolts(events), [[0.1, 0.2, 0.3]], atol=1e-4)
    assert of(Notice, events) == []


def test_what_the_user_says_of_the_unit_stands_and_the_contradiction_is_told() -> None:
    events = _decoded("II_uV,V1_uV,V5_uV\n0.1,0.2,0.3\n", millivolts_per_unit=1.0)
    np.testing.assert_allclose(_millivolts(events), [[0.1, 0.2, 0.3]])
    assert "another unit than unit_mv=1, which is used" in _notices(events)[0]


def test_columns_that_are_no_leads_are_skipped_and_told() -> None:
    events = _decoded(
        "millis,II,temperature,V1,V5,heart rate\n4,1,36.5,2,3,70\n8,1,36.5,2,3,oops\n"
    )
    assert _millivolts(events).tolist() == [[1, 2, 3]] * 2
    (said,) = _notices(events)
    assert "temperature, heart rate" in said and "skipped" in said


def test_a_header_that_names_no_lead_is_told_and_what_was_assumed() -> None:
    events = _decoded("CH1,CH2,CH3\n1,2,3\n")
    assert of(StreamInfo, events)[0].leads == ("II", "V1", "V5")
    (said,) = _notices(events)
    assert "'CH1,CH2,CH3'" in said and "II, V1, V5, in this order" in said and "leads=" in said
    assert _notices(_decoded("CH1:1,CH2:2,CH3:3\n")) != []
    assert _notices(_decoded("boot,ok\n1,2,3\n")) == []


def test_one_lead_in_two_columns_says_which_was_taken() -> None:
    events = _decoded("II,II (filtered),V1,V5\n1,9,2,3\n")
    assert _millivolts(events).tolist() == [[1, 2, 3]]
    assert "says a lead twice: skipped is II (filtered)" in _notices(events)[0]


def test_a_header_that_the_lines_do_not_fit_is_told() -> None:
    events = _decoded("V1,V5\n" + "1,2,3\n" * MISFITS)
    assert of(StreamInfo, events)[0].leads == ("II", "V1", "V5")
    assert "names 2 columns and the lines have 3: it is not used" in _notices(events)[0]


def test_half_a_header_at_the_start_is_not_believed() -> None:
    events = _decoded("1,2,3\n", first=",V1,V5\n")
    assert of(StreamInfo, events)[0].leads == ("II", "V1", "V5")
    assert of(Notice, events) == []


@pytest.mark.parametrize(
    "chatter", ["I am ready", "Initialising V1", "boot v1", "setup: done", "V1"]
)
def test_chatter_names_no_lead(chatter: str) -> None:
    events = _decoded(f"{chatter}\n" + "1,2,3\n" * MISFITS)
    assert of(StreamInfo, events)[0].leads == ("II", "V1", "V5")


def test_a_damaged_header_does_not_unsay_a_good_one() -> None:
    events = _decoded("V1,V5,II\n1,2,3\nV1,V#,II\n4,5,6\n")
    assert len(of(StreamInfo, events)) == 1
    assert _millivolts(events).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("leads", "text"),
    [
        (("2:II", "3:V1", "5:V5"), "9,1,2,9,3\n"),
        (("CH2:II", "ch3:V1", "x:V5"), "CH2,x,CH3,CH4\n1,3,2,9\n"),
        (("II=CH2", "V1=CH3", "V5=x"), "CH2 (mV),x,CH3,CH4\n1,3,2,9\n"),
        (("II:CH2", "V1:CH3", "V5:x"), "CH2:1,x:3,CH3:2\n"),
        (("Lead II", "ECG V1", "C5"), "1,2,3\n"),
    ],
)
def test_the_user_says_which_column_is_which_lead(leads: tuple[str, ...], text: str) -> None:
    events = _decoded(text, leads=leads)
    info = of(StreamInfo, events)[0]
    found = dict(zip(info.leads, _millivolts(events)[0].tolist(), strict=True))
    assert found == {"II": 1, "V1": 2, "V5": 3}


@pytest.mark.parametrize(
    ("leads", "says"),
    [(("1:II", "V1"), "every lead its column"), (("0:II",), "from 1"), (("CH1:CH2",), "unknown")],
)
def test_a_map_that_says_too_little_is_refused(leads: tuple[str, ...], says: str) -> None:
    with pytest.raises(SourceSpecError, match=says):
        CsvDecoder(leads)


def test_a_first_column_that_counts_is_taken_for_time_and_told() -> None:
    events = _decoded("".join(f"{i * 4},1,2,3\n" for i in range(30)))
    assert _millivolts(events).tolist() == [[1, 2, 3]] * 21
    assert "the first counts" in _notices(events)[0]
    assert of(Samples, _decoded("".join(f"{i % 3},1,2,3\n" for i in range(30)))) == []


def test_a_line_that_comes_twice_is_told_by_its_time() -> None:
    lines = [f"{i * 4},{i},2,3\n" for i in range(5)]
    events = _decoded("t,II,V1,V5\n" + "".join(line * 2 for line in lines))
    assert _millivolts(events)[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert len(of(Duplicate, events)) == 5


@pytest.mark.parametrize("line", [";", "$ ;", "()", "[ ]", "/* */", "#", "[];", ","])
def test_a_frame_around_nothing_is_no_sample_and_no_failure(line: str) -> None:
    assert of(Samples, CsvDecoder().receive_data(f"{line}\n".encode())) == []
    events = _decoded(f"1,2,3\n{line}\n4,5,6\n")
    assert _millivolts(events).tolist() == [[1, 2, 3], [4, 5, 6]]


_TEXT = st.lists(
    st.sampled_from(
        [
            *(DIALECTS[name].format(1, 2, 3) for name in DIALECTS),
            *(f"{header}\n" for header in HEADERS),
            *("t,V1,V5\n", "a,b,c\n", "II,temperature,V1\n", "4,1,2,3\n", "5,1,2,3\n"),
        ]
    )
    | st.text(alphabet="0123456789.,;:=\t -+IV()mu\r\n#", max_size=20)
)


@settings(max_examples=200, deadline=None)
@given(_TEXT, st.lists(st.integers(0, 10**6)))
def test_any_cut_gives_the_same_events(lines: list[str], cuts: list[int]) -> None:
    stream = "".join(lines).encode()
    whole = CsvDecoder().receive_data(stream)
    places = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    decoder = CsvDecoder()
    pieces = [e for a, b in pairwise(places) for e in decoder.receive_data(stream[a:b])]
    assert summary(pieces) == summary(whole)
