"""What the subcommands share: wrong usage, clean stops, reports, the sinks and the live run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge.commands.expectation import doubt, expectation
from edge.commands.live_report import live_report, nothing_came, write_report
from edge.commands.outputs import (
    add_overwrite_option,
    check_outputs,
    file_of_sink,
    file_of_source,
    is_report,
    makes_several,
    refuse_placeholders,
)
from edge.commands.signals import clean_stop
from edge.commands.wiring import takes_labels
from edge.errors import InputError, LeadliftError, SinkError
from edge.files.lead_option import parse_leads
from edge.notices import LOG, say
from edge.sinks.base import AddressedSink
from firmware_bridge.durations import seconds
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.new_file import stamped

if TYPE_CHECKING:
    from edge.metrics.exporter import Follow
    from edge.reconstructor import Reconstructor
    from edge.sinks import Sink
    from firmware_bridge.source import Source

MAINS_HZ: dict[str, float | Literal["bundle"] | None] = {
    "bundle": "bundle",
    "50": 50.0,
    "60": 60.0,
    "none": None,
}
Subparsers = Any  # argparse does not name the type of its subparsers


class UsageError(LeadliftError):
    """The command line asks for what does not exist; exit code 2."""


@contextmanager
def usage() -> Iterator[None]:
    """What cannot be understood in here is wrong usage, not a failed run."""
    try:
        yield
    except (InputError, SourceSpecError) as error:
        raise UsageError(str(error)) from error


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that reconstructs."""
    add = parser.add_argument
    add("--model", metavar="PATH", help="bundle, or small (default: the one that ships)")
    add("--engine", default="auto", help="inference engine (default: the fastest here)")
    add(
        "--mains",
        choices=tuple(MAINS_HZ),
        default="bundle",
        help="mains frequency to notch out, in Hz (default: as the model was trained)",
    )
    add("--lowpass", type=float, metavar="HZ", help="add a low-pass, such as 40 for monitoring")


def add_patient_option(parser: argparse.ArgumentParser) -> None:
    """The option of every command that can apply a patient's calibration."""
    parser.add_argument(
        "--patient", metavar="FILE", help="calibration of this patient, from `leadlift calibrate`"
    )


