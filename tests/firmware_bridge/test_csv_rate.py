"""How fast a sketch prints that does not say so: by its own clock, by arrivals, and what is said of it."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware_bridge.devices.csv_held import UNKNOWN_NS
from firmware_bridge.devices.csv_lines import CsvDecoder
from firmware_bridge.devices.csv_rate import HEADER_S, LONGER_S, RATE_S, ROUND_HZ, round_rate
from firmware_bridge.devices.lead_map import MissingLeads
from firmware_bridge.events import (
    ArrivalDecoder,
    Corrupt,
    Event,
    Gap,
    LeadOffChanged,
    Notice,
    RateSource,
    Samples,
    StreamInfo,
)
from tests.firmware_bridge.board_streams import placed, summary
from tests.firmware_bridge.csv_arrivals import arriving, decoded, values
from tests.firmware_bridge.wire_streams import of


def _rate(events: list[Event]) -> tuple[float, RateSource]:
    (info,) = of(StreamInfo, events)
    return info.sampling_hz, info.rate_source


@pytest.mark.parametrize("hz", [50, 100, 125, 128, 200, 250, 256, 360, 500, 512, 1000, 2000])
@pytest.mark.parametrize("off", [0.995, 1.0, 1.004])
def test_a_round_rate_is_estimated_from_arrivals(hz: float, off: float) -> None:
    events = decoded(CsvDecoder(sampling_hz=None), arriving(hz * off, 6))
    assert _rate(events) == (hz, RateSource.ARRIVALS)
    assert len(placed(events)) == pytest.approx(6 * hz * off, abs=4)
    (notice,) = of(Notice, events)
    assert f"rate={hz:g}" in notice.text and "no rate= was given" in notice.text


def test_a_rate_that_is_not_round_is_what_arrived() -> None:
    events = decoded(CsvDecoder(sampling_hz=None), arriving(93.4, 6))
    hz, source = _rate(events)
    assert hz == pytest.approx(93.4, rel=2e-3) and source is RateSource.ARRIVALS


@pytest.mark.parametrize("word", ["!", "nan", "ovf,inf,nan", "0.1,!,0.3"])
@pytest.mark.parametrize(("clock", "step"), [("", 0), ("ms", 4), ("sample", 1)])
def test_lines_that_stand_for_no_value_are_samples(word: str, clock: str, step: int) -> None:
    """As the sketch of an AD8232 prints while an electrode is off, with or without what else it prints."""

    def line(i: int) -> str:
        head = f"{clock},II,V1,V5\n" if clock and i % 250 == 0 else ""
        is_off = i % 50 == 7 or 1100 <= i < 1300
        time = f"{i * step}," if clock and not (is_off and "," not in word) else ""
        return f"{head}{time}" + (f"{word}\n" if is_off else values(i))

    events = decoded(CsvDecoder(sampling_hz=None), arriving(250, 6, line))
    source = RateSource.TIME_COLUMN if clock == "ms" else RateSource.ARRIVALS
    assert _rate(events) == (250, source)
    assert len(placed(events)) == 1500
    assert [event.n_bytes for event in of(Corrupt, events)] == [len("ready")]
    assert not of(Gap, events)


@pytest.mark.parametrize("per", [1, 7, 50])
def test_lines_may_come_in_bursts(per: int) -> None:
    events = decoded(CsvDecoder(sampling_hz=None), arriving(250, 6, per=per, jitter_ms=5))
    assert _rate(events)[0] == 250


def test_what_waited_when_the_port_was_opened_counts_for_nothing() -> None:
    late = [(0, values(0).encode() * 300), *arriving(250, 6)[1:]]
    assert _rate(decoded(CsvDecoder(sampling_hz=None), late))[0] == 250


@pytest.mark.parametrize(
    ("header", "step", "hz"),
    [
        ("t", 10, 100),
        ("timestamp_ms", 4, 250),
        ("millis", 1, 1000),
        ("us", 4000, 250),
        ("time_s", 0.002, 500),
        ("t", 0.008, 125),
        ("Time (us)", 2785, 359.066),
        ("ms", 10.02, 99.8004),
    ],
)
def test_a_column_of_time_says_the_rate(header: str, step: float, hz: float) -> None:
    def line(i: int) -> str:
        head = f"{header},II,V1,V5\n" if i % 250 == 0 else ""
        return (
            f"{head}{17 + i * step:g},{values(i)}" if step < 1 else f"{head}{i * step},{values(i)}"
        )

    # Arrivals say another rate: the device's clock is the better one.
    events = decoded(CsvDecoder(sampling_hz=None), arriving(hz * 1.05, 5, line))
    found, source = _rate(events)
    assert found == pytest.approx(hz, rel=1e-5) and source is RateSource.TIME_COLUMN
    assert len(placed(events)) == pytest.approx(5 * hz * 1.05, abs=4)


def test_milliseconds_of_128_hz_and_lost_lines_are_no_other_rate() -> None:
    def line(i: int) -> str:
        head = "t,II,V1,V5\n" if i % 100 == 0 else ""
        return head if i % 41 == 7 else f"{head}{i * 1000 // 128},{values(i)}"

    assert _rate(decoded(CsvDecoder(sampling_hz=None), arriving(128, 5, line))) == (
        128,
        RateSource.TIME_COLUMN,
    )


@pytest.mark.parametrize("header", ["sample", "t"])
def test_an_index_is_no_clock(header: str) -> None:
    def line(i: int) -> str:
        return (f"{header},II,V1,V5\n" if i % 100 == 0 else "") + f"{i},{values(i)}"

    events = decoded(CsvDecoder(sampling_hz=None), arriving(100, 5, line))
    assert _rate(events) == (100, RateSource.ARRIVALS)


def test_a_declared_rate_stands_and_the_clock_that_contradicts_it_is_told() -> None:
    def line(i: int) -> str:
        return ("t,II,V1,V5\n" if i % 100 == 0 else "") + f"{i * 10},{values(i)}"

    events = decoded(CsvDecoder(sampling_hz=250.0), arriving(100, 4, line))
    assert _rate(events) == (250, RateSource.DECLARED)
    (notice,) = of(Notice, events)
    assert "rate=250 was said, and the column of time says 100 Hz" in notice.text
    assert of(Notice, decoded(CsvDecoder(sampling_hz=100.0), arriving(100, 4, line))) == []


def test_a_header_that_comes_later_holds_for_what_came_before() -> None:
    def line(i: int) -> str:
        return ("V1,V5,II (uV)\n" if i % 250 == 200 else "") + "1,2,3000\n"

    for hz in (None, 250.0):
        events = decoded(CsvDecoder(sampling_hz=hz), arriving(250, 5, line))
        (info,) = of(StreamInfo, events)
        assert info.leads == ("V1", "V5", "II")
        assert set(placed(events).values()) == {(10_000, 20_000, 30_000)}
        assert len(placed(events)) == 1252 // 4 * 4
        assert of(Corrupt, events)[1:] == []


@pytest.mark.parametrize("hz", [None, 250.0])
@pytest.mark.parametrize(
    "header", ["V2", "V5,V1", "t,V5,V1", "I,II,V1", "millis,I,II,V1", "I,II,V1,V2,V3", "I,temp"]
)
def test_a_header_that_comes_later_holds_whatever_the_columns(
    header: str, hz: float | None
) -> None:
    names = header.split(",")

    def line(i: int) -> str:
        values = [str(i * 4) if name in ("t", "millis") else f"{i % 9}" for name in names]
        return (f"{header}\n" if i == 200 else "") + ",".join(values) + "\n"

    events = decoded(CsvDecoder(sampling_hz=hz), arriving(250, 6, line))
    (info,) = of(StreamInfo, events)
    leads = [name for name in names if name not in ("t", "millis", "temp")]
    assert (info.leads, info.sampling_hz) == (tuple(leads), 250)
    assert len(of(Corrupt, events)) == 1  # of the first line, "ready"
    expected = {i: (i % 9 * 10_000,) * len(leads) for i in range(1500)}
    assert placed(events) == expected


def test_a_column_of_time_says_the_rate_also_of_the_lines_before_the_header() -> None:
    def line(i: int) -> str:
        return ("t,V5\n" if i == 400 else "") + f"{i * 10},1\n"

    events = decoded(CsvDecoder(sampling_hz=None), arriving(240, 1.9, line), end=False)
    assert _rate(events) == (100, RateSource.TIME_COLUMN)
    assert len(placed(events)) >= 400


@pytest.mark.parametrize("hz", [None, 250.0])
@pytest.mark.parametrize("line", ["1,2", "7", "1,2,3,4,5"])
def test_lines_of_other_columns_without_a_header_are_said_in_time(
    line: str, hz: float | None
) -> None:
    decoder = CsvDecoder(sampling_hz=hz)
    pieces = arriving(250, 6, lambda _: f"{line}\n")
    early = [piece for piece in pieces if piece[0] < UNKNOWN_NS]
    assert len(decoded(decoder, early, end=False)) == 1
    assert decoder.held_samples == 0  # a source does not take them for understood
    pieces = pieces[len(early) :]
    said = decoded(decoder, pieces[:5], end=False)
    assert len(said) >= 240  # of the first second
    events = said + decoded(decoder, pieces[5:])
    assert len(of(Corrupt, events)) == 1500
    n = line.count(",") + 1
    assert {(event.reason, event.n_bytes) for event in of(Corrupt, events)} == {
        (f"{n} columns and 3 expected: name the columns in a header line", len(line))
    }
    assert of(StreamInfo, events) == of(Notice, events) == []


def test_what_came_before_the_lines_of_the_header_is_not_counted_for_their_rate() -> None:
    before = arriving(30, 1.8, lambda i: f"{i}\n", per=1)
    after = arriving(250, 4, lambda i: ("V1,V2\n" if i == 100 else "") + "1,2\n")[1:]
    events = decoded(
        CsvDecoder(sampling_hz=None), before + [(at + 1_800_000_000, data) for at, data in after]
    )
    assert _rate(events) == (250, RateSource.ARRIVALS)
    assert len(placed(events)) == 1000
    assert len(of(Corrupt, events)) == 1 + 54


def test_ten_lines_that_count_are_not_lost() -> None:
    events = decoded(CsvDecoder(sampling_hz=250.0), arriving(250, 4, lambda i: f"{i * 4},1,2,3\n"))
    assert len(placed(events)) == 1000


def test_a_declared_rate_waits_for_a_header_and_no_longer() -> None:
    decoder = CsvDecoder(sampling_hz=250.0)
    pieces = arriving(250, 3)
    early = [piece for piece in pieces if piece[0] < HEADER_S * 1e9]
    assert of(Samples, decoded(decoder, early, end=False)) == []
    assert decoder.held_samples > 250
    events = decoded(decoder, pieces[len(early) :], end=False)
    assert len(placed(events)) == len(pieces[1:]) * 4
    assert decoder.held_samples == 0


def test_a_stream_that_ends_early_is_said_with_what_there_was() -> None:
    events = decoded(CsvDecoder(sampling_hz=None), arriving(100, 1))
    assert _rate(events) == (100, RateSource.ARRIVALS)
    assert len(placed(events)) == 100
    events = decoded(CsvDecoder(sampling_hz=None), [(0, b"x\n1,2,3\n")])
    assert _rate(events) == (250, RateSource.ASSUMED)
    assert "too few to tell" in of(Notice, events)[0].text


def test_lines_without_times_of_arrival_are_held_in_bounded_memory() -> None:
    decoder = CsvDecoder(sampling_hz=None)
    events = [e for _ in range(300) for e in decoder.receive_data(b"1,2,3\n" * 100)]
    assert _rate(events) == (250, RateSource.ASSUMED)
    assert len(placed(events)) == 300 * 100 - 1


@pytest.mark.parametrize("every_ns", [None, 10**9, 10**6])
def test_lines_of_unknown_columns_are_held_in_bounded_memory(every_ns: int | None) -> None:
    decoder = CsvDecoder(sampling_hz=None)
    lines = b"1,2\n" * 1000
    n_said = 0
    tracemalloc.start()
    try:
        for i in range(150):
            if every_ns is not None:
                decoder.arrived(i * every_ns)
            n_said += len(decoder.receive_data(lines))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20e6
    assert n_said > 120_000
    assert n_said + len(decoder.ended()) == 150_000
    assert decoder.ended() == []


def test_leads_that_are_masked_are_masked_in_what_was_held() -> None:
    decoder = MissingLeads(CsvDecoder(("II", "V1", "V5"), None), ("V6",))
    assert isinstance(decoder, ArrivalDecoder)
    events = decoded(decoder, arriving(100, 1))
    assert of(LeadOffChanged, events)[0].lead_off == 0b1000
    assert {len(row) for row in placed(events).values()} == {4}
    assert decoder.held_samples == 0


def test_no_two_round_rates_are_both_near() -> None:
    for low, high in pairwise(ROUND_HZ):
        assert low * 1.01 < high * 0.99
    assert round_rate(93.4) is None
    assert RATE_S < LONGER_S


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 10**6), max_size=30),
    st.sampled_from(["", "t", "us", "sample"]),
    st.sampled_from(["V1,II,V5", "V1,II", "V2", "V1,II,V5,V6", "Resp,Temp"]),
    st.sampled_from([None, 250.0]),
    st.integers(0, 1000),
)
@example(
    [27], "sample", "V1,II,V5", None, 500
)  # the header comes when the rate is about to be known
def test_any_cut_with_the_same_arrivals_gives_the_same_events(
    cuts: list[int], clock: str, leads: str, hz: float | None, header_at: int
) -> None:
    def line(i: int) -> str:
        head = f"{clock + ',' if clock else ''}{leads}\n" if i == header_at else ""
        values = ",".join(str(i % (7 + place)) for place in range(leads.count(",") + 1))
        return head + (f"{i * 4}," if clock else "") + f"{values}\n"

    pieces = arriving(250, 5, line, per=50)
    cut = []
    for at_ns, data in pieces:
        places = sorted({place % (len(data) + 1) for place in cuts} | {0, len(data)})
        cut += [(at_ns, data[a:b]) for a, b in pairwise(places)]
    whole = decoded(CsvDecoder(sampling_hz=hz), pieces)
    assert summary(decoded(CsvDecoder(sampling_hz=hz), cut)) == summary(whole)
