"""What a stream of the Lab Streaming Layer says of itself, and which of its channels are which leads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.devices.csv_columns import wanted
from firmware_bridge.devices.lead_map import lead_map
from firmware_bridge.errors import PeerError, SourceSpecError
from firmware_bridge.lead_names import MV_PER_UNIT, leads_of, split_unit, unit_named

FORMATS = {
    "float32": "<f4",
    "double64": "<f8",
    "int8": "i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
}
"""The channel formats that are numbers, as LSL names them, and NumPy does."""
_TRUE = ("true", "1", "yes")
_POWERS = {"-9": "nV", "-6": "uV", "-3": "mV"}  # MNE-LSL writes a power of ten of volts
_MOST_LABELS = 12  # in a message


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel, as its stream describes it; what is not said is empty."""

    label: str
    unit: str
    provenance: str = ""
    """Of a stream that leadlift sent: whether it was measured."""

    @property
    def mv_per_unit(self) -> float | None:
        """Millivolts of a value of one; None where neither unit nor label says it."""
        name = unit_named(self.unit) if self.unit else split_unit(self.label)[1]
        return None if name is None else MV_PER_UNIT[name]


@dataclass(frozen=True, slots=True)
class Description:
    """What a stream says of itself."""

    name: str
    uid: str
    """Of this outlet: another one after each restart of its program."""
    device: str
    """Manufacturer and model, or the stream's name."""
    hz: float
    """Nominal rate; 0 for a stream that has none."""
    format: str
    """Of FORMATS, or what cannot be read."""
    channels: tuple[Channel, ...]
    simulated: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Of all channels; its number, from 1, for one without."""
        return tuple(c.label or str(i) for i, c in enumerate(self.channels, 1))


def parse(xml: str) -> Description:
    """The description that liblsl gives as XML. Raises PeerError for one that cannot be read."""
    try:
        root = ElementTree.fromstring(xml)
        n_channels = int(_text(root, "channel_count"))
        hz = float(_text(root, "nominal_srate") or 0)
    except (ElementTree.ParseError, ValueError) as error:
        raise PeerError(
            f"the stream's description makes no sense ({error}): mend the program that sends it"
        ) from None
    described = root.findall("desc/channels/channel")[:n_channels]
    channels = [
        Channel(_text(c, "label") or _text(c, "name"), _unit(c), _text(c, "provenance"))
        for c in described
    ]
    channels += [Channel("", "")] * (n_channels - len(channels))
    maker = [
        _text(root, f"desc/{part}") or _text(root, f"desc/acquisition/{part}")
        for part in ("manufacturer", "model")
    ]
    name = _text(root, "name")
    return Description(
        name=name,
        uid=_text(root, "uid"),
        device=" ".join(part for part in maker if part) or name,
        hz=hz if math.isfinite(hz) and hz > 0 else 0.0,
        format=_text(root, "channel_format"),
        channels=tuple(channels),
        simulated=_text(root, "desc/simulated").lower() in _TRUE,
    )


def _text(node: ElementTree.Element, path: str) -> str:
    return (node.findtext(path) or "").strip()


def _unit(channel: ElementTree.Element) -> str:
    unit = _text(channel, "unit")
    if unit == "0" and channel.find("coil_type") is not None:
        return "V"  # MNE's own description of a channel: volts; a bare 0 may also mean no unit
    return _POWERS.get(unit, unit)


class Wiring:
    """Rows of channels to rows of leads in millivolts."""

    def __init__(self, leads: Sequence[str], weights: NDArray[np.float64]) -> None:
        """`weights` is (n_leads, n_channels): millivolts of each lead in one unit of each channel."""
        self.leads = tuple(leads)
        self._parts = [(np.flatnonzero(row), row[row != 0]) for row in weights]

    def apply(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """(n_samples, n_channels) values to (n_leads, n_samples) mV; NaN where a channel in it is."""
        columns = values.astype(np.float64).T
        return np.stack([weights @ columns[used] for used, weights in self._parts])


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options of a source say of the channels."""

    leads: str = ""
    """`II,V1`, `II=CH1,V1=CH2`, `1:II,2:V1`, or electrodes `1:LA,2:LL` with a reference."""
    reference: str = ""
    mv_per_unit: float | None = None


def wire(description: Description, asked: Asked) -> tuple[Wiring, list[str]]:
    """Which channels are which leads, in millivolts; and what a person should know of it.

    Raises PeerError for a stream that does not say enough, with how to say it, and SourceSpecError for
    options that do not fit its channels.
    """
    if description.format not in FORMATS:
        raise PeerError(
            f"the stream {description.name!r} holds {description.format}, no numbers: markers are read with "
            "markers=NAME"
        )
    notices: list[str] = []
    leads, weights = _weights(description, asked, notices)
    units = np.zeros(len(description.channels))
    for i in np.flatnonzero((weights != 0).any(axis=0)):
        units[i] = _mv_per_unit(description, int(i), asked, notices)
    return Wiring(leads, weights * units), notices


