"""The live path: acquisition on one thread, inference on another, losses and latency counted at each step.

    source (asyncio) -> ingest -> ring   |   ring -> rate conversion -> reconstructor -> sinks
             acquisition thread          |           the thread that calls `run` or iterates

Acquisition never waits for inference: if inference falls behind by more than the ring holds, the samples
that it missed are counted, and the reconstructor skips them as it does any long gap. Sinks are written
on the inference thread, so a slow one delays and can never lose a block in silence.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from time import monotonic_ns
from typing import cast

from edge.leads import INPUT_LEADS
from edge.live.handover import Handover, Run, start_of
from edge.live.ingest import Ingest, no_samples
from edge.live.on_device import OnDevice, ReconstructedIngest, in_time
from edge.live.outputs import Outputs
from edge.live.pending_markers import PendingMarkers
from edge.live.stream_reconstructor import StreamReconstructor, engine_name
from edge.live.telemetry import LatencyTelemetry
from edge.marker import Marker
from edge.misplacement_watch import MisplacementWatch
from edge.samples import TwelveLeadBlock
from edge.signal.resampling import RateConverter
from edge.sinks.base import LiveStatus, Sink
from firmware_bridge.errors import StallError
from firmware_bridge.events import Marked, Reconstruction
from firmware_bridge.source import Source
from firmware_bridge.transports.base import Notified

DEADLINE_S = 0.015  # beyond one hop: the p99 that the live path promises from last byte to block
POLL_S = 0.1  # longest single wait of the inference thread; a stop is noticed within it
NO_SAMPLES_S = 10.0  # bytes that decode to nothing for so long: wrong baud rate, or another device
RECORDING_WAIT_S = 0.002  # how soon a replay that is ahead of inference looks again
RECORDING_PART = 100  # samples of a recording handed over at once: the ring holds as many
CLOSE_S = 10.0  # longest wait for the source to close; BLE takes seconds to disconnect


class Runtime:
    """One recording: from a source, through a reconstructor, into sinks. Runs once."""

    def __init__(
        self,
        source: Source,
        reconstructor: StreamReconstructor,
        sinks: Mapping[str, Sink] | None = None,
        *,
        leads: Sequence[str] = INPUT_LEADS,
        on_leads: Callable[[tuple[str, ...]], object] | None = None,
        on_open: Callable[[], object] | None = None,
        deadline_s: float = DEADLINE_S,
        say: Callable[[str], object] | None = None,
    ) -> None:
        """`sinks` are open sinks by the name that the report gives them; the runtime closes them.

        `on_leads` is called before the first block with the leads of a device that lacks some of `leads`,
        and makes the reconstructor take them; without it such a device is refused. `on_open` is called once
        the source is open, on the acquisition thread.
        A block later than one hop plus `deadline_s` after its last byte is a deadline miss. `say` is
        called with a line, from either thread, when the stream is not what it says it is, and when a sink
        fails.
        """
        self._say = say or (lambda line: None)
        self.outputs = Outputs(sinks or {}, self._say)
        self.started_at: datetime | None = None
        """Local time, with its zone, of the first sample; None before it, and where nobody knows."""
        self.ingest = Ingest(leads, or_others=on_leads is not None)
        self._asked, self._on_leads, self._on_open = tuple(leads), on_leads, on_open
        self.reconstruction: Reconstruction | None = None
        """What a device that reconstructs its leads itself says of them; None of any other."""
        self.latency = LatencyTelemetry()
        self.samples_out = 0
        self.deadline_misses = 0
        self._told = 0  # of the notices
        self._source = source
        self._reconstructor = reconstructor
        self._converter: RateConverter | None = None
        self._watch: MisplacementWatch | None = None  # from the first samples on
        self._handover = Handover()
        self._deadline_ns = round(
            (reconstructor.hop / reconstructor.sampling_hz + deadline_s) * 1e9
        )
        self._next_sample = 0  # stream index at the device's rate of the next sample to push
        self._fed = 0  # samples pushed or skipped at the reconstructor's rate
        self._overruns = 0
        self._markers = PendingMarkers(self._say, live=source.link.live)
        self._newest: TwelveLeadBlock | None = None
        self._oldest_arrival_ns = 0
        self._began_ns = 0
        self._ended_ns = 0
        self._thread = threading.Thread(target=self._acquire, name="acquisition", daemon=True)
        self._cancel: Callable[[], object] | None = None
        self._stopping = False
        self._acquired = False  # the acquisition thread has put all that it will
        self._failure: BaseException | None = None

    @property
    def sinks(self) -> dict[str, Sink]:
        """The outputs by name; more may be added before the start."""
        return self.outputs.sinks

    @property
    def sink_failures(self) -> dict[str, str]:
        """Why each sink that failed did, by its name; the others went on."""
        return self.outputs.failures

    def stop(self) -> None:
        """End the recording cleanly, from any thread or signal handler: takes no lock, returns at once."""
        if self._stopping:  # a second cancel would interrupt the source while it closes
            return
        self._stopping = True
        if self._cancel is not None:
            self._cancel()

    def mark(self, text: str, *, at_ns: int | None = None, sample: int | None = None) -> None:
        """Note `text` in the recording, from any thread: every sink gets it in `TwelveLeadBlock.markers`.

        It belongs to the sample that was taken at `at_ns` (`time.monotonic_ns()`), now unless given; of a
        replay, to the newest one. `sample`, counted as `TwelveLeadBlock.first_sample`, names one instead.
        Raises InputError for a text that is empty, too long or no line, SinkError after the recording's end.
        """
        self._markers.add(text, at_ns, sample)

    def run(self, seconds: float | None = None) -> None:
        """Record until the source ends, `stop()`, or `seconds` of signal; close the sinks.

        A live source also ends `seconds` after its first samples, however few have come by then.
        A sink that fails is closed, and the others go on (`sink_failures`). An error of the source or of
        inference ends the run, and so does the failure of the last sink; it is raised here as it was, after
        the sinks are closed.
        """
        with closing(self.outputs), closing(self.blocks(seconds)) as blocks:
            for block in blocks:
                self._write(block)
        self.outputs.raise_if_none_is_left()

    def blocks(self, seconds: float | None = None) -> Generator[TwelveLeadBlock, None, None]:
        """As `run`, but the blocks are the caller's; closing the iterator stops the acquisition."""
        self._thread.start()
        try:
            while True:
                if seconds is not None and self._source.link.live and self.seconds > seconds:
                    self.stop()
                acquired = self._acquired  # asked first: what was put before it is taken below
                run = self._handover.take(POLL_S)
                whole = run
                if run is not None and seconds is not None:
                    run = run.until(seconds)
                if run is not None:
                    yield from self._reconstruct(run)
                else:
                    yield from self._alone(self._markers.overdue())
                if run is not whole or (acquired and whole is None):
                    yield from self._flush()
                    yield from self._alone(self._markers.finish())
                    break
        finally:
            self._markers.close()
            self._ended_ns = monotonic_ns()
            self.stop()
            self._thread.join(CLOSE_S)
            if not self._thread.is_alive():
                self.ingest.ended()
            self._tell_notices()
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            raise StallError(f"the source does not close within {CLOSE_S:.0f} s: unplug the device")

    def status(self) -> LiveStatus:
        """How the run is doing; for sinks that show it, from any thread."""
        whole, info = self.latency.whole(), self.ingest.info
        return LiveStatus(
            latency_p50_ms=whole.percentile_ns(50) * 1e-6 if whole.n else float("nan"),
            latency_p99_ms=whole.percentile_ns(99) * 1e-6 if whole.n else float("nan"),
            samples_lost=self.samples_lost,
            gaps=self.gaps,
            deadline_misses=self.deadline_misses,
            engine=engine_name(self._reconstructor),
            in_outage=self._source.in_outage,
            reconnects=self._source.reconnects,
            device="" if info is None else info.device,
            simulated=info is not None and info.simulated,
            device_hz=0.0 if info is None else info.sampling_hz,
            arrival_hz=self.ingest.arrival_hz or float("nan"),
            warnings=self.warnings,
            battery_percent=self.ingest.battery_percent,
            address=self.outputs.address,
            recording=self.outputs.recording(),
        )

    @property
    def source_name(self) -> str:
        """The source as the user named it."""
        return self._source.name

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the stream and of the sinks, a line each."""
        return (*self.ingest.notices, *self.sink_failures.values())

    @property
    def seconds(self) -> float:
        """By the clock, since the first samples came to inference, until the end; 0 before."""
        end_ns = self._ended_ns or monotonic_ns()
        return (end_ns - self._began_ns) * 1e-9 if self._began_ns else 0.0

    @property
    def samples_lost(self) -> int:
        """Samples per lead that the device took and that inference never saw, at the device's rate."""
        return self.ingest.counters.samples_lost + self._handover.samples_overrun

    @property
    def gaps(self) -> int:
        """Interruptions of the stream, on the link or by an overrun."""
        return self.ingest.counters.gaps + self._overruns

    def report(self) -> dict[str, object]:
        """Plain values for JSON: what went in, came out and was lost, and how long it took."""
        transport = self._source.link.transport
        return self.ingest.report() | {
            "samples_out": self.samples_out,
            "markers": self._markers.placed,
            "samples_lost": self.samples_lost,
            "samples_overrun": self._handover.samples_overrun,
            "gaps": self.gaps,
            "reconnects": self._source.reconnects,
            "seconds": self.seconds,
            "source": self.source_name,
            "started_at": None if self.started_at is None else self.started_at.isoformat(),
            "sampling_hz": self._reconstructor.sampling_hz,
            "engine": engine_name(self._reconstructor),
            "latency_us": self.latency.report_us(),
            "deadline_us": self._deadline_ns / 1e3,
            "deadline_misses": self.deadline_misses,
            "outputs": self.outputs.names(),
            "sink_failures": dict(self.sink_failures),
            "warnings": list(self.warnings),
            "notifications_dropped": (
                transport.notifications_dropped if isinstance(transport, Notified) else 0
            ),
            "strangers_dropped": getattr(transport, "strangers_dropped", 0),
            **self.outputs.counters(),
        }

    # The acquisition thread.

    def _acquire(self) -> None:
        try:
            asyncio.run(self._read_source())
        except asyncio.CancelledError:
            self._stopping = True  # stop() cancels the read; the source has closed by now
        except BaseException as error:  # whatever it is, it belongs to the caller of run()
            self._failure = error
        finally:
            self._handover.close()
            self._acquired = True

    async def _read_source(self) -> None:
        loop = asyncio.get_running_loop()
        task = cast("asyncio.Task[None]", asyncio.current_task())

        def cancel() -> None:
            with suppress(RuntimeError):  # the loop has closed: there is nothing left to cancel
                loop.call_soon_threadsafe(task.cancel)

        self._cancel = cancel
        if self._stopping:  # stopped before there was anything to cancel
            return
        async with self._source as source:
            if self._on_open is not None:
                self._on_open()
            live = source.link.live
            sampled_ns = monotonic_ns()
            reconnects = source.reconnects
            async for timed in source:
                decoded_ns = monotonic_ns()
                if source.reconnects != reconnects:  # it was away: no device's fault
                    reconnects, sampled_ns = source.reconnects, decoded_ns
                if isinstance(timed.event, Marked):
                    self._markers.hear(timed.event, timed.arrival_ns)
                if isinstance(timed.event, Reconstruction):
                    self._hear_reconstruction(timed.event)
                block = self.ingest.push(timed.event, timed.arrival_ns)
                self._tell_notices()
                if block is not None:
                    arrival_ns = timed.arrival_ns
                    if self.started_at is None:
                        self.started_at = start_of(block, source.link.transport)
                    if not live:  # a recording can wait, and its times are not those of this run
                        arrival_ns = decoded_ns
                        block = replace(block, arrival_ns=decoded_ns, acquired_ns=0)
                    for part in (block,) if live else block.parts(RECORDING_PART):
                        while not (live or self._handover.has_room(part.n_samples)):
                            await asyncio.sleep(RECORDING_WAIT_S)
                        self._handover.put(part)
                    self.latency.record("decode", decoded_ns - arrival_ns)
                    self.latency.record("ingest", monotonic_ns() - decoded_ns)
                    sampled_ns = decoded_ns
                elif decoded_ns - sampled_ns > NO_SAMPLES_S * 1e9:
                    raise StallError(no_samples(self.ingest.counters, NO_SAMPLES_S))

    def _hear_reconstruction(self, said: Reconstruction) -> None:
        if self.reconstruction is None and in_time(self.ingest):
            self.ingest = ReconstructedIngest(self.ingest, said)
            self._reconstructor = OnDevice(said, self._reconstructor)
            self._on_leads, self.reconstruction = None, said

    def _tell_notices(self) -> None:
        notices = self.ingest.notices
        while self._told < len(notices):
            self._say(f"warning: {notices[self._told]}")
            self._told += 1

    # The inference thread.

    def _flush(self) -> Iterator[TwelveLeadBlock]:
        tail = self._reconstructor.flush()
        if tail.n_samples and self._watch is not None:
            tail = self._watch.follow(tail)
            self.samples_out += tail.n_samples
            self._markers.follow(tail)
            yield tail

    def _alone(self, markers: tuple[Marker, ...]) -> Iterator[TwelveLeadBlock]:
        """`markers` that no samples come with, in a block of their own."""
        if markers and self._newest is not None:
            yield self._newest.followed_by(markers)

    def _reconstruct(self, run: Run) -> Iterator[TwelveLeadBlock]:
        taken_ns = monotonic_ns()
        if self._began_ns == 0:
            self._began_ns = taken_ns
            if self._on_leads is not None and self.ingest.leads != self._asked:
                self._on_leads(self.ingest.leads)
            wanted_hz = self._reconstructor.sampling_hz
            if run.sampling_hz != wanted_hz:
                n_leads = len(self.ingest.leads)
                self._converter = RateConverter(run.sampling_hz, wanted_hz, n_leads)
            r = self._reconstructor
            self._watch = MisplacementWatch(r.leads, r.moments, wanted_hz, self.ingest.tell)
        self._overruns += run.lost > 0
        if run.first_sample != self._next_sample:
            yield from self._flush()
            self._jump(run.first_sample - self._next_sample)
        ecg_mv, quality, delay_s = run.ecg_mv, run.quality, 0.0
        self._next_sample = run.first_sample + ecg_mv.shape[1]
        if self._converter is not None:
            ecg_mv, quality = self._converter.push(ecg_mv, quality)
            delay_s = self._converter.delay_s
        self._fed += ecg_mv.shape[1]
        block = self._reconstructor.push(ecg_mv, quality=quality)
        done_ns = monotonic_ns()
        self.latency.record("queue", taken_ns - run.stored_ns)
        self.latency.record("reconstruct", done_ns - taken_ns)
        if block.n_samples == 0:
            return
        held = self._fed - block.first_sample - block.n_samples
        behind_ns = round((delay_s + held / self._reconstructor.sampling_hz) * 1e9)
        acquired_ns = run.acquired_ns - behind_ns if run.acquired_ns else 0
        late_ns = done_ns - run.oldest_arrival_ns
        self.latency.record("byte_to_block", late_ns)
        if acquired_ns:
            self.latency.record("acquisition_to_block", done_ns - acquired_ns)
        self.deadline_misses += late_ns > self._deadline_ns
        self.samples_out += block.n_samples
        self._oldest_arrival_ns = run.oldest_arrival_ns
        assert self._watch is not None
        block = self._watch.follow(block)
        block = replace(block, arrival_ns=run.arrival_ns, acquired_ns=acquired_ns)
        if markers := self._markers.take(block):
            block = replace(block, markers=markers)
        self._newest = block
        yield block

    def _jump(self, n_samples: int) -> None:
        """Carry a gap over to the reconstructor, at its rate and without rounding drift."""
        if self._converter is not None:
            n_samples = self._converter.skip(n_samples)
        self._reconstructor.skip(n_samples)
        self._fed += n_samples

    def _write(self, block: TwelveLeadBlock) -> None:
        began_ns = monotonic_ns()
        self.outputs.write(block)
        if block.n_samples == 0:
            return
        done_ns = monotonic_ns()
        self.latency.record("sink", done_ns - began_ns)
        self.latency.record("byte_to_sink", done_ns - self._oldest_arrival_ns)
