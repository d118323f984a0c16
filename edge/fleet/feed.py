"""Blocks to whoever listens to a patient: as the view's messages, over any transport.

The first message is text, `{"patient", "device", "simulated", "calibration", "sampling_hz", "leads",
"provenance"}`; blocks are the bytes of `edge.sinks.viewer.messages`, with `first_sample` as the position;
markers are text, `{"markers": [[sample, text], ...]}`; the last message of a stream is
`{"patient", "ended": true}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.leads import LEADS
from edge.samples import TwelveLeadBlock
from edge.sinks.viewer.marking import marks
from edge.sinks.viewer.messages import pack
from edge.sinks.viewer.viewers import Message, Viewer, Viewers
from firmware_bridge.closing import Closing

Publish = Callable[[str, Message], object]
"""(patient, message), from any thread; it never waits."""


class FeedSink(Closing):
    """One patient's blocks as messages."""

    def __init__(
        self,
        patient: str,
        device: str,
        *,
        simulated: bool,
        publish: Publish,
        calibration: str = "",
    ) -> None:
        """`calibration` is that which is applied, in words."""
        self._patient, self._publish = patient, publish
        self._said = {
            "patient": patient,
            "device": device,
            "simulated": simulated,
            "calibration": calibration,
        }
        self._state = ""

    def write(self, block: TwelveLeadBlock) -> None:
        """See Sink."""
        state = json.dumps(
            {
                **self._said,
                "sampling_hz": block.sampling_hz,
                "leads": LEADS,
                "provenance": [str(source) for source in block.provenance],
            }
        )
        if state != self._state:
            self._state = state
            self._publish(self._patient, state)
        if block.n_samples:
            for message in pack(block.first_sample, block.ecg_mv, block.sigma_mv, block.quality):
                self._publish(self._patient, message)
        if block.markers:
            noted = [(marker.sample, marker.text) for marker in block.markers]
            self._publish(self._patient, marks(noted))

    def close(self) -> None:
        """The stream has ended, and is said to have; a second call does nothing."""
        if self._state:
            self._state = ""
            self._publish(self._patient, json.dumps({"patient": self._patient, "ended": True}))


class Listeners:
    """Who listens to whom; each has a queue, and what one is too slow for is dropped and counted."""

    def __init__(self) -> None:
        self._by_patient: dict[str, Viewers] = {}
        self._states: dict[str, str] = {}
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Messages that listeners were too slow for."""
        return self._dropped + sum(viewers.dropped for viewers in self._by_patient.values())

    def publish(self, patient: str, message: Message) -> None:
        """See Publish."""
        if isinstance(message, str) and message.startswith('{"patient"'):
            if json.loads(message).get("ended"):  # nothing is kept of who is not here
                self._states.pop(patient, None)
            else:
                self._states[patient] = message
        viewers = self._by_patient.get(patient)
        if viewers is not None:
            viewers.publish(message)

    @contextmanager
    def listening(self, patient: str) -> Iterator[Viewer | None]:
        """A queue, while somebody listens; None where too many do. On the loop's thread."""
        viewers = self._by_patient.get(patient)
        if viewers is None:
            viewers = self._by_patient[patient] = Viewers()
        try:
            with viewers.joined() as viewer:
                if viewer is not None and (state := self._states.get(patient)):
                    viewer.put(state)
                yield viewer
        finally:
            if not len(viewers) and self._by_patient.get(patient) is viewers:
                del self._by_patient[patient]
                self._dropped += viewers.dropped
