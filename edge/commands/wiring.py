"""`--leads "II='CH1'"` of a live source: which channel is which lead, as the source itself takes it."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote

from edge.errors import InputError
from edge.files.lead_option import parse_leads


def takes_labels(spec: str | None) -> bool:
    """Whether the channels of a source have names of their own: of LSL, and of a sketch that prints them."""
    scheme, _, rest = (spec or "").partition(":")
    return scheme == "lsl" or ("device", "csv") in parse_qsl(rest.partition("?")[2])


def wired(spec: str, leads: str | None) -> str:
    """The source with what `--leads` says of its channels, if it says so.

    Raises InputError where the source says it, too.
    """
    said = None if leads is None else parse_leads(leads)
    if not isinstance(said, dict) or not takes_labels(spec):
        return spec
    query = spec.partition("?")[2]
    if any(name == "leads" for name, _ in parse_qsl(query)):
        raise InputError(f"--leads {leads}: the source says leads= as well: say it once")
    value = ",".join(f"{lead}={label}" for lead, label in said.items())
    return f"{spec}{'&' if query else '?'}leads={quote(value, safe=',=')}"