def add_live_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that runs the live path."""
    parser.add_argument(
        "--leads",
        metavar="II,V1,V5",
        help="leads that are measured, any of the twelve (default: those of the calibration; II,V1,V5; or "
        "what the device has of the twelve)",
    )
    add_model_options(parser)
    parser.add_argument(
        "--seconds", type=seconds, metavar="S", help="stop after S seconds of signal"
    )
    parser.add_argument("--report", metavar="OUT.json", help="write counts and latencies as JSON")
    parser.add_argument(
        "--view-host",
        metavar="ADDRESS",
        help="let other machines see `view:` too, at this address of this one, such as 0.0.0.0; the address "
        "to open then holds a token (default: this machine alone)",
    )
    add_overwrite_option(parser)


def measured_leads(
    arguments: argparse.Namespace, spec: str | None = None
) -> tuple[str, ...] | None:
    """What `--leads` of a live command says of the source `spec`. Raises UsageError where that names none."""
    if arguments.leads is None:
        return None
    with usage():
        leads = parse_leads(arguments.leads)
        if isinstance(leads, tuple):
            return leads
        if takes_labels(spec):
            return tuple(leads)
        lead, label = next(iter(leads.items()))
        raise InputError(
            f"--leads {arguments.leads}: name leads, as in II,V1,V5; which channel is which is said in "
            f"--source, as in ?leads=... ({label} as {lead})"
        )


def open_reconstructor(
    arguments: argparse.Namespace,
    patient: str | Path | None = None,
    leads: Sequence[str] | None = None,
    *,
    offline: bool = False,
) -> Reconstructor:
    """The model and engine that the options name; an engine that does not exist is wrong usage.

    `patient` is the file of a calibration to apply, `leads` those that are measured. `offline` takes the
    engine of whole files for `auto`.
    """
    from edge.engines.registry import OFFLINE
    from edge.reconstructor import Reconstructor

    with usage():
        opened = Reconstructor.open(
            arguments.model,
            OFFLINE if offline and arguments.engine == "auto" else arguments.engine,
            leads=leads,
            patient=patient,
            mains_hz=MAINS_HZ[arguments.mains],
            lowpass_hz=arguments.lowpass,
            say=say,
        )
    bundle = opened.bundle
    LOG.debug("model %s, sha256 %s", bundle.manifest.name, bundle.sha256[:12])
    LOG.debug("engine %s", opened.engine.name)
    for name, why in opened.skipped.items():
        LOG.debug("engine %s passed over: %s", name, why)
    return opened


@dataclass(frozen=True, slots=True)
class LiveOutputs:
    """What a live run writes, looked at and found free before anything opens."""

    sinks: tuple[str, ...]
    report: str | None
    overwrite: bool
    replaces_report: bool
    view_host: str | None = None
    open_browser: bool = False
    """Whether a browser of this machine is to show `view:`."""
    as_json: bool = False
    """Whether stdout is for the report alone."""
    once_open: str = ""
    """A line to say once the source is open, for before that nothing runs."""

    @property
    def draws(self) -> bool:
        """Whether a screen is drawn, which lines on stderr would break."""
        from edge.sinks.drawing import can_draw

        return "terminal:" in self.sinks and can_draw(sys.stdout)


def live_outputs(sinks: Sequence[str], arguments: argparse.Namespace, source: str) -> LiveOutputs:
    """The sinks and the report, `{time}` filled in.

    Raises UsageError for what cannot be understood and for a file that is used twice; SinkError for one
    that exists, without --overwrite, or cannot be made.
    """
    from edge.sinks.registry import check_sink

    now = datetime.now()
    with usage():
        named = tuple(spec if makes_several(spec) else stamped(spec, now) for spec in sinks)
    report = stamped(arguments.report, now) if arguments.report else None
    inputs = {
        "the source": file_of_source(source),
        "the calibration": getattr(arguments, "patient", None),
        "the model": arguments.model,
    }
    as_json = getattr(arguments, "json", False)
    if as_json and "terminal:" in named:
        raise UsageError("--json has stdout for itself: leave `terminal:` out, or --json")
    with usage():
        for spec in named:
            refuse_placeholders(spec)
            check_sink(spec)
            if named.count(spec) > 1:
                raise InputError(f"sink {spec!r} is given twice: name each output once")
        files = [("the recording", file_of_sink(spec)) for spec in named]
        replaced = check_outputs(
            [*files, ("the report", report)],
            inputs,
            overwrite=arguments.overwrite,
            made_again={"the report": is_report},
        )
    return LiveOutputs(
        named,
        report,
        arguments.overwrite,
        "the report" in replaced,
        arguments.view_host,
        as_json=as_json,
    )


@dataclass(frozen=True, slots=True)
class Beside:
    """What a live run needs to know that is one of several."""

    name: str
    stopping: Callable[[Callable[[], object]], AbstractContextManager[None]]
    """In it the callable is called when all are to stop."""
    open_sink: Callable[..., Sink]
    """As `edge.sinks.open_sink`; some sinks are shared."""

    def say(self, text: str) -> None:
        """As `say`, with the name."""
        say(text, self.name)


def run_live(
    source: Source,
    reconstructor: Reconstructor,
    outputs: LiveOutputs,
    *,
    seconds: float | None,
    settled: bool = False,
    beside: Beside | None = None,
    follow: Follow | None = None,
) -> dict[str, Any]:
    """Record from `source` into the outputs until it ends or is stopped; the report, also written if asked.

    Unless the leads are `settled`, a device that lacks one of them is taken with those that it has.
    Raises what either end of the path raises; a sink that fails while others go on is in the report.
    `beside` is for a run that is one of several in this process; `follow` shows it in metrics.
    """
    from edge.commands.marker_keys import marker_keys
    from edge.live.description import live_metadata
    from edge.live.runtime import Runtime
    from edge.sinks import open_sink

    later: list[str] = []
    tell = later.append if outputs.draws else say if beside is None else beside.say

    def on_leads(leads: Sequence[str]) -> None:
        reconstructor.measure(leads)
        if line := doubt(reconstructor) or expectation(reconstructor):
            tell(line)

    def on_open() -> None:
        for sink in runtime.sinks.values():
            _say_address(sink, outputs)
        if outputs.once_open:
            say(outputs.once_open)

    settled = settled or reconstructor.patient is not None or not reconstructor.takes_any_leads
    runtime = Runtime(
        source,
        reconstructor,
        leads=reconstructor.leads,
        on_leads=None if settled else on_leads,
        on_open=None if outputs.draws else on_open,
        say=tell,
    )
    if beside is None:
        _say_expectation(reconstructor, outputs)
    opener = open_sink if beside is None else beside.open_sink
    outcome, asked = "done", False

    def stop() -> None:
        nonlocal asked
        asked = True
        runtime.stop()

    try:
        for spec in outputs.sinks:
            with usage():
                runtime.sinks[spec] = opener(
                    spec,
                    reconstructor.sampling_hz,
                    metadata=lambda: live_metadata(runtime, reconstructor),
                    status=runtime.status,
                    overwrite=outputs.overwrite,
                    stop=stop,
                    view_host=outputs.view_host,
                    mark=runtime.mark,
                )
        stopping = clean_stop if beside is None else beside.stopping
        if outputs.draws:  # before there is a screen that it would break
            on_open()
        followed = nullcontext() if follow is None else follow(runtime, reconstructor)
        with stopping(stop), followed:
            # Keys are of nobody where several runs might take them.
            keys = nullcontext() if beside else marker_keys(runtime, say, draws=outputs.draws)
            with keys:
                runtime.run(seconds)
        if runtime.samples_out == 0 and not asked:
            outcome = nothing_came(runtime, seconds)
            later.append(f"warning: {outcome}")
    except LeadliftError as error:
        outcome = one_line(error)
        raise
    finally:
        for sink in runtime.sinks.values():  # those that were open when another one did not open
            with suppress(SinkError):  # reported by now
                sink.close()
        for line in later:  # the screen has gone
            say(line) if beside is None else beside.say(line)
        result = live_report(runtime, reconstructor) | {"outcome": outcome}
        if outputs.report is not None:
            # Another run that was refused may have reported under this name meanwhile.
            replaces = outputs.replaces_report or is_report(Path(outputs.report))
            write_report(outputs.report, result, overwrite=replaces)
    return result


def _say_address(sink: Sink, outputs: LiveOutputs) -> None:
    """Of a sink that is looked at elsewhere; a screen of ours draws only later."""
    if not isinstance(sink, AddressedSink):
        return
    _fact("view", sink.address, outputs)
    if outputs.open_browser:
        from edge.commands.browser import open_page

        open_page(sink.address)


def _say_expectation(reconstructor: Reconstructor, outputs: LiveOutputs) -> None:
    """Before the first sample: a person should know what to expect of the leads in use."""
    if line := doubt(reconstructor):
        say(line)
    elif line := expectation(reconstructor):
        _fact("leads", line, outputs)


def _fact(name: str, text: str, outputs: LiveOutputs) -> None:
    """A line of what is printed of a run, before it begins."""
    if outputs.as_json:
        say(f"{name}: {text}")
        return
    with suppress(OSError):  # nobody reads: no reason not to record
        print(f"{name:<10} {text}", flush=True)


def one_line(error: BaseException) -> str:
    """The text of an error without line breaks."""
    return " ".join(str(error).split())
