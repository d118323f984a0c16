"""Who may look: the Host that was asked for, the Origin of the page that asks, and a token. Pure.

A page of another site can make a browser ask this server. It cannot forge Origin; and by pointing a name of
its own at this machine (DNS rebinding) it can make the origins equal, but then Host is that name.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 24
_LOCAL_NAMES = frozenset({"localhost"})


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must bring."""

    names: frozenset[str]
    """Host names that this server goes by, lower case; addresses stand for themselves."""
    any_address: bool
    """Whether Host may be any IP address, not only a loopback one."""
    token: str
    """Empty where none is demanded."""

    @classmethod
    def on(cls, host: str) -> Access:
        """For a server bound to `host`: a token unless only this machine can reach it."""
        if is_loopback(host):
            return cls(_LOCAL_NAMES, False, "")
        mine = socket.gethostname().lower()
        names = _LOCAL_NAMES | {host.lower(), mine, f"{mine}.local"}
        return cls(names, True, secrets.token_urlsafe(_TOKEN_BYTES))

    def refusal(self, headers: Mapping[str, str], query: str, *, secret: bool) -> str | None:
        """Why a request is refused, in a line; None where it is not.

        `headers` by lower-case name; `secret` is what only those with the token may have.
        """
        host = headers.get("host", "")
        if not self._knows(host):
            return "this server does not go by that name: use the address that leadlift printed"
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in _origins(host):
            return "a page of another site may not look at this server"
        if secret and self.token and not hmac.compare_digest(_token(query), self.token.encode()):
            return "the token is missing or wrong: use the whole address that leadlift printed"
        return None

    def _knows(self, host: str) -> bool:
        name = _name(host)
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return self.any_address or address.is_loopback


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in _LOCAL_NAMES


def reachable_address(host: str) -> str:
    """What others write for `host`: the address of this machine where it is all of them."""
    if host not in ("0.0.0.0", "::"):
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: the system picks the way out
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def address_of(host: str, port: int, access: Access) -> str:
    """What a browser opens of a server on `host` and `port`, with the token where one is demanded."""
    name = reachable_address(host.strip("[]"))
    name = f"[{name}]" if ":" in name else name
    token = f"?token={access.token}" if access.token else ""
    return f"http://{name}:{port}/{token}"


def _name(host: str) -> str:
    """Without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()


def _origins(host: str) -> tuple[str, str]:
    return f"http://{host.lower()}", f"https://{host.lower()}"


def _token(query: str) -> bytes:
    return (parse_qs(query, max_num_fields=8).get("token") or [""])[0].encode()
