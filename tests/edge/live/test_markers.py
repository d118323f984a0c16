"""Markers of a live run: on the sample of their moment, in every sink, and never lost in silence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from edge.errors import InputError, SinkError
from edge.live.pending_markers import HOLD_S, MOST, PendingMarkers
from edge.live.runtime import Runtime
from edge.marker import MAX_BYTES, Marker, checked, mended
from edge.samples import TwelveLeadBlock
from firmware_bridge.events import Marked
from tests.edge.fakes import FakeReconstructor, ListSink, MemoryDevice
from tests.edge.sinks.blocks import block, ecg


def block_at(first_sample: int, n_samples: int, acquired_ns: int = 0) -> TwelveLeadBlock:
    """At 250 Hz; `acquired_ns` is when its last sample was taken."""
    return replace(block(ecg(n_samples), first_sample), acquired_ns=acquired_ns)


def started() -> tuple[MemoryDevice, Runtime, ListSink]:
    device, sink = MemoryDevice(), ListSink()
    device.say_info()
    return device, Runtime(device.source, FakeReconstructor(), {"list:": sink}), sink


def markers(sink: ListSink) -> list[Marker]:
    return [marker for block in sink.blocks for marker in block.markers]


def test_a_marker_stands_on_the_sample_that_was_taken_at_its_moment() -> None:
    pending = PendingMarkers(print, live=True)
    start_ns = time.monotonic_ns() - 10**9
    assert pending.take(block_at(0, 100, acquired_ns=start_ns + 396_000_000)) == ()
    pending.add("late", start_ns + 440_000_000)
    pending.add("early", start_ns + 40_000_000)
    pending.add("before the start", start_ns - 10**12)
    assert pending.take(block_at(100, 8, acquired_ns=start_ns + 428_000_000)) == (
        Marker("early", 10),
        Marker("before the start", 0),
    )
    assert pending.take(block_at(108, 8, acquired_ns=start_ns + 460_000_000)) == (
        Marker("late", 110),
    )
    assert pending.placed == 3


@pytest.mark.parametrize(("sample", "at"), [(7, 7), (-5, 0), (99, 99)])
def test_a_sample_that_is_named_is_taken(sample: int, at: int) -> None:
    pending = PendingMarkers(print, live=True)
    pending.take(block_at(0, 100, acquired_ns=time.monotonic_ns()))
    pending.add("x", sample=sample)
    assert pending.overdue() == (Marker("x", at),)


def test_a_sample_that_is_still_to_come_is_waited_for() -> None:
    pending = PendingMarkers(print, live=True)
    pending.take(block_at(0, 100))
    pending.add("x", sample=105)
    pending.add("never", sample=10**9)
    assert pending.overdue() == ()
    assert pending.take(block_at(100, 8)) == (Marker("x", 105),)
    assert pending.finish() == (Marker("never", 107),)


def test_what_is_replayed_is_marked_at_its_newest_sample() -> None:
    pending = PendingMarkers(print, live=False)
    pending.take(block_at(0, 100))
    pending.add("x")
    assert pending.take(block_at(100, 8)) == (Marker("x", 107),)


def test_in_an_outage_a_marker_waits_and_then_stands_where_its_sample_will_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pending = PendingMarkers(print, live=True)
    now_ns = time.monotonic_ns()
    pending.take(block_at(0, 100, acquired_ns=now_ns - 2 * 10**9))
    pending.add("x", now_ns)
    assert pending.overdue() == ()
    later_ns = now_ns + round((HOLD_S + 1) * 1e9)
    monkeypatch.setattr("edge.live.pending_markers.monotonic_ns", lambda: later_ns)
    assert pending.overdue() == (Marker("x", 599),)


def test_every_sink_gets_it_and_the_report_counts_it() -> None:
    device, runtime, sink = started()
    device.say(10, n_frames=20)
    runtime.mark("  ein Märker 😀 ", sample=42)
    device.transport.end()
    runtime.run()
    assert markers(sink) == [Marker("ein Märker 😀", 42)]
    assert runtime.report()["markers"] == 1


def test_one_of_the_last_moment_is_recorded_on_the_last_sample() -> None:
    device, runtime, sink = started()
    device.say(8)
    blocks = runtime.blocks()
    for found in blocks:
        sink.write(found)
        if found.n_samples:
            runtime.mark("end")
            device.transport.end()
    assert markers(sink) == [Marker("end", 7)]
    assert sink.blocks[-1].n_samples == 0
    with pytest.raises(SinkError, match="has ended"):
        runtime.mark("too late")


def test_without_any_sample_it_is_said_that_none_is_recorded() -> None:
    device = MemoryDevice()
    said: list[str] = []
    runtime = Runtime(device.source, FakeReconstructor(), {"list:": ListSink()}, say=said.append)
    runtime.mark("a")
    device.transport.end()
    runtime.run()
    assert said == ["warning: 1 markers are not recorded: there are no samples to place them"]


def test_a_device_may_send_markers() -> None:
    pending = PendingMarkers(print, live=True)
    now_ns = time.monotonic_ns()
    pending.hear(Marked("stim\n\x00ulus"), now_ns)
    pending.hear(Marked("with its time", now_ns - 40_000_000), now_ns)
    assert pending.take(block_at(0, 100, acquired_ns=now_ns)) == (
        Marker("stim  ulus", 99),
        Marker("with its time", 89),
    )


def test_more_than_can_wait_are_refused_and_those_of_a_device_told() -> None:
    said: list[str] = []
    pending = PendingMarkers(said.append, live=True)
    for _ in range(MOST):
        pending.add("x")
    with pytest.raises(SinkError, match="not recorded"):
        pending.add("x")
    pending.hear(Marked("x"), 0)
    assert len(said) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "a\x00b",
        "two\nlines",
        "\x1b[2J",
        "\x14",
        "\x7f",
        "\x85",
        "\u2028",
        "\ud800",
        "\u202e",
        "x" * (MAX_BYTES + 1),
        "\u00e4" * (MAX_BYTES // 2 + 1),
    ],
)
def test_what_is_no_line_of_text_is_refused_and_mended(text: str) -> None:
    with pytest.raises(InputError):
        checked(text)
    assert checked(mended(text)) == mended(text)


@pytest.mark.parametrize(
    "text", ["x" * MAX_BYTES, "Übelkeit, 12:30", "胸痛", "\u0645\u0631\u064e", "👩‍⚕️"]
)
def test_any_line_of_text_is_taken(text: str) -> None:
    check: Callable[[str], str] = checked
    assert check(text) == mended(text) == text
