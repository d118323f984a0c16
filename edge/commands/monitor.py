"""`leadlift monitor`: what a device sends, before any reconstruction; optionally captured byte by byte."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from time import monotonic_ns
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edge.commands.common import Subparsers, usage
from edge.commands.outputs import add_overwrite_option, check_outputs, file_of_source
from edge.commands.signals import clean_stop
from edge.live.ingest import Ingest
from edge.live.on_device import ReconstructedIngest, as_twelve, estimates
from edge.notices import leave_stdout, say
from edge.sinks.base import LiveStatus
from edge.sinks.drawing import Drawer, can_draw
from edge.sinks.picture import LivePicture, Picture
from firmware_bridge.durations import seconds
from firmware_bridge.events import ReconstructedLeads, Reconstruction, StreamInfo
from firmware_bridge.new_file import stamped
from firmware_bridge.source import Source, Timed, open_source
from firmware_bridge.transports.ports import latency_hint
from firmware_bridge.transports.serial_port import SerialTransport

LINE_EVERY_NS = 1_000_000_000


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "monitor", help="show the raw leads of a device: rate, losses, drift, lead-off"
    )
    parser.add_argument("source", metavar="SOURCE", help="as for `leadlift run --source`")
    parser.add_argument("--capture", metavar="FILE", help="record the bytes, for replay:FILE")
    add_overwrite_option(parser)
    parser.add_argument("--seconds", type=seconds, metavar="S", help="stop after S seconds")
    parser.add_argument(
        "--lines",
        action="store_true",
        help="a line a second, also where a terminal could show traces",
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Show traces, or a line a second, until the source ends, Ctrl-C, SIGTERM or --seconds."""
    capture = stamped(arguments.capture or "")
    with usage():
        on_screen = can_draw(sys.stdout) and not arguments.lines
        inputs = {"the source": file_of_source(arguments.source)}
        check_outputs([("the capture", capture)], inputs, overwrite=arguments.overwrite)
        source = open_source(
            arguments.source,
            capture=capture or None,
            overwrite=arguments.overwrite,
            say=None if on_screen else say,
        )
    shown = _Shown((capture,) if capture else ())
    asyncio.run(_watch(source, arguments.seconds, on_screen, shown))
    if capture and source.n_bytes:
        shown.line(f"{source.n_bytes} bytes captured; play them with --source replay:{capture}")
    elif capture:
        shown.line("nothing came: there is no capture")
    return 1 if shown.failed else 0


class _Shown:
    """Standard output. Where nobody reads it any more, a recording goes on without it."""

    def __init__(self, recording: Sequence[str]) -> None:
        self.recording = recording
        self.failed = False

    def line(self, text: str) -> None:
        """Print a line. Raises OSError if that fails and nothing is recorded."""
        try:
            print(text, flush=True)
        except OSError as error:
            if not self.recording:
                raise
            self.failed = True
            leave_stdout()
            if not isinstance(error, BrokenPipeError):
                say(f"warning: cannot write the output: {error.strerror}; the recording goes on")


async def _watch(source: Source, limit_s: float | None, on_screen: bool, shown: _Shown) -> None:
    loop = asyncio.get_running_loop()
    task = cast("asyncio.Task[None]", asyncio.current_task())
    monitor = Monitor()
    later: list[str] = []

    def stop() -> None:
        loop.call_soon_threadsafe(task.cancel)

    try:
        with (
            clean_stop(stop),
            suppress(asyncio.CancelledError),
            ExitStack() as stack,
        ):
            async with source:
                if limit_s is not None:  # also while the device says nothing, or is away
                    stack.callback(loop.call_later(limit_s, task.cancel).cancel)
                if on_screen:
                    drawer = Drawer(
                        lambda: monitor.picture(source.in_outage, shown.recording),
                        sys.stdout,
                        stop=stop,
                    )
                    stack.enter_context(drawer)
                async for timed in source:
                    for line in monitor.take(timed, monotonic_ns()):
                        if not on_screen:
                            shown.line(line)
                    for notice in monitor.new_notices():
                        (later.append if on_screen else say)(f"warning: {notice}")
    finally:
        monitor.ingest.ended()
        later += [f"warning: {notice}" for notice in monitor.new_notices()]
        for line in later:  # the screen has gone
            say(line)
        shown.line(f"{monitor.totals()}, {source.reconnects} reconnects")
        if hint := _hint(source):
            shown.line(hint)


def _hint(source: Source) -> str | None:
    """What the port lacks, once it was opened as leadlift opens it."""
    transport = source.link.transport
    return latency_hint(transport.port) if isinstance(transport, SerialTransport) else None


