"""How files, sketches and monitors spell the twelve leads and their units: one grammar for all of leadlift.

`ECG II`, `MLII`, `Lead V1 (mV)`, `MDC_ECG_LEAD_AVR`, `DII`, `C5`, `II (filtered)`, `EKG V1-Ref` are leads; a
unit behind a name is split off. What is ambiguous is no lead: better refused than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from firmware_bridge.wire.spec import LEADS

MV_PER_UNIT = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "nV": 1e-6}
"""Millivolts per unit, for every unit of voltage that is understood."""

_UNITS = {
    **{"v": "V", "volt": "V", "volts": "V"},
    **{"mv": "mV", "millivolt": "mV", "millivolts": "mV"},
    **{"nv": "nV", "nanovolt": "nV", "nanovolts": "nV"},
    # The micro sign (U+00B5), the Greek letter (U+03BC), HL7's and plain ASCII's ways to write it.
    **dict.fromkeys(("uv", "\u00b5v", "\u03bcv", "microv", "muv", "mcv"), "uV"),
    **dict.fromkeys(("microvolt", "microvolts"), "uV"),
    **{"millivol": "mV", "microvol": "uV"},  # what EDF's eight characters hold of them
    **{"mvolt": "mV", "uvolt": "uV", "milliv": "mV"},
}
_NAMES = {lead.lower(): lead for lead in LEADS}
_NAMES |= {"mli": "I", "mlii": "II", "mliii": "III"}  # Holter recorders: modified limb leads
_NAMES |= {"di": "I", "dii": "II", "diii": "III", "d1": "I", "d2": "II", "d3": "III"}  # derivation
_NAMES |= {"l1": "I", "l2": "II", "l3": "III", "li": "I", "lii": "II", "liii": "III"}
_NAMES |= {
    "lead1": "I",
    "lead2": "II",
    "lead3": "III",
}  # but `ECG 1` is the first channel, not lead I
_NAMES |= {f"c{n}": f"V{n}" for n in range(1, 7)}  # IEC names of the chest electrodes
_NAMES |= {"vr": "aVR", "vl": "aVL", "vf": "aVF"}

_PREFIX = re.compile(
    r"(?:mdc_ecg_lead|mdc_ecg|ecg|ekg|lead|derivation|abl)(?=[\W_]|v?[1-6]\b|[idcav])[\W_]*", re.I
)
_UNIT_TAIL = re.compile(r"[\s_]*[(\[{]\s*([^()\[\]{}]+?)\s*[)\]}]$|[\s_/]+([^\s_/()\[\]{}]+)$")
_NOTE_TAIL = re.compile(r"[\s_-]*[(\[{][^()\[\]{}]*[)\]}]$")
# What stands behind a name and says nothing of the lead: the reference electrode, the polarity, the filter.
_WORD_TAIL = re.compile(
    r"(?:[\s_-]+(?:ref|reference|ra|wct|filtered|filt|raw|lead|signal|ecg|ekg)|\+|[\s_-]+)$", re.I
)

# Electrodes of the 10-20 system and what a sleep laboratory adds: none of them is in an ECG.
_EEG = re.compile(
    r"eeg\b.*|(?:a?f[3478z]|fp[12z]|fc?[zt]|[cop]z|p[3478z]|o[12z]|t[3-8]|a[12]|m[12]|e[12])(?:[\W_].*)?"
    r"|(?:[lr][\W_]*)?(?:eog|emg|chin|loc|roc)(?:[\W_].*)?",
    re.I,
)
_CENTRAL = re.compile(r"(?<![a-z])c[1-6](?!\d)", re.I)


def unit_named(text: str) -> str | None:
    """The unit of MV_PER_UNIT that `text` writes in any case (`mV`, `uV`, `microvolts`), or None."""
    name = text.strip()
    if name in (
        "MV",
        "Mv",
    ):  # megavolts by the letter; every device that writes it means millivolts
        return "mV"
    return _UNITS.get(name.lower())


def split_unit(label: str) -> tuple[str, str | None]:
    """(name, unit) of a label that may end in a unit: `V1 (mV)`, `II_uV`, `II/mV`; None without one."""
    text = label.strip().strip("\"'").strip()
    found = _UNIT_TAIL.search(text)
    if found is not None:
        unit = unit_named(found[1] or found[2])
        if unit is not None:
            return text[: found.start()].strip(), unit
    return text, None


def unknown_unit(label: str) -> str | None:
    """What stands in brackets behind a name and is no unit, `furlong` of `V1 (furlong)`; or None.

    It may be a note as well: `II (filtered)`.
    """
    text, unit = split_unit(label)
    found = _UNIT_TAIL.search(text) if unit is None else None
    return None if found is None else found[1]


def lead_of(label: str) -> str | None:
    """The lead of LEADS that `label` names, in any case, with or without prefix, unit and note; or None.

    `V1-V2` (a difference of two leads), `V7`, `C3-A2` (EEG) and a bare number are none.
    """
    name, _ = split_unit(label)
    while name:
        for candidate in (name, _without_prefix(name)):
            lead = _NAMES.get(re.sub(r"[\s_-]+", "", candidate).lower())
            if lead is not None and _is_one_word(candidate):
                return lead
        shorter = _NOTE_TAIL.sub("", name)
        if shorter == name:
            shorter = _WORD_TAIL.sub("", name)
        if shorter == name:
            return None
        name = shorter
    return None


def is_eeg(label: str) -> bool:
    """Whether `label` names a signal of an EEG or a sleep study that no ECG has: `O1-A2`, `EOG(L)`."""
    return _EEG.fullmatch(label.strip()) is not None


def leads_of(labels: Sequence[str]) -> list[str | None]:
    """As `lead_of` for the labels of one recording: beside EEG signals, `C3` and `C4` are EEG as well."""
    leads = [lead_of(label) for label in labels]
    if not any(is_eeg(label) for label in labels):
        return leads
    return [
        None if lead is not None and _CENTRAL.search(label) else lead
        for label, lead in zip(labels, leads, strict=True)
    ]


def _is_one_word(name: str) -> bool:
    """Whether what is left is one name, `a VR` and `Lead 1` included: `V1 - V2` is a difference."""
    return re.fullmatch(r"\s*(?:(?:a|lead)[\s_-]*)?\w+\s*", name, re.I) is not None


def _without_prefix(name: str) -> str:
    while True:
        found = _PREFIX.match(name)
        if found is None or found.end() == len(name):
            return name
        name = name[found.end() :]
