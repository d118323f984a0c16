"""`leadlift run` with several sources: a thread and outputs for each; one that dies stalls no other."""

from __future__ import annotations

import argparse
import json
import re
import threading
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from edge.commands.common import (
    Beside,
    UsageError,
    live_outputs,
    measured_leads,
    one_line,
    open_reconstructor,
    run_live,
)
from edge.commands.live_report import exit_code, summary
from edge.commands.metrics import metrics
from edge.commands.run import source_of
from edge.commands.signals import clean_stop
from edge.errors import LeadliftError
from edge.notices import fail, say
from edge.sinks import open_sink

if TYPE_CHECKING:
    from edge.metrics.exporter import Exporter
    from edge.sinks.base import Sink
    from edge.sinks.viewer.ward import Ward

SOURCE, NUMBER = "{source}", "{number}"
MOST = 64
WAIT_S = 0.2  # a signal's handler runs between two waits, on any system


class Runs:
    """What several runs share: the wish that all stop."""

    def __init__(self) -> None:
        self._stops: list[Callable[[], object]] = []
        self._stopped = False
        self.wards: dict[str, Ward] = {}
        """The views that all of them share, by spec; each is open before the first run begins."""

    def stop(self) -> None:
        """Stop all of them, and those that are still to begin; from a signal handler: takes no lock."""
        self._stopped = True
        for stop in list(self._stops):
            stop()

    @contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """`stop` is called in here when all are to stop."""
        self._stops.append(stop)
        if self._stopped:
            stop()
        yield


class OneRun(threading.Thread):
    """One source into its outputs."""

    def __init__(
        self, name: str, arguments: Namespace, runs: Runs, exporter: Exporter | None = None
    ) -> None:
        """Look at everything that is named before anything opens. Raises what a single run raises."""
        super().__init__(name=name, daemon=True)
        self._arguments = arguments
        self._beside = Beside(name, runs.stopping, partial(self._open_sink, runs.wards))
        self.outputs = live_outputs(arguments.sink, arguments, arguments.source)
        self._leads = measured_leads(arguments, arguments.source)
        self._source = source_of(arguments.source, arguments, self._leads, self._beside.say)
        self._follow = None if exporter is None else exporter.follow(name)
        self.report: dict[str, Any] | None = None
        self.error: LeadliftError | None = None
        self.fault: BaseException | None = None
        """What is no LeadliftError: a defect of ours."""

    def _open_sink(
        self, wards: Mapping[str, Ward], spec: str, sampling_hz: float, **options: Any
    ) -> Sink:
        """This patient's place on a page of all; any other sink is this run's own."""
        if spec not in wards:
            return open_sink(spec, sampling_hz, **options)
        shown = {name: options[name] for name in ("metadata", "status", "mark")}
        return wards[spec].sink(self.name, sampling_hz=sampling_hz, **shown)

    def run(self) -> None:
        """Record until the source ends or all are stopped."""
        given = self._arguments
        try:
            with open_reconstructor(given, given.patient, self._leads) as reconstructor:
                self.report = run_live(
                    self._source,
                    reconstructor,
                    self.outputs,
                    seconds=given.seconds,
                    settled=self._leads is not None,
                    beside=self._beside,
                    follow=self._follow,
                )
        except LeadliftError as error:
            self.error = error
            fail(f"{one_line(error)}; the other sources go on", self.name)
        except BaseException as error:
            self.fault = error


