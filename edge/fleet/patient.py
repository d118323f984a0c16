"""One patient of the fleet: what the device sends waits here, what a shard makes goes to the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from time import monotonic_ns

from edge.errors import LeadliftError
from edge.files.recording import Metadata
from edge.fleet.device_stream import DeviceStream
from edge.fleet.ledger import Ledger
from edge.fleet.waiting import Run, Waiting
from edge.leads import Provenance
from edge.live.outputs import Outputs
from edge.misplacement_watch import MisplacementWatch
from edge.patient.patient import Patient as Calibration
from edge.samples import TwelveLeadBlock
from edge.sinks.base import Sink

OpenSinks = Callable[["Patient"], Mapping[str, Sink]]
"""Makes the outputs of a patient, when the first block is there."""


class Patient:
    """A stream from its first samples to its end; who comes back later has a new one."""

    def __init__(self, name: str, device: str, key: str, sampling_hz: float, most: int) -> None:
        """`most` samples may wait."""
        self.name, self.device, self.sampling_hz = name, device, sampling_hz
        self.key = key
        """What shards call this stream: no two streams share one."""
        self.stream = DeviceStream(sampling_hz)
        self.waiting = Waiting(most)
        self.leads: tuple[str, ...] = ()
        self.joined = False
        """Whether its shard knows it."""
        self.ending = False
        self.refused = ""
        """Why no shard takes it."""
        self.heard_ns = monotonic_ns()
        """When bytes last arrived."""
        self.calibration: Calibration | None = None
        """Of this person, for every shard that the stream comes to."""
        self.watch: MisplacementWatch | None = None
        """From the first step on."""
        self.started_at: datetime | None = None
        self.ledger: Ledger | None = None
        self.outputs: Outputs | None = None
        self.samples_lost_by_shards = 0
        """Samples that were on a shard when it failed."""

    def receive(self, data: bytes, arrival_ns: int) -> None:
        """Take bytes of the device. Raises LeadliftError where they are no stream that can be taken."""
        self.heard_ns = arrival_ns
        if self.refused:
            raise LeadliftError(self.refused)
        for block in self.stream.receive_data(data, arrival_ns):
            if not self.leads:
                self.leads = self.stream.ingest.leads
                lasting = timedelta(seconds=(block.n_samples - 1) / block.sampling_hz)
                self.started_at = datetime.now().astimezone() - lasting
            self.waiting.put(block)

    @property
    def calibrated(self) -> str:
        """The calibration in words; empty for none."""
        return "" if self.calibration is None else self.calibration.in_words()

    def metadata(self, prefilter: str, model: str) -> Metadata:
        """What a recording says of itself."""
        info = self.stream.ingest.info
        return Metadata(
            prefilter=prefilter,
            device="" if info is None else info.device,
            model=model,
            simulated=info is not None and info.simulated,
            started_at=self.started_at,
            source=f"fleet:{self.device}",
            calibration=self.calibrated,
        )

    # Below: of the thread that writes, one at a time.

    def open(
        self,
        provenance: tuple[Provenance, ...],
        open_sinks: OpenSinks,
        say: Callable[[str], object],
    ) -> tuple[Ledger, Outputs]:
        """Ledger and outputs, made at the first call."""
        if self.ledger is None or self.outputs is None:
            self.ledger = Ledger(self.sampling_hz, provenance)
            self.outputs = Outputs(open_sinks(self), lambda line: say(f"{self.name}: {line}"))
        return self.ledger, self.outputs

    def write(self, blocks: Iterable[TwelveLeadBlock]) -> str:
        """Into every output; why there is none left that works, or nothing."""
        assert self.outputs is not None
        for block in blocks:
            try:
                self.outputs.write(block)
            except LeadliftError as error:
                return str(error)
        return ""

    def lose(self, run: Run) -> str:
        """These samples were on a shard that failed: NaN and GAP, now."""
        self.samples_lost_by_shards += run.end - run.first_sample
        if self.ledger is None:
            return ""
        return self.write(self.ledger.missing_to(run.end))

    def close(self) -> str:
        """Finish the outputs; why one could not be finished, or nothing."""
        if self.outputs is None:
            return ""
        self.outputs.close()
        return "; ".join(self.outputs.failures.values())
