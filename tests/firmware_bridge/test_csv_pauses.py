"""Sketches that stop for a while: a gap as long as they did, by their own clock or by arrivals."""

from __future__ import annotations

import pytest

from firmware_bridge.devices.csv_lines import CsvDecoder
from firmware_bridge.events import Event, Gap, Samples
from tests.firmware_bridge.csv_arrivals import arriving, decoded, values
from tests.firmware_bridge.wire_streams import of


def indices(events: list[Event]) -> list[int]:
    """The index of every sample."""
    return [s.first_sample + i for s in of(Samples, events) for i in range(s.counts.shape[1])]


@pytest.mark.parametrize("hz", [None, 250.0])
def test_a_sketch_that_stops_leaves_a_gap_as_long_as_it_stopped(hz: float | None) -> None:
    pieces = [(at + 3 * 10**9 if at > 5e9 else at, data) for at, data in arriving(250, 9)]
    events = decoded(CsvDecoder(sampling_hz=hz), pieces)
    (gap,) = of(Gap, events)
    assert gap.n_samples == pytest.approx(750, abs=8)
    at = indices(events)
    assert at[gap.first_sample] == gap.first_sample + gap.n_samples
    assert at == sorted(set(at))
    assert len(at) == pytest.approx(9 * 250, abs=4)


@pytest.mark.parametrize("drain", [1.5, 3.0, 1000.0])
def test_what_waited_on_the_way_leaves_no_gap(drain: float) -> None:
    """For 3 s nothing comes; then what waited, `drain` times as fast as it was sent."""

    def came(at: int) -> int:
        return at if at < 5e9 else max(at, round(8e9 + (at - 5e9) / drain))

    events = decoded(
        CsvDecoder(sampling_hz=250.0), [(came(at), data) for at, data in arriving(250, 20)]
    )
    assert not of(Gap, events)
    assert indices(events) == list(range(len(indices(events))))


def test_a_sketch_that_sends_every_two_seconds_does_not_stop() -> None:
    events = decoded(CsvDecoder(sampling_hz=250.0), arriving(250, 20, per=500))
    assert not of(Gap, events)
    assert len(indices(events)) == 5000


@pytest.mark.parametrize(
    ("header", "unit"), [("ms", 4), ("micros", 4000), ("time (s)", 0.004), ("sample", 1)]
)
def test_a_column_of_time_that_jumps_leaves_a_gap_of_that_length(header: str, unit: float) -> None:
    def line(i: int) -> str:
        head = f"{header},II,V1,V5\n" if i == 0 else ""
        return f"{head}{(i + (100 if i >= 1500 else 0)) * unit:g},{values(i)}"

    events = decoded(CsvDecoder(sampling_hz=None), arriving(250, 9, line))
    (gap,) = of(Gap, events)
    assert (gap.first_sample, gap.n_samples) == (1500, 100)


def test_a_damaged_time_is_no_gap() -> None:
    def line(i: int) -> str:
        head = "ms,II,V1,V5\n" if i == 0 else ""
        return f"{head}{i * 4 + (10_000_000 if i == 1500 else 0)},{values(i)}"

    events = decoded(CsvDecoder(sampling_hz=None), arriving(250, 9, line))
    assert not of(Gap, events)


def test_a_sketch_that_restarts_has_its_time_by_the_clock_of_this_computer() -> None:
    def line(i: int) -> str:
        head = "ms,II,V1,V5\n" if i in (0, 1000) else ""
        return f"{head}{i % 1000 * 4},{values(i)}"

    pieces = [(at + 2 * 10**9 if at > 4.001e9 else at, d) for at, d in arriving(250, 8, line)]
    (gap,) = of(Gap, decoded(CsvDecoder(sampling_hz=None), pieces))
    assert gap.first_sample == 1000
    assert gap.n_samples == pytest.approx(500, abs=8)