class Monitor:
    """Follows the events of one source and puts them into words, in memory that does not grow."""

    def __init__(self) -> None:
        self.ingest = Ingest(())
        self._low_mv: NDArray[np.float32] = np.empty(0, np.float32)
        self._high_mv = self._low_mv
        self._line_ns = 0
        self._line_samples = 0
        self._line = ""
        self._facts: list[str] = []
        self._title = "waiting for the device"
        self._live = LivePicture(1.0, leads=())
        self._told = 0
        self._made: Reconstruction | None = None
        self._shown: Reconstruction | None = None

    def new_notices(self) -> list[str]:
        """What a person should be told, and was not yet."""
        notices = self.ingest.notices[self._told :]
        self._told += len(notices)
        return notices

    def take(self, timed: Timed, now_ns: int) -> Iterator[str]:
        """Follow an event; the lines of text that are due at `now_ns`."""
        event = timed.event
        if isinstance(event, StreamInfo) and not self.ingest.leads:
            before = self.ingest
            self.ingest = Ingest(event.leads)  # whatever it measures, decoder or not
            self.ingest.counters, self.ingest.notices = before.counters, before.notices
            self.ingest.battery_percent = before.battery_percent
            self.ingest.push(event, timed.arrival_ns)
            self._line_ns = now_ns
            self._title = _introduce(event)
            self._live = LivePicture(event.sampling_hz, leads=event.leads)
            self._forget_range()
            yield self._title
            return
        if isinstance(event, Reconstruction) and not isinstance(self.ingest, ReconstructedIngest):
            if self._made is None:
                yield f"reconstructed on the device by {event.model}: {', '.join(estimates(event))}"
            self._made = event
        if isinstance(event, ReconstructedLeads) and self._made is not None:
            self._show_reconstructed(self._made)
        block = self.ingest.push(event, timed.arrival_ns)
        if block is not None:
            shown = block if self._shown is None else as_twelve(self._shown, block)
            self._low_mv = np.fmin(self._low_mv, np.fmin.reduce(shown.ecg_mv, axis=1))
            self._high_mv = np.fmax(self._high_mv, np.fmax.reduce(shown.ecg_mv, axis=1))
            self._live.push(shown)
        if self.ingest.leads and now_ns - self._line_ns >= LINE_EVERY_NS:
            self._line = self._next_line(now_ns)
            yield self._line

    def _show_reconstructed(self, said: Reconstruction) -> None:
        """Where a device sends what it reconstructs alone, that is shown, as what it is."""
        if self._shown is not None or self.ingest.counters.samples_in or not self.ingest.leads:
            return
        self.ingest = ReconstructedIngest(self.ingest, said)
        self._shown = said
        self._live = LivePicture(said.sampling_hz)
        self._forget_range()

    def picture(self, in_outage: bool = False, recording: Sequence[str] = ()) -> Picture:
        """What a screen shows now, from any thread."""
        counters = self.ingest.counters
        status = LiveStatus(
            samples_lost=counters.samples_lost,
            gaps=counters.gaps,
            in_outage=in_outage,
            simulated=self.ingest.info is not None and self.ingest.info.simulated,
            warnings=tuple(self.ingest.notices),
            battery_percent=self.ingest.battery_percent,
            recording=tuple(recording),
        )
        what = "as measured, not filtered" if self._shown is None else "reconstructed on the device"
        notes = (what, *self._facts)
        return replace(
            self._live.snapshot(notes=notes),
            status=status,
            device=self._title,
            simulated=status.simulated,
        )

    def totals(self) -> str:
        """What was seen from the start to now."""
        counters, clock = self.ingest.counters, self.ingest.clock
        return (
            f"{counters.samples_in} samples, {counters.samples_lost} lost in {counters.gaps} gaps, "
            f"{counters.corrupt} corrupt pieces ({counters.corrupt_bytes} bytes), "
            f"{counters.duplicates} duplicate and {counters.late} late frames, "
            f"{counters.restarts} restarts, clock drift {clock.drift_ppm:+.0f} ppm, "
            f"arrival jitter {clock.jitter_s * 1e3:.1f} ms"
        )

    def _next_line(self, now_ns: int) -> str:
        counters, clock = self.ingest.counters, self.ingest.clock
        rate_hz = (counters.samples_in - self._line_samples) / ((now_ns - self._line_ns) * 1e-9)
        ranges = []
        made = () if self._shown is None else estimates(self._shown)
        for row, lead in enumerate(self._live.leads):
            low, high = self._low_mv[row], self._high_mv[row]
            span = "--" if np.isnan(low) else f"{low:+.2f}..{high:+.2f} mV"
            name = f"{lead} (reconstructed)" if lead in made else lead
            ranges.append(f"{name} {'OFF' if lead in self.ingest.leads_off else span}")
        percent = self.ingest.battery_percent
        battery = [] if percent is None else [f"battery {percent} %"]
        self._line_ns, self._line_samples = now_ns, counters.samples_in
        self._forget_range()
        arrival = [
            f"corrupt {counters.corrupt}",
            f"drift {clock.drift_ppm:+.0f} ppm",
            f"jitter {clock.jitter_s * 1e3:.1f} ms",
        ]
        self._facts = [f"{rate_hz:.1f} Hz", *arrival, *ranges]
        losses = [f"lost {counters.samples_lost}", f"gaps {counters.gaps}"]
        return "  ".join([f"{rate_hz:6.1f} Hz", *losses, *arrival, *battery, *ranges])

    def _forget_range(self) -> None:
        self._low_mv = self._high_mv = np.full(len(self._live.leads), np.nan, np.float32)


def _introduce(info: StreamInfo) -> str:
    firmware = f", firmware {info.firmware}" if info.firmware else ""
    simulated = "SIMULATED SIGNAL: " if info.simulated else ""
    return (
        f"{simulated}{info.device or 'device'}{firmware}: {', '.join(info.leads)} "
        f"at {info.sampling_hz:g} Hz, "
        f"{info.sample_bits} bits of {info.nanovolts_per_lsb:g} nV"
    )
