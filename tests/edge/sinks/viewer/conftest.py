"""A browser, a view and its page, for the tests that need them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks.chromium import browser
from edge.errors import SinkError
from edge.files.recording import Metadata
from edge.sinks.base import LiveStatus
from edge.sinks.viewer.sink import ViewSink
from tests.edge.sinks.viewer.in_browser import HZ, WAIT_MS

STATUS = LiveStatus(
    latency_p50_ms=3.2,
    latency_p99_ms=7.8,
    device="a wearable",
    simulated=True,
    battery_percent=81,
    engine="c",
    deadline_misses=3,
    recording=("folder/out.edf",),
    warnings=("samples arrive at 240 Hz",),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture
def noted() -> list[tuple[str, int | None]]:
    """The markers that the page has set, as a run would record them."""
    return []


@pytest.fixture
def sink(noted: list[tuple[str, int | None]]) -> Iterator[ViewSink]:
    def mark(text: str, *, at_ns: int | None = None, sample: int | None = None) -> None:
        if text == "too late":
            raise SinkError("the recording has ended: the marker is not in it")
        noted.append((text, sample))

    with ViewSink(HZ, Metadata(), lambda: STATUS, port=0, mark=mark) as opened:
        yield opened


@pytest.fixture
def page(chromium: Any, sink: ViewSink) -> Iterator[Any]:
    """The page of `sink`; what it complains of, and asks of others, fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    opened, wrong = context.new_page(), []
    ours = urlsplit(sink.address).netloc
    opened.set_default_timeout(WAIT_MS)
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request",
        lambda r: (
            None if r.url.startswith((f"http://{ours}/", "blob:", "data:")) else wrong.append(r.url)
        ),
    )
    opened.goto(sink.address)
    opened.wrong = wrong
    yield opened
    context.close()
    assert not wrong
