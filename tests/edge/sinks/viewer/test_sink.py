"""The view over real sockets: what browsers get, who is refused, and that none of them slows a run."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from urllib.parse import urlsplit

import numpy as np
import pytest

from edge.errors import InputError, SinkError
from edge.files.recording import Metadata
from edge.quality import Quality
from edge.sinks import open_sink
from edge.sinks.viewer.app import HEADERS, pages
from edge.sinks.viewer.server import MAX_HEAD_BYTES, MAX_MESSAGE_BYTES
from edge.sinks.viewer.sink import ViewSink
from edge.sinks.viewer.viewers import MOST, QUEUE
from tests.edge.sinks.blocks import block, ecg
from tests.edge.sinks.viewer.test_messages import unpacked

pytest.importorskip("uvicorn", reason="the view needs '.[view]'")
pytest.importorskip("starlette", reason="the view needs '.[view]'")

pytestmark = pytest.mark.realtime
client = pytest.importorskip("websockets.sync.client", reason="the view needs '.[view]'")
exceptions = pytest.importorskip("websockets.exceptions")
HZ, WAIT_S = 250.0, 20.0


@pytest.fixture
def sink() -> Iterator[ViewSink]:
    with ViewSink(HZ, Metadata(), port=0) as opened:
        yield opened


@contextmanager
def looking(sink: ViewSink, **options: object) -> Iterator[client.ClientConnection]:
    parts = urlsplit(sink.address)
    url = f"ws://{parts.netloc}/live?{parts.query}"
    with client.connect(url, open_timeout=WAIT_S, **options) as connection:
        yield connection


def blocks_of(connection: client.ClientConnection, n: int) -> list[bytes]:
    """The next `n` messages that are blocks."""
    found: list[bytes] = []
    while len(found) < n:
        message = connection.recv(WAIT_S)
        if isinstance(message, bytes):
            found.append(message)
    return found


def unread(sink: ViewSink) -> socket.socket:
    """A browser that looks on and takes nothing."""
    parts = urlsplit(sink.address)
    raw = socket.create_connection((parts.hostname, parts.port), WAIT_S)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asks = [
        "GET /live HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    raw.sendall("\r\n".join([*asks, "", ""]).encode())
    assert raw.recv(12) == b"HTTP/1.1 101"
    return raw


def get(sink: ViewSink, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(sink.address).netloc, timeout=WAIT_S)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_the_page_and_all_that_it_names_are_served(sink: ViewSink) -> None:
    status, headers, body = get(sink)
    assert status == 200 and headers["content-type"].startswith("text/html")
    assert HEADERS.items() <= {k.title(): v for k, v in headers.items()}.items()
    assert "unsafe" not in headers["content-security-policy"]
    assert b"<style" not in body and b" style=" not in body and b" onclick" not in body
    for path, kind in (("page.js", "text/javascript"), ("viewer.css", "text/css")):
        assert path.encode() in body
        status, headers, found = get(sink, f"/{path}")
        assert status == 200 and headers["content-type"].startswith(kind) and found


def test_no_page_names_another_server(sink: ViewSink) -> None:
    paths = pages()
    assert len(paths) > 8
    for path in paths:
        body = get(sink, path)[2].decode()
        assert "http://" not in body and "https://" not in body and "//cdn" not in body, path


@pytest.mark.parametrize(
    "path",
    [
        "/../setup.cfg",
        "/..%2fapp.py",
        "/app.py",
        "/etc/passwd",
        "//etc/passwd",
        "/index.html/..",
        "/%00",
    ],
)
def test_no_file_can_be_asked_for(sink: ViewSink, path: str) -> None:
    assert get(sink, path)[0] in (400, 404)


def test_a_browser_gets_the_state_the_last_seconds_and_each_block(sink: ViewSink) -> None:
    before, after = block(ecg(100)), block(ecg(10, 1), 100, Quality.NOISY)
    sink.write(before)
    with looking(sink) as browser:
        state = json.loads(browser.recv(WAIT_S))
        assert state["sampling_hz"] == HZ and len(state["leads"]) == 12
        (history,) = blocks_of(browser, 1)
        first, uv, _, _ = unpacked(history)
        assert first == 0 and np.abs(uv / 1000 - before.ecg_mv).max() < 0.001
        sink.write(after)
        (message,) = blocks_of(browser, 1)
        first, uv, _, quality = unpacked(message)
        assert first == 100 and np.abs(uv / 1000 - after.ecg_mv).max() < 0.001
        assert (quality == Quality.NOISY).all()


def test_a_gap_is_a_jump_of_the_position_and_a_stream_that_began_anew_is_none(
    sink: ViewSink,
) -> None:
    with looking(sink) as browser:
        assert isinstance(browser.recv(WAIT_S), str)
        for first in (1000, 1010, 1100, 0):
            sink.write(block(ecg(10), first))
        assert [unpacked(m)[0] for m in blocks_of(browser, 4)] == [0, 10, 100, 110]


def test_many_browsers_get_the_same(sink: ViewSink) -> None:
    with ExitStack() as stack:
        browsers = [stack.enter_context(looking(sink)) for _ in range(5)]
        for browser in browsers:
            assert isinstance(browser.recv(WAIT_S), str)
        sink.write(block(ecg(10)))
        assert len({blocks_of(browser, 1)[0] for browser in browsers}) == 1


def test_a_browser_that_never_reads_delays_no_write_and_loses_blocks(sink: ViewSink) -> None:
    """The socket's buffers take some; then its queue is all that it has."""
    big = block(ecg(4096))  # 245 kB each: no buffer of a system takes all of them
    stalled = unread(sink)
    with looking(sink, max_size=None, max_queue=None) as reader:
        assert isinstance(reader.recv(WAIT_S), str)
        longest = 0.0
        for i in range(QUEUE + 100):
            began = monotonic()
            sink.write(block(big.ecg_mv, 4096 * i))
            longest = max(longest, monotonic() - began)
            blocks_of(reader, 1)  # the other browser goes on
        assert sink.counters()["view_messages_dropped"] > 0
        assert longest < 1.0, "a write copies and queues"
    began = monotonic()
    sink.close()
    assert monotonic() - began < 10.0, "nor does it keep the run from ending"
    stalled.close()


