"""Many patients on one server: who is told what, who may come, and that no browser slows a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

from edge.errors import SinkError
from edge.files.recording import Metadata
from edge.leads import LEADS
from tests.edge.sinks.blocks import block, ecg
from tests.edge.sinks.viewer.test_messages import unpacked

pytest.importorskip("uvicorn", reason="the view needs '.[view]'")
pytest.importorskip("starlette", reason="the view needs '.[view]'")

pytestmark = pytest.mark.realtime
client = pytest.importorskip("websockets.sync.client", reason="the view needs '.[view]'")
exceptions = pytest.importorskip("websockets.exceptions")
from edge.sinks.viewer.ward import Ward
from edge.sinks.viewer.ward_summary import HEAD, ONE, columns

WAIT_S = 20.0


@pytest.fixture
def ward() -> Iterator[Ward]:
    with Ward(port=0) as opened:
        yield opened


def looking(ward: Ward, path: str, **options: object) -> Any:
    url = f"ws://{urlsplit(ward.address).netloc}/{path}"
    return client.connect(url, open_timeout=WAIT_S, **options)


def states(connection: Any) -> dict[str, Any]:
    while not isinstance(message := connection.recv(WAIT_S), str):
        pass
    return json.loads(message)  # type: ignore[no-any-return]


def test_the_page_of_all_is_told_of_each_who_comes_and_leaves(ward: Ward) -> None:
    first = ward.sink("Bed 1", Metadata(device="one", simulated=True))
    first.write(block(ecg(500)))
    with looking(ward, "ward") as browser:
        said = states(browser)
        (one,) = said["patients"]
        assert (one["name"], one["device"], one["simulated"]) == ("Bed 1", "one", True)
        assert one["sources"] == ["measured", "measured"] and said["leads"] == ["II", "V1"]
        columns = browser.recv(WAIT_S)
        assert HEAD.unpack_from(columns)[2] == 1
        assert ONE.unpack_from(columns, HEAD.size) == (one["number"], 64, 0, 0.0)
        second = ward.sink("Bed 1", Metadata())
        while len(here := states(browser)["here"]) < 2:
            pass
        assert second.name == "Bed 1 (2)"
        first.close()
        while len(left := states(browser)["here"]) > 1:
            pass
        assert left == here[1:] and ward.sink("Bed 1", Metadata()).name == "Bed 1"


def test_each_browser_is_sent_the_leads_that_it_asks_for(ward: Ward) -> None:
    one = ward.sink("Bed 1", Metadata())
    asked = {"": ("II", "V1"), "?leads=V4,avf": ("V4", "aVF"), "?leads=V1": ("V1",)}
    source = {"II": "measured", "V1": "measured", "V4": "reconstructed"}
    with ExitStack() as opened:
        browsers = {q: opened.enter_context(looking(ward, f"ward{q}")) for q in asked}
        for browser in browsers.values():
            states(browser)  # the greeting
        one.write(block(sent := ecg(500)))
        for query, browser in browsers.items():
            leads, message = asked[query], b""
            while len(message) <= HEAD.size + ONE.size or isinstance(message, str):
                message = browser.recv(WAIT_S)
            sources: list[str] = []
            while not sources:  # each patient's words come once a second
                said = states(browser)
                sources = [one for patient in said["patients"] for one in patient["sources"]]
            assert tuple(said["leads"]) == leads and sources[0] == source[leads[0]]
            assert HEAD.unpack_from(message)[1] == len(sources) == len(leads)
            n, first = map(int, ONE.unpack_from(message, HEAD.size)[1::2])
            rows = sent[[LEADS.index(lead) for lead in leads]]
            made = columns(0, rows, np.zeros(rows.shape, np.uint8), 250.0)
            low = np.frombuffer(message, "<i2", n * len(leads), HEAD.size + ONE.size)
            np.testing.assert_array_equal(low.reshape(-1, n), made.low_uv[:, first:], strict=True)


@pytest.mark.parametrize("name", ["Bed 1", "Å & b/?#", "<img src=x onerror=alert(1)>"])
def test_twelve_leads_of_one_patient_by_name(ward: Ward, name: str) -> None:
    sink = ward.sink(name, Metadata())
    ward.sink("another", Metadata()).write(block(ecg(700, 1)))
    sent = block(ecg(100))
    sink.write(sent)
    with looking(ward, f"live?patient={quote(name)}") as browser:
        assert states(browser)["patient"] == name
        while isinstance(message := browser.recv(WAIT_S), str):
            pass
        assert unpacked(message)[0] == 0 and len(message) == 16 + 12 * 100 * 5
        sink.close()
        with pytest.raises(exceptions.ConnectionClosed) as closed:
            while True:
                browser.recv(WAIT_S)
        assert closed.value.rcvd.reason == "this patient has left"


def test_a_patient_who_is_not_here(ward: Ward) -> None:
    with (
        looking(ward, "live?patient=nobody") as browser,
        pytest.raises(exceptions.ConnectionClosed) as closed,
    ):
        browser.recv(WAIT_S)
    assert closed.value.rcvd.reason == "this patient is not here now"


def test_a_foreign_page_and_one_without_the_token_are_refused(ward: Ward) -> None:
    with pytest.raises(exceptions.InvalidStatus), looking(ward, "ward", origin="http://evil"):
        pass
    with Ward(port=0, host="0.0.0.0") as open_to_all:
        port = urlsplit(open_to_all.address).port
        with (
            pytest.raises(exceptions.InvalidStatus),
            client.connect(f"ws://127.0.0.1:{port}/ward", open_timeout=WAIT_S),
        ):
            pass


def test_a_browser_that_takes_nothing_slows_nobody(ward: Ward) -> None:
    sinks = [ward.sink(f"bed {i}", Metadata()) for i in range(8)]
    with looking(ward, "live?patient=bed%200", max_queue=1, close_timeout=0.5) as stalled:
        stalled.recv(WAIT_S)
        for _ in range(400):
            sinks[0].write(block(ecg(250)))
        for sink in sinks[1:]:
            sink.write(block(ecg(250)))
    assert sinks[0].counters()["view_messages_dropped"] > 0
    assert sinks[1].counters()["view_messages_dropped"] == 0


def test_what_is_closed_takes_nothing_more() -> None:
    ward = Ward(port=0)
    sink = ward.sink("\x00\n", Metadata())
    assert sink.name == "patient"
    ward.close()
    ward.close()
    with pytest.raises(SinkError, match="closed"):
        sink.write(block(ecg(4)))
    with pytest.raises(SinkError, match="closed"):
        ward.sink("late", Metadata())
