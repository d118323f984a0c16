"""Many patients in one viewer: a page of small pictures, and the twelve leads of whoever is opened."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import monotonic
from typing import Any

from edge.errors import SinkError
from edge.files.recording import MetadataSource
from edge.leads import LEADS
from edge.samples import TwelveLeadBlock
from edge.sinks.base import LiveStatus, MarkCallable
from edge.sinks.picture import RECENT_S
from edge.sinks.viewer.access import LOOPBACK, Access, address_of
from edge.sinks.viewer.app import make_app
from edge.sinks.viewer.channel import Channel
from edge.sinks.viewer.marking import Wish
from edge.sinks.viewer.server import Server, bind
from edge.sinks.viewer.sink import MISSING_EXTRA, can_view
from edge.sinks.viewer.viewers import END, Message, Viewer, Viewers
from edge.sinks.viewer.ward_summary import (
    ANEW_S,
    COLUMNS_HZ,
    MOST_NAME,
    Columns,
    bounded,
    columns,
    leads_asked,
    pack_columns,
    patient_state,
    start_of,
)
from firmware_bridge.closing import Closing

TICK_S = 0.25
PARTS = 4
"""Words of every patient once a second, a part of the ward at each tick."""
MOST_PATIENTS = 1024
"""A page of more is of no use, and each keeps 20 s of twelve leads: a megabyte."""
SPAN_S = 8.0
"""What a page that comes is told of the past."""
AT_ONCE = 64
"""Patients in one message: a queue holds it for the slow."""


class PatientSink(Closing):
    """One patient's place on the ward page; made by `Ward.sink`. Closed, the patient leaves."""

    def __init__(self, ward: Ward, number: int, name: str, channel: Channel) -> None:
        self.number, self.name, self.channel = number, name, channel
        self.last_s = monotonic()  # when a sample came
        self.told: int | None = None  # column that the ward's browsers were told before
        self._ward = ward
        self._closed = False

    def write(self, block: TwelveLeadBlock) -> None:
        """Take the next block; costs a copy. Raises SinkError if closed or if the server has failed."""
        if self._closed:
            raise SinkError("view: is closed: open a new sink to write more")
        self._ward.check()
        if block.n_samples:
            self.last_s = monotonic()
        self.channel.write(block)

    def close(self) -> None:
        """Leave the ward; browsers that look at all twelve leads are told. A second call does nothing."""
        if not self._closed:
            self._closed = True
            self._ward.leave(self)
            self.channel.viewers.publish(END)

    def counters(self) -> dict[str, int]:
        """What browsers were too slow for: of this patient's twelve leads."""
        return {"view_messages_dropped": self.channel.viewers.dropped}

    def since(self, column: int, leads: Sequence[str]) -> Columns:
        """Columns of these leads from this one on, as far as they are kept."""
        picture = self.channel.picture
        first, rows = start_of(max(column, 0), picture.sampling_hz), map(picture.leads.index, leads)
        return columns(*picture.since(first, list(rows)), picture.sampling_hz)

    def ago(self, seconds: float) -> int:
        """The column so many seconds before the newest sample."""
        picture = self.channel.picture
        return max(0, int((picture.end / picture.sampling_hz - seconds) * COLUMNS_HZ))

    def state(self) -> dict[str, Any]:
        """What stands beside the traces."""
        picture, silent_s = self.channel.picture.snapshot(RECENT_S), monotonic() - self.last_s
        anew = self.channel.picture.began_anew(ANEW_S)
        return patient_state(self.number, self.name, picture, silent_s, anew=anew)


class _Shown:
    """The ward as a browser sees it that asks for some leads."""

    def __init__(self, ward: Ward, asked: str) -> None:
        self.viewers, self.leads, self.record = ward.viewers, leads_asked(asked), ward.record
        self._ward = ward

    def greeting(self) -> Iterator[Message]:
        return self._ward.greeting(self.leads)