def run_several(arguments: argparse.Namespace) -> int:
    """Run all sources side by side until each has ended, Ctrl-C, SIGTERM or --seconds."""
    specs = arguments.source
    names = names_of(specs)
    runs = Runs()
    with metrics(arguments.metrics) as exporter:
        threads = [
            OneRun(name, _of_one(arguments, spec, name, number), runs, exporter)
            for number, (spec, name) in enumerate(zip(specs, names, strict=True), 1)
        ]
        with _wards(arguments, runs.wards), clean_stop(runs.stop):
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(WAIT_S)
    for thread in threads:
        if thread.fault is not None:
            raise thread.fault
    reports = {thread.name: thread.report for thread in threads}
    if arguments.json:
        failed = {thread.name: str(thread.error) for thread in threads if thread.error}
        print(json.dumps({"sources": reports, "failures": failed}, indent=2))
    else:
        for thread in threads:
            said = f"failed     {one_line(thread.error)}" if thread.error else ""
            print(f"[{thread.name}]\n{said or summary(thread.report or {})}")
    return int(any(report is None or exit_code(report) for report in reports.values()))


def names_of(specs: Sequence[str]) -> list[str]:
    """A name for each source that a file can have, each once, whatever the case.

    Raises UsageError for too many, and for a source given twice unless it is simulated.
    """
    if len(specs) > MOST:
        raise UsageError(f"{len(specs)} sources: give {MOST} at most")
    for spec, n in Counter(specs).items():
        if n > 1 and not spec.startswith("sim:"):
            raise UsageError(f"source {spec!r} is given twice: name each once")
    plain = [
        re.sub(r"[^A-Za-z0-9._]+", "-", spec.partition("?")[0]).strip("-.") or "source"
        for spec in specs
    ]
    names: list[str] = []
    for name in plain:
        taken = {other.casefold() for other in (*names, *plain)} - {name.casefold()}
        several = Counter(map(str.casefold, plain))[name.casefold()] > 1
        number = 1
        found = f"{name}-{number}" if several else name
        while found.casefold() in taken | {other.casefold() for other in names}:
            number += 1
            found = f"{name}-{number}"
        names.append(found)
    return names


def named(text: str, name: str, number: int) -> str:
    """An output's name for one of several sources: {source} and {number} filled in, else a number added."""
    if SOURCE in text or NUMBER in text:
        return text.replace(SOURCE, name).replace(NUMBER, str(number))
    bare, mark, options = text.partition("?")
    path = PurePath(bare)
    return f"{path.with_name(f'{path.stem}-{number}{path.suffix}')}{mark}{options}"


def sink_of(spec: str, name: str, number: int) -> str:
    """A sink for one of several sources. Raises UsageError for one that can show a single source."""
    scheme, colon, rest = spec.partition(":")
    if scheme == "terminal":
        raise UsageError("terminal: shows one source: give file: or view: for several")
    if scheme == "view":  # all of them on one page
        return spec
    return f"{scheme}{colon}{named(rest, name, number)}" if rest else spec


@contextmanager
def _wards(arguments: argparse.Namespace, wards: dict[str, Ward]) -> Iterator[None]:
    """A page of all patients for each `view:`, told of and open in here; they are put into `wards`."""
    from edge.sinks.viewer.ward import Ward

    with ExitStack() as opened:
        for spec in arguments.sink:
            scheme, _, port = spec.partition(":")
            if scheme == "view":
                ward = Ward(port=int(port) if port else None, host=arguments.view_host)
                wards[spec] = opened.enter_context(ward)
                if arguments.json:
                    say(f"view: {ward.address}")
                else:
                    print(f"{'view':<10} {ward.address}", flush=True)
        yield


def _of_one(arguments: Namespace, spec: str, name: str, number: int) -> Namespace:
    """The options as they are for one source."""
    if not arguments.sink:
        raise UsageError(
            "several sources: say with --sink where each goes, as in file:{source}.edf"
        )
    if arguments.patient and not any(part in arguments.patient for part in (SOURCE, NUMBER)):
        raise UsageError(
            "--patient is of one person: with several sources name a calibration for each, as in "
            "--patient {source}.json"
        )
    given = Namespace(**vars(arguments))
    given.source = spec
    given.sink = [sink_of(sink, name, number) for sink in arguments.sink]
    given.report = named(arguments.report, name, number) if arguments.report else None
    given.patient = named(arguments.patient, name, number) if arguments.patient else None
    return given
