"""Markers over real sockets: set by a browser, refused in words, told to every other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.errors import SinkError
from edge.files.recording import Metadata
from edge.marker import Marker
from edge.sinks.viewer.marking import MOST as MOST_MARKERS
from edge.sinks.viewer.sink import ViewSink
from tests.edge.sinks.blocks import block, ecg

pytest.importorskip("uvicorn", reason="the view needs '.[view]'")
from tests.edge.sinks.viewer.test_sink import HZ, WAIT_S, looking

if TYPE_CHECKING:
    from websockets.sync import client

pytestmark = pytest.mark.realtime


@pytest.fixture
def sink() -> Iterator[ViewSink]:
    with ViewSink(HZ, Metadata(), port=0) as opened:
        yield opened


class Notes:
    """Takes markers as a run does, and refuses one."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int | None]] = []

    def __call__(self, text: str, *, at_ns: int | None = None, sample: int | None = None) -> None:
        if text == "late":
            raise SinkError("the recording has ended: the marker is not in it")
        self.found.append((text, sample))


def mark(browser: client.ClientConnection, text: str, at: int, run: str, number: int = 1) -> str:
    """Say it, and return what speaks against it."""
    browser.send(json.dumps({"mark": text, "at": at, "run": run, "number": number}))
    while True:
        message = browser.recv(WAIT_S)
        if isinstance(message, str) and "answer" in (said := json.loads(message)):
            assert said["answer"] == number
            return str(said["refusal"])


def test_a_browser_sets_a_marker_on_the_sample_that_it_shows_and_hears_of_it() -> None:
    notes = Notes()
    with ViewSink(HZ, Metadata(), port=0, mark=notes) as sink, looking(sink) as browser:
        state = json.loads(browser.recv(WAIT_S))
        assert state["marks"] is True
        sink.write(block(ecg(100), 5000))
        sink.write(block(ecg(100), 0))  # the stream began anew
        assert mark(browser, 'stands \\ "up" \u00fc', 150, state["run"], 7) == ""
        assert mark(browser, "in the stream before", 90, state["run"], 8) == ""
        assert notes.found == [('stands \\ "up" \u00fc', 50), ("in the stream before", -10)]
        assert "has ended" in mark(browser, "late", 1, state["run"])
        assert "another run" in mark(browser, "x", 1, "0123")
        assert len(notes.found) == 2


def test_where_nothing_is_recorded_a_marker_is_refused_in_words(sink: ViewSink) -> None:
    with looking(sink) as browser:
        state = json.loads(browser.recv(WAIT_S))
        assert state["marks"] is False
        assert "no markers" in mark(browser, "x", 1, state["run"])


def test_a_flood_of_markers_is_refused() -> None:
    notes = Notes()
    with ViewSink(HZ, Metadata(), port=0, mark=notes) as sink, looking(sink) as browser:
        run = json.loads(browser.recv(WAIT_S))["run"]
        refused = [mark(browser, "x", 1, run, i) for i in range(MOST_MARKERS + 5)]
        assert refused[:MOST_MARKERS] == [""] * MOST_MARKERS
        assert refused[-1] == "too many markers at once"
        assert len(notes.found) == MOST_MARKERS


def test_markers_are_told_at_once_and_again_to_who_comes_later(sink: ViewSink) -> None:
    def markers(browser: client.ClientConnection, n: int) -> list[object]:
        while True:
            message = browser.recv(WAIT_S)
            if isinstance(message, str) and len(found := json.loads(message)["markers"]) == n:
                return list(found)

    with looking(sink) as browser:
        browser.recv(WAIT_S)
        sink.write(block(ecg(100), 1000))
        sink.write(replace(block(ecg(10), 1100), markers=(Marker("a", 1050), Marker("b", 1109))))
        assert markers(browser, 2) == [[50, "a"], [109, "b"]]
    with looking(sink) as late:
        assert json.loads(late.recv(WAIT_S))["markers"] == [[50, "a"], [109, "b"]]
        assert markers(late, 2) == [[50, "a"], [109, "b"]]
