"""Which lead each channel of a device measures: the user wires the electrodes, so the user says.

Two ways to say it, channels counting from 1:

    leads=1:II,2:V1,3:V5                    channel 1 measures II (its + at the left leg, its - at the right
                                            arm), 2 and 3 measure V1 and V5, their - at a central terminal
    leads=1:LA,2:LL,3:V1,4:V5&reference=RA  each channel measures the electrode named, less one common
                                            reference; leads and Wilson's terminal are computed here

A minus (`1:-II`) turns a channel that is wired the wrong way round. With a common reference R, every
potential p is known but for one constant: I = pLA - pRA, II = pLL - pRA, and
V = pV - (pRA + pLA + pLL) / 3, so a V lead needs two of the three limb electrodes and the third as R.

`missing=V5` says that the device does not measure V5 and that the user knows: V5 is then a lead that is
off, all along. Nothing is masked that was not named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import (
    ArrivalDecoder,
    Decoder,
    Event,
    HostedDecoder,
    LeadOffChanged,
    Samples,
    StreamInfo,
)
from firmware_bridge.wire.spec import LEADS

LIMBS = ("RA", "LA", "LL")
CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")
RAIL = (1 << 23) - 1  # of a 24-bit converter; the negative one is one count further
_LEADS_BY_NAME = {lead.lower(): lead for lead in LEADS}
_ELECTRODES = {name.lower(): name for name in (*LIMBS, *CHEST)}


class LeadMap:
    """Rows of channels to rows of leads."""

    def __init__(
        self, leads: Sequence[str], weights: NDArray[np.float64], reference: str = ""
    ) -> None:
        self.leads = tuple(leads)
        self.reference = reference
        """Electrode that every channel is measured against; empty where each has its own."""
        self.weights = weights
        """(n_leads, n_channels): how much of each channel is in each lead."""
        self._used = weights != 0
        self._combines = bool((self._used.sum(axis=1) > 1).any())
        self._channels = self._used.argmax(axis=1)
        signs = weights.sum(axis=1).astype(np.int32)
        self._signs = None if (signs == 1).all() else signs[:, None]

    def apply(self, counts: NDArray[np.int32]) -> NDArray[np.int32]:
        """(n_channels, n) counts of a 24-bit converter to (n_leads, n), rounded to whole counts.

        A lead is at its rail where a channel in it is, so that clipping shows.
        """
        if self._combines:
            return self._combined(counts)
        rows: NDArray[np.int32] = counts[self._channels]
        if self._signs is not None:
            rows *= self._signs
            np.clip(rows, -RAIL - 1, RAIL, out=rows)  # the negative rail has no opposite
        return rows

    def _combined(self, counts: NDArray[np.int32]) -> NDArray[np.int32]:
        exact = np.clip(np.rint(self.weights @ counts), -RAIL - 1, RAIL)
        railed = (counts <= -RAIL - 1) | (counts >= RAIL)
        if railed.any():
            hit = (self._used.astype(np.uint8) @ railed.astype(np.uint8)) > 0
            exact[hit] = np.where(exact[hit] < 0, -RAIL - 1, RAIL)
        return exact.astype(np.int32)


def lead_map(text: str, n_channels: int, reference: str = "") -> LeadMap:
    """The map that `leads=` (and `reference=`) describes, for a device of `n_channels`.

    Raises SourceSpecError for what it cannot mean, saying what it takes.
    """
    wired = _wired(text, n_channels, _ELECTRODES if reference else _LEADS_BY_NAME)
    if reference:
        return _from_electrodes(wired, n_channels, reference)
    weights = np.zeros((len(wired), n_channels))
    for row, (channel, sign) in enumerate(wired.values()):
        weights[row, channel] = sign
    return LeadMap(tuple(wired), weights)


def _wired(text: str, n_channels: int, names: dict[str, str]) -> dict[str, tuple[int, float]]:
    """Channel, from 0, and sign of each name in `1:II,2:-V1`."""
    wired: dict[str, tuple[int, float]] = {}
    for entry in text.split(","):
        number, colon, name = (part.strip() for part in entry.partition(":"))
        sign = -1.0 if name.startswith("-") else 1.0
        known = names.get(name.removeprefix("-").lower())
        if not colon or known is None:
            raise SourceSpecError(
                f"leads={text}: write channel:name pairs such as 1:II,2:V1,3:V5, "
                f"names from {', '.join(names.values())} (electrodes take reference=RA)"
            )
        if not number.isdecimal() or not 1 <= int(number) <= n_channels:
            raise SourceSpecError(
                f"leads={text}: channel {number!r}; this device has 1 to {n_channels}"
            )
        channel = int(number) - 1
        if known in wired or any(channel == taken for taken, _ in wired.values()):
            raise SourceSpecError(f"leads={text}: name each channel and each lead once")
        wired[known] = (channel, sign)
    return wired


def _from_electrodes(
    wired: dict[str, tuple[int, float]], n_channels: int, reference: str
) -> LeadMap:
    ground = _ELECTRODES.get(reference.lower(), "")
    if ground not in LIMBS or ground in wired:
        raise SourceSpecError(
            f"reference={reference}: name the limb electrode that every channel is measured "
            f"against, {', '.join(LIMBS)}, and give it no channel"
        )
    potentials = {ground: np.zeros(n_channels)}
    for name, (channel, sign) in wired.items():
        potentials[name] = np.zeros(n_channels)
        potentials[name][channel] = sign
    rows: dict[str, NDArray[np.float64]] = {}
    for lead, plus, minus in (("I", "LA", "RA"), ("II", "LL", "RA"), ("III", "LL", "LA")):
        if plus in potentials and minus in potentials:
            rows[lead] = potentials[plus] - potentials[minus]
    chest = [name for name in CHEST if name in potentials]
    absent = [name for name in LIMBS if name not in potentials]
    if chest and absent:
        raise SourceSpecError(
            f"{chest[0]} is measured against the mean of RA, LA and LL: "
            f"give {' and '.join(absent)} a channel too"
        )
    for name in chest:
        rows[name] = potentials[name] - sum(potentials[limb] for limb in LIMBS) / 3
    if not rows:
        raise SourceSpecError("one limb electrode alone makes no lead: wire a second")
    return LeadMap(tuple(rows), np.array(list(rows.values())), ground)


def missing_leads(text: str) -> tuple[str, ...]:
    """The leads that `missing=` names. Raises SourceSpecError for unknown ones."""
    return named_leads(text, "missing=", "that are not wired")


def named_leads(text: str, option: str = "leads=", which: str = "to send") -> tuple[str, ...]:
    """The leads in `I,II`, in any case. Raises SourceSpecError for none, unknown and repeated ones."""
    names = [_LEADS_BY_NAME.get(name.strip().lower(), "") for name in text.split(",")]
    if "" in names or len(set(names)) != len(names):
        raise SourceSpecError(
            f"{option}{text}: name the leads {which}, each once, from {', '.join(LEADS)}"
        )
    return tuple(names)


class MissingLeads:
    """A decoder whose stream also has `missing`, leads that are off all along."""

    def __init__(self, decoder: Decoder, missing: Sequence[str]) -> None:
        self.decoder = decoder
        """The one of the device."""
        self._hosted = decoder if isinstance(decoder, HostedDecoder) else None
        self._timed = decoder if isinstance(decoder, ArrivalDecoder) else None
        self._missing = tuple(missing)
        self._absent: tuple[str, ...] = ()
        self._told = False

    def opened(self) -> None:
        """As the decoder's."""
        if self._hosted is not None:
            self._hosted.opened()

    def silent(self, seconds: float) -> None:
        """As the decoder's."""
        if self._hosted is not None:
            self._hosted.silent(seconds)

    def data_to_send(self) -> bytes:
        """As the decoder's."""
        return b"" if self._hosted is None else self._hosted.data_to_send()

    @property
    def held_samples(self) -> int:
        """As the decoder's."""
        return 0 if self._timed is None else self._timed.held_samples

    def arrived(self, now_ns: int) -> None:
        """As the decoder's."""
        if self._timed is not None:
            self._timed.arrived(now_ns)

    def ended(self) -> list[Event]:
        """As the decoder's."""
        return [] if self._timed is None else self._masked(self._timed.ended())

    def receive_data(self, data: bytes) -> list[Event]:
        """The decoder's events, with rows of zeros that are marked as off."""
        return self._masked(self.decoder.receive_data(data))

    def _masked(self, said: Sequence[Event]) -> list[Event]:
        events: list[Event] = []
        for event in said:
            if isinstance(event, StreamInfo):
                # One that is measured after all is not masked.
                self._absent = tuple(lead for lead in self._missing if lead not in event.leads)
                self._told = False
                leads = event.leads + self._absent
                events.append(replace(event, leads=leads, missing=self._absent))
            elif isinstance(event, Samples):
                n_channels = event.counts.shape[0]
                if not self._told:
                    self._told = True
                    mask = self._mask(event.lead_off, n_channels)
                    events.append(LeadOffChanged(event.first_sample, mask))
                events.append(self._padded(event, n_channels))
            elif isinstance(event, LeadOffChanged):
                self._told = False  # told anew, with ours, before the samples that follow
            else:
                events.append(event)
        return events

    def _mask(self, lead_off: int, n_channels: int) -> int:
        return lead_off | ((1 << len(self._absent)) - 1) << n_channels

    def _padded(self, event: Samples, n_channels: int) -> Samples:
        zeros = np.zeros((len(self._absent), event.counts.shape[1]), np.int32)
        return replace(
            event,
            counts=np.concatenate([event.counts, zeros]),
            lead_off=self._mask(event.lead_off, n_channels),
        )
