"""Streams of the Lab Streaming Layer, named as `--source` wants them; and whether LSL works here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import quote

from firmware_bridge.errors import TransportError
from firmware_bridge.transports.lsl_library import REMEDY, find, library

if TYPE_CHECKING:
    from firmware_bridge.transports.lsl_library import Found

SECONDS = 1.0  # all streams of a network answer within
ITSELF_S = 3.0  # for a stream of our own to be found


def is_installed() -> bool:
    """Whether the extra is here; imports nothing."""
    return find_spec("mne_lsl") is not None


def lsl_lines(seconds: float = SECONDS) -> list[str]:
    """The streams that answer within `seconds`, a line each; or why there are none."""
    try:
        found = find(seconds)
    except TransportError as error:
        return [f"no LSL here: {error}"]
    return [stream_line(one, found) for one in found] or [
        f"no LSL stream answered in {seconds:g} s; start the program that sends it"
    ]


def stream_line(one: Found, among: Sequence[Found]) -> str:
    """A stream in one line, its name first, as `--source` takes it."""
    name = quote(one.name, safe=" ")
    if one.is_text:
        return f"lsl:{one.name}  markers: with any source, as markers={name}  {one.host}"
    same = [other for other in among if other.name == one.name and not other.is_text]
    tells_apart = len({other.source_id for other in same}) == len(same)
    option = f"source_id={quote(one.source_id)}" if tells_apart else f"host={one.host}"
    spec = f"lsl:{one.name}" + (f"?{option}" if len(same) > 1 else "")
    rate = f"{one.hz:g} Hz" if one.hz else "no rate"
    return f"{spec}  {one.stype or 'no type'}  {one.n_channels} channels  {rate}  {one.host}"


def lsl_status() -> str:
    """Whether LSL works: a stream of our own is found again on this network; a few seconds at most."""
    if not is_installed():
        return f"not installed: {REMEDY}"
    try:
        lsl = library()
        version = lsl.library_version()
        name = f"leadlift-doctor-{time.monotonic_ns()}"
        outlet = lsl.StreamOutlet(lsl.StreamInfo(name, "", 1, 0.0, "float32", name))
        found = lsl.resolve_streams(timeout=ITSELF_S, name=name)
        del outlet
    except (TransportError, RuntimeError) as error:
        return f"does not work: {error}"
    release = f"liblsl {version // 100}.{version % 100}"
    if found:
        return f"works: {release} finds a stream of its own"
    return (
        f"{release} does not find a stream of its own: allow multicast and UDP ports 16571 to 16604 in the "
        "firewall, or name the other computers as KnownPeers in lsl_api.cfg"
    )