class Ward(Closing):
    """One server for many patients, who come and go. Serves until closed."""

    def __init__(self, *, port: int | None = None, host: str | None = None) -> None:
        """Listen on `port`, 0 for any that is free, of `host`, this machine alone unless given.

        Raises SinkError where the libraries are missing or the port cannot be had.
        """
        if not can_view():
            raise SinkError(MISSING_EXTRA)
        host = host or LOOPBACK
        self.viewers = Viewers()
        self._places: dict[str, PatientSink] = {}
        self._lock = threading.Lock()  # of the places and the next number
        self._next = 1
        self._ticks = 0
        self._run = secrets.token_hex(8)
        self._closed = False
        access = Access.on(host)
        listener = bind(host, port)
        self._server = Server(
            make_app(access, self._channel, partial(_Shown, self)), listener, self._tick, TICK_S
        )
        self._address = address_of(host, self._server.port, access)

    @property
    def address(self) -> str:
        """What a browser opens, with the token where one is demanded."""
        return self._address

    def sink(
        self,
        patient: str,
        metadata: MetadataSource,
        sampling_hz: float = 250.0,
        status: Callable[[], LiveStatus] | None = None,
        mark: MarkCallable | None = None,
    ) -> PatientSink:
        """A place for one patient, until it is closed. From any thread.

        Parameters
        ----------
        patient
            A name to be shown, from whomever: it is cut to 64 characters; one that is taken gets a number.
        metadata
            What is known of the recording; a callable is asked when the first block comes.
        sampling_hz
            Rate of the blocks to come.
        status
            Asked for the state of the live path about once a second, from a thread of the ward.
        mark
            Records what somebody notes in a browser.

        Raises
        ------
        SinkError
            The ward is closed, its server has failed, or it is full.
        """
        self.check()
        name = bounded(patient, MOST_NAME) or "patient"
        with self._lock:
            if len(self._places) >= MOST_PATIENTS:
                raise SinkError(
                    f"view: {MOST_PATIENTS} patients are shown: close one, or run another ward"
                )
            free, count = name, 1
            while free in self._places:
                count += 1
                free = f"{name} ({count})"
            channel = Channel(sampling_hz, metadata, status, mark, free)
            place = self._places[free] = PatientSink(self, self._next, free, channel)
            self._next += 1
        return place

    def leave(self, place: PatientSink) -> None:
        """Show this patient no more."""
        with self._lock:
            if self._places.get(place.name) is place:
                del self._places[place.name]

    def close(self) -> None:
        """Close every sink, send every browser away and free the port; a second call does nothing."""
        self._closed = True
        for place in self._all():
            place.close()
        self._server.close()

    def counters(self) -> dict[str, int]:
        """What browsers of the page of all patients were too slow for."""
        return {"ward_messages_dropped": self.viewers.dropped}

    def check(self) -> None:
        """Raises SinkError where nothing is served any more."""
        if self._closed:
            raise SinkError("view: is closed: open a new one to show more")
        if self._server.failure is not None:
            raise SinkError(f"view: the server has failed: {self._server.failure}: start it anew")

    def greeting(self, leads: Sequence[str]) -> Iterator[Message]:
        """Of every patient the words and the last seconds of these leads, some patients in a message."""
        places = self._all()
        for at in range(0, max(len(places), 1), AT_ONCE):
            some = places[at : at + AT_ONCE]
            yield self._states([one.state() for one in some], leads)
            yield pack_columns([(one.number, one.since(one.ago(SPAN_S), leads)) for one in some])

    def record(self, wish: Wish) -> str:
        """Why a marker of this page is not recorded: it shows no single patient."""
        return "markers are set on the page of one patient"

    def _channel(self, patient: str) -> Channel | None:
        place = self._places.get(patient)
        return None if place is None else place.channel

    def _all(self) -> list[PatientSink]:
        with self._lock:
            return list(self._places.values())

    def _tick(self) -> None:
        """What is new, to those who look on; on the loop's thread."""
        self._ticks += 1
        places = self._all()
        if self._ticks % 2 == 0:
            for place in places:
                place.channel.tell()
        if not self.viewers:
            for place in places:
                place.told = None
            return
        by_leads: dict[tuple[str, ...], list[Viewer]] = {}
        for viewer in self.viewers:
            by_leads.setdefault(viewer.leads, []).append(viewer)
        wanted = [lead for lead in LEADS if any(lead in leads for leads in by_leads)]
        new = []
        for one in places:
            found = one.since(one.ago(1.0) if one.told is None else one.told, wanted)
            one.told = found.end
            if found.low_uv.shape[1]:
                new.append((one.number, found))
        states = [one.state() for one in places[self._ticks % PARTS :: PARTS]]
        for leads, viewers in by_leads.items():
            rows = [wanted.index(lead) for lead in leads]
            mine = [(number, found.of(rows)) for number, found in new]
            parts = range(0, len(mine), AT_ONCE)
            messages: list[Message] = [pack_columns(mine[at : at + AT_ONCE]) for at in parts]
            messages.append(self._states(states, leads))
            for viewer in viewers:
                for message in messages:
                    viewer.put(message)

    def _states(self, states: Sequence[dict[str, Any]], leads: Sequence[str]) -> str:
        rows = [LEADS.index(lead) for lead in leads]
        shown = [
            {**one, "sources": [one["sources"][row] for row in rows if one["sources"]]}
            for one in states
        ]
        return json.dumps(
            {
                "run": self._run,
                "dropped": self.viewers.dropped,
                "leads": leads,
                "columns_hz": COLUMNS_HZ,
                "patients": shown,
                "here": [one.number for one in self._all()],
            }
        )