def _weights(
    description: Description, asked: Asked, notices: list[str]
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    n_channels = len(description.channels)
    entries = asked.leads.split(",") if asked.leads else []
    numbered = all(entry.partition(":")[0].strip().isdecimal() for entry in entries)
    if entries and (asked.reference or numbered):
        mapped = lead_map(asked.leads, n_channels, asked.reference)
        return mapped.leads, mapped.weights
    where = _labelled(description, notices) if not entries else _named(description, entries)
    weights = np.zeros((len(where), n_channels))
    for row, channel in enumerate(where.values()):
        weights[row, channel] = 1.0
    return tuple(where), weights


def _labelled(description: Description, notices: list[str]) -> dict[str, int]:
    """The channels whose labels name leads."""
    found: dict[str, int] = {}
    others, again, made = [], [], []
    for i, lead in enumerate(leads_of([c.label for c in description.channels])):
        label = description.labels[i]
        if lead is None:
            others.append(label)
        elif "reconstructed" in description.channels[i].provenance:
            made.append(label)
        elif lead in found:
            again.append(label)
        else:
            found[lead] = i
    if not found and made:
        raise PeerError(
            f"the stream {description.name!r} has estimates alone ({_listed(made)}), reconstructed by "
            "leadlift: name the stream of what was measured"
        )
    if not found:
        example = ",".join(
            f"{lead}={label}" for lead, label in zip(("II", "V1"), others, strict=False)
        )
        raise PeerError(
            f"no channel of the stream {description.name!r} is named for a lead ({_listed(others)}): say "
            f"which is which, as in leads={example}"
        )
    for what, names in (
        ("are no leads", others),
        ("name a lead twice", again),
        ("were reconstructed, not measured", made),
    ):
        if names:
            notices.append(f"channels that are passed over, since they {what}: {_listed(names)}")
    return found


def _named(description: Description, entries: Sequence[str]) -> dict[str, int]:
    """The channels that `leads=` names, by label, by number, or by the lead that the label says."""
    asked = wanted([entry.strip() for entry in entries])
    labels = [label.lower() for label in description.labels]
    bare = [split_unit(label)[0].lower() for label in description.labels]
    by_label = leads_of(description.labels)
    found: dict[str, int] = {}
    for i, lead in enumerate(asked.leads):
        name = asked.sources[i].lower() if asked.sources else ""
        places = [
            place
            for place, options in enumerate(zip(labels, bare, strict=True))
            if (name in options if name else by_label[place] == lead)
        ]
        if not places and name.isdecimal() and 1 <= int(name) <= len(labels):
            places = [int(name) - 1]
        if not places:
            raise SourceSpecError(
                f"leads={','.join(entries)}: the stream {description.name!r} has no channel "
                f"{asked.sources[i] if name else lead}; it has {_listed(description.labels)}"
            )
        if name and len(places) > 1:
            raise SourceSpecError(
                f"leads={','.join(entries)}: {len(places)} channels are called {asked.sources[i]}: say which "
                f"by number, as in {places[0] + 1}:{lead}"
            )
        found[lead] = places[0]
    return found


def _mv_per_unit(description: Description, i: int, asked: Asked, notices: list[str]) -> float:
    channel = description.channels[i]
    stated = channel.mv_per_unit
    if asked.mv_per_unit is not None:
        if stated is not None and not math.isclose(stated, asked.mv_per_unit):
            said = channel.unit or channel.label
            text = f"the stream says {said!r}, read in {asked.mv_per_unit:g} mV as you say"
            if text not in notices:
                notices.append(text)
        return asked.mv_per_unit
    if stated is None:
        what = f"the unit {channel.unit!r}, which is no voltage" if channel.unit else "no unit"
        raise PeerError(
            f"channel {description.labels[i]} of the stream {description.name!r} states {what}: say it in "
            "the source, unit=uV (or unit_mv= for what one is in mV)"
        )
    return stated


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LABELS
    return ", ".join(names[:_MOST_LABELS]) + (f" and {more} more" if more > 0 else "")


def check_leads(text: str, reference: str) -> None:
    """Raise SourceSpecError for a `leads=` that no stream can fit."""
    entries = text.split(",")
    if reference or all(entry.partition(":")[0].strip().isdecimal() for entry in entries):
        lead_map(text, 1 << 10, reference)
    else:
        wanted([entry.strip() for entry in entries])
