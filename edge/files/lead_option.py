"""What `--leads` on the command line means: leads, labels of a file, or a mapping of the two."""

from __future__ import annotations

import re

from edge.errors import InputError
from edge.leads import LEADS
from firmware_bridge.lead_names import lead_of

_QUOTED = r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'"
_ENTRY = re.compile(rf"\s*({_QUOTED}|[^,;=]*?)\s*(?:(=)\s*({_QUOTED}|[^,;]*?)\s*)?[,;]")


def parse_leads(text: str, option: str = "--leads") -> tuple[str, ...] | dict[str, str]:
    """Leads in order, or a mapping of leads to labels of the file.

    `II,V1,V5` is the first; labels as the file spells them (`ECG II,V1-Ref`) and `II='CH1',V1='CH2'` are the
    second. A label with a comma or semicolon stands in quotes, single or double, doubled inside. Leads
    alone may have semicolons or blanks between them.

    Raises InputError, which names the `option`, for an entry that names no lead.
    """
    if not text.strip():
        raise InputError(f"{option}: no lead is named: write II,V1,V5 or any others of the twelve")
    leads: dict[str, str] = {}
    entries = text + ","
    at = 0
    while (found := _ENTRY.match(entries, at)) is not None:
        at = found.end()
        name, label = _unquoted(found[1]), _unquoted(found[3] or "")
        lead = lead_of(name)
        several = name.split() if lead is None and not found[2] else []
        if len(several) > 1 and all(map(lead_of, several)):
            entries = f"{','.join(several)},{entries[at:]}"
            at = 0
            continue
        if not name:
            raise InputError(f"{option}: a lead is missing in {text!r}: write II,V1,V5")
        if lead is None:
            example = next(one for one in ("II", "V1", "V5", *LEADS) if one not in leads)
            raise InputError(
                f"{option}: unknown lead {name!r}: write II,V1,V5, or which lead a signal is, as in "
                f"{example}='{label or name or 'CH1'}'"
            )
        if lead in leads:
            raise InputError(f"{option}: {lead} is given twice: name each lead once")
        if found[2] and not label:
            raise InputError(f"{option}: {name}= names no signal: write {name}='CH1'")
        leads[lead] = label or name
    plain = all(label.lower() == lead.lower() for lead, label in leads.items())
    return tuple(leads) if plain else leads


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].replace(text[0] * 2, text[0])
    return text