def test_browsers_that_are_killed_end_without_a_word(
    sink: ViewSink, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio warns of writes into a connection that has failed: none is made."""
    caplog.set_level(logging.DEBUG)
    at = 0
    for _ in range(10):
        killed = unread(sink)
        killed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for _ in range(QUEUE):  # queued faster than they go out
            sink.write(block(ecg(10), at))
            at += 10
        killed.close()
        for _ in range(QUEUE):
            sink.write(block(ecg(10), at))
            at += 10
    assert get(sink)[0] == 200  # the loop has seen all of that
    assert not [
        r.getMessage()
        for r in caplog.records
        if r.name in ("asyncio", "uvicorn.error") and r.levelno > logging.INFO
    ]


@pytest.mark.parametrize(
    "said",
    [
        *("hello", b"\x00" * 10, "x" * (MAX_MESSAGE_BYTES + 1), b"x" * (1 << 20)),
        *("[", "[]", "{}", "null", "7", "[" * 1000, '{"mark": "a"}'),
        '{"mark": 7, "at": 1, "run": "a", "number": 1}',
        '{"mark": "a", "at": 1.5, "run": "a", "number": 1}',
        '{"mark": "a", "at": 1e400, "run": "a", "number": 1}',
        '{"mark": "a", "at": true, "run": "a", "number": 1}',
        '{"mark": "a", "at": 1, "run": "a", "number": -1}',
        '{"mark": "a", "at": 99999999999999999999, "run": "a", "number": 1}',
        b'{"mark": "a", "at": 1, "run": "a", "number": 1}',
    ],
)
def test_a_browser_that_speaks_is_sent_away_and_the_others_stay(
    sink: ViewSink, said: str | bytes
) -> None:
    with looking(sink) as good, looking(sink) as bad:
        assert isinstance(good.recv(WAIT_S), str)
        with pytest.raises(exceptions.ConnectionClosed):
            bad.send(said)
            while True:
                bad.recv(WAIT_S)
        sink.write(block(ecg(10)))
        assert blocks_of(good, 1)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff" * 100,
        b"GET / HTTP/1.1\r\nHost: " + b"a" * 2 * MAX_HEAD_BYTES,
        b"GET /live HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_ends_only_itself(sink: ViewSink, sent: bytes) -> None:
    parts = urlsplit(sink.address)
    with socket.create_connection((parts.hostname, parts.port), WAIT_S) as raw:
        raw.settimeout(WAIT_S)
        raw.sendall(sent)
        assert b" 400 " in raw.recv(1000)
    assert get(sink)[0] == 200


def test_a_crowd_is_turned_away_in_words(sink: ViewSink) -> None:
    with ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(looking(sink)).recv(WAIT_S)
        late = stack.enter_context(looking(sink))
        with pytest.raises(exceptions.ConnectionClosed) as caught:
            late.recv(WAIT_S)
        assert caught.value.rcvd is not None and "too many" in caught.value.rcvd.reason
    assert get(sink)[0] == 200


def test_two_hundred_connections_that_ask_for_nothing_disturb_nobody(sink: ViewSink) -> None:
    parts = urlsplit(sink.address)
    with ExitStack() as stack, looking(sink) as browser:
        assert isinstance(browser.recv(WAIT_S), str)
        for _ in range(200):
            stack.enter_context(socket.create_connection((parts.hostname, parts.port), WAIT_S))
        sink.write(block(ecg(10)))
        assert blocks_of(browser, 1)
    with looking(sink) as late:
        assert isinstance(late.recv(WAIT_S), str)


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example.org"}, {"Origin": "http://evil.example.org"}, {"Origin": "null"}],
)
def test_other_names_and_origins_get_neither_page_nor_stream(
    sink: ViewSink, headers: dict[str, str]
) -> None:
    assert get(sink, **headers)[0] == 403
    if "Origin" in headers:
        with pytest.raises(exceptions.InvalidStatus), looking(sink, origin=headers["Origin"]):
            pass


def test_others_need_the_token_and_it_is_logged_nowhere(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with open_sink("view:0", HZ, view_host="0.0.0.0") as sink:
        assert isinstance(sink, ViewSink)
        parts = urlsplit(sink.address)
        token = parts.query.removeprefix("token=")
        assert len(token) >= 32
        local = f"127.0.0.1:{parts.port}"
        connection = http.client.HTTPConnection(local, timeout=WAIT_S)
        for path, status in (
            ("/", 403),
            ("/?token=x", 403),
            (f"/?token={token}", 200),
            ("/page.js", 200),
        ):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read() != b"") == (status, True), path
        connection.close()
        with pytest.raises(exceptions.InvalidStatus):
            client.connect(f"ws://{local}/live", open_timeout=WAIT_S)
        with client.connect(f"ws://{local}/live?token={token}", open_timeout=WAIT_S) as browser:
            assert isinstance(browser.recv(WAIT_S), str)
    assert token not in "".join(capfd.readouterr())
    assert not [
        r for r in caplog.records if r.name.startswith("uvicorn") and token in r.getMessage()
    ]


def test_a_port_that_is_taken_is_said_in_a_line(sink: ViewSink) -> None:
    port = urlsplit(sink.address).port
    with pytest.raises(SinkError, match=rf":{port}: .*view:0") as caught:
        open_sink(f"view:{port}", HZ)
    assert "\n" not in str(caught.value)


def test_without_a_port_any_free_one_will_do() -> None:
    with open_sink("view:", HZ) as one, open_sink("view:", HZ) as other:
        assert isinstance(one, ViewSink) and isinstance(other, ViewSink)
        assert one.address != other.address
        assert get(other)[0] == 200


def test_without_the_libraries_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SinkError, match=r"pip install '\.\[view\]'"):
        open_sink("view:0", HZ)


def test_an_address_of_another_machine_is_said_in_a_line() -> None:
    with pytest.raises(SinkError, match=r"cannot listen on 192\.0\.2\.1"):
        open_sink("view:0", HZ, view_host="192.0.2.1")


@pytest.mark.parametrize(
    "spec", ["view:http", "view:-1", "view:65536", "view:127.0.0.1:80", "view:²", "view: 80"]
)
def test_a_port_that_is_none(spec: str) -> None:
    with pytest.raises(InputError, match="takes a port"):
        open_sink(spec, HZ)


def test_close_sends_browsers_away_frees_the_port_and_may_be_called_twice(sink: ViewSink) -> None:
    with looking(sink) as browser:
        browser.recv(WAIT_S)
        sink.close()
        sink.close()
        with pytest.raises(exceptions.ConnectionClosed):
            while True:
                browser.recv(WAIT_S)
    with pytest.raises(SinkError, match="closed"):
        sink.write(block(ecg(10)))
    port = urlsplit(sink.address).port
    with open_sink(f"view:{port}", HZ) as next_one:
        assert isinstance(next_one, ViewSink) and get(next_one)[0] == 200
