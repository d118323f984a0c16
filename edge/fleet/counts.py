"""What all streams of a fleet have counted: those that go on and those that have ended, at any moment."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from edge.fleet.patient import Patient

TOTALS = (
    *("samples_in", "samples_lost", "gaps", "corrupt", "corrupt_bytes", "restarts"),
    *("samples_shed", "samples_lost_by_shards", "samples_out", "samples_missing", "began_anew"),
)


class Counts:
    """From any thread. No sum ever falls: a stream counts until its own counts are in those of the ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = dict.fromkeys(TOTALS, 0)
        self._streams: dict[str, Patient] = {}

    def begin(self, patient: Patient) -> None:
        """A new stream."""
        with self._lock:
            self._streams[patient.key] = patient

    def end(self, patient: Patient) -> None:
        """It counts nothing more; a second call does nothing."""
        with self._lock:
            if self._streams.pop(patient.key, None) is not None:
                for name, n in counts_of(patient).items():
                    self._ended[name] += n

    def totals(self) -> dict[str, int]:
        """Each of TOTALS."""
        with self._lock:
            totals = dict(self._ended)
            for patient in self._streams.values():
                for name, n in counts_of(patient).items():
                    totals[name] += n
        return totals


def counts_of(patient: Patient) -> Mapping[str, int]:
    """Each of TOTALS of one stream."""
    counters, ledger = patient.stream.ingest.counters, patient.ledger
    return {
        "samples_in": counters.samples_in,
        "samples_lost": counters.samples_lost,
        "gaps": counters.gaps,
        "corrupt": counters.corrupt,
        "corrupt_bytes": counters.corrupt_bytes,
        "restarts": counters.restarts,
        "samples_shed": patient.waiting.samples_shed,
        "samples_lost_by_shards": patient.samples_lost_by_shards,
        "samples_out": 0 if ledger is None else ledger.samples_out,
        "samples_missing": 0 if ledger is None else ledger.samples_missing,
        "began_anew": 0 if ledger is None else ledger.began_anew,
    }
