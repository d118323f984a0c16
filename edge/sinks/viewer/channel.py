"""What browsers are told of one patient, live: blocks, the state, markers. No server."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator

from edge.errors import LeadliftError
from edge.files.recording import MetadataSource, Timeline
from edge.samples import TwelveLeadBlock
from edge.sinks.base import LiveStatus, MarkCallable
from edge.sinks.picture import RECENT_S, SECONDS, LivePicture, Picture
from edge.sinks.viewer.marking import Wish, marks
from edge.sinks.viewer.messages import pack, state
from edge.sinks.viewer.viewers import Message, Viewers

HISTORY_S = 300.0
"""What a page keeps to scroll back."""
MOST_TOLD = 50
"""Markers in each state."""


class Channel:
    """One patient and the browsers that look at all twelve leads. `write` never waits for them."""

    def __init__(
        self,
        sampling_hz: float,
        metadata: MetadataSource,
        status: Callable[[], LiveStatus] | None,
        mark: MarkCallable | None,
        patient: str = "",
    ) -> None:
        """`mark` records the markers of browsers; `patient` is a name to be shown."""
        self.picture = LivePicture(sampling_hz, metadata, status)
        self.patient = patient
        self.viewers = Viewers()
        self._timeline = Timeline(sampling_hz)
        self._mark = mark
        self._lock = threading.Lock()  # of the timeline: a browser's marker is placed by it
        self._run = secrets.token_hex(8)

    def write(self, block: TwelveLeadBlock) -> None:
        """Take the next block; costs a copy."""
        self.picture.push(block)
        with self._lock:
            self._timeline.place(block)
            noted = [(self._timeline.position_of(m.sample), m.text) for m in block.markers]
        if len(self.viewers) == 0:
            return
        if block.n_samples:
            first = self._timeline.end - block.n_samples
            for message in pack(first, block.ecg_mv, block.sigma_mv, block.quality):
                self.viewers.publish(message)
        if noted:
            self.viewers.publish(marks(noted))

    @property
    def leads(self) -> tuple[str, ...]:
        """Those that the browsers are sent: all of them."""
        return self.picture.leads

    def greeting(self) -> Iterator[Message]:
        """The state and the last seconds: a page that comes, or comes back, begins with a trace."""
        picture = self.picture.snapshot(SECONDS)
        yield self._state(picture)
        yield marks(self.picture.markers(HISTORY_S))
        first = picture.end - picture.ecg_mv.shape[1]
        yield from pack(first, picture.ecg_mv, picture.sigma_mv, picture.quality)

    def tell(self) -> None:
        """The state to every browser; on the loop's thread."""
        if len(self.viewers):
            picture = self.picture.snapshot(RECENT_S)
            for viewer in self.viewers:
                viewer.put(self._state(picture, viewer.dropped))

    def record(self, wish: Wish) -> str:
        """Why a browser's marker is not recorded; empty where it is. On the loop's thread."""
        if self._mark is None:
            return "this run records no markers"
        if wish.run != self._run:
            return "another run has begun"
        with self._lock:
            sample = self._timeline.sample_at(wish.position)
        try:
            self._mark(wish.text, sample=sample)
        except LeadliftError as error:
            return str(error)
        return ""

    def _state(self, picture: Picture, dropped: int = 0) -> str:
        late = self.picture.markers(SECONDS)[-MOST_TOLD:]
        return state(
            picture, self._run, dropped, late, marks=self._mark is not None, patient=self.patient
        )
