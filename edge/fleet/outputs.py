"""What each patient's blocks go to: files of their own, a place on the ward page, and whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from edge.errors import InputError, LeadliftError
from edge.fleet.feed import FeedSink, Publish
from edge.fleet.patient import Patient
from edge.sinks import open_sink
from edge.sinks.base import Sink
from edge.sinks.registry import check_sink

if TYPE_CHECKING:
    from edge.sinks.viewer.ward import Ward

PATIENT = "{patient}"
"""In the name of a file: the patient's."""


def check_file(spec: str) -> None:
    """Raises InputError for what is no file for each patient."""
    if not spec.startswith("file:"):
        raise InputError(
            f"sink {spec!r}: a fleet writes file:NAME with {PATIENT}, and has view:[PORT]"
        )
    if PATIENT not in spec:
        raise InputError(f"sink {spec!r}: put {PATIENT} into the name, so that each has a file")
    check_sink(spec)


class PatientSinks:
    """Opens the outputs of a patient; one that cannot be opened is told of, and the others go on."""

    def __init__(
        self,
        files: Sequence[str],
        ward: Ward | None,
        publish: Publish,
        words: Mapping[str, str],
        say: Callable[[str], object],
    ) -> None:
        """`files` as `check_file` takes them; `words` are `prefilter` and `model` of the metadata."""
        self._files, self.ward, self._publish = files, ward, publish
        self._words, self._say = words, say

    def __call__(self, patient: Patient) -> dict[str, Sink]:
        """The sinks by name."""
        metadata = partial(patient.metadata, **self._words)
        info = patient.stream.ingest.info
        simulated = info is not None and info.simulated
        sinks: dict[str, Sink] = {
            "feed": FeedSink(
                patient.name,
                patient.device,
                simulated=simulated,
                publish=self._publish,
                calibration=patient.calibrated,
            )
        }
        for spec in self._files:
            named = spec.replace(PATIENT, patient.name)
            opened = partial(open_sink, named, patient.sampling_hz, metadata=metadata)
            self._open(sinks, named, patient, opened)
        if self.ward is not None:
            place = partial(self.ward.sink, patient.name, metadata, patient.sampling_hz)
            self._open(sinks, "view", patient, place)
        return sinks

    def _open(
        self, sinks: dict[str, Sink], name: str, patient: Patient, make: Callable[[], Sink]
    ) -> None:
        try:
            sinks[name] = make()
        except LeadliftError as error:
            self._say(f"warning: {patient.name}: {error}")
