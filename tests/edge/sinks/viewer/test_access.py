"""Who may look: names, origins and tokens that are refused, and those that are not."""

from __future__ import annotations

import pytest

from edge.sinks.viewer.access import Access, is_loopback, reachable_address

LOCAL, SHARED = Access.on("127.0.0.1"), Access.on("0.0.0.0")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST", "::1", "[::1]"]
)
def test_loopback_needs_no_token(host: str) -> None:
    assert is_loopback(host) and not Access.on(host).token


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.7", "jetson", "localhost.example.org", ""]
)
def test_all_else_does(host: str) -> None:
    assert not is_loopback(host) and len(Access.on(host).token) >= 32


def test_each_run_has_a_token_of_its_own() -> None:
    assert Access.on("0.0.0.0").token != SHARED.token


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8765", True),
        ("127.0.0.1", True),
        ("localhost:9000", True),  # through a tunnel the port is another
        ("LocalHost.:80", True),
        ("[::1]:8765", True),
        ("", False),
        ("evil.example.org", False),
        ("localhost.evil.org", False),
        ("127.0.0.1.evil.org", False),
        ("192.168.1.7:8765", False),
        ("[::1", True),
        ("[", False),
        ("2130706433", False),
        ("127.1", False),
    ],
)
def test_a_name_that_was_pointed_at_this_machine_is_refused(host: str, known: bool) -> None:
    assert (LOCAL.refusal({"host": host}, "", secret=True) is None) is known


def test_no_host_at_all_is_refused() -> None:
    assert LOCAL.refusal({}, "", secret=False)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),  # no page asks
        ("http://127.0.0.1:8765", True),
        ("https://127.0.0.1:8765", True),
        ("http://127.0.0.1", False),
        ("http://127.0.0.1:8766", False),
        ("http://localhost:8765", False),
        ("http://evil.example.org", False),
        ("null", False),
        ("", False),
    ],
)
def test_a_page_of_another_site_is_refused(origin: str | None, allowed: bool) -> None:
    headers = {"host": "127.0.0.1:8765"} | ({} if origin is None else {"origin": origin})
    assert (LOCAL.refusal(headers, "", secret=True) is None) is allowed


@pytest.mark.parametrize(
    "query", ["", "token=", "token=wrong", "Token={}", "token={}x", "t={}", "token=%C3%A4"]
)
def test_a_wrong_token_is_refused(query: str) -> None:
    headers = {"host": "192.168.1.7:8765"}
    assert SHARED.refusal(headers, query.format(SHARED.token), secret=True)
    assert SHARED.refusal(headers, query.format(SHARED.token), secret=False) is None


def test_the_right_token_is_not() -> None:
    for host in ("192.168.1.7:8765", "[fe80::1]:8765", "localhost:8765"):
        assert SHARED.refusal({"host": host}, f"token={SHARED.token}", secret=True) is None


def test_a_refusal_never_tells_the_token() -> None:
    told = SHARED.refusal({"host": "10.0.0.1"}, "token=x", secret=True)
    assert told and SHARED.token not in told and "\n" not in told


def test_an_address_that_others_can_write() -> None:
    assert reachable_address("192.168.1.7") == "192.168.1.7"
    assert reachable_address("0.0.0.0") not in ("0.0.0.0", "")
