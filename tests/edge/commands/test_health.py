"""`leadlift doctor --health`: a line, and an exit code that says whether it is well."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edge.cli import main


class Answer(BaseHTTPRequestHandler):
    """Gives the server's `text`."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.text.encode())  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is told."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_decoder_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--health"]) == 0
    assert capsys.readouterr().out.startswith("well: engine ")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("leadlift_patients_running 2.0\n", 0),
        ("leadlift_patients_running 0.0\n", 1),
        ("# HELP leadlift_patients_running 1\n", 1),
        ("<html>another server</html>", 1),
    ],
)
def test_a_run_is_asked(
    server: ThreadingHTTPServer, text: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.text = text  # type: ignore[attr-defined]
    assert main(["doctor", "--health", str(server.server_port)]) == code
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == (("well: 2 running\n", 0) if code == 0 else ("", 1))


@pytest.mark.parametrize(("address", "code"), [("nowhere", 2), ("127.0.0.1:1", 1)])
def test_no_run_is_one_line(address: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--health", address]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert address in line
